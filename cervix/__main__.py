"""``python -m cervix``."""

import sys

from cervix.cli import main
from cervix.files import private_from_now_on
from cervix.settings import get_settings

private_from_now_on(get_settings().home)
sys.exit(main())
