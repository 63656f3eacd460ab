"""Drivers that other processes are, to be killed."""

from datetime import UTC, datetime
from pathlib import Path

from cervix.archive.running import Asked, run_archive
from cervix.archive.runs import RunOrder
from cervix.archive.worker import Worker
from cervix.bundle.loading import read_manifest
from cervix.settings import Settings
from tests.archive.conftest import InlineEngine


def drive_inline(out: Path, archive: Path, bundle_root: Path) -> None:
    """A run whose only worker is in the driver's own process."""
    sha256 = read_manifest(bundle_root)[1]
    order = RunOrder(
        sources=[str(archive)], bundle_label="made", bundle_sha256=sha256, results_dir=out / "results",
        started=datetime.now(UTC), device="cpu",
    )  # fmt: skip
    asked = Asked(order, bundle_root, out.parent / "cache", 1 << 30)
    run_archive(out, asked, Settings(), lambda station: InlineEngine(Worker(station, "here 1")))
