"""A retraining runs as a process of its own: watched, stopped, found again after a restart, and never half done."""

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from cervix.errors import RetrainingRefused
from cervix.retraining import RetrainingDesk, Run
from cervix.retraining.log import last_lines, progress_in
from cervix.retraining.runs import new_run, write_run
from cervix.settings import PROJECT_ROOT
from tests.retraining.stand_in import DEAF, QUICK, REFUSING, SLOW, an_order, ended, eventually, stand_in

LABELS = "postgresql://reader:s3cret@db/labels"


def started(desk: RetrainingDesk, tmp_path: Path, body: str) -> Run:
    return desk.start(an_order(tmp_path), stand_in(tmp_path, body), LABELS)


def said(desk: RetrainingDesk, run: Run) -> str:
    return "\n".join(last_lines(desk.log_path(run)))


def test_a_run_ends_with_a_candidate_and_nothing_else_beside_it(desk: RetrainingDesk, tmp_path: Path) -> None:
    run = ended(desk, started(desk, tmp_path, QUICK))
    assert (run.state, run.candidate, run.message) == ("done", "cervix-demonstration 0.4.1 (0123456789)", "")
    assert list(desk.bundles_dir.iterdir()) == [run.candidate_dir]
    assert "reading 20 labels" in said(desk, run)
    assert sorted(path.name for path in (desk.runs_dir / run.id).iterdir()) == ["alive", "log.txt", "run.json"]


def test_the_trainer_gets_the_labels_by_its_environment_and_no_file_or_command_line_holds_the_password(
    desk: RetrainingDesk, tmp_path: Path
) -> None:
    run = started(desk, tmp_path, 'say("it is there" if "s3cret" in os.environ["CERVIX_LABELS_URL"] else "it is not")' + SLOW)
    eventually(lambda: "reading" in said(desk, run))
    assert "it is there" in said(desk, run)
    assert b"retrain" in Path(f"/proc/{run.group}/cmdline").read_bytes()
    assert b"s3cret" not in Path(f"/proc/{run.group}/cmdline").read_bytes()
    kept = [path for path in (desk.runs_dir / run.id).rglob("*") if path.is_file()]
    assert kept
    assert not any(b"s3cret" in path.read_bytes() for path in kept)


def test_a_running_one_tells_its_progress_and_gives_way_to_the_app(desk: RetrainingDesk, tmp_path: Path) -> None:
    run = started(desk, tmp_path, SLOW)
    eventually(lambda: progress_in(last_lines(desk.log_path(run))) is not None)
    progress = progress_in(last_lines(desk.log_path(run)))
    assert progress is not None
    assert (progress.share, progress.doing) == (0.25, "fitting the head")
    assert os.getpriority(os.PRIO_PROCESS, run.group) > os.getpriority(os.PRIO_PROCESS, os.getpid())
    (tmp_path / "go-on").touch()
    assert ended(desk, run).state == "done"


def test_a_second_one_is_refused_also_by_another_server_and_starts_when_the_first_has_ended(
    desk: RetrainingDesk, tmp_path: Path
) -> None:
    run = started(desk, tmp_path, SLOW)
    other = RetrainingDesk(desk.runs_dir, desk.bundles_dir)
    seen = other.running()
    assert seen is not None
    assert seen.id == run.id
    with pytest.raises(RetrainingRefused, match="under way already.*Dr Reed"):
        other.start(an_order(tmp_path), stand_in(tmp_path, QUICK), LABELS)
    (tmp_path / "go-on").touch()
    ended(desk, run)
    again = ended(other, other.start(an_order(tmp_path), stand_in(tmp_path, QUICK), LABELS))
    assert [known.id for known in desk.runs()] == [again.id, run.id]
    assert again.candidate_dir != run.candidate_dir


def test_a_refusal_is_told_in_the_trainers_own_sentence(desk: RetrainingDesk, tmp_path: Path) -> None:
    run = ended(desk, started(desk, tmp_path, REFUSING))
    assert run.state == "refused"
    assert run.message == "Labels of slide aaaa are of the test group: expected other slides. Label others."
    assert not run.candidate_dir.exists()


