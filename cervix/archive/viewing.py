"""A slide of a run brought to this machine to be looked at, wherever it lies."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cervix.archive.sources import at_hand
from cervix.archive.sources.cache import CACHE_GB
from cervix.archive.work import Station, Work
from cervix.bundle import Bundle
from cervix.errors import SlideNotSuitable
from cervix.settings import Settings
from cervix.sources.downloads import Onlooker
from cervix.sources.identity import identity_of


def lies_here(locator: str) -> bool:
    """Whether a slide lies in a folder of this machine, so that nothing has to be fetched."""
    return Path(locator).is_absolute()


@contextmanager
def held_for_viewing(
    locator: str, slide_sha256: str, settings: Settings, bundle: Bundle, onlooker: Onlooker | None = None
) -> Iterator[Path]:
    """The file that opens a slide, fetched where it lies elsewhere, and the very slide that was scored.

    Afterwards it stays in the cache until others need the room.

    Raises
    ------
    SourceVanished, SourceUnavailable, Cancelled
        As ``at_hand``.
    SlideNotSuitable
        Where it is larger than the cache, or another slide than the one that was scored.
    """
    station = Station(
        bundle_root=bundle.root,
        bundle_sha256=bundle.sha256,
        device=settings.device,
        results_dir=settings.results_dir,
        cache_dir=settings.archive_cache_dir,
        cache_bytes=int(CACHE_GB * 1e9),
    )
    with at_hand(Work(0, locator, 1, ""), station, onlooker) as path:
        if not lies_here(locator) and identity_of(path) != slide_sha256:
            raise SlideNotSuitable(
                "Another slide lies there than the one that was scored",
                expected=f"SHA-256 {slide_sha256[:12]}…",
                action="Score the archive again: what has changed is scored anew.",
            )
        yield path
