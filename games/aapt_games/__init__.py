"""Simulators that record the episodes: plain numpy and OpenCV Gymnasium environments."""

import gymnasium

GAMES = {"driving": "aapt_games.driving:DrivingEnv"}

if "aapt_games/Driving-v0" not in gymnasium.registry:
    gymnasium.register(id="aapt_games/Driving-v0", entry_point=GAMES["driving"])
