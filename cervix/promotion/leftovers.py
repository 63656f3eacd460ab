"""What a process that was killed has left among the bundles: whoever keeps one next takes it away."""

import shutil
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

ON_ITS_WAY: Final = ".keeping-"
"""How the folders begin in which bundles are unpacked and proved."""
ARRIVING: Final = ".arriving"
"""Where downloads lie. It is beside the folders of bundles, and not taken for one."""
UNPACKING_AT_MOST_S: Final = 6 * 3600.0
"""Two gigabytes are unpacked and proved within minutes; a disk of a hundredth of the usual speed takes an hour."""
ARRIVING_AT_MOST_S: Final = 7 * 24 * 3600.0
"""So long a download that nobody goes on with is kept, from the last byte on."""


def clear_leftovers(bundles_dir: Path) -> None:
    """Delete what nobody can be at work on any more."""
    for folder in _older(bundles_dir.glob(f"{ON_ITS_WAY}*"), UNPACKING_AT_MOST_S):
        shutil.rmtree(folder, ignore_errors=True)
    for file in _older((bundles_dir / ARRIVING).glob("*.zip*"), ARRIVING_AT_MOST_S):
        with suppress(OSError):  # another process took it away, or may and this one may not
            file.unlink()


def _older(paths: Iterator[Path], than_s: float) -> Iterator[Path]:
    for path in paths:
        with suppress(OSError):
            if time.time() - path.lstat().st_mtime > than_s:
                yield path
