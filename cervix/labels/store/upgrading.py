"""Bring a label store to the tables that this version reads, whoever else opens it at the same moment."""

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from sqlalchemy import Connection

from cervix.errors import LabelStoreUnavailable
from cervix.labels.store.engines import Database

UPGRADE_LOCK = 0x1ABE1_0001
"""Any number that no other program takes as its advisory lock."""


def upgrade(database: Database) -> None:
    """Take the migrations that are missing, all in one transaction.

    Raises
    ------
    LabelStoreUnavailable
        If the store was written by a newer version of the app.
    """
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    scripts = ScriptDirectory.from_config(config)
    with database.reading() as connection:
        if _revision(connection) == scripts.get_current_head():
            return
    with database.writing() as connection:
        database.hold(connection, UPGRADE_LOCK)
        now = _revision(connection)  # another process may have been first
        if now is not None and now not in {script.revision for script in scripts.walk_revisions()}:
            raise LabelStoreUnavailable(
                "The label store was written by a newer version of the app",
                expected=f"revision {scripts.get_current_head()} or older",
                found=f"revision {now}",
                action="Update the app.",
            )
        config.attributes["connection"] = connection
        command.upgrade(config, "head")


def _revision(connection: Connection) -> str | None:
    try:
        return MigrationContext.configure(connection).get_current_revision()
    except CommandError as error:
        raise LabelStoreUnavailable(
            "The label store does not say which version it is of",
            expected="one revision",
            found="several",
            action="Put the latest backup in its place, then try again.",
        ) from error
