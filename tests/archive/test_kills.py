"""Runs that are killed, again and again: at the end every slide is done, and none was scored to its end twice."""

import multiprocessing
import os
import random
import subprocess
import sys
import time
from pathlib import Path
from types import ModuleType

import pytest

from cervix.archive.ledger import LEDGER_NAME, Ledger
from cervix.archive.running import is_driven
from cervix.slides.results import ROWS_NAME, SUMMARY_NAME
from cervix.slides.scoring import SlideSummary
from tests.archive.conftest import made_slide
from tests.archive.drivers import drive_inline
from tests.archive.test_desk import eventually

pytestmark = pytest.mark.slow

KILLS, SLIDES, TILES = 20, 6, 16


def test_a_driver_killed_twenty_times_scores_every_slide_once(
    bundle_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Each would run the main module again.
    monkeypatch.setitem(sys.modules, "__main__", ModuleType("__main__"))
    archive, out, draw = tmp_path / "archive", tmp_path / "run", random.Random(3)
    archive.mkdir()
    for seed in range(SLIDES):
        made_slide(archive / f"{seed}.tiff", seed=seed, tiles=4)
    context = multiprocessing.get_context("fork")
    written: dict[Path, int] = {}
    kills = 0
    while True:
        driver = context.Process(target=drive_inline, args=(out, archive, bundle_root))
        driver.start()
        driver.join(draw.uniform(0.2, 1.2) if kills < KILLS else 120)
        if driver.exitcode is not None and kills >= KILLS:
            break
        if driver.exitcode is None:
            driver.kill()
            driver.join()
        kills += 1
        for path in out.rglob(SUMMARY_NAME):
            assert written.setdefault(path, path.stat().st_ino) == path.stat().st_ino, "scored again"
        # The system frees its lock; a process that it was just starting holds it until it is another program.
        eventually(lambda: not is_driven(out))
    assert driver.exitcode == 0
    assert {path.stat().st_ino for path in out.rglob(SUMMARY_NAME)} >= set(written.values())
    with Ledger(out / LEDGER_NAME, read_only=True) as ledger:
        assert ledger.counts() == {"done": SLIDES}
    summaries = [SlideSummary.model_validate_json(path.read_bytes()) for path in out.rglob(SUMMARY_NAME)]
    assert len(summaries) == SLIDES
    assert all(len(path.read_bytes()) % TILES == 0 for path in out.rglob(ROWS_NAME)), "whole rows, one a tile"


def started(out: Path, archive: Path, home: Path) -> "subprocess.Popen[str]":
    """The command, on this machine's own engine."""
    return subprocess.Popen(
        [sys.executable, "-m", "cervix", "archive", "score", str(archive), "--out", str(out), "--device", "cpu"],
        env={**os.environ, "CERVIX_HOME": str(home)}, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        start_new_session=True,
    )  # fmt: skip


def rows_bytes(out: Path) -> int:
    """What is kept of all slides so far."""
    return sum(rows.stat().st_size for rows in out.rglob(ROWS_NAME))


def until_no_more_rows(out: Path) -> None:
    """The batch in hand may still be kept."""
    kept, deadline = -1, time.monotonic() + 60
    while (now := rows_bytes(out)) != kept:
        assert time.monotonic() < deadline, "rows are still added"
        kept = now
        time.sleep(1.0)


def until_more_rows(out: Path, than: int) -> None:
    """Wait until more is kept than there was."""
    until = time.monotonic() + 120
    while rows_bytes(out) <= than:
        assert time.monotonic() < until, "nothing was scored"
        time.sleep(0.002)


@pytest.mark.usefixtures("home")
def test_a_killed_command_takes_its_workers_along_and_the_next_goes_on(home: Path, tmp_path: Path) -> None:
    archive, out = tmp_path / "archive", tmp_path / "run"
    archive.mkdir()
    made_slide(archive / "large.tiff", tiles=16)
    first = started(out, archive, home)
    until_more_rows(out, 0)
    first.kill()
    first.communicate()
    until_no_more_rows(out)
    assert not any(out.rglob(SUMMARY_NAME)), "no worker outlives its driver: it would have scored the slide to its end"
    second = started(out, archive, home)
    printed, said = second.communicate(timeout=240)
    assert second.returncode == 0, said
    assert "1 done" in printed
    (summary,) = (SlideSummary.model_validate_json(path.read_bytes()) for path in out.rglob(SUMMARY_NAME))
    assert 0 < summary.timings.resumed_tiles < 256, "it went on where it was"
