"""Small slides, stations and ledgers for runs over an archive."""

from collections.abc import Callable
from pathlib import Path

import pytest

from cervix.archive.engines.engine import WorkerSeen
from cervix.archive.work import Outcome, Station, Work
from cervix.archive.worker import Worker
from cervix.bundle import Bundle
from cervix.slides.pyramid import write_pyramid
from tests.bundle.made import SHIPPED_CLASSES
from tests.bundle.made.tiles import SPACING_UM_PX, TILE_PX, centres_rgb, tissue_of


def made_slide(path: Path, *, seed: int = 1, tiles: int = 3) -> Path:
    """A slide of ``tiles`` x ``tiles`` tiles that the made bundle calls squamous-cell carcinoma; another content each seed."""
    pixels = tissue_of(centres_rgb(SHIPPED_CLASSES)[1], tiles * TILE_PX, tiles * TILE_PX, seed=seed)
    write_pyramid(path, pixels, SPACING_UM_PX)
    return path


@pytest.fixture(scope="session")
def slides(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with four slides that can be scored; nobody changes it."""
    folder = tmp_path_factory.mktemp("archive")
    for seed in range(4):
        made_slide(folder / f"slide-{seed}.tiff", seed=seed)
    return folder


@pytest.fixture
def station(bundle_root: Path, bundle: Bundle, tmp_path: Path) -> Station:
    """What the workers of a run in ``tmp_path`` need."""
    return Station(
        bundle_root=bundle_root,
        bundle_sha256=bundle.sha256,
        device="cpu",
        results_dir=tmp_path / "results",
        cache_dir=tmp_path / "cache",
        cache_bytes=1 << 30,
    )


class InlineEngine:
    """An engine whose only worker is a real one in this process: a slide is scored when its outcome is taken."""

    def __init__(self, worker: Worker, places: int = 2) -> None:
        self.places, self._worker, self._given = places, worker, list[Work]()
        self.closed = False
        self.before: Callable[[Work], None] = lambda _: None
        """Called before each slide, for faults."""

    def give(self, work: Work) -> None:
        self._given.append(work)
        assert len(self._given) <= self.places

    def take(self, timeout_s: float) -> list[Outcome]:
        del timeout_s
        if not self._given:
            return []
        work = self._given.pop(0)
        self.before(work)
        return [self._worker.score(work)]

    def workers(self) -> list[WorkerSeen]:
        return [WorkerSeen("here 1", self._worker.device, self._given[0].place if self._given else None)]

    def close(self, *, at_once: bool = False) -> None:
        self.closed = True
        if not at_once:
            self._worker.stop()


@pytest.fixture
def worker(station: Station) -> Worker:
    """A worker of that run, in this process."""
    return Worker(station, "here 1")
