"""Slides of the hospital's archive, fetched as if somebody had uploaded them."""

from collections.abc import Callable
from pathlib import Path
from threading import Event

from cervix.intake.uploads import UploadStore
from cervix.settings import Settings
from cervix.sources.dicomweb import ArchivedSeries, archive_of
from cervix.sources.downloads import Arriving


def fetch_archived(
    series: ArchivedSeries,
    store: UploadStore,
    settings: Settings,
    *,
    arriving: Callable[[Arriving], None] = lambda _: None,
    cancel: Event | None = None,
) -> Path:
    """Fetch a slide, going on with the files that an earlier attempt left whole; returns the file that opens it.

    It is then kept and cleaned as an upload is, and deleted after as long.

    Parameters
    ----------
    arriving : callable
        Called with each block that came, in this thread.
    cancel : threading.Event, optional
        Set it from another thread to stop after the block in hand; files that are whole stay for the next attempt.

    Raises
    ------
    ArchiveRefused, DownloadFailed, Cancelled
        As ``archive_of`` and ``Archive.fetch``.
    UploadRefused
        As ``UploadStore.finish``; nothing is then left.
    """
    if (path := store.fetched(series.key)) is not None:
        return path
    with archive_of(settings, cancel=cancel) as archive:
        archive.fetch(series, store.on_the_way(series.key), limit_bytes=store.limit_bytes, arriving=arriving)
    return store.keep_fetched(series.key)


def is_begun(series: ArchivedSeries, store: UploadStore) -> bool:
    """Whether files of a slide are here, from which the next attempt goes on."""
    return any(store.on_the_way(series.key).glob("*.dcm"))
