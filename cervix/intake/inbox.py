"""Folders on the server from which slides can be taken without an upload."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from cervix.outside_names import inside, is_litter
from cervix.sources.identity import slides_in

Order = Literal["newest", "name", "largest"]


@dataclass(frozen=True)
class InboxEntry:
    """A slide that lies in an inbox folder."""

    path: Path
    name: str
    """Relative to its inbox folder."""
    bytes: int
    modified: float


def list_inbox(folders: Iterable[Path], *, search: str = "", order: Order = "newest") -> list[InboxEntry]:
    """The slides under some folders whose name holds every word of ``search``.

    What counts as a slide is told by ``slides_among``: a DICOM series counts once, a picture beside a slide does not. Links are
    not followed, hidden files are left out, folders that are not there are empty.
    """
    entries = [entry for folder in folders for path in slides_in(folder) if (entry := _entry(folder, path)) is not None]
    words = search.lower().split()
    found = [entry for entry in entries if all(word in entry.name.lower() for word in words)]
    keys = {
        "newest": lambda entry: -entry.modified,
        "name": lambda entry: entry.name.lower(),
        "largest": lambda entry: -entry.bytes,
    }
    return sorted(found, key=keys[order])


def file_in_inbox(folders: Iterable[Path], name: str) -> Path | None:
    """The file of a relative name, as somebody from outside gives it, in the first inbox folder that has it; None without one.

    Links and hidden files count as not there. Raises ``NameRefused`` where the name leads out of a folder.
    """
    for folder in folders:
        path = inside(folder, name)
        if path.is_file() and not path.is_symlink() and not is_litter(name):
            return path
    return None


def _entry(folder: Path, path: Path) -> InboxEntry | None:
    try:
        stat = path.stat()
    except OSError:  # gone meanwhile
        return None
    return InboxEntry(path, path.relative_to(folder).as_posix(), stat.st_size, stat.st_mtime)
