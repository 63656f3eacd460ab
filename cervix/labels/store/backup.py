"""A copy of a whole label store in one SQLite file, from either database, and restoring it."""

import sqlite3
from contextlib import closing
from pathlib import Path

from sqlalchemy import Connection, func, insert, select, text

from cervix.errors import CervixError, LabelRefused, LabelStoreUnavailable
from cervix.files import replacing
from cervix.labels.store.engines import POSTGRESQL, Database
from cervix.labels.store.faults import told_as_unavailable
from cervix.labels.store.tables import APPEND_ONLY, metadata
from cervix.labels.store.upgrading import upgrade

ROWS_AT_ONCE = 500
PATIENCE_S = 10.0


def write_backup(database: Database, path: Path) -> None:
    """Write all there is at one moment, while readers go on; whole or not there.

    A SQLite store is copied by SQLite's online backup, a PostgreSQL one row by row into a new SQLite store: ``open_store``
    opens either.

    Raises
    ------
    LabelStoreUnavailable
        If the store cannot be read or the file cannot be written.
    """
    if database.file is not None and path.resolve() == database.file.resolve():
        raise LabelStoreUnavailable("A backup cannot replace the store itself", action="Choose another file.")
    try:
        with replacing(path) as temporary:
            if database.file is not None:
                _copy_file(database.file, temporary)
            else:
                _copy_to_file(database, temporary)
    except LabelStoreUnavailable:
        raise
    except OSError as error:
        raise LabelStoreUnavailable(
            "The backup cannot be written", found=error.strerror or "", action="Choose another place."
        ) from error


def read_backup(database: Database, path: Path) -> None:
    """Copy a backup into a store that is still empty.

    Raises
    ------
    LabelRefused
        If the store holds cases already.
    LabelStoreUnavailable
        If the backup cannot be read.
    """
    if not path.is_file():
        raise LabelStoreUnavailable("There is no such backup", found="no file", action="Choose another file.")
    source = Database(f"sqlite:///{path}", PATIENCE_S)
    try:
        upgrade(source)
        with source.reading() as old, database.writing() as new:
            if any(new.scalar(select(func.count()).select_from(table)) for table in metadata.sorted_tables):
                raise LabelRefused("A backup is put into an empty store only", found="a store in use")
            _copy_rows(old, new)
    except CervixError:
        raise
    except Exception as error:  # a damaged file can hold anything where a date, a number or a text should be
        raise LabelStoreUnavailable(
            "The backup is damaged", found=f"values that cannot be read ({type(error).__name__})", action="Choose another one."
        ) from error
    finally:
        source.close()


def _copy_file(file: Path, temporary: Path) -> None:
    with (
        told_as_unavailable(),
        closing(sqlite3.connect(file, timeout=PATIENCE_S)) as old,
        closing(sqlite3.connect(temporary)) as new,
    ):
        old.backup(new)


def _copy_to_file(database: Database, temporary: Path) -> None:
    target = Database(f"sqlite:///{temporary}", PATIENCE_S)
    try:
        upgrade(target)
        with database.reading() as old, target.writing() as new:
            _copy_rows(old, new)
    finally:
        target.close()


def _copy_rows(old: Connection, new: Connection) -> None:
    for table in metadata.sorted_tables:
        order = list(table.primary_key.columns)
        rows = old.execution_options(yield_per=ROWS_AT_ONCE).execute(select(table).order_by(*order)).mappings()
        for part in rows.partitions():
            new.execute(insert(table), [dict(row) for row in part])
        if new.dialect.name == POSTGRESQL and table.name in APPEND_ONLY:
            _go_on_counting(new, table.name)


def _go_on_counting(connection: Connection, table: str) -> None:
    """Let PostgreSQL number new rows after the copied ones."""
    connection.execute(
        text(f"SELECT setval(pg_get_serial_sequence('{table}', 'id'), GREATEST((SELECT MAX(id) FROM {table}), 1))")
    )
