"""Environments with habits of their own: they show frames by a stated rule, or are refused with the reason."""

import gymnasium as gym
import numpy as np
import pytest

from aapt_env import keymap, pixels
from aapt_env.games import HoldControl, PixelView, make_game, repeats, replayable, world_spec
from aapt_env.pixels import fit, rgb
from aapt_env.spec import ControlSpec

BOX = gym.spaces.Box


CAMERA = gym.spaces.Dict(camera=BOX(0, 255, (16, 24, 3), np.uint8), x=BOX(0, 1))


class Odd(gym.Env):
    """Shows what it is told to show."""

    metadata = {"render_modes": ["rgb_array"], "render_fps": 12}

    def __init__(self, seen=None, space=None, drawn=None, action_space=None, render_mode=None):
        self.seen, self.drawn, self.render_mode = seen, drawn, render_mode
        self.observation_space = space or BOX(-1, 1, (2,), np.float32)
        self.action_space = action_space or gym.spaces.Discrete(3)
        self.got = None

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        return self.seen, {}

    def step(self, action):
        self.got = action
        return self.seen, 0.0, False, False, {}

    def render(self):
        return self.drawn() if callable(self.drawn) else self.drawn


def shows(**about):
    """The first frame of an environment."""
    return PixelView(Odd(**about), 16, 24).reset(seed=0)[0]


RED = np.zeros((16, 24, 3), np.uint8) + np.uint8([200, 0, 0])
GLASS = np.dstack([RED, np.full((16, 24), 99, np.uint8)])  # RGBA
SEEN = gym.spaces.Dict(
    camera=BOX(0, 255, RED.shape, np.uint8), parts=BOX(0, 255, GLASS.shape, np.uint8)
)


@pytest.mark.parametrize(
    "about",
    [
        dict(seen=RED, space=BOX(0, 255, RED.shape, np.uint8)),
        dict(seen=RED / np.float32(255), space=BOX(0, 1, RED.shape, np.float32)),
        dict(seen=RED.astype(np.float32), space=BOX(0, 255, RED.shape, np.float32)),
        dict(seen=RED.transpose(2, 0, 1), space=BOX(0, 255, (3, 16, 24), np.uint8)),
        dict(seen={"camera": RED, "x": 1.0}, space=CAMERA),
        dict(drawn=RED, render_mode="rgb_array"),
        dict(drawn=RED / 255.0, render_mode="rgb_array"),
        dict(drawn=RED.astype(np.int64), render_mode="rgb_array"),
        dict(drawn=[RED * 0, RED], render_mode="rgb_array"),
        dict(drawn=GLASS, render_mode="rgb_array"),
        dict(seen=GLASS, space=BOX(0, 255, GLASS.shape, np.uint8)),
        dict(seen=GLASS / np.float32(255), space=BOX(0, 1, GLASS.shape, np.float32)),
        dict(seen=GLASS * 0, space=BOX(0, 255, GLASS.shape, np.uint8), drawn=RED, render_mode="rgb_array"),
        dict(seen={"camera": RED, "parts": GLASS * 0}, space=SEEN),
        dict(seen={"parts": GLASS}, space=gym.spaces.Dict(parts=SEEN["parts"])),
        dict(seen=RED[:7, :7], space=BOX(0, 255, (7, 7, 3), np.uint8), drawn=RED, render_mode="rgb_array"),
    ],
)  # fmt: skip
def test_frames_of_every_kind(about):
    assert (shows(**about) == RED).all()


def test_grey_is_shown_where_there_is_no_colour():
    grey = np.full((16, 24), 99, np.uint8)
    assert (shows(seen=grey, space=BOX(0, 255, grey.shape, np.uint8)) == 99).all()
    drawn = dict(drawn=RED, render_mode="rgb_array")
    assert (shows(seen=grey, space=BOX(0, 255, grey.shape, np.uint8), **drawn) == RED).all()


def test_the_rule_for_sizes():
    """Resized to fill; kept in its aspect on black where one side would be stretched by more than 1.5."""
    white = np.full((40, 60, 3), 255, np.uint8)
    assert (fit(white, 64, 64) == 255).all() and (fit(white, 16, 24) == 255).all()
    assert (fit(np.full((40, 64, 3), 255, np.uint8), 64, 64)[:12] == 0).all()
    wide = fit(np.full((24, 72, 3), 255, np.uint8), 24, 24)
    assert (wide[:8] == 0).all() and (wide[16:] == 0).all() and (wide[8:16] == 255).all()
    assert (fit(white, 64, 24)[24:40] == 255).all() and (fit(white, 64, 24)[:20] == 0).all()
    assert not np.shares_memory(fit(RED, 16, 24), RED)


