"""From the address of a label store to a SQLAlchemy engine, on SQLite or PostgreSQL."""

import random
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from threading import Lock

from sqlalchemy import Connection, Engine, create_engine, event, make_url, text
from sqlalchemy.engine import URL
from sqlalchemy.exc import ArgumentError, OperationalError, SQLAlchemyError

from cervix.errors import LabelStoreUnavailable
from cervix.labels.store.faults import is_locked, locked, told_as_unavailable

WRITES = "cervix_writes"
"""Execution option: how hard SQLite presses what a transaction writes to the disk (``PRAGMA synchronous``)."""
DURABLE, FORGETTABLE = "FULL", "NORMAL"
SQLITE, POSTGRESQL = "sqlite", "postgresql"
ADDRESSES = "sqlite:///PATH or postgresql://USER:PASSWORD@HOST/DATABASE"
SERVER_CONNECTIONS = 20
RETRY_S = 0.002


class Database:
    """A database with two ways in: to read, and to write one transaction at a time.

    SQLite has one writer. The threads of this process queue for a lock first, and only the first of them competes with other
    processes.

    Parameters
    ----------
    url : str
        ``sqlite:///PATH`` or ``postgresql://…``; the driver is ours to choose.
    patience_s : float
        How long to wait for somebody else's lock.

    Raises
    ------
    LabelStoreUnavailable
        If the address names no such database. The error does not repeat it, since it may hold a password.
    """

    def __init__(self, url: str, patience_s: float) -> None:
        parsed = _parsed(url)
        self.patience_s = patience_s
        self.is_sqlite = parsed.get_backend_name() == SQLITE
        self.file = Path(parsed.database or "") if self.is_sqlite else None
        self._turn = Lock()
        try:
            self.engine = _sqlite_engine(parsed, patience_s) if self.is_sqlite else _postgresql_engine(parsed, patience_s)
        except (SQLAlchemyError, ValueError, TypeError):  # options behind the address that the driver cannot take
            raise _not_an_address() from None
        self._durable = self.engine.execution_options(**{WRITES: DURABLE})
        self._forgettable = self.engine.execution_options(**{WRITES: FORGETTABLE})

    def prepare(self) -> None:
        """Make the folder of a SQLite file and turn on its write-ahead log, which stays on in the file."""
        if self.file is None:
            return
        try:
            self.file.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise LabelStoreUnavailable(
                "The folder of the label store cannot be made", found=error.strerror or "", action="Choose another CERVIX_HOME."
            ) from error
        with told_as_unavailable(), closing(sqlite3.connect(self.file, timeout=self.patience_s)) as connection:
            until = time.monotonic() + self.patience_s
            while True:  # for this statement SQLite does not wait by itself
                try:
                    connection.execute("PRAGMA journal_mode = WAL").fetchone()
                    return
                except sqlite3.OperationalError as error:
                    if not is_locked(error) or time.monotonic() > until:
                        raise
                time.sleep(RETRY_S)

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """A transaction that sees one state of the store."""
        with told_as_unavailable(), self.engine.begin() as connection:
            if not self.is_sqlite:
                connection.execute(text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY"))
            yield connection

    @contextmanager
    def writing(self, *, forgettable: bool = False) -> Iterator[Connection]:
        """A transaction that is on the disk when the block ends, or not at all when it fails.

        What is ``forgettable`` survives a killed process too, but perhaps no power cut, and is written much faster.
        """
        if not self.is_sqlite:
            with told_as_unavailable(), self.engine.begin() as connection:
                yield connection
            return
        if not self._turn.acquire(timeout=self.patience_s):
            raise locked()
        try:
            writer = self._forgettable if forgettable else self._durable
            with told_as_unavailable(), writer.begin() as connection:
                yield connection
        finally:
            self._turn.release()

    def hold(self, connection: Connection, what: int) -> None:
        """Until the transaction ends, let no other transaction hold the same thing; SQLite's one writer does already."""
        if not self.is_sqlite:
            connection.execute(text("SELECT pg_advisory_xact_lock(:what)"), {"what": what})

    def close(self) -> None:
        """Let all connections go."""
        self.engine.dispose()


def _not_an_address() -> LabelStoreUnavailable:
    return LabelStoreUnavailable("The address of the label store is not one", expected=ADDRESSES)


def _parsed(url: str) -> URL:
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):  # ValueError: a port that is no number
        raise _not_an_address() from None
    backend = parsed.drivername.partition("+")[0]
    if backend == SQLITE and parsed.database and parsed.database != ":memory:":
        return parsed.set(drivername="sqlite+pysqlite")
    if backend in (POSTGRESQL, "postgres"):
        return parsed.set(drivername="postgresql+psycopg")
    raise _not_an_address()


def _sqlite_engine(url: URL, patience_s: float) -> Engine:
    # hide_parameters: a comment or a woman's key must not reach a log with an error.
    engine = create_engine(
        url,
        hide_parameters=True,
        connect_args={"timeout": patience_s},
        pool_size=SERVER_CONNECTIONS,
        max_overflow=40,
        pool_timeout=patience_s,
    )

    @event.listens_for(engine, "connect")
    def _set_up(connection: sqlite3.Connection, record: object) -> None:  # noqa: ARG001 - SQLAlchemy passes it
        connection.isolation_level = None  # Python's own BEGIN comes too late; ours is below
        # recursive_triggers: without it, INSERT OR REPLACE would delete a row past its trigger.
        for setting in ("foreign_keys = ON", "recursive_triggers = ON"):
            connection.execute(f"PRAGMA {setting}")

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        press = connection.get_execution_options().get(WRITES)
        if press is None:
            connection.exec_driver_sql("BEGIN")
            return
        # A transaction that will write asks for the lock at once: one that finds out later cannot wait for it. SQLite would
        # wait in steps of up to 100 ms, and a process that writes without a pause would never be seen to pause.
        connection.exec_driver_sql("PRAGMA busy_timeout = 0")
        connection.exec_driver_sql(f"PRAGMA synchronous = {press}")
        until = time.monotonic() + patience_s
        while True:
            try:
                connection.exec_driver_sql("BEGIN IMMEDIATE")
                break
            except OperationalError as error:
                if not isinstance(error.orig, sqlite3.Error) or not is_locked(error.orig) or time.monotonic() > until:
                    raise
            time.sleep(random.uniform(0, RETRY_S))
        connection.exec_driver_sql(f"PRAGMA busy_timeout = {round(patience_s * 1000)}")

    return engine


def _postgresql_engine(url: URL, patience_s: float) -> Engine:
    return create_engine(
        url,
        hide_parameters=True,
        pool_pre_ping=True,
        pool_size=SERVER_CONNECTIONS // 2,
        max_overflow=SERVER_CONNECTIONS // 2,
        pool_timeout=patience_s,
        connect_args={"connect_timeout": max(2, round(patience_s)), "options": f"-c lock_timeout={round(patience_s * 1000)}"},
    )
