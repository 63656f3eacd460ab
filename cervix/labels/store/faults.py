"""What a database says went wrong, in sentences for people."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy.exc import DataError, DBAPIError, SQLAlchemyError, TimeoutError

from cervix.errors import LabelRefused, LabelStoreUnavailable

ASK_AGAIN = "Nothing that was confirmed is lost; try again."
LOCKED = ("The label store is locked", "another program holds it for too long", ASK_AGAIN)
FULL = ("The label store cannot grow", "its disk is full", "Free some space, then try again.")
READ_ONLY = (
    "The label store cannot be written",
    "a read-only file, folder or database",
    "Let the user who runs the app write there, then try again.",
)
CORRUPT = (
    "The label store is damaged",
    "a file that is not a readable SQLite database",
    "Put the latest backup in its place, then try again.",
)
NO_FILE = (
    "The label store cannot be opened",
    "a file or folder that cannot be opened",
    "Check that its folder exists and may be written, then try again.",
)
UNREACHABLE = (
    "The label database does not answer",
    "no connection",
    "Check that PostgreSQL runs and that CERVIX_LABELS_URL is right, then try again.",
)
OTHER = ("The label store failed", "an error that the log holds", ASK_AGAIN)

SQLITE_FAULTS = {
    "SQLITE_BUSY": LOCKED,
    "SQLITE_LOCKED": LOCKED,
    "SQLITE_FULL": FULL,
    "SQLITE_IOERR": FULL,
    "SQLITE_READONLY": READ_ONLY,
    "SQLITE_NOTADB": CORRUPT,
    "SQLITE_CORRUPT": CORRUPT,
    "SQLITE_CANTOPEN": NO_FILE,
}
"""By the beginning of SQLite's error name; its extended names begin with the plain ones (sqlite.org/rescode.html)."""
POSTGRESQL_FAULTS = {
    "55P03": LOCKED,
    "40P01": LOCKED,
    "57014": LOCKED,
    "53100": FULL,
    "25006": READ_ONLY,
    "42501": READ_ONLY,
    "08": UNREACHABLE,
    "28": UNREACHABLE,
    "3D000": UNREACHABLE,
    "57P": UNREACHABLE,
    "53300": UNREACHABLE,
}
"""By the beginning of SQLSTATE (PostgreSQL's documentation, appendix A)."""


@contextmanager
def told_as_unavailable() -> Iterator[None]:
    """Let a database's own error through as ``LabelStoreUnavailable``, without address, statement or values.

    What it was given and cannot keep is no fault of its own: ``LabelRefused``.
    """
    try:
        yield
    except DataError as error:
        raise LabelRefused(
            "The label store cannot keep this", expected="text without NUL, numbers within their range", found="something else"
        ) from error
    except DBAPIError as error:
        raise _unavailable(_fault_of(error.orig)) from error
    except sqlite3.Error as error:
        raise _unavailable(_fault_of(error)) from error
    except TimeoutError as error:
        raise _unavailable(LOCKED) from error
    except (SQLAlchemyError, UnicodeDecodeError) as error:
        # Rows came, but not the ones of these tables: text that is no text, columns that are not there.
        raise _unavailable(CORRUPT) from error


def locked() -> LabelStoreUnavailable:
    """The error of a store that somebody else holds for too long."""
    return _unavailable(LOCKED)


def is_locked(error: sqlite3.Error) -> bool:
    """Whether the same statement may succeed a moment later."""
    return _fault_of(error) is LOCKED


def _unavailable(fault: tuple[str, str, str]) -> LabelStoreUnavailable:
    problem, found, action = fault
    return LabelStoreUnavailable(problem, found=found, action=action)


def _fault_of(cause: BaseException | None) -> tuple[str, str, str]:
    if isinstance(cause, sqlite3.Error):
        code, faults, otherwise = getattr(cause, "sqlite_errorname", ""), SQLITE_FAULTS, OTHER
    else:
        code, faults = getattr(cause, "sqlstate", None) or "", POSTGRESQL_FAULTS
        otherwise = OTHER if code else UNREACHABLE
    return next((fault for beginning, fault in faults.items() if code.startswith(beginning)), otherwise)