def test_frames_may_change_their_size():
    sizes = iter([(20, 30), (40, 60), (200, 300)])
    env = PixelView(
        Odd(drawn=lambda: np.full((*next(sizes), 3), 9, np.uint8), render_mode="rgb_array"), 16, 24
    )
    assert [env.reset()[0].shape, env.step(0)[0].shape, env.step(0)[0].shape] == [(16, 24, 3)] * 3


@pytest.mark.parametrize(
    ("drawn", "said"),
    [
        (None, "expected a picture"),
        ("text", "expected a picture"),
        (np.zeros(5), "expected a picture"),
        (np.full((9, 9, 3), np.nan), "values from nan"),
        (np.full((9, 9, 3), -4), "values from -4 to -4; expected 0 to 255"),
        (np.full((9, 9, 5), 1, np.uint8), r"uint8 \(9, 9, 5\)"),
        (lambda: 1 / 0, "cannot draw its frames here: ZeroDivisionError"),
    ],
)
def test_frames_that_are_none_are_refused_with_the_reason(drawn, said):
    with pytest.raises(ValueError, match=said):
        shows(drawn=drawn, render_mode="rgb_array")


def test_what_fails_for_good_is_not_asked_again(monkeypatch):
    """MuJoCo without OpenGL says so once; asked a second time, by whatever environment, it ends the process."""
    monkeypatch.setattr(pixels, "FATAL", {})
    fatal, asked = type("FatalError", (Exception,), {"__module__": "mujoco.render"}), []

    def draw():
        asked.append(1)
        raise fatal("no OpenGL")

    legged = [type(n, (Odd,), {"__module__": "gym.mujoco.legs"}) for n in ("Hopper", "Walker")]
    for made in legged:
        with pytest.raises(ValueError, match="cannot draw its frames here: FatalError: no OpenGL"):
            PixelView(made(drawn=draw, render_mode="rgb_array"), 16, 24).reset()
    assert len(asked) == 1
    assert shows(drawn=RED, render_mode="rgb_array").any(), "others draw"


def test_environments_without_pixels_and_of_another_api_are_refused():
    two = gym.spaces.Dict({name: BOX(0, 255, (16, 24, 3), np.uint8) for name in "ab"})
    for about in ({}, {"space": two}, {"space": gym.spaces.Discrete(4)}):
        with pytest.raises(ValueError, match="neither image observations nor an rgb_array"):
            PixelView(Odd(**about), 16, 24)
    env = PixelView(Odd(drawn=RED, render_mode="rgb_array"), 16, 24)
    env.env.reset = lambda **_: RED
    with pytest.raises(ValueError, match="reset gives no .observation, info.*shimmy"):
        env.reset()
    env.env.reset = lambda: (RED, {})
    with pytest.raises(ValueError, match="reset takes no seed and options.*unexpected keyword"):
        env.reset()
    env.env.step = lambda action: (RED, 0.0, False, {})
    with pytest.raises(ValueError, match="step gives 4 values, expected 5"):
        env.step(0)
    with pytest.raises(ValueError, match="expected Discrete, MultiBinary"):
        actions = gym.spaces.MultiDiscrete([2, 3])
        world_spec(
            PixelView(Odd(drawn=RED, render_mode="rgb_array", action_space=actions), 16, 24),
            "odd",
            4,
        )


@pytest.mark.parametrize(
    ("space", "control", "wanted"),
    [
        (gym.spaces.Discrete(3, start=-1), 0, -1),
        (gym.spaces.MultiBinary((2, 2)), [0, 1, 1, 0], [[0, 1], [1, 0]]),
        (BOX(-2, 2, (2, 1), np.float32), [0.5, -1], [[1], [-2]]),
        (BOX(0, 10, (2,), np.int32), [0.26, -1], [3, 0]),
    ],
)
def test_controls_are_flat(space, control, wanted):
    game = Odd(drawn=RED, render_mode="rgb_array", action_space=space)
    env = PixelView(game, 16, 24)
    spec = world_spec(env, "odd", 4)
    env.reset()
    env.step(
        spec.control.from_row(
            spec.control.to_row(control if isinstance(control, int) else np.array(control))
        )
    )
    assert np.array_equal(game.got, wanted) and space.contains(game.got)
    assert spec.frame_fps == 12


def test_a_game_that_seeds_late_is_told():
    class Late(Odd):
        def reset(self, *, seed=None, options=None):
            shade, self.shade = getattr(self, "shade", 0), (seed or 0) % 200
            self.drawn = np.full((16, 24, 3), shade, np.uint8)
            return None, {}

    view = lambda game: PixelView(game, 16, 24)  # noqa: E731
    assert not repeats(view(Late(render_mode="rgb_array")))
    assert repeats(view(Odd(drawn=RED, render_mode="rgb_array")))


