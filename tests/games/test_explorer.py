"""The explorer game keeps its promises: seeds, states, walls, its camera, and a wanderer worth recording."""

import dataclasses
import pickle
from math import radians

import cv2
import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

from aapt_games import GAMES
from aapt_games.explorer import ExplorerEnv, LabyrinthEnv, murals, plan, textures
from aapt_games.explorer import env as env_module
from aapt_games.explorer.light import CELLS
from aapt_games.explorer.view import EYE, FOV
from aapt_games.explorer.walker import RADIUS, STEEPEST, STRIDE, TURN
from aapt_games.explorer.wanderer import Wanderer

cv2.setNumThreads(1)
VILLA = {"scene": {"style": "villa", "time": "day"}}
AHEAD, STILL = np.array([1, 0, 0, 0], np.float32), np.zeros(4, np.float32)


@pytest.fixture(scope="module")
def game():
    """One small game that tests reset as they need, in places of every seed."""
    return LabyrinthEnv()


@pytest.fixture
def here(game):
    """The game at one place, built once: every test goes back to the same state."""
    if not hasattr(game, "at_first"):
        game.reset(seed=3, options=VILLA)
        game.at_first = game.clone_state()
    game.restore_state(game.at_first)
    return game


def play(game, actions):
    """Frames, rewards and infos of a run of actions."""
    steps = [game.step(a) for a in actions]
    return np.stack([s[0] for s in steps]), [s[1] for s in steps], [s[4] for s in steps]


def stand(game, x, y, yaw=0.0, pitch=0.0):
    """Put the walker somewhere and look."""
    game.walker = type(game.walker)(x, y, yaw, pitch)
    return game._observe()


def test_gymnasium_accepts_it():
    """The registered game passes Gymnasium's own check."""
    for name in ("Explorer", "Labyrinth"):
        check_env(gymnasium.make(f"aapt_games/{name}-v0").unwrapped, skip_render_check=True)
    assert GAMES["explorer"] == "aapt_games.explorer:ExplorerEnv"


def test_houses_stay_and_new_places_do_not():
    """The seed decides where in a house one stands; in a labyrinth it decides the place too."""
    for new, game in enumerate((ExplorerEnv(), LabyrinthEnv())):
        plans, spots = [], []
        for seed, style in ((1, "villa"), (2, "villa"), (2, "castle")):
            _, info = game.reset(seed=seed, options={"scene": {"style": style, "time": "day"}})
            plans.append(game.world.plan.ceiling)
            spots.append(tuple(info["pose"]))
        assert np.array_equal(plans[0], plans[1]) != new
        assert new or not np.array_equal(plans[1], plans[2])
        assert spots[0] != spots[1]
        area = [int((each > 0).sum()) for each in plans]
        assert (min(area) > 300) if new else (max(area) < 100)
    game.reset(seed=env_module.HOUSES["villa"], options=VILLA)
    assert (game.world.plan.ceiling > 0).sum() > 300, "large, though a house has that seed"


@pytest.mark.parametrize("size", [(63, 64), (64, 257)])
def test_bad_sizes_are_named(size):
    """A size that cannot be drawn is refused in words."""
    with pytest.raises(ValueError, match="64 to 256"):
        ExplorerEnv(*size)


def test_equal_seed_and_controls_give_equal_frames_at_every_size(here):
    """Bit-identical replay in another instance; the size of the picture never touches the walk."""
    actions = np.random.default_rng(0).uniform(-1, 1, (30, 4)).astype(np.float32)
    frames, rewards, infos = play(here, actions)
    other, wide = LabyrinthEnv(), ExplorerEnv(96, 136)  # a state knows its place
    first, _ = other.reset(seed=3, options=VILLA)
    again = play(other, actions)
    assert np.array_equal(frames, again[0]) and rewards == again[1]
    wide.restore_state(here.at_first)
    shown, _, told = play(wide, actions)
    assert shown.shape[1:] == (96, 136, 3) and first.std() > 15
    for a, b, c in zip(infos, again[2], told, strict=True):
        assert np.array_equal(a["pose"], b["pose"]) and np.array_equal(a["pose"], c["pose"])
        assert np.array_equal(a["depth"], b["depth"]) and c["depth"].shape == (96, 136)


def test_clone_and_restore(here):
    """A restored state continues exactly, through pickle."""
    play(here, [AHEAD] * 5)
    state = pickle.loads(pickle.dumps(here.clone_state()))
    frames, _, infos = play(here, [AHEAD] * 5)
    here.restore_state(state)
    again = play(here, [AHEAD] * 5)
    assert np.array_equal(frames, again[0])
    assert infos[-1]["visited"] == again[2][-1]["visited"]


def test_every_room_can_be_reached():
    """One piece of floor, walled all round, with courtyards, halls or rooms, and doors."""
    for seed in range(30):
        made = plan.generate(np.random.default_rng(seed))
        pieces, _ = cv2.connectedComponents((made.ceiling > 0).astype(np.uint8), connectivity=4)
        edge = np.concatenate([made.ceiling[[0, -1]].ravel(), made.ceiling[:, [0, -1]].ravel()])
        assert pieces == 2 and not edge.any()
        assert sum(room.kind == "court" for room in made.rooms) >= 2
        assert np.array_equal(made.room >= 0, made.ceiling > 0)


