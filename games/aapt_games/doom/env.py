"""ViZDoom's `DoomGame` as a Gymnasium environment: Freedoom's maps, one tic per frame."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import cv2
import gymnasium
import numpy as np

from aapt_games.game import Game
from aapt_games.scenes import draw_scene

MAPS = ("map01", "map02", "map05", "map07")  # of freedoom2.wad
TICS = 35  # per second
SKILL = 1  # of 1 to 5; at 3 who explores is dead after 14 seconds, at 1 after 22
BUTTONS = {
    "turn_left": "TURN_LEFT", "turn_right": "TURN_RIGHT", "forward": "MOVE_FORWARD", "back": "MOVE_BACKWARD",
    "step_left": "MOVE_LEFT", "step_right": "MOVE_RIGHT", "fire": "ATTACK", "use": "USE",
}  # fmt: skip
VARIABLES = {
    "health": "HEALTH", "armor": "ARMOR", "ammo": "SELECTED_WEAPON_AMMO", "kills": "KILLCOUNT",
    "x": "POSITION_X", "y": "POSITION_Y", "angle": "ANGLE",
}  # fmt: skip
PAYS = {
    "kills": 1.0,
    "health": 0.01,
    "ammo": 0.005,
}  # for each one more; as much is taken for one less
PLACES = (
    "Bonus",
    "pack",
    "kit",
    "Clip",
    "Shell",
    "Box",
    "Armor",
)  # names of things lying where a player can stand


class DoomEnv(Game):
    """Walk, shoot and open doors in Freedoom's maps, first person.

    ### Action space
    `MultiBinary(8)`: turn left, turn right, forward, back, step left, step right, fire, use.

    ### Observation space
    `Box(0, 255, (height, width, 3), uint8)`: the whole screen with its status bar, 35 frames per second.

    ### Reward
    1 for a kill, 0.01 per point of health and 0.005 per bullet; as much is lost with them. They are in `info` too.

    ### Episode end
    Terminated when the player dies or leaves the level.

    ### Reset options
    `options={"scene": {"map": "map02"}}`; see `scenes`. The player stands where one of the map's things lies, looking
    anywhere, so that all of a map is seen.

    Args:
        height: rows of the frame, 64 to 240.
        width: columns of the frame, 64 to 240.
        render_mode: "rgb_array" or None.

    Raises:
        ImportError: ViZDoom is not installed.
    """

    metadata = {"render_modes": ["rgb_array"], "render_fps": TICS}
    control_names = tuple(BUTTONS)
    keymap = [
        (("left",), 0, 1.0), (("right",), 1, 1.0), (("up",), 2, 1.0), (("w",), 2, 1.0), (("down",), 3, 1.0),
        (("s",), 3, 1.0), (("a",), 4, 1.0), (("d",), 5, 1.0), (("space",), 6, 1.0), (("e",), 7, 1.0),
    ]  # fmt: skip
    scenes = {"map": MAPS}
    driver_entry = "aapt_games.doom.explorer:Explorer"
    largest = 240

    def __init__(self, height: int = 64, width: int = 64, render_mode: str | None = "rgb_array"):
        super().__init__(height, width, render_mode)
        import vizdoom

        self.action_space = gymnasium.spaces.MultiBinary(len(BUTTONS))
        # ViZDoom writes its settings somewhere
        self._folder = tempfile.TemporaryDirectory(prefix="aapt-doom-")
        self._doom = _doom(vizdoom, max(height, width), Path(self._folder.name))

    def _begin(self, wanted: dict[str, str]) -> None:
        """Stand where something lies in a map, looking anywhere."""
        rng, doom = self.np_random, self._doom
        self.scene = draw_scene(self.scenes, rng) | wanted
        doom.set_doom_map(self.scene["map"])
        doom.set_seed(int(rng.integers(2**31)))
        doom.new_episode()
        found = sorted(
            (o.position_x, o.position_y)
            for o in doom.get_state().objects
            if o.name.endswith(PLACES)
        )
        x, y = found[int(rng.integers(len(found)))]
        doom.send_game_command(f"warp {x:.0f} {y:.0f}")
        turn = [int(name == "turn_left") for name in BUTTONS]
        for _ in range(2 + int(rng.integers(60))):
            doom.make_action(turn, 1)
        self._look()

    def _advance(self, control) -> tuple[float, bool]:
        """One tic; what is more than before pays."""
        before = self.has
        self._doom.make_action([int(a) for a in control], 1)
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
        return self.has | {"frame": self.frame, "scene": dict(self.scene)}

    def close(self) -> None:
        """End Doom's process."""
        self._doom.close()
        self._folder.cleanup()


def _doom(vizdoom: Any, pixels: int, folder: Path) -> Any:
    """A running DoomGame that draws at least `pixels` rows where it can."""
    game = vizdoom.DoomGame()
    resolution = vizdoom.ScreenResolution
    game.set_screen_resolution(resolution.RES_160X120 if pixels <= 120 else resolution.RES_320X240)
    game.set_doom_game_path(str(Path(vizdoom.__file__).parent / "freedoom2.wad"))
    game.set_doom_config_path(str(folder / "doom.ini"))
    game.set_screen_format(vizdoom.ScreenFormat.RGB24)
    game.set_available_buttons([getattr(vizdoom.Button, name) for name in BUTTONS.values()])
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
    game.init()
    return game
