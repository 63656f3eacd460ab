"""``python -m cervix``."""

import sys

from cervix.cli import main

sys.exit(main())