def test_a_stopped_one_names_who_stopped_it_and_leaves_nothing_unfinished(desk: RetrainingDesk, tmp_path: Path) -> None:
    run = started(desk, tmp_path, SLOW)
    eventually(lambda: bool(list(desk.bundles_dir.glob(".*half"))))
    desk.stop(run, "Prof Old")
    last = ended(desk, run)
    assert (last.state, last.message) == ("stopped", "Stopped by Prof Old. What was unfinished is removed.")
    assert list(desk.bundles_dir.iterdir()) == []


def test_one_that_does_not_listen_is_killed_with_all_that_it_started(desk: RetrainingDesk, tmp_path: Path) -> None:
    run = started(desk, tmp_path, DEAF)
    eventually(lambda: "not listening" in said(desk, run))
    assert len(members_of(run.group)) == 2
    desk.stop(run, "Dr Reed")
    assert ended(desk, run).state == "stopped"
    eventually(lambda: members_of(run.group) == [])
    assert list(desk.bundles_dir.iterdir()) == []


def test_one_that_is_killed_says_so_and_leaves_nothing_unfinished(desk: RetrainingDesk, tmp_path: Path) -> None:
    run = started(desk, tmp_path, SLOW)
    eventually(lambda: bool(list(desk.bundles_dir.glob(".*half"))))
    os.kill(run.group, signal.SIGKILL)
    last = ended(desk, run)
    assert (last.state, last.message) == ("failed", "The trainer was killed (SIGKILL). Memory may have run out.")
    assert list(desk.bundles_dir.iterdir()) == []


@pytest.mark.parametrize(
    ("body", "state", "message"),
    [
        ('say("done")', "failed", "without an error and without a candidate"),
        ('say(f"candidate cervix 1.0.0 (abc) in {out}")', "failed", "without an error and without a candidate"),
        ("raise ValueError", "failed", r"stopped with an error \(exit code 1\)"),
        ("raise SystemExit(3)", "failed", r"stopped with an error \(exit code 3\)"),
        (
            'os.write(1, os.urandom(70_000) + b"\\nprogress nan x\\nprogress 7 y\\nprogress\\nerror\\n")',
            "failed",
            "without a candidate",
        ),
        ("finish(); os.kill(os.getpid(), 11)", "done", "^$"),
    ],
    ids=["silence", "a candidate that is not there", "traceback", "code", "garbage", "falls over on its way out"],
)  # fmt: skip
def test_whatever_a_trainer_does_its_end_is_told(
    desk: RetrainingDesk, tmp_path: Path, body: str, state: str, message: str
) -> None:
    run = ended(desk, started(desk, tmp_path, body))
    assert run.state == state
    assert re.search(message, run.message)
    assert progress_in(last_lines(desk.log_path(run))) is None
    assert run.candidate_dir.exists() == (state == "done")


def test_one_that_floods_its_log_is_ended_before_the_disk_is_full(tmp_path: Path) -> None:
    desk = RetrainingDesk(tmp_path / "runs", tmp_path / "bundles", largest_log_bytes=1 << 20)
    run = ended(desk, started(desk, tmp_path, 'while True: print("x" * 1000)\n'))
    assert (run.state, run.message) == ("failed", "Its log grew beyond 1 MB, so it was stopped.")


def test_a_program_that_is_not_there_is_refused_and_leaves_no_run(desk: RetrainingDesk, tmp_path: Path) -> None:
    with pytest.raises(RetrainingRefused, match="trainer cannot be started.*No such file"):
        desk.start(an_order(tmp_path), tmp_path / "no-python", LABELS)
    assert desk.runs() == []
    assert ended(desk, started(desk, tmp_path, QUICK)).state == "done"


def test_a_full_disk_refuses_a_run_and_one_that_ends_on_it_is_still_told(tmp_path: Path, small_disk: Path) -> None:
    desk = RetrainingDesk(small_disk / "runs", tmp_path / "bundles")
    run = started(desk, tmp_path, SLOW)
    eventually(lambda: "fitting" in said(desk, run))
    filler = small_disk / "filler"
    with pytest.raises(OSError, match="space"):
        filler.write_bytes(b"x" * (1 << 20))
    (tmp_path / "go-on").touch()
    last = ended(desk, run)
    assert last.state in ("done", "failed")
    with pytest.raises(RetrainingRefused, match="cannot be written.*No space left"):
        started(desk, tmp_path, QUICK)
    assert [known.id for known in desk.runs()] == [run.id]
    filler.unlink()
    eventually(lambda: desk.run(run.id) == last and RetrainingDesk(desk.runs_dir, desk.bundles_dir).run(run.id) == last)


