"""Small slides, stations and ledgers for runs over an archive."""

import sys
import time
from collections.abc import Callable, Iterator
from functools import lru_cache
from pathlib import Path
from threading import Thread
from types import ModuleType

import numpy as np
import pytest
from numpy.typing import NDArray

from cervix.archive.engines.engine import WorkerSeen
from cervix.archive.ledger import Ledger
from cervix.archive.work import Outcome, Station, Work
from cervix.archive.worker import Worker
from cervix.bundle import Bundle
from cervix.slides.pyramid import write_pyramid
from cervix.slides.results import ROWS_NAME
from tests.bundle.made import SHIPPED_CLASSES
from tests.bundle.made.tiles import SPACING_UM_PX, TILE_PX, centres_rgb, tissue_of

PATIENCE_S = 180.0


@pytest.fixture(scope="module", autouse=True)
def _own_main() -> Iterator[None]:
    """Workers are processes that import the main module anew: it shall not be a page that a test opened before."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "__main__", ModuleType("__main__"))
        yield


@lru_cache(maxsize=1)
def _tile() -> NDArray[np.uint8]:
    """One tile of what the made bundle calls squamous-cell carcinoma."""
    return tissue_of(centres_rgb(SHIPPED_CLASSES)[1], TILE_PX, TILE_PX)


def made_slide(path: Path, *, seed: int = 1, tiles: int = 3) -> Path:
    """A slide of ``tiles`` x ``tiles`` tiles of carcinoma; another content for each seed."""
    pixels = np.tile(_tile(), (tiles, tiles, 1))
    pixels[:8, :8] = seed
    write_pyramid(path, pixels, SPACING_UM_PX)
    return path


def linked(path: Path, to: Path) -> Path:
    """The same file in another place: examined apart once for both, which takes half a second."""
    to.hardlink_to(path)
    return to


def when_rows_are_kept(results_dir: Path, do: Callable[[], object]) -> Thread:
    """Do something as soon as the first rows of a slide are on disk."""

    def watch() -> None:
        until = time.monotonic() + PATIENCE_S
        while not any(rows.stat().st_size for rows in results_dir.rglob(ROWS_NAME)) and time.monotonic() < until:
            time.sleep(0.001)
        do()

    watching = Thread(target=watch)
    watching.start()
    return watching


@pytest.fixture(scope="session")
def slides(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with two slides that can be scored; nobody changes it."""
    folder = tmp_path_factory.mktemp("archive")
    for seed in range(2):
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
        self.worked: list[str] = []
        """Names of the slides that a worker has had, in their order."""
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
        self.worked.append(Path(work.locator).name)
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


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    """Of a run that has not begun."""
    with Ledger(tmp_path / "ledger.sqlite") as ledger:
        yield ledger
