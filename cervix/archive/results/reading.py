"""The ledger of a run as those read it who never write it."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from cervix.archive.ledger import LEDGER_NAME
from cervix.errors import ArchiveRunRefused

WAIT_S: Final = 10.0
"""How long a reader waits where the driver holds the file; it never does so for longer than one batch."""


@contextmanager
def reading(out: Path) -> Iterator[sqlite3.Connection]:
    """The ledger in a run's folder, to be read; one state of it for as long as the block runs.

    Raises
    ------
    ArchiveRunRefused
        Where there is none, or it cannot be read.
    """
    path = out / LEDGER_NAME
    connection = None
    try:
        # Not mode=ro: a reader of a write-ahead log has to be able to make the file beside it that readers share.
        connection = sqlite3.connect(f"{path.absolute().as_uri()}?mode=rw", uri=True, isolation_level=None, timeout=WAIT_S)
        connection.row_factory = sqlite3.Row
        connection.execute("PRAGMA query_only = 1")
        connection.execute("BEGIN")
        yield connection
    except sqlite3.Error as error:
        raise ArchiveRunRefused(
            "The ledger of this run cannot be read",
            expected=LEDGER_NAME,
            found=error.sqlite_errorname if hasattr(error, "sqlite_errorname") else type(error).__name__,
            action="Name the folder that a run was written to with --out.",
        ) from error
    finally:
        if connection is not None:
            connection.close()
