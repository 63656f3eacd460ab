"""Where the slides of a run lie, and how one of them comes to hand."""

import logging
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from pathlib import Path

from cervix.archive.sources.passed_over import PassedOver
from cervix.archive.sources.registry import kind_of, listed_one
from cervix.archive.work import Found, Station, Work
from cervix.settings import Settings
from cervix.sources.downloads import Onlooker

__all__ = ["PassedOver", "at_hand", "listed"]

logger = logging.getLogger(__name__)


def listed(sources: Sequence[str], settings: Settings, passed: PassedOver | None = None) -> Iterator[Found]:
    """The slides of all sources, one after the other; what is listed is not opened.

    Parameters
    ----------
    passed : PassedOver, optional
        Gets what is not among them, and why; the log says how much it was in any case.

    Raises
    ------
    ArchiveRunRefused
        Where a source is none of the kinds there are, or not there.
    SourceUnavailable
        Where a store or an archive cannot be asked just now.
    """
    passed = PassedOver() if passed is None else passed
    for source in sources:
        yield from listed_one(source, settings, passed)
    for line in passed.lines:
        logger.warning("Not listed: %s", line)


def at_hand(work: Work, station: Station, onlooker: Onlooker | None = None) -> AbstractContextManager[Path]:
    """The file that opens a slide, on a disk of this machine, for as long as the block runs.

    Raises
    ------
    Cancelled
        Where the onlooker stops what is fetched; nothing of it is kept.
    SourceVanished
        Where it is not any more where it was listed.
    SourceUnavailable
        Where it cannot be had just now; another attempt may.
    SlideNotSuitable
        Where it is larger than the cache that it would be fetched into.
    """
    return kind_of(work.locator).at_hand(work, station, onlooker or Onlooker())
