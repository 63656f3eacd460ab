"""``python -m cervix``."""

import sys

from cervix.files import make_private_files, private_from_now_on

if sys.argv[1:2] == ["mcp"]:
    # Its client waits for a first answer: not for what the other commands import. And it changes nothing, not even rights.
    from cervix.cli_mcp import main

    make_private_files()
else:
    from cervix.cli import main
    from cervix.settings import get_settings

    private_from_now_on(get_settings().home)
sys.exit(main())
