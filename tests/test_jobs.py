"""Jobs run side by side up to a limit, can be watched, held and stopped, and fail in words; owners take turns."""

import logging
import time
from collections.abc import Callable, Iterator
from threading import Event, Thread

import pytest

from cervix.errors import Cancelled, CervixError, PatientFileError
from cervix.jobs import FINISHED_JOBS_KEPT, FairTurns, Job, JobBoard

PATIENCE_SECONDS = 10.0

Work = Callable[[Job[int, str]], str]


@pytest.fixture
def board() -> JobBoard[int, str]:
    """A board that runs one job at a time."""
    return JobBoard(1)


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


def behind(gate: Event) -> Work:
    """Work that reports 1 and then waits for the gate or for being stopped."""

    def work(job: Job[int, str]) -> str:
        job.progress = 1
        while not gate.wait(0.002):
            if job.cancel_requested.is_set():
                raise Cancelled("Stopped")
        return "through"

    return work


def failing(error: Exception) -> Work:
    def work(_job: Job[int, str]) -> str:
        raise error

    return work


def answering(result: str) -> Work:
    return lambda _job: result


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
    assert job.code == PatientFileError.code
    assert caplog.records == []


def test_an_unforeseen_failure_shows_its_type_alone_and_logs_the_rest(
    board: JobBoard[int, str], caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.ERROR):
        job = finished(board.submit("slide", failing(ZeroDivisionError("inner detail"))))
    assert (job.state, job.code) == ("failed", CervixError.code)
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
    second = board.submit("second", lambda _job: ran.append("ran") or "")
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


def test_a_board_with_places_runs_jobs_side_by_side(gate: Event) -> None:
    board: JobBoard[int, str] = JobBoard(2)
    first, second = board.submit("first", behind(gate)), board.submit("second", behind(gate))
    third = board.submit("third", answering("later"))
    eventually(lambda: first.state == second.state == "running")
    assert third.state == "waiting"
    gate.set()
    assert finished(third).result == "later"


def test_owners_take_turns_however_much_one_of_them_wants() -> None:
    turns, served, gate = FairTurns(), [], Event()

    def ask(owner: str) -> None:
        with turns.turn(owner):
            served.append(owner)

    def block() -> None:
        with turns.turn("first"):
            gate.wait(PATIENCE_SECONDS)

    threads = [Thread(target=block)]
    threads[0].start()
    for owner in ["greedy"] * 6 + ["modest"] * 2:
        threads.append(Thread(target=ask, args=(owner,)))
        threads[-1].start()
    eventually(lambda: sum(map(len, turns._waiting.values())) == 8)
    gate.set()
    for thread in threads:
        thread.join(PATIENCE_SECONDS)
    assert served[:4] in (["greedy", "modest"] * 2, ["modest", "greedy"] * 2)
    assert served[4:] == ["greedy"] * 4


def test_a_turn_that_fails_is_given_on() -> None:
    turns = FairTurns()
    with pytest.raises(ZeroDivisionError), turns.turn("one"):
        _ = 1 / 0
    with turns.turn("two"):
        pass


def test_an_owner_who_asks_again_and_again_does_not_pass_one_who_waits() -> None:
    turns, served = FairTurns(), []

    def work(owner: str, batches: int) -> None:
        for _ in range(batches):
            with turns.turn(owner):
                served.append(owner)
                time.sleep(0.005)

    threads = [Thread(target=work, args=(owner, 20)) for owner in ("a", "b", "c")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE_SECONDS)
    middle = served[6:48]
    assert max(middle.count(owner) for owner in "abc") - min(middle.count(owner) for owner in "abc") <= 2
