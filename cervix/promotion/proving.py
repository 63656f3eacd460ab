"""Bundles that somebody brought: they prove themselves in a process of their own before they do so here."""

from collections.abc import Sequence
from pathlib import Path
from threading import Lock
from typing import Final

from cachetools import LRUCache

from cervix.bundle.active import same_bundle
from cervix.bundle.loading import Bundle, GoldenCheck, read_manifest, require_passed
from cervix.bundle.sessions import Device
from cervix.bundle.signature import is_vouched, vouched_by
from cervix.errors import BundleError
from cervix.patients.golden import prove_bundle, prove_variants
from cervix.sources.apart import Limits, run_apart

# All variants of the shipped bundle take 10 s on one core, and less than 1.5 GB.
BUNDLE_LIMITS: Final = Limits(memory_bytes=4 << 30, seconds=120.0, file_bytes=1 << 20)
REMEMBERED: Final = 64
OK: Final = "ok"
FAILED: Final = "FAILED"

_proved: LRUCache[str, bool] = LRUCache(REMEMBERED)
_lock = Lock()


def load_candidate(root: Path, *, device: Device = "auto") -> Bundle:
    """``prove_bundle`` for a bundle that somebody brought: ``prove_apart`` comes first.

    Raises
    ------
    BundleError, LostApart
        As ``prove_bundle`` and ``prove_apart``, and where the folder is another bundle by then.
    """
    sha256 = prove_apart(root)
    return same_bundle(prove_bundle(root, device=device), sha256)


def prove_apart(root: Path) -> str:
    """Load every variant and replay its golden cases on the CPU, in a process that may be lost; the manifest's SHA-256.

    The hash stands for every file, so the same bundle is not proved twice by one process.

    Raises
    ------
    BundleError
        As ``prove_variants``, and where golden vectors are not reproduced.
    LostApart
        The bundle ended that process, or took more than 4 GB or two minutes.
    """
    sha256 = read_manifest(root)[1]
    with _lock:
        if sha256 in _proved:
            return sha256
    order = {"root": str(root.resolve()), "sha256": sha256, "vouched": is_vouched(sha256)}
    run_apart("cervix.promotion.proving:prove", order, BUNDLE_LIMITS, subject="bundle")
    with _lock:
        _proved[sha256] = True
    return sha256


def prove(root: str, sha256: str, vouched: bool = False) -> None:
    """What the process apart does; ``BundleError`` where the bundle is not the one meant or does not prove itself.

    Parameters
    ----------
    vouched : bool
        Whether who orders it knows that this bundle is part of the app (``cervix.bundle.signature.vouched_by``).
    """
    before = vouched_by(lambda found: vouched and found == sha256)
    try:
        for check in prove_variants(Path(root), device="cpu"):
            require_passed(check)
        if read_manifest(Path(root))[1] != sha256:
            raise BundleError("The bundle changed while it was examined", action="Try again.")
    finally:
        vouched_by(before)


def checked_apart(root: Path) -> list[dict[str, str]]:
    """``verified_rows`` of every variant on the CPU, found in a process that may be lost; raises as ``prove_apart``."""
    rows: list[dict[str, str]] = run_apart(
        "cervix.promotion.proving:check", {"root": str(root.resolve())}, BUNDLE_LIMITS, subject="bundle"
    )
    return rows


def check(root: str) -> list[dict[str, str]]:
    """What the process apart does for ``checked_apart``."""
    return verified_rows(prove_variants(Path(root), device="cpu"))


def verified_rows(checks: Sequence[GoldenCheck]) -> list[dict[str, str]]:
    """A row a check, in words: ``verdict`` is ``ok`` or ``FAILED``."""
    return [
        {
            "file": check.variant.file,
            "cases": check.cases,
            "variant": check.variant.precision,
            "provider": check.provider,
            "largest golden difference": f"{check.absolute_difference:.2g} in {check.worst_output} "
            f"(tolerance {check.variant.tolerance[check.worst_output]:g})",
            "verdict": OK if check.passed else FAILED,
        }
        for check in checks
    ]
