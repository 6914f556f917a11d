"""`python -m aapt_env` is `aapt`."""

import sys

from aapt_env.cli import main

sys.exit(main())
