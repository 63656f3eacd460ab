"""What a run over a source would have to do, asked by the app before anybody starts it."""

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from cervix.archive.estimate import Estimate, estimate_run
from cervix.archive.sources import listed
from cervix.archive.work import Found, Station
from cervix.bundle import Bundle
from cervix.settings import Settings

CACHE_BYTES: Final = 20 << 30
"""What slides that have to be fetched for the look may take on the disk of temporary files, for as long as it lasts."""


def check_source(
    source: str, settings: Settings, bundle: Bundle, on_progress: Callable[[int, int], None] = lambda _found, _looked: None
) -> Estimate:
    """Count the slides of a source and look at some of them; nothing is kept.

    Parameters
    ----------
    on_progress : (slides listed, slides looked at) -> None

    Raises
    ------
    ArchiveRunRefused, SourceUnavailable
        Where the source cannot be listed.
    """
    count = 0

    def counted() -> Iterator[Found]:
        nonlocal count
        for one in listed([source], settings):
            count += 1
            on_progress(count, 0)
            yield one

    with tempfile.TemporaryDirectory() as cache:
        station = Station(
            bundle_root=bundle.root,
            bundle_sha256=bundle.sha256,
            device=settings.device,
            results_dir=settings.results_dir,
            cache_dir=Path(cache),
            cache_bytes=CACHE_BYTES,
        )
        return estimate_run(counted(), bundle, station, on_look=lambda done, _of: on_progress(count, done))
