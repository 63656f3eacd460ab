"""``python -m cervix archive``: what is printed, how it ends, and what it leaves."""

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cervix.archive.ledger import LEDGER_NAME, Ledger
from cervix.archive.running import Asked, held
from cervix.archive.runs import RunOrder
from cervix.archive.sources import listed
from cervix.archive.work import Found
from cervix.bundle import Bundle
from cervix.cli import main
from cervix.slides.results import SUMMARY_NAME
from cervix.slides.scoring import SlideSummary
from tests.archive.conftest import linked, made_slide, when_rows_are_kept
from tests.archive.made_runs import bundle_of, made_run

pytestmark = pytest.mark.usefixtures("home", "own_signals")


@pytest.fixture
def own_signals() -> Iterator[None]:
    """Signals mean again what they meant before."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.fixture
def archive(slides: Path, tmp_path: Path) -> Path:
    """A slide that lies there twice, and one that cannot be scored."""
    folder = tmp_path / "archive"
    folder.mkdir()
    for name in ("slide.tiff", "twin.tiff"):
        linked(slides / "slide-0.tiff", folder / name)
    (folder / "text.svs").write_text("no slide")
    return folder


def test_a_run_says_what_became_of_every_slide_and_a_second_one_scores_nothing(
    archive: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    assert main(["archive", "score", str(archive), "--out", str(out)]) == 1, "one was refused"
    printed = capsys.readouterr().out
    assert "        1 done\n        1 duplicate\n        1 refused\n" in printed
    assert "        1 refused, slide-not-readable: " in printed
    assert "not a medical device" in printed.lower()
    summaries = {path: path.stat().st_ino for path in out.rglob(SUMMARY_NAME)}
    assert len(summaries) == 1
    assert main(["archive", "score", "--out", str(out)]) == 1
    assert {path: path.stat().st_ino for path in out.rglob(SUMMARY_NAME)} == summaries
    capsys.readouterr()
    assert main(["archive", "status", str(out)]) == 0
    assert capsys.readouterr().out.startswith("not running.")
    assert main(["archive", "retry", str(out)]) == 0
    assert "waiting again: 1. Go on with" in capsys.readouterr().out
    for path in (out, *out.rglob("*")):
        assert path.stat().st_mode & 0o077 == 0, "this user's alone"


def test_a_dry_run_says_how_much_and_how_long_and_writes_nothing(
    archive: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = sorted(tmp_path.rglob("*"))
    assert main(["archive", "score", str(archive), "--out", str(tmp_path / "out"), "--dry-run", "--triage"]) == 0
    printed = capsys.readouterr().out
    assert "This is every tile of them. A triage ends sooner" in printed
    assert "3 slides to score" in printed
    assert "about 18 tiles by all of them; 1 of them cannot be scored" in printed
    assert "95 % interval" not in printed  # of a sample there would be one
    assert "tiles/s" in printed
    assert sorted(tmp_path.rglob("*")) == before


def test_a_folder_without_a_run_and_one_without_a_driver_are_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["archive", "status", str(tmp_path)]) == 1
    assert "There is no run in this folder" in capsys.readouterr().err
    Ledger(tmp_path / LEDGER_NAME).close()
    for command in ("pause", "resume", "stop"):
        assert main(["archive", command, str(tmp_path)]) == 1
        assert "Nothing scores into this folder just now" in capsys.readouterr().err
    with held(tmp_path):
        assert main(["archive", "pause", str(tmp_path)]) == 0
        assert main(["archive", "status", str(tmp_path)]) == 0
    assert capsys.readouterr().out.startswith("paused.")
    with Ledger(tmp_path / LEDGER_NAME, read_only=True) as ledger:
        assert ledger.said("wanted") == "pause"


def test_a_run_without_a_source_and_a_second_driver_are_refused(
    archive: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    assert main(["archive", "score", "--out", str(out)]) == 1
    assert "No source is named" in capsys.readouterr().err
    with held(out):
        assert main(["archive", "score", str(archive), "--out", str(out)]) == 1
    assert "Another process scores into this folder" in capsys.readouterr().err


def test_a_run_that_is_stopped_while_its_sources_are_listed_is_not_said_to_be_over(
    archive: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def stopped_first(sources: list[str], *more: Any) -> Iterator[Found]:
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(0.2)
        yield from listed(sources, *more)

    monkeypatch.setattr("cervix.archive.running.listed", stopped_first)
    assert main(["archive", "score", str(archive), "--out", str(tmp_path / "out")]) == 130
    assert "its sources were not listed to their end" in capsys.readouterr().err


@pytest.mark.slow
def test_a_stopped_run_keeps_its_rows_says_so_and_goes_on(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    archive, out = tmp_path / "archive", tmp_path / "out"
    archive.mkdir()
    made_slide(archive / "large.tiff", seed=80, tiles=12)
    stopping = when_rows_are_kept(out, lambda: os.kill(os.getpid(), signal.SIGINT))
    assert main(["archive", "score", str(archive), "--out", str(out)]) == 130
    stopping.join()
    said = capsys.readouterr().err
    assert "stopping after the batches in hand" in said
    assert "The run was stopped; 1 slides wait. The same command goes on with it" in said
    assert main(["archive", "score", str(archive), "--out", str(out)]) == 0
    (summary,) = (SlideSummary.model_validate_json(path.read_bytes()) for path in out.rglob(SUMMARY_NAME))
    assert 0 < summary.timings.resumed_tiles < 144


def test_without_a_source_a_run_goes_on_as_it_was_ordered(
    tmp_path: Path, bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    made_run(tmp_path, *bundle_of(bundle), [], triage=True, everywhere=True, results_dir=tmp_path / "elsewhere")
    orders: list[RunOrder] = []

    def taken(_out: Path, asked: Asked, *_: object, **__: object) -> dict[str, int]:
        orders.append(asked.order)
        return {}

    monkeypatch.setattr("cervix.cli_archive.run_archive", taken)
    main(["archive", "score", "--out", str(tmp_path), "--bundle", str(bundle.root)])
    [order] = orders
    assert (order.triage, order.everywhere, order.despite_quality) == (True, True, False)
    assert order.results_dir == tmp_path / "elsewhere"
