"""Files that are either whole or not there."""

import hashlib
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # who only hashes or replaces files need not wait for pandas
    import pandas as pd

FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")
HASH_BLOCK_BYTES = 1 << 20
READABLE_BY_ALL = 0o644


def sha256_of(path: Path) -> str:
    """SHA-256 of a file as 64 hex digits, read in blocks so that a gigabyte slide costs no memory."""
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while block := stream.read(HASH_BLOCK_BYTES):
            digest.update(block)
    return digest.hexdigest()


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside ``path``; rename it into place only when the block succeeds.

    A crash or a full disk leaves the old file (or none), never half a file.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f".{path.stem}-", suffix=path.suffix, dir=path.parent)
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        temporary.chmod(READABLE_BY_ALL)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


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