def test_the_motion_is_the_command_in_the_open_and_less_at_a_wall(here):
    """The control is the command; info tells both; nobody gets through a wall, whatever the direction."""
    rng, free = np.random.default_rng(1), 0
    solid = here.world.plan.ceiling == 0
    for _ in range(40):
        action = rng.uniform(-1, 1, 4).astype(np.float32)
        before = here.walker
        x, y, yaw = before.x, before.y, before.yaw
        info = here.step(action)[4]
        px, py, turned, pitch = info["pose"]
        assert np.array_equal(info["command"], action)
        local = np.array([[np.cos(yaw), np.sin(yaw)], [-np.sin(yaw), np.cos(yaw)]]) @ (
            px - x,
            py - y,
        )
        assert np.allclose(info["motion"][:2] * STRIDE, local, atol=1e-6)
        assert np.isclose(
            np.angle(np.exp(1j * (turned - yaw))), radians(TURN) * action[2], atol=1e-6
        )
        assert abs(pitch) <= radians(STEEPEST) + 1e-9
        free += np.allclose(info["motion"][:2], action[:2], atol=1e-5)
    assert free > 10
    for turn in np.linspace(0, 5, 5):
        here.walker.yaw = float(turn)
        play(here, [AHEAD] * 60)
        gap = 1e9
        for cy, cx in np.argwhere(solid):
            dx, dy = (
                here.walker.x - min(max(here.walker.x, cx), cx + 1),
                here.walker.y - min(max(here.walker.y, cy), cy + 1),
            )
            gap = min(gap, np.hypot(dx, dy))
        assert gap > RADIUS - 0.02


def test_a_walker_slides_along_a_wall(here, monkeypatch):
    """Straight into a wall one stands; at a slant one slides on."""
    room = max(here.world.plan.rooms, key=lambda r: r.area)
    solid, straight = here.world.plan.solid, range(room.y0 + 1, room.y1 - 2)
    wall = next(y for y in straight if all(solid(room.x1, y + i) for i in (-1, 0, 1, 2)))
    clear = dataclasses.replace(here.world, obstacles=np.zeros((0, 3), np.float32))
    monkeypatch.setattr(here, "world", clear)
    found = {}
    for slant in (0.0, 0.7):
        here.walker = type(here.walker)(room.x1 - 0.8, wall + 0.2, slant)
        found[slant] = play(here, [AHEAD] * 12)[2][-1]["motion"]
    assert np.hypot(*found[0.0][:2]) < 0.05 < 0.3 < np.hypot(*found[0.7][:2]) < 0.9


def test_depth_and_picture_are_those_of_a_pinhole_camera(here):
    """Points on the floor, moved by the told motion, land where the next frame has the same depth and colour.

    The camera turns and steps; a point seen before is projected into the frame after. Walls of flat colour would
    agree by accident, so depth is compared, and colour over all points.
    """
    room = max((r for r in here.world.plan.rooms if r.kind != "court"), key=lambda r: r.area)
    x, y = room.middle
    yaw = np.arctan2(0, 1)
    size, focal = 64, 32 / np.tan(radians(FOV / 2))
    u, v = np.meshgrid(np.arange(size) + 0.5 - 32, 32 - np.arange(size) - 0.5)

    def points(depth, x, y, yaw, pitch):
        along = depth * np.cos(pitch) - v / focal * depth * np.sin(pitch)
        up = depth * np.sin(pitch) + v / focal * depth * np.cos(pitch)
        right = u / focal * depth
        return (
            x + along * np.cos(yaw) - right * np.sin(yaw),
            y + along * np.sin(yaw) + right * np.cos(yaw),
            EYE + up,
        )

    stand(here, x, y, yaw)
    first, depth = here.image.astype(float), here.depth
    px, py, pz = points(depth, x, y, yaw, 0.0)
    assert np.abs(pz[depth < 900] - np.clip(pz[depth < 900], 0, room.ceiling)).max() < 0.1
    nx, ny, nyaw, npitch = x + 0.3, y + 0.2, yaw + 0.15, 0.1
    stand(here, nx, ny, nyaw, npitch)
    second, after = here.image.astype(float), here.depth
    ahead = (px - nx) * np.cos(nyaw) + (py - ny) * np.sin(nyaw)
    right = (py - ny) * np.cos(nyaw) - (px - nx) * np.sin(nyaw)
    z = ahead * np.cos(npitch) + (pz - EYE) * np.sin(npitch)
    up = (pz - EYE) * np.cos(npitch) - ahead * np.sin(npitch)
    col, row = focal * right / z + 32, 32 - focal * up / z
    inside = (z > 0.3) & (col > 1) & (col < 63) & (row > 1) & (row < 63) & (depth < 900)
    ci, ri = col[inside].astype(int), row[inside].astype(int)
    close = np.abs(after[ri, ci] - z[inside]) < 0.03 * z[inside] + 0.1
    error = np.abs(second[ri, ci] - first[inside]).mean(-1)
    assert inside.mean() > 0.5 and close.mean() > 0.85
    assert error[close].mean() < 0.5 * np.abs(second - first)[inside].mean() + 8


