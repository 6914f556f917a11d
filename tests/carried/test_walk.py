"""A walk through rooms: Doom's own steps, its walls' place, and nothing that anybody could not have walked."""

import numpy as np
import pytest
import torch

from aapt_env import carried, sizes
from aapt_env.games import make_held, world_spec
from aapt_env.model.cache import RingCache
from aapt_env.model.generator import Generator
from aapt_env.model.rollout import replay, rollout
from aapt_env.model.vae import VAEConfig
from aapt_env.spec import CarriedSpec, ControlSpec
from aapt_env.train.recipes import recipe
from aapt_games.doom.env import ARENA, BOXES, ROOMS, DoomEnv

GRID = (8, 8)
CONTROL = ControlSpec(
    space="MultiBinary", size=len(DoomEnv.control_names), names=DoomEnv.control_names
)
SPEC = CarriedSpec(**DoomEnv.carried)


@pytest.fixture(scope="module")
def walk() -> carried.Walk:
    torch.manual_seed(0)
    return carried.Walk(SPEC, CONTROL, GRID).requires_grad_(False)


@pytest.fixture(scope="module")
def doom():
    pytest.importorskip("vizdoom")
    env = make_held("doom", k=4)
    yield env
    env.close()


def keys(*held: str) -> torch.Tensor:
    """Four frames of some keys."""
    return torch.tensor([float(name in held) for name in CONTROL.names]).expand(4, -1)


def at(x=0.0, y=0.0, yaw=0.0, vx=0.0, vy=0.0, room=0.0) -> torch.Tensor:
    """What a game would tell."""
    return torch.tensor([x, y, yaw, vx, vy, room])


def test_numbers_come_back_as_they_were(walk):
    values = torch.stack([at(0.5, -1, 3.1, 7, -8, 3), at(-0.2, 0.9, -3.1, 0, 0, 1)])
    numbers = walk.encode(values)
    assert numbers.shape == (2, SPEC.channels) and SPEC.channels == 7
    assert torch.allclose(walk.decode(numbers), values, atol=1e-5)


def test_what_is_expected_is_what_doom_does(doom, walk):
    """Under any keys, but for walls, which stop some of it, and demons, who push."""
    rng, off = np.random.default_rng(0), []
    for room in ROOMS:
        _, info = doom.reset(seed=5, options={"scene": {"room": room}})
        for _ in range(25):
            before, action = (
                torch.from_numpy(info["carried"]),
                (rng.random(7) < 0.4).astype(np.int8),
            )
            _, _, over, _, info = doom.step(action)
            held = torch.from_numpy(action).float().expand(4, 7)
            gap = walk.decode(walk.expected(walk.encode(before), held)).numpy() - info["carried"]
            gap[2] = (gap[2] + np.pi) % (2 * np.pi) - np.pi
            off.append(np.abs(gap))
            if over:
                break
    off = np.array(off)
    assert (off[:, 5] == 0).all() and np.quantile(off[:, 2], 0.9) < 1e-5
    assert (np.quantile(off[:, :2], 0.5, axis=0) < 1e-4).all(), "a ten thousandth of a room"
    assert (np.quantile(off[:, 3:5], 0.5, axis=0) < 1e-2).all(), "units per frame"


