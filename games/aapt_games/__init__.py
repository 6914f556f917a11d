"""Simulators that record the episodes: Gymnasium environments, in plain numpy and OpenCV but for doom."""

import gymnasium

GAMES = {
    "doom": "aapt_games.doom:DoomEnv",
    "driving": "aapt_games.driving:DrivingEnv",
}

if "aapt_games/Driving-v0" not in gymnasium.registry:
    gymnasium.register(id="aapt_games/Driving-v0", entry_point=GAMES["driving"])
