"""`python -m aapt_env.play`."""

import sys

from aapt_env.play import main

sys.exit(main())