def test_scene_options_and_bad_ones(here):
    """A part of the scene can be fixed; what there is not is refused in words."""
    with pytest.raises(ValueError, match="known: "):
        here.reset(seed=3, options={"scene": {"time": "noon"}})
    with pytest.raises(ValueError, match="expected {'scene': {attribute: value}}"):
        here.reset(seed=3, options={"style": "villa"})
    assert here.world is not None and set(here.scenes) == {"style", "time"}


@pytest.mark.parametrize(
    "action", [[0, 0, 0], [0, 0, 1.5, 0], [0, np.nan, 0, 0], None, "left", [np.inf] * 4]
)
def test_an_action_outside_the_space_is_refused_and_nothing_moves(here, action):
    """A jump or a NaN once given must not move the walker to nowhere."""
    before = vars(here.walker).copy()
    with pytest.raises(ValueError, match=r"is outside Box.*controls are .*forward"):
        here.step(action)
    assert vars(here.walker) == before
    assert np.isfinite(here.step(AHEAD)[4]["pose"]).all()


def test_every_pattern_repeats_without_a_seam():
    """Across a tile's border a picture changes no more than inside it."""
    for pattern in ("grass", "sand", "marble", "cobbles", "hedge", "mosaic", "planks"):
        tile = textures.variant(pattern, (150.0, 140.0, 120.0), 0).astype(float)
        inside = np.abs(np.diff(tile, axis=1)).mean((0, 2))
        assert np.abs(tile[:, 0] - tile[:, -1]).mean() <= 1.6 * inside.max() + 4, pattern


def test_any_wall_of_the_villa_tells_where_one_is():
    """Each two metres of its walls are painted, no two alike, however coarsely one sees them."""
    house = ExplorerEnv()
    house.reset(seed=1, options=VILLA)
    material, spans = house.world.material, house.world.atlas.span
    seen = []
    for room in house.world.plan.rooms:
        if room.kind == "door":
            continue
        y, x = (room.y0 + room.y1) // 2, (room.x0 + room.x1) // 2
        for side, (a, b) in enumerate(
            [(y, room.x1 - 1), (y, room.x0), (room.y1 - 1, x), (room.y0, x)]
        ):
            tile = material[side * CELLS + a * plan.SIZE + b]
            assert spans[tile].tolist() == pytest.approx([2.0, room.ceiling])
            seen.append(tile)
    assert len(set(seen)) == len(seen) == 16
    looks = [murals.panel(np.random.default_rng(0), n, 0.381966 * n, 3.0) for n in range(16)]
    small = np.stack([cv2.resize(look, (4, 6), interpolation=cv2.INTER_AREA) for look in looks])
    gaps = np.abs(small[:, None].astype(float) - small[None]).mean((2, 3, 4)) + 99 * np.eye(16)
    assert gaps.min() > 12, "they differ however coarsely one sees them"
    for look in looks:
        assert np.abs(look[:, 0].astype(int) - look[:, -1]).mean() < 12, "pilasters meet"


def test_wanderer_is_worth_recording(here, monkeypatch):
    """It goes far, turns both ways, looks up and down, stands, walks back and bumps into walls."""
    monkeypatch.setattr(
        here.view,
        "render",
        lambda *_: (np.zeros((64, 64, 3), np.uint8), np.ones((64, 64), np.float32)),
    )
    infos, rooms = [], []
    for seed in range(8):
        here.restore_state(here.at_first)
        wanderer = Wanderer(seed)
        wanderer.reset(here)
        for step in range(24 * 30):
            if step % 4 == 0:
                action = wanderer(None, {})
                assert here.action_space.contains(action)
            infos.append(here.step(action)[4])
        rooms.append(infos[-1]["visited"])
    command, motion = (np.stack([i[name] for i in infos]) for name in ("command", "motion"))
    blocked = np.hypot(*(command - motion)[:, :2].T) > 0.3
    assert np.mean(rooms) > 5
    assert 0.01 < blocked.mean() < 0.25
    assert 0.02 < (np.abs(command).max(1) < 0.05).mean() < 0.3
    for i, least in ((1, 0.02), (2, 0.1), (3, 0.015)):
        assert (command[:, i] > 0.15).mean() > least and (command[:, i] < -0.15).mean() > least
    assert (command[:, 0] < -0.15).mean() > 0.01 and command[:, 0].mean() > 0.2


def test_light_reaches_every_face(here):
    """No face that can be seen lacks its patch of light."""
    left = here.world.light.left
    cells = np.flatnonzero(here.world.plan.ceiling.ravel() > 0)
    assert (left[4 * CELLS + cells] > 0).all() and env_module.STRIDE == STRIDE
