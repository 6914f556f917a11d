"""Simulators that record the episodes: plain numpy and OpenCV Gymnasium environments."""

import gymnasium

GAMES = {
    "driving": "aapt_games.driving:DrivingEnv",
    "explorer": "aapt_games.explorer:ExplorerEnv",
    "puppet": "aapt_games.puppet:PuppetEnv",
}

for name, entry in GAMES.items():
    if (env_id := f"aapt_games/{name.capitalize()}-v0") not in gymnasium.registry:
        gymnasium.register(id=env_id, entry_point=entry)
