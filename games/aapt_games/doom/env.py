"""ViZDoom's `DoomGame` as Gymnasium environments, one tic per frame: small rooms to fight in, and Freedoom's maps."""

from __future__ import annotations

import tempfile
from multiprocessing.util import Finalize
from pathlib import Path
from typing import Any

import cv2
import gymnasium
import numpy as np

from aapt_games.game import Game
from aapt_games.scenes import draw_scene

TICS = 35  # per second
SKILL = 1  # of 1 to 5; at 3 who explores a map is dead after 14 seconds, at 1 after 22
TURN = 2.0  # degrees per tic, 70 per second; Doom's own keys go on from 62 to 123
TURNED = (
    365 * 360 / 65536,
    364 * 360 / 65536,
)  # what becomes of it, left and right: Doom counts 65,536 angles
BUTTONS = {
    "forward": "MOVE_FORWARD", "back": "MOVE_BACKWARD", "step_left": "MOVE_LEFT", "step_right": "MOVE_RIGHT",
    "fire": "ATTACK", "use": "USE",
}  # fmt: skip
VARIABLES = {
    "health": "HEALTH", "armor": "ARMOR", "ammo": "SELECTED_WEAPON_AMMO", "kills": "KILLCOUNT",
    "x": "POSITION_X", "y": "POSITION_Y", "angle": "ANGLE", "vx": "VELOCITY_X", "vy": "VELOCITY_Y",
}  # fmt: skip
PAYS = {
    "kills": 1.0,
    "health": 0.01,
    "ammo": 0.005,
}  # for each one more; as much is taken for one less
ROOMS = {
    "arena": "defend_the_center",
    "hall": "defend_the_line",
    "corridor": "deadly_corridor",
    "garden": "health_gathering",
}  # ViZDoom's scenarios
BOXES = {
    "arena": (0, 0, 784, 784),
    "hall": (-192, 288, 304, 208),
    "corridor": (656, 0, 672, 16),
    "garden": (608, 608, 592, 592),
}  # their middles, and how far along x and y one gets from there
ARENA = 0.98  # its wall of many flat pieces as a circle, about, of its box's half width
STROLL = 40  # tics at most, from where a room lets one in
MAPS = ("map01", "map02", "map05", "map07")  # of freedoom2.wad
STUNNED = 8  # tics in which who was put somewhere does nothing yet
LYING = (
    "Bonus",
    "pack",
    "kit",
    "Clip",
    "Shell",
    "Box",
    "Armor",
)  # names of things lying where a player can stand


def walked() -> dict[str, Any]:
    """What `info["carried"]` is: a walk of Doom's, as its own code moves a player."""
    wide, deep = zip(*(box[2:] for box in BOXES.values()), strict=True)
    last, speed = len(BOXES) - 1, 4.0
    return {
        "kind": "walk", "names": ("x", "y", "yaw", "vx", "vy", "room"),
        "middle": (0.0, 0.0, 0.0, 0.0, 0.0, last / 2),
        "spread": (0.5, 0.5, 1.0, speed, speed, 1.0), "reach": (2.0, 2.0, 4.0, 8.0, 8.0, last / 2),
        "settings": {
            "push": (25 / 32, 24 / 32), "friction": (0.90625,), "turn": TURNED, "fov": (90.0,), "unit": (200.0,),
            "grid": (32, 12, 14), "half_x": wide, "half_y": deep,
            "view": (-0.16, 0.5), "round": tuple(ARENA * (room == "arena") for room in BOXES),
        },
    }  # fmt: skip


