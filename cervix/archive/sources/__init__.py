"""Where the slides of a run lie, and how one of them comes to hand."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from cervix.archive.work import Found, Station, Work
from cervix.errors import ArchiveRunRefused, SourceVanished
from cervix.settings import Settings
from cervix.sources.identity import slides_in


def listed(sources: Sequence[str], settings: Settings) -> Iterator[Found]:
    """The slides of all sources, one after the other; what is listed is not opened.

    Raises
    ------
    ArchiveRunRefused
        Where a source is none of the kinds there are, or not there.
    """
    del settings
    for source in sources:
        folder = Path(source)
        if not folder.is_dir():
            raise ArchiveRunRefused("A source is not there", expected="a folder", action="Look at its name.")
        for path in slides_in(folder):
            stat = path.stat()
            yield Found(str(path.resolve()), f"{stat.st_size} {stat.st_mtime_ns}", stat.st_size)


@contextmanager
def at_hand(work: Work, station: Station) -> Iterator[Path]:
    """The file that opens a slide, on a disk of this machine, for as long as the block runs.

    Raises
    ------
    SourceVanished
        Where it is not any more where it was listed.
    SourceUnavailable
        Where it cannot be had just now; another attempt may.
    """
    del station
    path = Path(work.locator)
    if not path.exists():
        raise SourceVanished("The slide is not any more where it was listed", action="List the archive again.")
    yield path
