"""The loop between ledger and engine, with a real worker in this process."""

from pathlib import Path
from threading import Event, Thread, Timer

import pytest

from cervix.archive.driver import LISTING_SAID, drive
from cervix.archive.ledger import Ledger
from cervix.archive.sources import listed
from cervix.archive.work import Station
from cervix.archive.worker import Worker
from cervix.settings import get_settings
from tests.archive.conftest import InlineEngine, linked


@pytest.fixture
def engine(worker: Worker) -> InlineEngine:
    return InlineEngine(worker)


def add(ledger: Ledger, folder: Path, station: Station) -> None:
    ledger.add(listed([str(folder)], get_settings()), station.bundle_sha256)


def test_every_slide_ends_with_its_answer_or_the_reason(
    ledger: Ledger, engine: InlineEngine, station: Station, slides: Path, tmp_path: Path
) -> None:
    archive = tmp_path / "archive"
    archive.mkdir()
    for source, name in (("slide-0", "slide-0"), ("slide-1", "slide-1"), ("slide-0", "twin")):
        linked(slides / f"{source}.tiff", archive / f"{name}.tiff")
    (archive / "broken.svs").write_text("no slide")
    add(ledger, archive, station)
    told: list[dict[str, int]] = []
    drive(ledger, engine, on_progress=lambda counts: told.append(dict(counts)))
    assert ledger.counts() == {"done": 2, "duplicate": 1, "refused": 1} == told[-1]
    drive(ledger, engine)
    assert not engine.closed, "who made it closes it"


def test_a_fault_comes_back_when_its_time_has_come(
    ledger: Ledger, engine: InlineEngine, station: Station, slides: Path, tmp_path: Path
) -> None:
    archive = tmp_path / "archive"
    archive.mkdir()
    path = archive / "late.tiff"
    path.write_bytes(b"")
    add(ledger, archive, station)
    path.unlink()
    now = 1_000.0

    def clock() -> float:
        nonlocal now
        now += 20.0
        return now

    engine.before = lambda work: linked(slides / "slide-0.tiff", path) if work.attempt == 2 else None
    drive(ledger, engine, clock=clock)
    assert ledger.counts() == {"done": 1}


def test_paused_nothing_begins_and_stopped_everything_waits(
    ledger: Ledger, engine: InlineEngine, station: Station, slides: Path
) -> None:
    add(ledger, slides, station)
    ledger.want("pause")
    driving = Thread(target=drive, args=(ledger, engine))
    driving.start()
    driving.join(0.8)
    assert driving.is_alive()
    assert ledger.counts() == {"waiting": 2}
    ledger.want("stop")
    driving.join()
    assert engine.closed
    assert ledger.counts() == {"waiting": 2}


def test_stopped_in_the_middle_what_is_in_hand_waits_again(
    ledger: Ledger, engine: InlineEngine, station: Station, slides: Path
) -> None:
    add(ledger, slides, station)
    stop = Event()
    engine.before = lambda _: stop.set()
    drive(ledger, engine, stop=stop)
    assert ledger.counts() == {"done": 1, "waiting": 1}
    assert ledger.said("wanted") == "", "a signal is not an order for the next run"


def test_a_run_with_nothing_left_waits_for_what_is_still_listed(
    ledger: Ledger, engine: InlineEngine, station: Station, slides: Path
) -> None:
    ledger.say(LISTING_SAID, "yes")

    def list_late() -> None:
        add(ledger, slides, station)
        ledger.say(LISTING_SAID, "")

    Timer(0.3, list_late).start()
    drive(ledger, engine)
    assert ledger.counts() == {"done": 2}
