"""Settings for every test: no window, no sound, few threads. Quick tests stay quick: torch is not imported here."""

import os

for name, value in {
    "SDL_VIDEODRIVER": "dummy",
    "SDL_AUDIODRIVER": "dummy",
    "PYGAME_HIDE_SUPPORT_PROMPT": "1",
    "OMP_NUM_THREADS": "2",  # read by torch when it is first imported; small networks gain nothing from more
}.items():
    os.environ.setdefault(name, value)
