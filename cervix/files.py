"""Files that are either whole or not there, and that nobody else may read."""

import hashlib
import logging
import os
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # who only hashes or replaces files need not wait for pandas
    import pandas as pd

FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")
OTHERS = 0o077
"""What a file's mode may not grant: anything to any account but the one that the app runs as."""

logger = logging.getLogger(__name__)


def sha256_of(path: Path) -> str:
    """SHA-256 of a file as 64 hex digits, read in blocks so that a gigabyte slide costs no memory."""
    return digest_of(path, "sha256")


def digest_of(path: Path, kind: str) -> str:
    """Digest of a file in hexadecimal, of a kind that ``hashlib`` knows by name; read in blocks."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, kind).hexdigest()


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside ``path``; rename it into place only when the block succeeds.

    A crash or a full disk leaves the old file (or none), never half a file. Only the user of this process may read it.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f".{path.stem}-", suffix=path.suffix, dir=path.parent)
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def make_private_files() -> None:
    """What this process makes from now on is its user's alone: the first thing a worker does, whoever forked it before.

    Of no meaning on Windows, where a folder's own permissions hold.
    """
    os.umask(OTHERS)


def private_from_now_on(home: Path) -> None:
    """Make the home and everything in it this user's alone, and so whatever this process makes from now on.

    Rights that were wider are narrowed, and the log says of how many. A process calls it once, when it starts; on Windows the
    folder's own permissions hold and nothing is done. Links are left as they are, and so is what belongs to another user.
    """
    if os.name != "posix":
        return
    make_private_files()
    narrowed = kept = 0
    for folder, _, names in os.walk(home):
        for path in (Path(folder), *(Path(folder, name) for name in names)):
            try:
                mode = path.lstat().st_mode
                if mode & OTHERS and not stat.S_ISLNK(mode):
                    path.chmod(stat.S_IMODE(mode) & ~OTHERS)
                    narrowed += 1
            except FileNotFoundError:
                continue  # another process put it in its place, or took it away
            except PermissionError:
                kept += 1
    if narrowed:
        logger.warning("CERVIX_HOME: other users could read %d files and folders; not any more", narrowed)
    if kept:
        logger.warning("CERVIX_HOME: %d files and folders belong to another user, who decides who may read them", kept)


def inert(table: "pd.DataFrame") -> "pd.DataFrame":
    """The table with no text that a spreadsheet would run as a formula: such a cell gets an apostrophe before it.

    OWASP, CSV Injection: text that begins with ``=``, ``+``, ``-``, ``@``, a tab or a carriage return.
    """
    safe = table.copy()
    for name in table.select_dtypes(include=["object", "str"]).columns:
        safe[name] = table[name].map(_inert_cell)
    return safe


def without_apostrophe(cell: str) -> str:
    """What a cell was before ``inert``."""
    return cell[1:] if cell.startswith("'") and cell[1:].startswith(FORMULA_STARTS) else cell


def _inert_cell(cell: object) -> object:
    return f"'{cell}" if isinstance(cell, str) and cell.startswith(FORMULA_STARTS) else cell
