"""A folder that is written for others: whole or not at all, and never over what somebody else put there."""

import json
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from cervix import RESEARCH_NOTICE
from cervix.errors import CervixError, NameRefused
from cervix.files import sha256_of

MARK: Final = "export.json"
"""What was written and by whom: every other file of the folder with its SHA-256."""


@contextmanager
def folder_written_whole(target: Path, kind: str, origin: dict[str, str]) -> Iterator[Path]:
    """Yield an empty folder; where the block succeeds it takes the place of ``target``, with a list of its files.

    Parameters
    ----------
    target : Path
        A folder that is not there, is empty, or holds exactly what an earlier export of this kind wrote.
    kind : str
        What is exported.
    origin : dict
        Where it comes from, for the list.

    Raises
    ------
    NameRefused
        Where something else is there.
    CervixError
        Where it cannot be written.
    """
    require_free(target, kind)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        # Beside its place: from there one rename makes it count.
        with tempfile.TemporaryDirectory(prefix=f".{target.name}-", dir=target.parent) as beside:
            made = Path(beside) / "made"
            made.mkdir()
            yield made
            files = {path.relative_to(made).as_posix(): sha256_of(path) for path in sorted(made.rglob("*")) if path.is_file()}
            told = {"kind": kind, "notice": RESEARCH_NOTICE, **origin, "files": files}
            (made / MARK).write_text(json.dumps(told, indent=2) + "\n", encoding="utf-8")
            for path in (made, *made.rglob("*")):
                path.chmod(0o755 if path.is_dir() else 0o644)  # a server of another user reads it
            require_free(target, kind)
            if target.is_dir():
                target.rename(Path(beside) / "before")
            made.rename(target)
    except OSError as error:
        if isinstance(error, CervixError):
            raise
        raise CervixError("The folder cannot be written", found=error.strerror or "", action="Choose another place.") from error


def require_free(target: Path, kind: str) -> None:
    """``NameRefused`` where a place holds anything but an earlier export of this kind, as it was written."""
    if not target.exists() and not target.is_symlink():
        return
    if target.is_dir() and not target.is_symlink() and (not any(target.iterdir()) or _is_export(target, kind)):
        return
    raise NameRefused(
        "The export would overwrite something else",
        expected="a folder that is empty, or holds an earlier export of this kind as it was written",
        found="other files, or changed ones",
        action="Choose another folder.",
    )


def _is_export(target: Path, kind: str) -> bool:
    """Whether a folder holds what its list says, and nothing more."""
    try:
        told = json.loads((target / MARK).read_bytes())
        listed = told["files"] if told["kind"] == kind else {}
        there = {path.relative_to(target).as_posix() for path in target.rglob("*") if not path.is_dir() or path.is_symlink()}
        return there - {MARK} == set(listed) and all(sha256_of(target / name) == digest for name, digest in listed.items())
    except (OSError, ValueError, KeyError, TypeError):
        return False