def test_a_stranger_cannot_choose_what_is_imported(tmp_path, monkeypatch):
    """A checkpoint says which game it is of, and a twin would be made by that name."""
    (tmp_path / "evil.py").write_text("raise SystemExit('ran')")
    monkeypatch.syspath_prepend(tmp_path)
    assert (
        not replayable("gym:evil:Game-v0") and not replayable("gym:../x") and not replayable("maze")
    )
    assert replayable("gym:CartPole-v1") and replayable("driving")


def keys(control):
    return {b.keys: (b.index, b.value) for b in control.keymap}


def test_keys_are_read_from_the_environment_or_guessed():
    class Own(Odd):
        def get_keys_to_action(self):
            import pygame

            return {(ord("a"),): 1, ("d", " "): 2, (): 0, (pygame.K_LEFT,): 1}

    own = ControlSpec.of(PixelView(Own(drawn=RED, render_mode="rgb_array"), 16, 24))
    assert keys(own) == {("a",): (1, 1), ("d", "space"): (2, 1), (): (0, 1), ("left",): (1, 1)}
    box = BOX(np.float32([-1, 0, 0]), np.float32([1, 1, 1]))
    car = keymap.guess(box)
    assert car == [
        (("left",), 0, -1.0),
        (("right",), 0, 1.0),
        (("up",), 1, 1.0),
        (("down",), 2, 1.0),
    ]
    grid = keymap.guess(gym.spaces.Discrete(4), ("left", "right", "forward", "done"))
    assert (("up",), 2, 1.0) in grid and ((), 3, 1.0) in grid and (("2",), 2, 1.0) in grid
    control = ControlSpec(
        space="Discrete", size=4, keymap=[keymap.KeyBinding(keys=k, index=i) for k, i, _ in grid]
    )
    assert (
        control.neutral() == 3 and control.from_keys(set()) == 3 and control.from_keys({"up"}) == 2
    )


def test_keys_from_a_file_or_from_the_player(tmp_path):
    control = ControlSpec(space="Discrete", size=3)
    path = tmp_path / "keys.toml"
    path.write_text('names = ["no", "l", "f"]\n[keys]\nleft = 1\n"left+space" = 2\nidle = 0\n')
    made = keymap.chosen(str(path), control)
    assert made.names == ("no", "l", "f") and made.from_keys({"space", "left"}) == 2
    for text, said in (
        ("[keys]\nleft = 3", "0 to 2"), ("left = 1", r"no \[keys\]|\['left'\]"), ("[keys", "is no TOML"),
        ('names = ["a"]\n[keys]\nleft = 1', "names"), ("[keys]\nleft = true", "0 to 2"),
        ("[keys]\nblorp = 1", "there is no key 'blorp'; known are a to z"), ("[keys]\nLeft = 1", "expected 'left'"),
        ("[keys]\nleft = [0, nan]", "0 to 2, or for a Box"), ("[keys]\nleft = [0, -inf]", "0 to 2, or for a Box"),
        ('[keys]\nleft = [0, "x"]', "0 to 2, or for a Box"),
    ):  # fmt: skip
        path.write_text(text)
        with pytest.raises(ValueError, match=said):
            keymap.chosen(str(path), control)
    with pytest.raises(ValueError, match="nowhere.toml: No such file"):
        keymap.chosen("nowhere.toml", control)
    wheel = ControlSpec(kind="vector", space="Box", size=1, names=("wheel",))
    path.write_text("[keys]\nleft = [0, -0.5]\n")
    assert keymap.chosen(str(path), wheel).from_keys({"left"}).tolist() == [-0.5]
    answers = iter(["d", "a"])
    asked = keymap.ask(wheel, lambda prompt: next(answers))
    assert asked.from_keys({"a"}).tolist() == [-1] and asked.from_keys({"d"}).tolist() == [1]
    with pytest.raises(ValueError, match="there is no key 'blorp'; known are a to z"):
        keymap.ask(wheel, lambda prompt: "blorp")
    with pytest.raises(ValueError, match="given twice"):
        keymap.ask(wheel, lambda prompt: "x")

    def nobody(prompt):
        raise EOFError

    with pytest.raises(ValueError, match="nobody is there.*--keys FILE"):
        keymap.ask(wheel, nobody)


def test_bars_that_show_the_controls_are_masked():
    """CarRacing paints steering, gas and brake below the picture: whoever reads controls back must not see it."""
    from aapt_env.games import shown_controls

    env = PixelView(Odd(drawn=RED, render_mode="rgb_array"), 16, 24)
    assert not env.control_mask().any()
    env.env.spec = gym.spec("CarRacing-v3")
    mask = shown_controls(HoldControl(env), np.zeros((16, 24), bool))
    assert mask[14:].all() and not mask[:14].any()


def test_pictures():
    assert rgb(np.ones((4, 4), bool), 1.0).max() == 255
    assert HoldControl(make_game("gym:CartPole-v1", 24, 24), 2).reset(seed=0)[0].shape == (
        24,
        24,
        3,
    )
