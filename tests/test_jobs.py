"""Jobs run one after the other, can be watched and stopped, and fail in words."""

import logging
import time
from collections.abc import Callable, Iterator
from threading import Event

import pytest

from cervix.errors import Cancelled, PatientFileError
from cervix.jobs import FINISHED_JOBS_KEPT, Job, JobBoard

PATIENCE_SECONDS = 10.0

Report = Callable[[int], None]


@pytest.fixture
def board() -> JobBoard[int, str]:
    return JobBoard()


@pytest.fixture
def gate() -> Iterator[Event]:
    """Holds work up until the test opens it; opened at the end in any case, so that no worker is left waiting."""
    event = Event()
    yield event
    event.set()


def finished(job: Job[int, str]) -> Job[int, str]:
    eventually(lambda: not job.active)
    return job


def eventually(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.002)


def behind(gate: Event) -> Callable[[Report, Event], str]:
    """Work that reports 1 and then waits for the gate or for being stopped."""

    def work(report: Report, cancel: Event) -> str:
        report(1)
        while not gate.wait(0.002):
            if cancel.is_set():
                raise Cancelled("Stopped")
        return "through"

    return work


def failing(error: Exception) -> Callable[[Report, Event], str]:
    def work(_report: Report, _cancel: Event) -> str:
        raise error

    return work


def answering(result: str) -> Callable[[Report, Event], str]:
    return lambda _report, _cancel: result


def test_a_job_runs_reports_and_ends_with_its_result(board: JobBoard[int, str], gate: Event) -> None:
    job = board.submit("slide", behind(gate))
    eventually(lambda: job.progress == 1)
    assert (job.state, job.result, job.active) == ("running", None, True)
    gate.set()
    assert finished(job).state == "done"
    assert (job.result, job.error) == ("through", "")


def test_a_second_job_waits_for_the_first(board: JobBoard[int, str], gate: Event) -> None:
    first = board.submit("first", behind(gate))
    second = board.submit("second", answering("later"))
    eventually(lambda: first.state == "running")
    assert second.state == "waiting"
    assert (board.ahead_of(first), board.ahead_of(second)) == (0, 1)
    gate.set()
    assert finished(second).result == "later"
    assert first.state == "done"
    assert board.ahead_of(second) == 0


def test_the_same_key_returns_the_active_job_and_does_no_work_twice(board: JobBoard[int, str], gate: Event) -> None:
    job = board.submit("slide", behind(gate))
    assert board.submit("slide", failing(AssertionError("ran twice"))) is job
    gate.set()
    assert finished(job).state == "done"


def test_a_finished_job_can_be_run_again_under_its_key(board: JobBoard[int, str]) -> None:
    first = finished(board.submit("slide", answering("once")))
    second = finished(board.submit("slide", answering("again")))
    assert (first.result, second.result) == ("once", "again")
    assert board.get("slide") is second


def test_a_key_that_never_ran_has_no_job(board: JobBoard[int, str]) -> None:
    assert board.get("none") is None


def test_an_expected_failure_is_told_in_its_own_words(board: JobBoard[int, str], caplog: pytest.LogCaptureFixture) -> None:
    error = PatientFileError("The file is empty", expected="a table", found="0 bytes")
    job = finished(board.submit("table", failing(error)))
    assert (job.state, job.error) == ("failed", "The file is empty: expected a table; found 0 bytes.")
    assert caplog.records == []


def test_an_unforeseen_failure_shows_its_type_alone_and_logs_the_rest(
    board: JobBoard[int, str], caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.ERROR):
        job = finished(board.submit("slide", failing(ZeroDivisionError("inner detail"))))
    assert job.state == "failed"
    assert "ZeroDivisionError" in job.error
    assert "inner detail" not in job.error
    assert "inner detail" in caplog.text
    assert "Traceback" in caplog.text


def test_a_failure_does_not_stop_the_next_job(board: JobBoard[int, str], caplog: pytest.LogCaptureFixture) -> None:
    board.submit("bad", failing(RuntimeError()))
    assert finished(board.submit("good", answering("fine"))).result == "fine"
    assert "RuntimeError" in caplog.text


def test_a_job_stopped_before_its_turn_never_runs(board: JobBoard[int, str], gate: Event) -> None:
    board.submit("first", behind(gate))
    ran: list[str] = []
    second = board.submit("second", lambda _report, _cancel: ran.append("ran") or "")
    second.cancel()
    gate.set()
    assert finished(second).state == "cancelled"
    assert ran == []
    assert second.error == ""


def test_a_running_job_stops_when_asked(board: JobBoard[int, str], gate: Event) -> None:
    job = board.submit("slide", behind(gate))
    eventually(lambda: job.state == "running")
    job.cancel()
    assert finished(job).state == "cancelled"
    assert job.result is None


def test_a_stopped_job_can_be_started_again(board: JobBoard[int, str], gate: Event) -> None:
    stopped = board.submit("slide", behind(gate))
    stopped.cancel()
    finished(stopped)
    gate.set()
    assert finished(board.submit("slide", behind(gate))).state == "done"


def test_only_so_many_finished_jobs_are_remembered_and_the_newest_of_them(board: JobBoard[int, str]) -> None:
    keys = [f"job-{number}" for number in range(FINISHED_JOBS_KEPT + 10)]
    for key in keys:
        finished(board.submit(key, answering("done")))
    finished(board.submit("last", answering("done")))
    remembered = [key for key in keys if board.get(key)]
    assert remembered == keys[-FINISHED_JOBS_KEPT:]


def test_a_job_run_again_counts_as_new(board: JobBoard[int, str]) -> None:
    for number in range(FINISHED_JOBS_KEPT):
        finished(board.submit(f"job-{number}", answering("done")))
    again = finished(board.submit("job-0", answering("again")))
    for number in range(3):
        finished(board.submit(f"other-{number}", answering("done")))
    assert board.get("job-0") is again


def test_an_active_job_is_never_forgotten(board: JobBoard[int, str], gate: Event) -> None:
    running = board.submit("running", behind(gate))
    waiting = [board.submit(f"job-{number}", answering("done")) for number in range(FINISHED_JOBS_KEPT + 10)]
    assert board.get("running") is running
    assert all(board.get(job.key) is job for job in waiting)
    assert board.ahead_of(waiting[-1]) == len(waiting)


def test_a_waiting_job_is_cancelled_at_once_and_delays_nobody(board: JobBoard[int, str], gate: Event) -> None:
    board.submit("first", behind(gate))
    second, third = board.submit("second", answering("never")), board.submit("third", answering("later"))
    assert board.ahead_of(third) == 2
    second.cancel()
    assert second.state == "cancelled"
    assert board.ahead_of(third) == 1
    gate.set()
    assert finished(third).result == "later"
    assert second.result is None
