"""Where bundles are unpacked and proved; what a process that was killed has left there goes with whoever keeps one next."""

import secrets
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from filelock import FileLock, Timeout

ON_ITS_WAY: Final = ".keeping-"
"""How the folders begin in which bundles are unpacked and proved."""
LOCK: Final = ".lock"
"""Behind the name of such a folder: the file that its process holds locked, and that the system lets go when it is killed."""
ARRIVING: Final = ".arriving"
"""Where downloads lie. It is beside the folders of bundles, and not taken for one."""
UNPACKING_AT_MOST_S: Final = 6 * 3600.0
"""Two gigabytes are unpacked and proved within minutes; a disk of a hundredth of the usual speed takes an hour."""
ARRIVING_AT_MOST_S: Final = 7 * 24 * 3600.0
"""So long a download that nobody goes on with is kept, from the last byte on."""


@contextmanager
def on_its_way(bundles_dir: Path) -> Iterator[Path]:
    """An empty folder among the bundles that is taken for none of them, nor for a leftover, while the block runs."""
    folder = bundles_dir / f"{ON_ITS_WAY}{secrets.token_hex(8)}"
    with FileLock(_lock_of(folder), mode=0o600, thread_local=False):
        # The lock comes first and goes last: nobody finds the folder without it.
        try:
            folder.mkdir(mode=0o700)
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)
            _lock_of(folder).unlink(missing_ok=True)


def clear_leftovers(bundles_dir: Path) -> None:
    """Delete what nobody is at work on any more."""
    for folder in filter(Path.is_dir, bundles_dir.glob(f"{ON_ITS_WAY}*")):
        _clear_if_left(folder)
    # Without a folder they belong to a process that is about to make it, or that ended just then.
    locks = (path for path in bundles_dir.glob(f"{ON_ITS_WAY}*{LOCK}") if not path.with_suffix("").exists())
    downloads = (bundles_dir / ARRIVING).glob("*.zip*")
    for file in (*_older(locks, UNPACKING_AT_MOST_S), *_older(downloads, ARRIVING_AT_MOST_S)):
        with suppress(OSError):  # another process took it away, or may and this one may not
            file.unlink()


def _clear_if_left(folder: Path) -> None:
    lock = _lock_of(folder)
    if not lock.exists():  # made by a version that held none
        if [*_older(iter([folder]), UNPACKING_AT_MOST_S)]:
            shutil.rmtree(folder, ignore_errors=True)
        return
    with suppress(Timeout, OSError), FileLock(lock, timeout=0, thread_local=False):
        shutil.rmtree(folder, ignore_errors=True)
        if not folder.exists():
            lock.unlink(missing_ok=True)


def _lock_of(folder: Path) -> Path:
    return folder.with_name(f"{folder.name}{LOCK}")


def _older(paths: Iterator[Path], than_s: float) -> Iterator[Path]:
    for path in paths:
        with suppress(OSError):
            if time.time() - path.lstat().st_mtime > than_s:
                yield path