def test_rays_go_where_the_picture_shows(doom, walk):
    """How far it is along each cell's ray to the wall of a square room is how far the depth buffer says."""
    half, told, seen = np.array(BOXES["garden"][2:]), [], []
    for seed in range(12):
        doom.reset(seed=seed, options={"scene": {"room": "garden"}})
        for _ in range(30):
            info = doom.step(keys("forward")[0].numpy().astype(np.int8))[-1]
        numbers = torch.from_numpy(info["carried"])
        rays = (walk.maps(walk.encode(numbers))[:2, 4] / 3**0.5).numpy()  # [2, columns]
        place = numbers[:2].numpy() * half
        walls = (16 + half)[:, None] * np.sign(rays) - place[:, None]
        ahead = np.array([np.cos(info["carried"][2]), np.sin(info["carried"][2])])
        along = (walls / rays).min(
            axis=0
        )  # in lengths of the ray, whose part along the view is depth
        depth = doom.unwrapped.depth
        rows = depth.shape[0]
        band = depth[int(0.36 * rows) : int(0.46 * rows)].min(axis=0)
        told.append(along * (ahead @ rays))
        seen.append([part.mean() for part in np.array_split(band, GRID[1])])
    told, seen = np.concatenate(told), np.concatenate(seen)
    near = seen < 60  # beyond it the buffer tells nothing
    assert near.sum() > 20 and np.corrcoef(told[near], seen[near])[0, 1] > 0.97


def test_a_turned_picture_is_the_one_that_the_game_shows_next(doom):
    """Who turns on the spot sees what the last picture shows, moved; the status bar stays where it is."""
    walk = carried.Walk(SPEC, CONTROL, (64, 64))
    gains = []
    for seed, side in ((1, "turn_left"), (2, "turn_right"), (3, "turn_left"), (4, "turn_right")):
        seen, info = doom.reset(seed=seed, options={"scene": {"room": "garden"}})
        for _ in range(6):
            *_, info = doom.step(np.zeros(7, np.int8))
        before, seen = walk.encode(torch.from_numpy(info["carried"])), doom.render()
        *_, info = doom.step(keys(side)[0].numpy().astype(np.int8))
        seen, after = (torch.from_numpy(f).movedim(-1, 0).float() for f in (seen, doom.render()))
        moved = walk.turned(seen, before, walk.expected(before, keys(side)))
        away = walk.turned(seen, walk.expected(before, keys(side)), before)
        assert torch.equal(moved[:, 48:], seen[:, 48:])
        middle = (slice(None), slice(2, 44), slice(10, 54))
        error = [float((x - after)[middle].square().mean()) for x in (moved, seen, away)]
        assert error[0] < 0.6 * min(error[1:]), "nearer than what was there, and than the wrong way"
        gains.append(error[0] / error[1])
    assert np.mean(gains) < 0.3, gains


def test_who_does_not_turn_sees_what_was_there(walk):
    latents = torch.randn(3, 2, 23, *GRID, generator=torch.Generator().manual_seed(0))
    numbers = walk.encode(torch.stack([at(yaw=3.1, vx=7.0), at(yaw=-1.0), at()]))[:, None]
    numbers = numbers.expand(3, 2, 7)
    held = torch.stack([keys("forward", "step_left"), keys("turn_left", "turn_right"), keys()])
    held = held[:, None].expand(3, 2, 4, 7)
    assert torch.equal(walk.turned(latents, numbers, numbers), latents)
    moved = walk.turned(latents, numbers, walk.expected(numbers, held))
    assert torch.equal(moved, latents)
    told = DoomEnv.carried["settings"] | {"view": None}
    settings = {name: row for name, row in told.items() if row}
    plain = carried.Walk(CarriedSpec(**DoomEnv.carried | {"settings": settings}), CONTROL, GRID)
    turned = plain.expected(numbers, keys("turn_left").expand(3, 2, 4, 7))
    assert torch.equal(plain.turned(latents, numbers, turned), latents), "a game without a view"
    assert not torch.allclose(walk.turned(latents, numbers, turned), latents, atol=1e-1)


