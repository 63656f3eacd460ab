"""The end of a trainer's log is read, whatever it holds."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from cervix.retraining.log import (
    LONGEST_LINE,
    TAIL_BYTES,
    candidate_in,
    error_in,
    last_lines,
    progress_in,
    without_progress,
)
from cervix.retraining.runs import Run, new_run
from tests.retraining.stand_in import an_order


def written(tmp_path: Path, content: bytes) -> list[str]:
    (tmp_path / "log.txt").write_bytes(content)
    return last_lines(tmp_path / "log.txt")


def test_the_last_word_counts_and_progress_is_kept_apart_from_what_people_read(tmp_path: Path) -> None:
    lines = written(
        tmp_path, b"progress 0.1 reading\n[     1 s] read\nprogress .5 fitting the head\nerror: first\nerror: last\n"
    )
    progress = progress_in(lines)
    assert progress is not None
    assert (progress.share, progress.doing) == (0.5, "fitting the head")
    assert error_in(lines) == "last"
    assert without_progress(lines) == ["[     1 s] read", "error: first", "error: last"]


@pytest.mark.parametrize(
    "line", ["progress", "progress 1.5 x", "progress -0.1 x", "progress nan", "progress 1e9", "no progress 0.5 x"]
)
def test_a_line_that_is_no_progress_is_none(line: str) -> None:
    assert progress_in([line]) is None


@pytest.mark.parametrize(("line", "share"), [("progress 0 start", 0.0), ("progress 1", 1.0), ("progress 1.00 end", 1.0)])
def test_the_ends_of_progress_are_told(line: str, share: float) -> None:
    told = progress_in([line])
    assert told is not None
    assert told.share == share


def test_a_candidate_is_named_as_every_screen_names_a_bundle() -> None:
    line = "candidate cervix-demonstration 0.4.1 (0123456789) in /srv/bundles/candidate of mine"
    assert candidate_in(["x", line]) == "cervix-demonstration 0.4.1 (0123456789)"
    assert candidate_in(["candidate in /srv"]) == ""


def test_control_characters_and_redrawn_bars_do_not_reach_the_screen(tmp_path: Path) -> None:
    lines = written(tmp_path, b"\x1b[31mred\x1b[0m\x00\x07\n10%\r50%\r\x1b[2K100%\n\xff\xfe tail\ttab\n\n")
    assert lines == ["red", "10%", "50%", "100%", "�� tail\ttab"]


def test_of_a_huge_log_only_the_end_is_read_and_long_lines_are_cut(tmp_path: Path) -> None:
    lines = written(tmp_path, b"first\n" + b"x" * TAIL_BYTES + b"\n" + b"y" * 1000 + b"\nlast\n")
    assert lines == ["y" * LONGEST_LINE, "last"]


def test_without_a_log_there_are_no_lines(tmp_path: Path) -> None:
    assert last_lines(tmp_path / "no-log.txt") == []


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
