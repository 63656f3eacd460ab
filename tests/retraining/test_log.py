"""The end of a trainer's log is read, whatever it holds."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from cervix.retraining.log import LONGEST_LINE, TAIL_BYTES, LogLine, TrainerLog, read_log
from cervix.retraining.runs import Run, new_run
from tests.retraining.stand_in import an_order


def written(tmp_path: Path, content: bytes) -> TrainerLog:
    (tmp_path / "log.txt").write_bytes(content)
    return read_log(tmp_path / "log.txt")


def told(tmp_path: Path, *lines: LogLine) -> TrainerLog:
    return written(tmp_path, "".join(f"{line.as_json()}\n" for line in lines).encode())


def test_the_last_word_counts_and_progress_is_kept_apart_from_what_people_read(tmp_path: Path) -> None:
    log = told(
        tmp_path,
        LogLine(event="progress", stage="parent", done=0.1, message="reading"),
        LogLine(event="said", elapsed_s=1.4, message="read\na table"),
        LogLine(event="progress", stage="slide", done=1, total=2, message="fitting the head"),
        LogLine(event="refused", message="first", code="error"),
        LogLine(event="refused", message="last", code="labels-too-few"),
    )
    assert log.progress is not None
    assert (log.progress.share, log.progress.stage, log.progress.message) == (0.5, "slide", "fitting the head")
    assert log.refusal is not None
    assert (log.refusal.code, log.refusal.message) == ("labels-too-few", "last")
    assert log.words == ["[     1 s] read", "a table", "error: first", "error: last"]


def test_what_is_written_is_what_is_read(tmp_path: Path) -> None:
    lines = (
        LogLine(event="said", message='quotes ", µ and\nlines'),
        LogLine(event="progress", stage="history", done=3, total=8, elapsed_s=0.0),
        LogLine(event="candidate", candidate="cervix 1.0.0 (abc)", message="candidate cervix 1.0.0 (abc) in /srv"),
    )
    assert told(tmp_path, *lines).lines == lines


@pytest.mark.parametrize(
    "line",
    [
        '{"event": "progress"',
        '{"event": "progress", "done": 1.5}',
        '{"event": "progress", "done": -0.1}',
        '{"event": "progress", "done": NaN}',
        '{"event": "progress", "done": 0, "total": 0}',
        '{"event": "progress", "done": 1e9}',
        '{"done": 0.5}',
        '["progress"]',
        "[" * 5000,
        "progress 0.5 of an earlier version",
        "error: of an earlier version",
    ],
)
def test_a_line_that_is_no_such_object_is_shown_as_it_is(tmp_path: Path, line: str) -> None:
    log = written(tmp_path, line.encode())
    assert (log.progress, log.refusal, log.candidate) == (None, None, "")
    assert log.words == [line[:LONGEST_LINE]]


@pytest.mark.parametrize(("done", "total", "share"), [(0, 1, 0.0), (1, 1, 1.0), (8, 8, 1.0)])
def test_the_ends_of_progress_are_told(tmp_path: Path, done: float, total: float, share: float) -> None:
    progress = told(tmp_path, LogLine(event="progress", done=done, total=total)).progress
    assert progress is not None
    assert progress.share == share


def test_a_candidate_is_named_as_every_screen_names_a_bundle(tmp_path: Path) -> None:
    label = "cervix-demonstration 0.4.1 (0123456789)"
    log = told(tmp_path, LogLine(event="candidate", candidate=label, message=f"candidate {label} in /srv/of mine"))
    assert log.candidate == label
    assert log.words == [f"candidate {label} in /srv/of mine"]


def test_control_characters_and_redrawn_bars_do_not_reach_the_screen(tmp_path: Path) -> None:
    raw = b"\x1b[31mred\x1b[0m\x00\x07\n10%\r50%\r\x1b[2K100%\n\xff\xfe tail\ttab\n\n"
    shown = ["red", "10%", "50%", "100%", "�� tail\ttab"]
    assert written(tmp_path, raw).words == shown
    assert told(tmp_path, LogLine(event="said", message=raw.decode(errors="replace"))).words == shown


def test_of_a_huge_log_only_the_end_is_read_and_long_lines_are_cut(tmp_path: Path) -> None:
    log = written(tmp_path, b"first\n" + b"x" * TAIL_BYTES + b"\n" + b"y" * 1000 + b"\nlast\n")
    assert log.words == ["y" * LONGEST_LINE, "last"]


def test_a_long_object_is_read_whole(tmp_path: Path) -> None:
    progress = told(tmp_path, LogLine(event="progress", done=0.5, message="z" * 1000)).progress
    assert progress is not None
    assert progress.share == 0.5


def test_without_a_log_there_are_no_lines(tmp_path: Path) -> None:
    assert read_log(tmp_path / "no-log.txt").words == []


def a_run(tmp_path: Path, started_s_ago: float) -> Run:
    run = new_run(an_order(tmp_path), tmp_path)
    return run.model_copy(update={"started": datetime.now(UTC) - timedelta(seconds=started_s_ago)})


def test_what_is_left_is_told_from_the_pace_so_far_and_not_when_that_says_nothing(tmp_path: Path) -> None:
    run, now = a_run(tmp_path, 100), datetime.now(UTC).timestamp()
    assert run.left_s(0.25, now) == pytest.approx(300, abs=1)
    # A quarter after 50 s makes 200 s in all, of which 100 have passed.
    assert run.left_s(0.25, now - 50) == pytest.approx(100, abs=1)
    assert run.left_s(0.9, now - 90) is None
    assert run.left_s(0.001, now) is None
    assert run.left_s(0.0, now) is None