def test_friction_stops_who_lets_go_and_reach_who_goes_on(walk):
    numbers = walk.encode(at(vx=8.0, room=3))
    for _ in range(30):
        numbers = walk.expected(numbers, keys())
    x, _, _, vx, _, _ = walk.decode(numbers).tolist()
    assert 0 < x * SPEC.settings["half_x"][3] < 8 / (1 - 0.90625) + 1 and abs(vx) < 1e-3
    for _ in range(200):
        numbers = walk.expected(numbers, keys("forward", "step_right"))
    x, y, yaw, *_ = walk.decode(numbers).tolist()
    assert x == pytest.approx(1) and y == pytest.approx(1) and yaw == pytest.approx(0)
    assert walk.decode(numbers)[3:5].abs().max() < 1e-4, (
        "a wall leaves nothing of what goes against it"
    )
    wild = walk.decode(walk.expected(walk.encode(at(vx=1e6, vy=-1e6, room=9)), keys()))
    assert wild[3:5].abs().max() <= 32 and wild[5] == pytest.approx(3)
    turned = walk.decode(walk.expected(walk.encode(at()), keys("turn_right")))[2]
    assert float(turned) == pytest.approx(np.radians(8), rel=0.01)


@pytest.mark.parametrize("room", ["garden", "hall", "arena"])
def test_outer_walls_stop_as_dooms_do(doom, walk, room):
    """Who goes on ahead slides along the wall, or stands in a corner; the arena's many flat walls are a circle."""
    held, off = keys("forward"), []
    for seed in range(4):
        _, info = doom.reset(seed=seed, options={"scene": {"room": room}})
        for _ in range(60):
            before = torch.from_numpy(info["carried"])
            _, _, over, _, info = doom.step(held[0].numpy().astype(np.int8))
            far = before[:2].norm() if room == "arena" else before[:2].abs().max()
            if far > 0.97:
                gap = (
                    walk.decode(walk.expected(walk.encode(before), held)).numpy() - info["carried"]
                )
                off.append(np.abs(gap))
            if over:
                break
    off = np.array(off)
    assert len(off) > 20
    assert (np.median(off[:, :2], axis=0) < 0.01).all(), "a hundredth of a room"
    assert (np.median(off[:, 3:5], axis=0) < 0.5).all(), "units per frame, of 8 at a run"


def test_in_the_arena_one_slides_along_a_circle(walk):
    numbers = walk.encode(at(0.6, 0.6, yaw=0.0))
    for _ in range(20):
        numbers = walk.expected(numbers, keys("forward"))
        x, y, _, vx, vy, _ = walk.decode(numbers).tolist()
        assert x * x + y * y < ARENA**2 + 1e-5
    assert x > 0.9 and vx * x + vy * y == pytest.approx(0, abs=0.3), "along the wall"


def test_who_stands_is_pushed_by_nothing(walk):
    """Where and how fast one is can be put right as far as there was a step; heading and room never."""
    numbers = walk.encode(torch.stack([at(0.3, 0.2, 1.0, room=2), at(0.3, 0.2, 1.0, 4.0, 3.0, 2)]))
    room = walk.room(numbers, walk.expected(numbers, keys()))
    assert (room[0] < 1e-4).all() and (room[1, [0, 1, 4, 5]] > 0.01).all()
    assert (room[:, [2, 3, 6]] == 0).all()
    # as far in the corridor's width as along it
    steps = room[1, :2] * torch.tensor([SPEC.settings[f"half_{axis}"][2] for axis in "xy"])
    assert torch.allclose(steps[0], steps[1])


def test_every_room_has_a_map_to_itself(walk):
    """A change in one room's part of the learned map is seen there, and nowhere else."""
    places = torch.stack(
        [
            walk.encode(at(x, y, 0.4, room=room))
            for room in range(4)
            for x in (-1, 0, 1)
            for y in (-1, 1)
        ]
    )
    before = walk.maps(places)[:, -walk.FELT :].clone()
    across = int(SPEC.settings["grid"][2])
    walk.map[..., across : 2 * across] += 1
    after = walk.maps(places)[:, -walk.FELT :]
    walk.map[..., across : 2 * across] -= 1
    changed = (after - before).unflatten(0, (4, -1))
    assert torch.allclose(changed[1], torch.ones_like(changed[1]), atol=1e-4)
    assert (changed[[0, 2, 3]].abs() < 1e-4).all()


