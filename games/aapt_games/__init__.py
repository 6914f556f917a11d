"""Simulators that record the episodes: Gymnasium environments, in plain numpy and OpenCV but for doom."""

import gymnasium

GAMES = {
    "doom": "aapt_games.doom:DoomEnv",
    "driving": "aapt_games.driving:DrivingEnv",
    "explorer": "aapt_games.explorer:ExplorerEnv",
    "freedoom": "aapt_games.doom:FreedoomEnv",
    "labyrinth": "aapt_games.explorer:LabyrinthEnv",
    "puppet": "aapt_games.puppet:PuppetEnv",
}

for name, entry in GAMES.items():
    if (env_id := f"aapt_games/{name.capitalize()}-v0") not in gymnasium.registry:
        gymnasium.register(id=env_id, entry_point=entry)
