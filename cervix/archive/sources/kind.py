"""What every kind of source answers."""

from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Protocol

from cervix.archive.sources.passed_over import PassedOver
from cervix.archive.work import Found, Station, Work
from cervix.settings import Settings
from cervix.sources.downloads import Onlooker


class SourceKind(Protocol):
    """A kind of place that slides are in."""

    def matches(self, source: str) -> bool:
        """Whether this kind lists a source, or holds a slide by its locator. The first of the registry does."""

    def listed(self, source: str, settings: Settings, passed: PassedOver) -> Iterator[Found]:
        """Its slides, one after the other, in bounded memory; ``ArchiveRunRefused`` where it cannot be listed as named."""

    def at_hand(self, work: Work, station: Station, onlooker: Onlooker) -> AbstractContextManager[Path]:
        """The file that opens a slide, for as long as the block runs (``cervix.archive.sources.at_hand``)."""
