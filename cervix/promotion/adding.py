"""A bundle of the registry comes to this server: fetched, held against the list, proved apart, kept."""

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from threading import Event
from typing import Final

from filelock import FileLock, Timeout

from cervix.bundle.loading import read_manifest
from cervix.errors import BundleError, CervixError, RegistryRefused
from cervix.promotion.candidates import candidate_folders, keep_bundle
from cervix.promotion.leftovers import ARRIVING
from cervix.promotion.registry import SERVICE, Listed, require_network
from cervix.settings import Settings
from cervix.sources.downloads import Arriving, Downloader, RemoteFile, counting, part_of, require_room, size_of

ADDED: Final = "add bundle"
"""What the audit trail calls it."""
COPIES: Final = 2
"""What a stored zip needs of the disk: itself, and what is in it."""


def add_listed(
    listed: Listed,
    settings: Settings,
    *,
    arriving: Callable[[Arriving], None] = lambda _: None,
    cancel: Event | None = None,
) -> Path:
    """Fetch a bundle, prove it in a process of its own and keep it; its folder. The same one again is kept once.

    Parameters
    ----------
    arriving : callable
        Gets how far the download is.
    cancel : threading.Event, optional
        Set it to stop the download with ``Cancelled``.

    What has arrived stays whatever happens, and the next call goes on from it, except where all has come and is refused.

    Raises
    ------
    DownloadFailed
        It cannot be had whole, its hash is another than that of the list, there is no room, or the network may not be used.
    RegistryRefused
        Somebody else adds it just now, or it is another bundle than the list says.
    BundleError, UploadRefused, LostApart
        As ``keep_bundle``.
    """
    require_network(settings)
    archive = _place(listed, settings)
    try:
        archive.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(archive.with_suffix(".lock"), timeout=0, thread_local=False):
            _fetch(listed, archive, settings, arriving, cancel)
            try:
                return keep_bundle(archive, settings.bundles_dir, meant=(listed.name, listed.version))
            finally:
                archive.unlink(missing_ok=True)
    except Timeout as error:
        raise RegistryRefused(
            f"Somebody else adds {listed.label} at this moment", action="Wait a moment and look again."
        ) from error
    except CervixError:
        raise
    except OSError as error:
        raise BundleError(
            "The bundle cannot be kept on this server", found=error.strerror or "", action="Free some space and try again."
        ) from error


def arrived_bytes(listed: Listed, settings: Settings) -> int:
    """What of it is on this server already, on its way."""
    return size_of(part_of(_place(listed, settings)))


def labels_there(settings: Settings) -> set[tuple[str, str]]:
    """Name and version of every bundle that lies on this server beside the active one and can be read."""
    there = set()
    for folder in candidate_folders(settings.bundles_dir).values():
        with suppress(BundleError):  # what it lacks is said where it is chosen
            manifest, _ = read_manifest(folder)
            there.add((manifest.name, manifest.version))
    return there


def _place(listed: Listed, settings: Settings) -> Path:
    return settings.bundles_dir / ARRIVING / f"{listed.sha256}.zip"


def _fetch(
    listed: Listed, archive: Path, settings: Settings, arriving: Callable[[Arriving], None], cancel: Event | None
) -> None:
    begun = size_of(part_of(archive))
    require_room(listed.label, archive.parent, COPIES * listed.bytes - begun)
    count = counting(begun, listed.bytes, arriving)
    with Downloader(SERVICE, read_timeout_s=settings.sample_timeout_s, arrived=count, cancel=cancel) as service:
        service.fetch(RemoteFile(listed.url, listed.label, listed.bytes, f"sha256:{listed.sha256}"), archive)
