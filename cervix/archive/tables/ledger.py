"""The ledger of tables: which files are cut into buckets, and which buckets are scored. One SQLite file, one driver."""

import json
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import Any, Final, Literal

from cervix.errors import ArchiveRunRefused

LEDGER_NAME: Final = "tables.sqlite"
SCHEMA: Final = 1
PartState = Literal["waiting", "done", "duplicate", "refused"]
_TABLES: Final = """
CREATE TABLE IF NOT EXISTS parts (
    number INTEGER PRIMARY KEY, locator TEXT NOT NULL UNIQUE, mark TEXT NOT NULL, bytes INTEGER NOT NULL,
    state TEXT NOT NULL DEFAULT 'waiting', sha256 TEXT NOT NULL DEFAULT '', code TEXT NOT NULL DEFAULT '',
    reason TEXT NOT NULL DEFAULT '', told TEXT NOT NULL DEFAULT '{}'
);
CREATE TABLE IF NOT EXISTS buckets (
    number INTEGER PRIMARY KEY, state TEXT NOT NULL DEFAULT 'waiting', seconds REAL NOT NULL DEFAULT 0,
    told TEXT NOT NULL DEFAULT '{}'
);
"""


@contextmanager
def _told() -> Iterator[None]:
    """Say to a person what SQLite says."""
    try:
        yield
    except sqlite3.DatabaseError as error:
        raise ArchiveRunRefused(
            "The ledger of the run cannot be used",
            expected=f"a file {LEDGER_NAME} of this program, on a disk with room",
            found=str(error),
            action="See to its disk and go on with the run, or name another folder with --out.",
        ) from error


@dataclass(frozen=True)
class Part:
    """A file of a table.

    Attributes
    ----------
    told : dict
        What ``partition`` returned.
    """

    number: int
    locator: str
    mark: str
    bytes: int
    state: PartState
    code: str
    reason: str
    told: dict[str, Any]


class TablesLedger:
    """Opened by the one driver of a run. Everything in it is there once it is said, whatever happens next."""

    def __init__(self, path: Path) -> None:
        with _told():
            self._connection = sqlite3.connect(path, isolation_level=None, timeout=30.0, check_same_thread=False)
        self._lock = Lock()
        self._connection.row_factory = sqlite3.Row
        try:
            with _told():
                self._connection.executescript("PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL;" + _TABLES)
                self._connection.execute(f"PRAGMA user_version = {SCHEMA}")
        except ArchiveRunRefused:
            self._connection.close()
            raise

    def __enter__(self) -> "TablesLedger":
        return self

    def __exit__(self, _: object, error: BaseException | None, __: object) -> None:
        self._connection.close()
        if isinstance(error, sqlite3.DatabaseError):
            with _told():
                raise error

    def add_part(self, locator: str, mark: str, size_bytes: int) -> None:
        """Enter a file; one that is there already stays as it is."""
        self._connection.execute(
            "INSERT INTO parts (locator, mark, bytes) VALUES (?, ?, ?) ON CONFLICT (locator) DO NOTHING",
            (locator, mark, size_bytes),
        )

    def parts(self, state: PartState | None = None) -> list[Part]:
        """All files, or those in one state, in the order in which they were entered."""
        rows = self._connection.execute("SELECT * FROM parts ORDER BY number").fetchall()
        return [
            Part(
                row["number"], row["locator"], row["mark"], row["bytes"], row["state"], row["code"], row["reason"],
                json.loads(row["told"]),
            )
            for row in rows
            if state in (None, row["state"])
        ]  # fmt: skip

    def claim(self, number: int, sha256: str) -> bool:
        """Whether a file is the first with its content; it is a duplicate where it is not."""
        with self._lock, self._connection:
            self._connection.execute("BEGIN IMMEDIATE")
            first = self._connection.execute(
                "SELECT number FROM parts WHERE sha256 = ? AND number != ? AND state != 'refused'", (sha256, number)
            ).fetchone()
            if first is None:
                self._connection.execute("UPDATE parts SET sha256 = ? WHERE number = ?", (sha256, number))
            else:
                self._connection.execute(
                    "UPDATE parts SET state = 'duplicate', reason = ? WHERE number = ?",
                    (f"the same as file {first[0]}", number),
                )
        return first is None

    def part_done(self, number: int, told: dict[str, Any]) -> None:
        """A file is in its buckets."""
        with self._lock:
            self._connection.execute("UPDATE parts SET state = 'done', told = ? WHERE number = ?", (json.dumps(told), number))

    def part_refused(self, number: int, code: str, reason: str) -> None:
        """A file cannot be read as a whole."""
        with self._lock:
            self._connection.execute(
                "UPDATE parts SET state = 'refused', code = ?, reason = ? WHERE number = ?", (code, reason, number)
            )

    def buckets_waiting(self, count: int) -> list[int]:
        """Buckets that are not scored yet, of so many."""
        self._connection.executemany(
            "INSERT INTO buckets (number) VALUES (?) ON CONFLICT (number) DO NOTHING", [(number,) for number in range(count)]
        )
        rows = self._connection.execute("SELECT number FROM buckets WHERE state = 'waiting' ORDER BY number").fetchall()
        return [row[0] for row in rows]

    def bucket_done(self, number: int, seconds: float, told: dict[str, Any]) -> None:
        """A bucket is scored."""
        self._connection.execute(
            "UPDATE buckets SET state = 'done', seconds = ?, told = ? WHERE number = ?", (seconds, json.dumps(told), number)
        )

    def buckets(self) -> list[dict[str, Any]]:
        """What was said of each bucket that is scored, with its ``seconds``."""
        rows = self._connection.execute("SELECT seconds, told FROM buckets WHERE state = 'done' ORDER BY number").fetchall()
        return [{"seconds": row["seconds"], **json.loads(row["told"])} for row in rows]