class DoomEnv(Game):
    """Walk and shoot in four of ViZDoom's rooms, first person, with Freedoom's pictures.

    A round arena with demons, a hall with imps at its far end, a corridor of soldiers, and a garden whose ground
    poisons while medikits appear.

    ### Action space
    `MultiBinary(7)`: turn left, turn right, forward, back, step left, step right, fire.

    ### Observation space
    `Box(0, 255, (height, width, 3), uint8)`: the whole screen with its status bar, 35 frames per second. The eye stays
    level: Doom's bob (`movebob`) is off.

    ### Reward
    1 for a kill, 0.01 per point of health and 0.005 per bullet; as much is lost with them. They are in `info` too.

    ### Info
    `x`, `y`, `angle` (degrees, more turns left), `vx`, `vy` (units per frame) as ViZDoom tells them, and as float32
    `carried` [6], which a dream can carry along: x and y of the room, -1 to 1, y growing to the right of +x, yaw (rad,
    more turns right), velocity, number of the room.

    ### Episode end
    Terminated when the player dies or reaches the end of the corridor.

    ### Reset options
    `options={"scene": {"room": "hall"}}`; see `scenes`. The player has walked a little from where a room lets one in,
    and looks anywhere.

    Args:
        height: rows of the frame, 64 to 256.
        width: columns of the frame, 64 to 256.
        render_mode: "rgb_array" or None.

    Raises:
        ImportError: ViZDoom is not installed.
    """

    metadata = {"render_modes": ["rgb_array"], "render_fps": TICS}
    control_names = (
        "turn_left",
        "turn_right",
        "forward",
        "back",
        "step_left",
        "step_right",
        "fire",
    )
    keymap = [
        (("left",), 0, 1.0), (("right",), 1, 1.0), (("up",), 2, 1.0), (("w",), 2, 1.0), (("down",), 3, 1.0),
        (("s",), 3, 1.0), (("a",), 4, 1.0), (("d",), 5, 1.0), (("space",), 6, 1.0),
    ]  # fmt: skip
    scenes = {"room": tuple(ROOMS)}
    control_settings = {
        "turn_left": 1.0, "turn_right": 1.0, "forward": 2.0, "back": 2.0, "step_left": 3.0, "step_right": 3.0
    }  # fmt: skip
    carried = walked()
    driver_entry = "aapt_games.doom.explorer:Explorer"

    def __init__(self, height: int = 64, width: int = 64, render_mode: str | None = "rgb_array"):
        super().__init__(height, width, render_mode)
        import vizdoom

        self.action_space = gymnasium.spaces.MultiBinary(len(self.control_names))
        self._vizdoom = vizdoom
        # ViZDoom writes its settings somewhere
        self._folder = tempfile.TemporaryDirectory(prefix="aapt-doom-")
        self._running: dict[str, Any] = {}  # file of rooms or maps -> DoomGame
        # a process of a pool ends without closing what it made, and Doom would go on
        Finalize(self, _end, (self._running, self._folder), exitpriority=10)

    def _begin(self, wanted: dict[str, str]) -> None:
        """Come in, walk a little, look anywhere."""
        rng = self.np_random
        self.scene = draw_scene(self.scenes, rng) | wanted
        self._enter(int(rng.integers(2**31)))
        self._place(rng)
        self._do(turn=float(rng.integers(360)))
        self._look()

    def _enter(self, seed: int) -> None:
        """A new episode in the scene's room."""
        self._doom = self._load(ROOMS[self.scene["room"]])
        self._doom.set_seed(seed)
        self._doom.new_episode()

    def _place(self, rng: np.random.Generator) -> None:
        """Walk somewhere, the same way all the time."""
        self._do(turn=float(rng.integers(360)))
        for _ in range(int(rng.integers(STROLL))):
            self._do(forward=1.0)

    def _load(self, scenario: str | None) -> Any:
        """The running Doom of a scenario's file, or of Freedoom's maps."""
        name = scenario or "maps"
        if name not in self._running:
            pixels, folder = max(self.height, self.width), Path(self._folder.name)
            self._running[name] = _doom(self._vizdoom, pixels, scenario, folder / f"{name}.ini")
        return self._running[name]

    def _do(self, turn: float = 0.0, **held: float) -> None:
        """One tic: degrees to the left, and buttons."""
        self._doom.make_action([-turn, *(held.get(name, 0.0) for name in BUTTONS)], 1)

    def _advance(self, control) -> tuple[float, bool]:
        """One tic; what is more than before pays."""
        before = self.has
        keys = dict(zip(self.control_names, map(float, control), strict=True))
        turn = TURN * (keys.pop("turn_left") - keys.pop("turn_right"))
        self._do(turn, **keys)
        over = self._doom.is_episode_finished()
        if not over:
            self._look()
        elif self._doom.is_player_dead():
            self.has = before | {"health": 0.0}
        return sum(pays * (self.has[name] - before[name]) for name, pays in PAYS.items()), over

    def _look(self) -> None:
        """Take the screen, and what the explorer sees: depth and things."""
        state = self._doom.get_state()
        self.has = dict(zip(VARIABLES, map(float, state.game_variables), strict=True))
        self.depth, self.things = state.depth_buffer.copy(), list(state.labels)
        size = (self.width, self.height)
        self.screen = cv2.resize(state.screen_buffer, size, interpolation=cv2.INTER_AREA)

    def _draw(self) -> np.ndarray:
        return self.screen

    def _info(self) -> dict[str, Any]:
        ammo = max(0.0, self.has["ammo"])  # of a fist it is -1
        return (
            self.has
            | self._where()
            | {"ammo": ammo, "frame": self.frame, "scene": dict(self.scene)}
        )

    def _where(self) -> dict[str, Any]:
        """What a dream can carry along, with y and angles mirrored: Doom's grow to the left."""
        x, y, wide, deep = BOXES[self.scene["room"]]
        has, room = self.has, tuple(ROOMS).index(self.scene["room"])
        yaw = np.radians((180 - has["angle"]) % 360 - 180)
        at = ((has["x"] - x) / wide, (y - has["y"]) / deep, yaw)
        return {"carried": np.array([*at, has["vx"], -has["vy"], room], np.float32)}

    def close(self) -> None:
        """End Doom's processes; there is no reset after it."""
        self.image = None
        _end(self._running, self._folder)


