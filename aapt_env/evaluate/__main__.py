"""`python -m aapt_env.evaluate`."""

import sys

from aapt_env.evaluate.run import main

sys.exit(main())
