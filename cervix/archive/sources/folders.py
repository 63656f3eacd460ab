"""Folders of this machine, and single slides: listed folder by folder, however many and however deep."""

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from cervix.archive.runs import is_of_a_run, require_text
from cervix.archive.sources.marks import mark_of_stats
from cervix.archive.sources.passed_over import PassedOver
from cervix.archive.work import Found, Station, Work
from cervix.errors import ArchiveRunRefused, NameRefused, SourceUnavailable, SourceVanished
from cervix.outside_names import is_litter, safe_name
from cervix.settings import Settings
from cervix.sources.dicom import DICOM, series_of
from cervix.sources.downloads import Onlooker
from cervix.sources.identity import slides_among
from cervix.sources.mirax import MIRAX, listed_files
from cervix.sources.readers.registry import readable, slide_suffixes


class Folders:
    """Everything that is a path. Links within a folder are not followed, hidden files are ignored."""

    def matches(self, source: str) -> bool:
        return "://" not in source

    def listed(self, source: str, settings: Settings, passed: PassedOver) -> Iterator[Found]:
        del settings
        top = Path(source).resolve()
        require_text([str(top)])
        if top.is_dir():
            yield from _below(top, passed)
        elif top.is_file():
            yield one_slide(top)
        else:
            raise ArchiveRunRefused(
                "A source is not there", expected="a folder or a slide that this account can read", action="Look at its name."
            )

    @contextmanager
    def at_hand(self, work: Work, station: Station, onlooker: Onlooker) -> Iterator[Path]:
        del station, onlooker
        path = Path(work.locator)
        try:
            # A pipe that took its place would keep whoever opens it waiting for ever.
            if is_file := stat.S_ISREG(path.stat().st_mode):
                path.open("rb").close()
        except (FileNotFoundError, NotADirectoryError) as error:
            raise SourceVanished("The slide is not any more where it was listed", action="List the archive again.") from error
        except OSError as error:
            raise SourceUnavailable(
                "The slide cannot be opened where it lies",
                expected="a file that this account can read",
                found=error.strerror or "a fault of the disk or the network",
            ) from error
        if not is_file:
            raise SourceVanished("Another thing than a file lies where the slide was", action="List the archive again.")
        yield path


def one_slide(path: Path) -> Found:
    """A slide that is named itself; of a DICOM file its whole series.

    Raises ``ArchiveRunRefused`` where it is no slide.
    """
    beside = series_of(path) if path.suffix.lower() not in slide_suffixes() or path.suffix.lower() == DICOM else [path]
    files = {PurePosixPath(file.name): file for file in beside}
    slides = [slide for slide in slides_among(files) if PurePosixPath(path.name) in slide]
    if not slides:
        raise ArchiveRunRefused("A source is no slide", expected=f"a folder, or {readable()}", action="Look at its name.")
    return _found([files[name] for name in slides[0]])


def _below(top: Path, passed: PassedOver) -> Iterator[Found]:
    """The slides of a folder and of all below it. What is held is one folder's names."""
    waiting = [top]
    while waiting:
        folder = waiting.pop()
        files, below = _of_one(folder, passed)
        for slide in slides_among(files):
            try:
                yield _found([files[name] for name in slide])
            except OSError:
                passed.add("vanished")
        data_of_mirax = {name.stem for name in files if name.suffix.lower() == MIRAX}
        waiting += [folder / name for name in reversed(below) if name not in data_of_mirax]


def _of_one(folder: Path, passed: PassedOver) -> tuple[dict[PurePosixPath, Path], list[str]]:
    """Files of a folder that may be slides, and the names of the folders in it, sorted."""
    files: dict[PurePosixPath, Path] = {}
    below: list[str] = []
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if is_litter(entry.name):
                    continue
                if not _is_plain(entry.name):
                    passed.add("name-refused")
                elif entry.is_symlink():
                    passed.add("link")
                elif entry.is_dir(follow_symlinks=False):
                    if is_of_a_run(Path(entry.path)):
                        passed.add("run")
                    else:
                        below.append(entry.name)
                elif not entry.is_file(follow_symlinks=False):
                    passed.add("no-file")
                elif not _may_be_looked_at(path := Path(entry.path)):
                    passed.add("file-closed")
                else:
                    files[PurePosixPath(entry.name)] = path
    except OSError:
        passed.add("folder-closed")
    return files, sorted(below)


def _is_plain(name: str) -> bool:
    try:
        return len(safe_name(name).parts) == 1
    except NameRefused:
        return False


def _may_be_looked_at(path: Path) -> bool:
    """Whether a file whose beginning says what it is can be opened; others are opened by whoever scores them."""
    suffix = path.suffix.lower()
    if suffix in slide_suffixes() and suffix != DICOM:
        return True
    try:
        path.open("rb").close()
    except OSError:
        return False
    return True


def _found(files: list[Path]) -> Found:
    """The slide that the first of its files opens."""
    first = files[0]
    if first.suffix.lower() == MIRAX:
        files = [first, *listed_files(first.with_suffix(""))]
    stats = [file.stat() for file in files]
    return Found(str(first), mark_of_stats(stats), sum(stat.st_size for stat in stats))