def test_a_run_outlives_the_server_that_started_it_and_the_next_server_sees_it_end(
    desk: RetrainingDesk, tmp_path: Path
) -> None:
    run = left_by_a_dead_server(desk, tmp_path, SLOW)
    assert run.state == "running"
    eventually(lambda: "fitting" in said(desk, run))
    (tmp_path / "go-on").touch()
    last = ended(desk, run)
    assert (last.state, last.candidate) == ("done", "cervix-demonstration 0.4.1 (0123456789)")


def test_a_run_whose_server_died_can_be_stopped_from_the_next_one(desk: RetrainingDesk, tmp_path: Path) -> None:
    run = left_by_a_dead_server(desk, tmp_path, DEAF)
    eventually(lambda: "not listening" in said(desk, run))
    desk.stop(run, "Prof Old")
    assert ended(desk, run).state == "stopped"
    eventually(lambda: members_of(run.group) == [])


def test_a_run_that_died_with_its_server_is_interrupted_and_its_log_is_kept(desk: RetrainingDesk, tmp_path: Path) -> None:
    run = left_by_a_dead_server(desk, tmp_path, SLOW)
    eventually(lambda: bool(list(desk.bundles_dir.glob(".*half"))))
    os.killpg(run.group, signal.SIGKILL)
    last = ended(desk, run)
    assert last.state == "interrupted"
    assert last.ended is not None
    assert last.ended >= last.started
    assert "reading 20 labels" in said(desk, last)
    assert list(desk.bundles_dir.iterdir()) == []
    assert ended(desk, started(desk, tmp_path, QUICK)).state == "done"


def test_stopping_a_run_of_no_known_process_stops_nothing_of_ours(desk: RetrainingDesk, tmp_path: Path) -> None:
    run = new_run(an_order(tmp_path), desk.bundles_dir)
    write_run(desk.runs_dir / run.id, run)
    desk.stop(run, "Dr Reed")
    assert ended(desk, run).state == "stopped"


def test_what_is_left_of_a_run_that_cannot_be_read_is_passed_over(desk: RetrainingDesk, tmp_path: Path) -> None:
    run = ended(desk, started(desk, tmp_path, QUICK))
    (desk.runs_dir / "20260101-000000-abcdef").mkdir()
    (desk.runs_dir / "20260101-000000-abcdee").mkdir()
    (desk.runs_dir / "20260101-000000-abcdee/run.json").write_text('{"id": ')
    assert [known.id for known in desk.runs()] == [run.id]
    assert desk.run("no-such-run") is None


def left_by_a_dead_server(desk: RetrainingDesk, tmp_path: Path, body: str) -> Run:
    """A run that a server started which then was killed."""
    program = (
        "import os, sys; from pathlib import Path; from cervix.retraining import RetrainingDesk;"
        "from tests.retraining.stand_in import an_order; _, runs, bundles, place, python = sys.argv;"
        "RetrainingDesk(Path(runs), Path(bundles)).start(an_order(Path(place)), Path(python), ''); os.kill(os.getpid(), 9)"
    )
    server = subprocess.run(
        [sys.executable, "-c", program, desk.runs_dir, desk.bundles_dir, tmp_path, stand_in(tmp_path, body)],
        cwd=PROJECT_ROOT, check=False, stderr=subprocess.PIPE,
    )  # fmt: skip
    assert server.returncode == -signal.SIGKILL, server.stderr
    return desk.runs()[0]


def members_of(group: int) -> list[int]:
    """Living processes of a group; those that ended and were not waited for do not count."""
    found = []
    for place in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, _, of_group = place.read_text().rpartition(")")[2].split()[:3]
        except (FileNotFoundError, ProcessLookupError):
            continue
        if int(of_group) == group and state != "Z":
            found.append(int(place.parent.name))
    return found
