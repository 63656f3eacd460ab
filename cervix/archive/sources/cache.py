"""Slides fetched from elsewhere, on a disk of this machine, for as long as there is room.

Several processes share a cache. An entry is a folder whose name says its key and its bytes; while it is fetched its name ends
in ``.part``. Who uses an entry holds a lock beside it, which the system lets go when the process ends, however it ends.
"""

import os
import re
import secrets
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from filelock import FileLock, Timeout

from cervix.errors import CervixError, SlideNotSuitable, SourceUnavailable

CACHE_GB: Final = 50.0
"""What a run may keep of slides from elsewhere, where it is told nothing else."""
PART: Final = ".part"
USED: Final = ".used"
_ENTRY: Final = re.compile(r"([0-9a-f]{32})-(\d+)(\.part)?")
WAIT_FOR_OTHERS_S: Final = 3600.0
"""How long one process waits for another that fetches the same slide."""
Fill = Callable[[Path], None]


@dataclass(frozen=True)
class _Entry:
    folder: Path
    key: str
    bytes: int
    is_part: bool


class Cache:
    """A bounded folder. It is this account's alone, for what lies in it is as it came.

    Parameters
    ----------
    folder : Path
    limit_bytes : int
        Of all entries together, those on their way included.
    """

    def __init__(self, folder: Path, limit_bytes: int) -> None:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._folder = folder
        self._limit_bytes = limit_bytes
        self._all = FileLock(folder / "cache.lock")

    @contextmanager
    def held(self, key: str, size_bytes: int, fill: Fill) -> Iterator[Path]:
        """The folder of an entry, fetched where it is not there, and kept while the block runs.

        Parameters
        ----------
        key : str
            32 hexadecimal digits that no other content has.
        size_bytes : int
            As the store states it; as much room is made before anything is fetched.
        fill : callable
            Writes the files into the empty folder that it is given.

        Raises
        ------
        SlideNotSuitable
            Where it is larger than the whole cache.
        SourceUnavailable
            Where there is no room for as long as others are used, or the disk is full.
        """
        if size_bytes > self._limit_bytes:
            raise too_large(self._limit_bytes, f"{size_bytes / 1e9:,.2f} GB")
        # Whoever fetched an entry ahead may hand it to another thread.
        used = FileLock(self._folder / f"{key}-{os.getpid()}-{secrets.token_hex(4)}{USED}", thread_local=False)
        with self._all:
            # Taken before anybody looks for what may go, so that nobody takes the entry away in between.
            used.acquire()
        try:
            yield self._fetched(key, size_bytes, fill)
        finally:
            with self._all:
                used.release()
                Path(used.lock_file).unlink(missing_ok=True)

    def _fetched(self, key: str, size_bytes: int, fill: Fill) -> Path:
        with self._fetching(key):
            if (folder := self._whole(key)) is not None:
                os.utime(folder)
                return folder
            part = self._folder / f"{key}-{size_bytes}{PART}"
            try:
                with self._all:
                    # Nobody else fetches this one now: what there is of it was left by a process that was killed.
                    for left in self._entries():
                        if left.key == key:
                            shutil.rmtree(left.folder, ignore_errors=True)
                    self._make_room(size_bytes, but=key)
                    part.mkdir(mode=0o700)
                fill(part)
                return self._kept(part, key)
            except CervixError:
                raise
            except OSError as error:
                raise SourceUnavailable(
                    "A slide cannot be kept in the cache", expected="room on its disk", found=error.strerror or "a fault",
                    action="Make room, or name another folder.",
                ) from error  # fmt: skip
            finally:
                shutil.rmtree(part, ignore_errors=True)

    def _kept(self, part: Path, key: str) -> Path:
        """What has arrived under its own name, by the bytes that it has; others go where those are more than was stated."""
        size_bytes = sum(file.stat().st_size for file in part.rglob("*") if file.is_file())
        if size_bytes > self._limit_bytes:
            raise too_large(self._limit_bytes, f"{size_bytes / 1e9:,.2f} GB")
        folder = self._folder / f"{key}-{size_bytes}"
        with self._all:
            self._make_room(size_bytes, but=key)
            part.replace(folder)
        return folder

    @contextmanager
    def _fetching(self, key: str) -> Iterator[None]:
        """Alone with an entry: who comes second finds it fetched."""
        try:
            with FileLock(self._folder / f"{key}.fetch", timeout=WAIT_FOR_OTHERS_S):
                yield
        except Timeout as error:
            raise SourceUnavailable(
                "Another process fetches the same slide, and does not end", expected="an end within an hour"
            ) from error

    def _whole(self, key: str) -> Path | None:
        return next((entry.folder for entry in self._entries() if entry.key == key and not entry.is_part), None)

    def _entries(self) -> list[_Entry]:
        found = []
        for folder in self._folder.iterdir():
            if match := _ENTRY.fullmatch(folder.name):
                found.append(_Entry(folder, match[1], int(match[2]), bool(match[3])))
        return found

    def _make_room(self, size_bytes: int, *, but: str) -> None:
        """Take entries away, those first that were not used for longest, until so many bytes fit. Under the lock of all."""
        in_use = self._keys_in_use()
        entries = [entry for entry in self._entries() if entry.key != but]
        # What a process that is gone has begun is nobody's.
        for entry in entries:
            if entry.is_part and entry.key not in in_use:
                shutil.rmtree(entry.folder, ignore_errors=True)
        entries = [entry for entry in entries if not entry.is_part or entry.key in in_use]
        taken = sum(entry.bytes for entry in entries)
        for entry in sorted(entries, key=_last_used):
            if taken + size_bytes <= self._limit_bytes:
                return
            if entry.key not in in_use:
                shutil.rmtree(entry.folder, ignore_errors=True)
                # Nobody waits for it: who does has said so by a lock of use.
                (self._folder / f"{entry.key}.fetch").unlink(missing_ok=True)
                taken -= entry.bytes
        if taken + size_bytes > self._limit_bytes:
            raise SourceUnavailable(
                "The cache has no room for another slide just now",
                expected=f"{size_bytes / 1e9:,.2f} GB of its {self._limit_bytes / 1e9:,.2f} GB free",
                found="other slides, all in use",
                action="It is tried again; a larger cache would spare the wait.",
            )

    def _keys_in_use(self) -> set[str]:
        found = set()
        for path in self._folder.glob(f"*{USED}"):
            lock = FileLock(path)
            try:
                lock.acquire(timeout=0)
            except Timeout:
                found.add(path.name.split("-")[0])
            else:
                # Its process ended without a word.
                lock.release()
                path.unlink(missing_ok=True)
        return found


def _last_used(entry: _Entry) -> float:
    with suppress(FileNotFoundError):
        return entry.folder.stat().st_mtime
    return 0.0


def too_large(limit_bytes: int, found: str) -> SlideNotSuitable:
    """The error for a slide that is larger than the whole cache."""
    return SlideNotSuitable(
        "The slide is larger than the cache that slides are fetched into",
        expected=f"{limit_bytes / 1e9:,.2f} GB at most",
        found=found,
        action="Give the run a larger cache.",
    )
