"""Folders on the server from which slides can be taken without an upload."""

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from cervix.slides.identity import DICOM, PICTURE_SUFFIXES, SLIDE_SUFFIXES

DEPTH_AT_MOST = 4
ENTRIES_AT_MOST = 5_000

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

    A DICOM series counts once, by its first file. Links are not followed, hidden files are left out, folders that are not
    there are empty.
    """
    entries: list[InboxEntry] = []
    for folder in folders:
        for where, below, names in os.walk(folder):
            depth = len(Path(where).relative_to(folder).parts)
            below[:] = sorted(name for name in below if not name.startswith(".")) if depth < DEPTH_AT_MOST else []
            entries += _slides_in(folder, Path(where), names)
            if len(entries) >= ENTRIES_AT_MOST:
                break
    words = search.lower().split()
    found = [entry for entry in entries[:ENTRIES_AT_MOST] if all(word in entry.name.lower() for word in words)]
    keys = {
        "newest": lambda entry: -entry.modified,
        "name": lambda entry: entry.name.lower(),
        "largest": lambda entry: -entry.bytes,
    }
    return sorted(found, key=keys[order])


def _slides_in(folder: Path, where: Path, names: list[str]) -> list[InboxEntry]:
    entries, series_seen = [], False
    for name in sorted(names):
        path = where / name
        suffix = path.suffix.lower()
        if name.startswith(".") or suffix not in (*SLIDE_SUFFIXES, *PICTURE_SUFFIXES) or path.is_symlink():
            continue
        if suffix == DICOM:
            if series_seen:
                continue
            series_seen = True
        try:
            stat = path.stat()
        except OSError:
            continue
        entries.append(InboxEntry(path, path.relative_to(folder).as_posix(), stat.st_size, stat.st_mtime))
    return entries
