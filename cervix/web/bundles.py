"""The active bundle, proved once a process and device, for pages and programs alike."""

from pathlib import Path
from threading import Lock
from typing import Final

from cachetools import LRUCache

from cervix.bundle import Bundle
from cervix.bundle.active import ActiveBundle, active_bundle, same_bundle
from cervix.bundle.sessions import Device
from cervix.settings import get_settings

# Two at once after a promotion, one on the CPU beside a GPU's, and one that somebody looks at beside the active one.
BUNDLES_HELD: Final = 4
_held: "LRUCache[tuple[Path, str, Device], Bundle]" = LRUCache(BUNDLES_HELD)
_proving = Lock()


def proved(active: ActiveBundle, device: Device) -> Bundle:
    """A bundle that is or was active, proved on a device; ``BundleError`` where it does not prove itself."""
    key = (active.root, active.sha256, device)
    with _proving:
        bundle = _held.get(key)
        if bundle is None:
            # What scores is imported when somebody asks, not when the server starts.
            from cervix.patients.golden import GoldenTables

            bundle = _held[key] = active.load(device, GoldenTables())
        return bundle


def proved_before(root: Path, sha256: str, device: Device) -> Bundle:
    """A bundle that need not be active any more, proved; ``BundleError`` where another lies there now."""
    key = (root, sha256, device)
    with _proving:
        bundle = _held.get(key)
        if bundle is None:
            from cervix.patients.golden import prove_bundle

            bundle = _held[key] = same_bundle(prove_bundle(root, device=device), sha256)
        return bundle


def active_proved(device: Device | None = None) -> Bundle:
    """The bundle that is active now, on the device of the settings unless another is named; raises as ``proved``."""
    settings = get_settings()
    return proved(active_bundle(settings), device or settings.device)


def forget_proved() -> None:
    """Hold none any more; who uses one still has it."""
    with _proving:
        _held.clear()