def test_one_pass_is_the_cache():
    """What the masked pass makes of a rollout is what the ring made."""
    pytest.importorskip("vizdoom")
    env = make_held("doom", k=4)
    spec = world_spec(env, "doom", 4)
    env.close()
    spec, trunk = sizes.fit(
        spec, VAEConfig(channels=4, encoder=(8, 16), decoder=(8, 16)),
        patch=2, dim=32, depth=2, heads=2, window=4, change=0.3,
    )  # fmt: skip
    torch.manual_seed(0)
    generator = Generator(trunk, spec.control).requires_grad_(False)
    for p in generator.parameters():
        torch.nn.init.normal_(p, std=0.1)
    start = torch.randn(2, 1, *spec.latent_shape)
    start = carried.put(
        start, generator.trunk.carrier.encode(torch.stack([at(room=1), at(0.4, room=3)]))[:, None]
    )
    controls = (torch.rand(2, 5, 4, 7) < 0.4).float()
    noise, scene = torch.randn(2, 5, *spec.latent_shape), torch.zeros(2, 1, dtype=torch.int64)
    cache = RingCache(generator.trunk.rope, generator.trunk.scene(scene), 4)
    rolled = rollout(generator, start, controls, noise, cache, 1)
    again = replay(generator, rolled, controls, noise, scene, 1)
    assert torch.allclose(rolled, again, atol=1e-4)
    rooms = generator.trunk.carrier.decode(carried.read(rolled, 7))[..., 5]
    assert torch.allclose(rooms, torch.tensor([[1.0], [3.0]]).expand_as(rooms), atol=1e-4)


@pytest.mark.parametrize(
    "wrong",
    [
        {"names": ("x", "y", "yaw", "vx", "vy", "floor")}, {"push": (1.0,)}, {"half_x": ()}, {"half_y": (1.0,)},
        {"round": (1.0,)}, {"round": (0, 0, 2, 0)}, {"round": (-1, 0, 0, 0)},
        {"view": (0.0,)}, {"view": (0.0, 1.5)}, {"view": (-7.0, 0.5)},
        {"half_x": (1.0, 0.0, 1.0, 1.0)}, {"grid": (1, 14, 16)}, {"grid": (256, 256, 2)}, {"speed": (1.0,)},
        {"fov": (0,)}, {"fov": (180,)}, {"unit": (0,)}, {"half_x": (1e-50,) * 4},
    ],
)  # fmt: skip
def test_what_is_no_walk_is_refused(wrong):
    names = {"names": wrong.pop("names")} if "names" in wrong else {}
    told = DoomEnv.carried | names | {"settings": DoomEnv.carried["settings"] | wrong}
    with pytest.raises(ValueError, match="expected|a walk is"):
        carried.carrier(CarriedSpec(**told), CONTROL, GRID)


@pytest.mark.parametrize("name, channels", [("rooms", 31), ("warm", 31), ("at_home", 23)])
def test_the_example_of_recipes_fits_the_game(name, channels):
    pytest.importorskip("vizdoom")
    env = make_held("doom", k=4)
    spec = world_spec(env, "doom", 4)
    env.close()
    _, trunk, _ = recipe(f"examples.doom_rooms:{name}").sizes(spec)
    assert trunk.channels == channels and trunk.carries == 7


def test_a_view_of_one_row_turns_nowhere_and_is_refused():
    with pytest.raises(ValueError, match="2 or more cells each way"):
        carried.carrier(SPEC, CONTROL, (1, 8))


def test_a_walk_needs_the_keys_of_one():
    other = ControlSpec(space="Discrete", size=7, names=CONTROL.names)
    with pytest.raises(ValueError, match="a walk is .* under keys"):
        carried.carrier(SPEC, other, GRID)
    for wrong in (["push"], {"push": 1.0}, {"push": (float("nan"), 1.0)}, {"push": ("a", 1.0)}):
        with pytest.raises(ValueError, match="carried"):
            CarriedSpec(**DoomEnv.carried | {"settings": wrong})
