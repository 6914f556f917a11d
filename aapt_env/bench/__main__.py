"""`python -m aapt_env.bench`."""

import sys

from aapt_env.bench import main

sys.exit(main())