class FreedoomEnv(DoomEnv):
    """Walk, shoot and open doors in four of Freedoom's maps, first person.

    ### Action space
    `MultiBinary(8)`: turn left, turn right, forward, back, step left, step right, fire, use.

    ### Episode end
    Terminated when the player dies or leaves the level.

    ### Reset options
    `options={"scene": {"map": "map02"}}`; see `scenes`. The player stands where one of the map's things lies, looking
    anywhere, so that all of a map is seen.

    All else as in `DoomEnv`, but for `carried`.
    """

    control_names = (*DoomEnv.control_names, "use")
    keymap = [*DoomEnv.keymap, (("e",), 7, 1.0)]
    scenes = {"map": MAPS}
    carried = None  # maps are too many, and have floors above one another

    def _where(self) -> dict[str, Any]:
        return {}

    def _enter(self, seed: int) -> None:
        """A new episode in the scene's map."""
        self._doom = self._load(None)
        self._doom.set_doom_map(self.scene["map"])
        self._doom.set_seed(seed)
        self._doom.new_episode()

    def _place(self, rng: np.random.Generator) -> None:
        """Stand where something lies."""
        found = sorted(
            (o.position_x, o.position_y)
            for o in self._doom.get_state().objects
            if o.name.endswith(LYING)
        )
        x, y = found[int(rng.integers(len(found)))]
        self._doom.send_game_command(f"warp {x:.0f} {y:.0f}")
        for _ in range(STUNNED):
            self._do()


def _end(running: dict[str, Any], folder: tempfile.TemporaryDirectory) -> None:
    """Close what runs, then remove where it writes."""
    for doom in running.values():
        doom.close()
    running.clear()
    folder.cleanup()


def _doom(vizdoom: Any, pixels: int, scenario: str | None, settings: Path) -> Any:
    """A running DoomGame that draws at least `pixels` rows where it can."""
    home = Path(vizdoom.__file__).parent
    game = vizdoom.DoomGame()
    resolution = vizdoom.ScreenResolution
    game.set_screen_resolution(resolution.RES_320X240 if pixels <= 120 else resolution.RES_640X480)
    game.set_doom_game_path(str(home / "freedoom2.wad"))
    if scenario:
        game.set_doom_scenario_path(str(home / "scenarios" / f"{scenario}.wad"))
    game.set_doom_config_path(str(settings))
    game.set_screen_format(vizdoom.ScreenFormat.RGB24)
    buttons = ["TURN_LEFT_RIGHT_DELTA", *BUTTONS.values()]
    game.set_available_buttons([getattr(vizdoom.Button, name) for name in buttons])
    game.set_button_max_value(vizdoom.Button.TURN_LEFT_RIGHT_DELTA, 0)  # no limit
    game.set_available_game_variables(
        [getattr(vizdoom.GameVariable, name) for name in VARIABLES.values()]
    )
    game.set_window_visible(False)
    game.set_sound_enabled(False)
    game.set_mode(vizdoom.Mode.PLAYER)
    game.set_render_hud(True)
    game.set_depth_buffer_enabled(True)
    game.set_labels_buffer_enabled(True)
    game.set_objects_info_enabled(True)
    game.set_doom_skill(SKILL)
    game.set_episode_timeout(0)
    game.set_doom_map(MAPS[0])
    game.add_game_args("+movebob 0")  # where in a stride the eye is, up or down, no frame tells
    game.init()
    return game
