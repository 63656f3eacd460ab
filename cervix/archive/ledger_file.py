"""The file of a ledger: its tables, its transactions, and what is kept of a run by name."""

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from threading import RLock
from typing import Final, Self

from cervix.archive.answers import COLUMNS
from cervix.errors import ArchiveRunRefused

LEDGER_NAME: Final = "ledger.sqlite"
SCHEMA: Final = 1

_FACTS: Final = ",\n    ".join(COLUMNS)
_TABLES: Final = f"""
CREATE TABLE IF NOT EXISTS slides (
    place INTEGER PRIMARY KEY,
    locator TEXT NOT NULL UNIQUE,
    mark TEXT NOT NULL,
    bytes INTEGER NOT NULL,
    site TEXT NOT NULL,
    day TEXT NOT NULL,
    spacing_asked_um_px REAL,
    state TEXT NOT NULL DEFAULT 'waiting',
    attempts INTEGER NOT NULL DEFAULT 0,
    not_before REAL NOT NULL DEFAULT 0,
    same_as INTEGER,
    slide_sha256 TEXT NOT NULL DEFAULT '',
    bundle_sha256 TEXT NOT NULL DEFAULT '',
    code TEXT NOT NULL DEFAULT '',
    reason TEXT NOT NULL DEFAULT '',
    worker TEXT NOT NULL DEFAULT '',
    ended_at REAL,
    seconds REAL NOT NULL DEFAULT 0,
    tiles_per_s REAL NOT NULL DEFAULT 0,
    {_FACTS}
);
CREATE INDEX IF NOT EXISTS by_state ON slides (state, not_before, place);
CREATE INDEX IF NOT EXISTS by_hash ON slides (slide_sha256) WHERE slide_sha256 != '';
CREATE INDEX IF NOT EXISTS by_same ON slides (same_as) WHERE same_as IS NOT NULL;
CREATE TABLE IF NOT EXISTS workers (name TEXT PRIMARY KEY, device TEXT NOT NULL, slide INTEGER);
CREATE TABLE IF NOT EXISTS said (name TEXT PRIMARY KEY, value TEXT NOT NULL);
"""


class LedgerFile:
    """An open ledger; closed as a context manager.

    Parameters
    ----------
    path : Path
    read_only : bool
        Then the file must be there, and no table is made.
    """

    def __init__(self, path: Path, *, read_only: bool = False) -> None:
        self.path = path
        # The driver works in one thread and lists its sources in another.
        self._lock = RLock()
        address = f"{path.absolute().as_uri()}?mode={'rw' if read_only else 'rwc'}"
        try:
            self._connection = sqlite3.connect(address, uri=True, isolation_level=None, timeout=30.0, check_same_thread=False)
        except sqlite3.Error as error:
            raise _not_opened(str(error)) from error
        self._connection.row_factory = sqlite3.Row
        try:
            # Before anything is written: one of another version of this program stays as it is.
            if (schema := self._connection.execute("PRAGMA user_version").fetchone()[0]) not in (0, SCHEMA):
                raise _not_opened(f"one of version {schema}, where this program writes version {SCHEMA}")
            if not read_only:
                self._connection.executescript("PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL;" + _TABLES)
                self._connection.execute(f"PRAGMA user_version = {SCHEMA}")
            self._connection.execute("SELECT 1 FROM slides LIMIT 1")
        except sqlite3.Error as error:
            self._connection.close()
            raise _not_opened(str(error)) from error
        except ArchiveRunRefused:
            self._connection.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._connection.close()

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        """A transaction, whole or not at all; ``ArchiveRunRefused`` where the disk does not take it."""
        with self._lock:
            try:
                self._connection.execute("BEGIN IMMEDIATE")
                try:
                    yield self._connection
                    self._connection.execute("COMMIT")
                except BaseException:
                    if self._connection.in_transaction:
                        self._connection.execute("ROLLBACK")
                    raise
            except sqlite3.DatabaseError as error:
                raise ArchiveRunRefused(
                    "The ledger of the run cannot be written",
                    found=str(error),
                    action="See to the room on its disk and go on with the run: what was entered before is kept.",
                ) from error

    def _rows(self, query: str, values: Sequence[object] = ()) -> list[sqlite3.Row]:
        """What a query finds; ``ArchiveRunRefused`` where the file cannot be read."""
        try:
            return self._connection.execute(query, tuple(values)).fetchall()
        except sqlite3.DatabaseError as error:
            raise ArchiveRunRefused(
                "The ledger of the run cannot be read",
                found=str(error),
                action="Look at its disk. In another folder, named with --out, results that are kept are found again.",
            ) from error

    def say(self, name: str, value: str) -> None:
        """Keep one thing about the run, by name."""
        with self._writing() as connection:
            connection.execute(
                "INSERT INTO said VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value", (name, value)
            )

    def said(self, name: str, default: str = "") -> str:
        """What was kept under a name."""
        rows = self._rows("SELECT value FROM said WHERE name = ?", (name,))
        return str(rows[0]["value"]) if rows else default


def _not_opened(found: str) -> ArchiveRunRefused:
    return ArchiveRunRefused(
        "The ledger of the run cannot be opened",
        expected=f"a file {LEDGER_NAME} of this program",
        found=found,
        action="Name another folder with --out: results that are kept beside it are found again.",
    )
