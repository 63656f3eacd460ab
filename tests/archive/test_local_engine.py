"""This machine's engine: real processes, some of them ended in the middle."""

import os
import signal
import time
from collections.abc import Iterator
from dataclasses import replace
from multiprocessing import forkserver
from pathlib import Path

import pytest

from cervix.archive.driver import drive
from cervix.archive.engines.local import LocalEngine, _devices
from cervix.archive.ledger import Ledger
from cervix.archive.sources import listed
from cervix.archive.work import Outcome, Station, Work
from cervix.errors import BundleError
from cervix.settings import get_settings
from cervix.slides.results import SUMMARY_NAME, result_dir
from cervix.slides.scoring import SlideSummary
from tests.archive.conftest import PATIENCE_S, made_slide, when_rows_are_kept


@pytest.fixture
def engine(station: Station) -> Iterator[LocalEngine]:
    engine = LocalEngine(station)
    yield engine
    engine.close(at_once=True)


def outcomes_of(engine: LocalEngine, count: int) -> list[Outcome]:
    """The next outcomes, in the order in which they come."""
    outcomes: list[Outcome] = []
    until = time.monotonic() + PATIENCE_S
    while len(outcomes) < count and time.monotonic() < until:
        outcomes += engine.take(0.5)
    return outcomes


def pid_of(engine: LocalEngine) -> int:
    """The process of the first device, which waits or works."""
    until = time.monotonic() + PATIENCE_S
    while not engine.workers()[0].device and time.monotonic() < until:
        engine.take(0.1)
    (process,) = engine._lanes[0].pool._processes.values()
    assert process.pid
    return process.pid


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_a_worker_that_is_killed_loses_its_process_and_nothing_else(
    engine: LocalEngine, station: Station, tmp_path: Path
) -> None:
    pid = pid_of(engine)
    large = made_slide(tmp_path / "large.tiff", seed=50, tiles=8)
    killing = when_rows_are_kept(station.results_dir, lambda: os.kill(pid, signal.SIGKILL))
    engine.give(Work(1, str(large), 1, ""))
    engine.give(Work(2, str(made_slide(tmp_path / "small.tiff", seed=51)), 1, ""))
    first, second = outcomes_of(engine, 2)
    killing.join()
    assert (first.place, first.ended, first.code) == (1, "lost", "lost-apart")
    assert (second.place, second.ended) == (2, "done"), "the slide that was made ready beside it"
    engine.give(Work(1, str(large), 2, ""))
    (again,) = outcomes_of(engine, 1)
    assert again.ended == "done"
    folder = result_dir(station.results_dir, again.slide_sha256, station.bundle_sha256)
    timings = SlideSummary.model_validate_json((folder / SUMMARY_NAME).read_bytes()).timings
    assert timings.resumed_tiles == 64 - again.tiles > 0, "it went on where it was"
    assert pid_of(engine) != pid


@pytest.mark.slow
def test_closed_it_ends_after_the_batch_in_hand_and_gives_that_back(
    engine: LocalEngine, station: Station, tmp_path: Path
) -> None:
    pid = pid_of(engine)
    engine.give(Work(1, str(made_slide(tmp_path / "large.tiff", seed=52, tiles=8)), 1, ""))
    engine.take(0.0)
    when_rows_are_kept(station.results_dir, lambda: None).join()
    engine.close()
    (outcome,) = engine.take(0.0)
    assert outcome.ended == "stopped"
    assert not list(engine.take(0.0))
    until = time.monotonic() + PATIENCE_S
    while alive(pid) and time.monotonic() < until:
        time.sleep(0.01)
    assert not alive(pid)


@pytest.mark.slow
def test_a_run_ends_although_a_worker_was_killed_between_two_slides(
    engine: LocalEngine, ledger: Ledger, station: Station, slides: Path
) -> None:
    ledger.add(listed([str(slides)], get_settings()), station.bundle_sha256)
    os.kill(pid_of(engine), signal.SIGKILL)
    now = 0.0

    def clock() -> float:
        nonlocal now
        now += 60.0  # no back-off is waited for
        return now

    drive(ledger, engine, clock=clock)
    assert ledger.counts() == {"done": 2}


def test_a_bundle_that_does_not_prove_itself_is_said_and_not_held_against_a_slide(station: Station) -> None:
    engine = LocalEngine(replace(station, bundle_sha256="0" * 64))
    try:
        with pytest.raises(BundleError, match="another one now"):
            outcomes_of(engine, 1)
    finally:
        engine.close(at_once=True)


def test_workers_share_the_cores(station: Station) -> None:
    share = max(1, len(os.sched_getaffinity(0)) // 2)
    assert _devices(station, 2) == [(share, None)] * 2
    assert _devices(station, None) == [(None, None)], "one has them all"


def test_where_the_server_of_forks_is_ended_the_worker_is_started_anew(
    station: Station, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended: list[int] = []
    read = forkserver.read_signed

    def cut_once(descriptor: int) -> int:
        if not ended:
            ended.append(descriptor)
            raise EOFError("unexpected EOF")
        return int(read(descriptor))

    monkeypatch.setattr(forkserver, "read_signed", cut_once)
    engine = LocalEngine(station)
    try:
        engine.give(Work(1, str(made_slide(tmp_path / "small.tiff", seed=52)), 1, ""))
        (outcome,) = outcomes_of(engine, 1)
    finally:
        engine.close(at_once=True)
    assert outcome.ended == "done"
