"""Background scores: kept batch by batch, resumed after a kill, shared fairly, never lost silently."""

import dataclasses
import errno
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from cervix.bundle import Bundle
from cervix.bundle.sessions import CUDA_PROVIDER, Arrays
from cervix.errors import DeviceLost
from cervix.jobs import JobBoard
from cervix.settings import PROJECT_ROOT
from cervix.slides import results
from cervix.slides.desk import ScoringDesk, SlideJob, measured_tiles_per_s
from cervix.slides.phantom import phantom_region
from cervix.slides.pyramid import write_pyramid
from cervix.slides.results import (
    ROWS_NAME,
    SUMMARY_NAME,
    order_of,
    put_in_line,
    read_order,
    result_dir,
    save_score,
    scored_alone,
    unfinished_orders,
)
from cervix.slides.rows import read_rows, row_dtype
from cervix.slides.scoring import SlidePlan, SlideScore, plan_slide, score_slide
from cervix.sources.opening import open_slide
from cervix.sources.slide import Slide
from tests.bundle.altered import slowed

PATIENCE_S = 120.0


@pytest.fixture(scope="module")
def bundle(bundle: Bundle) -> Bundle:
    """The made one with a tile model that takes its time, so that somebody can stop it half way."""
    return slowed(bundle)


@pytest.fixture(scope="module")
def slide(phantom_slide: Path) -> Slide:
    return open_slide(phantom_slide)


@pytest.fixture(scope="module")
def whole(slide: Slide, bundle: Bundle) -> SlideScore:
    """The score of an undisturbed run."""
    return score_slide(slide, bundle)


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)


def ended(job: SlideJob | None) -> SlideJob:
    assert job is not None
    until(lambda: not job.active)
    return job


def stopped_half_way(desk: ScoringDesk, slide: Slide, bundle: Bundle) -> tuple[SlidePlan, int]:
    """A score that somebody stopped after its first batch: its plan, and how many tiles it left."""
    plan = plan_slide(slide, bundle)
    job = desk.start(slide, bundle, plan, "me")
    until(lambda: desk.tiles_kept(slide, bundle, plan) >= 8)
    job.cancel()
    assert ended(job).state == "cancelled"
    return plan, desk.tiles_kept(slide, bundle, plan)


def same_scores(first: SlideScore, second: SlideScore) -> bool:
    return bool(np.allclose(first.rows["probabilities"], second.rows["probabilities"], atol=1e-4))


def test_a_score_is_made_kept_and_found_by_another_desk(
    slide: Slide, bundle: Bundle, whole: SlideScore, tmp_path: Path
) -> None:
    desk = ScoringDesk(tmp_path)
    job = ended(desk.start(slide, bundle, plan_slide(slide, bundle), "me"))
    assert job.state == "done"
    found = ScoringDesk(tmp_path).score(slide, bundle)
    assert found is not None
    assert same_scores(found, whole)
    assert found.summary.timings.infer_s > 0
    assert not unfinished_orders(tmp_path, bundle)


@pytest.fixture
def loads(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Every file of tiles that is read from disk."""
    read: list[Path] = []

    def counted(path: Path) -> pd.DataFrame:
        read.append(path)
        return pd.read_parquet(path)

    monkeypatch.setattr(results, "pd", SimpleNamespace(read_parquet=counted))
    return read


def test_a_finished_score_is_read_from_disk_once(
    slide: Slide, bundle: Bundle, whole: SlideScore, tmp_path: Path, loads: list[Path]
) -> None:
    save_score(tmp_path, whole)
    desk = ScoringDesk(tmp_path)
    scores = [desk.score(slide, bundle) for _ in range(4)]
    assert all(score is scores[0] for score in scores)
    assert scores[0] is not None
    assert same_scores(scores[0], whole)
    assert len(loads) == 1
    assert desk.score(slide, bundle, everywhere=True) is None
    assert desk.score(replace(slide, spacing_um_px=0.25), bundle) is None
    assert len(loads) == 1, "a score of other work is told by its summary alone"


def test_another_score_in_its_place_is_read_anew_and_none_where_it_is_gone(
    slide: Slide, bundle: Bundle, whole: SlideScore, tmp_path: Path, loads: list[Path]
) -> None:
    desk = ScoringDesk(tmp_path)
    assert desk.score(slide, bundle) is None
    folder = save_score(tmp_path, whole)
    first = desk.score(slide, bundle)
    save_score(tmp_path, replace(whole, tiles=whole.tiles.assign(tissue_fraction=0.5)))
    second = desk.score(slide, bundle)
    assert first is not None
    assert second is not None
    assert (first.tiles["tissue_fraction"] != 0.5).any()
    assert (second.tiles["tissue_fraction"] == 0.5).all()
    assert len(loads) == 2
    (folder / SUMMARY_NAME).unlink()
    assert desk.score(slide, bundle) is None


def test_scores_are_held_up_to_so_many_bytes(
    slide: Slide, bundle: Bundle, whole: SlideScore, tmp_path: Path, loads: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cervix.slides.desk.SCORES_HELD_BYTES", whole.held_bytes - 1)
    save_score(tmp_path, whole)
    desk = ScoringDesk(tmp_path)
    assert desk.score(slide, bundle) is not None
    assert desk.score(slide, bundle) is not None
    assert len(loads) == 2


def test_a_stopped_score_waits_and_goes_on_behind_its_last_batch(
    slide: Slide, bundle: Bundle, whole: SlideScore, tmp_path: Path
) -> None:
    desk = ScoringDesk(tmp_path)
    plan, kept = stopped_half_way(desk, slide, bundle)
    assert not unfinished_orders(tmp_path, bundle), "nobody asked for it any more"
    again = ended(desk.start(slide, bundle, plan, "me"))
    assert again.result is not None
    assert again.result.summary.timings.resumed_tiles == kept
    assert same_scores(again.result, whole)


@pytest.fixture(params=["in the queue", "behind another server"])
def held_up(request: pytest.FixtureRequest, slide: Slide, bundle: Bundle, tmp_path: Path) -> Iterator[ScoringDesk]:
    """A desk at which no score gets its turn."""
    desk = ScoringDesk(tmp_path)
    if request.param == "in the queue":
        desk._board = JobBoard(at_once=0)
        yield desk
    else:
        with scored_alone(result_dir(tmp_path, slide.sha256, bundle.sha256), lambda: None):
            yield desk


def test_a_score_whose_turn_had_not_come_is_gone_on_with_after_a_kill(
    slide: Slide, bundle: Bundle, held_up: ScoringDesk, tmp_path: Path
) -> None:
    plan = plan_slide(slide, bundle)
    held_up.start(slide, bundle, plan, "me")
    held_up.start(slide, bundle, plan, "me")
    assert [order.path for order in unfinished_orders(tmp_path, bundle)] == [slide.path], "once, however often it was asked for"
    assert ScoringDesk(tmp_path).resume(bundle) == 1


def test_a_score_given_up_before_its_turn_is_asked_for_no_more(
    slide: Slide, bundle: Bundle, held_up: ScoringDesk, tmp_path: Path
) -> None:
    job = held_up.start(slide, bundle, plan_slide(slide, bundle), "me")
    job.cancel()
    assert ended(job).state == "cancelled"
    assert not unfinished_orders(tmp_path, bundle)


def test_an_order_that_cannot_be_taken_out_of_line_costs_no_score(
    slide: Slide, bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on a disk that was made read-only after it had failed."""
    unlink = Path.unlink

    def read_only(path: Path, missing_ok: bool = False) -> None:
        if path.name.startswith("waiting-"):
            raise OSError(errno.EROFS, os.strerror(errno.EROFS))
        unlink(path, missing_ok)

    monkeypatch.setattr(Path, "unlink", read_only)
    assert ended(ScoringDesk(tmp_path).start(slide, bundle, plan_slide(slide, bundle), "me")).state == "done"


def test_an_order_in_line_whose_slide_is_gone_waits_no_more(slide: Slide, bundle: Bundle, tmp_path: Path) -> None:
    order = order_of(slide, bundle, plan_slide(slide, bundle)).model_copy(update={"path": tmp_path / "gone.tiff"})
    put_in_line(result_dir(tmp_path, slide.sha256, bundle.sha256), order)
    desk = ScoringDesk(tmp_path)
    assert desk.resume(bundle) == 1
    assert ended(desk.job(slide, bundle)).state == "failed"
    assert not unfinished_orders(tmp_path, bundle)


def test_a_paused_score_holds_still_and_goes_on(slide: Slide, bundle: Bundle, tmp_path: Path) -> None:
    desk, plan, began = ScoringDesk(tmp_path), plan_slide(slide, bundle), time.monotonic()
    job = desk.start(slide, bundle, plan, "me")
    until(lambda: desk.tiles_kept(slide, bundle, plan) >= 8)
    job.pause_requested.set()
    until(lambda: _holds_still(lambda: desk.tiles_kept(slide, bundle, plan)))
    held, still_since = desk.tiles_kept(slide, bundle, plan), time.monotonic()
    time.sleep(1.5)
    assert desk.tiles_kept(slide, bundle, plan) == held < len(plan.grid)
    assert job.paused
    still_s = time.monotonic() - still_since
    job.pause_requested.clear()
    assert ended(job).state == "done"
    assert job.result is not None
    assert job.result.summary.timings.total_s < time.monotonic() - began - still_s, "a pause is no work"


def _holds_still(count: Callable[[], int]) -> bool:
    """Whether a count is the same a second later: the batch in hand when a pause was asked for is done."""
    before = count()
    time.sleep(1.0)
    return count() == before


SCORE_IN_A_SERVER = """
import sys, time
from pathlib import Path
from cervix.bundle import load_bundle
from cervix.slides.desk import ScoringDesk
from cervix.sources.opening import open_slide
from cervix.slides.scoring import plan_slide
from tests.bundle.altered import slowed
slide, bundle = open_slide(Path(sys.argv[1])), slowed(load_bundle(Path(sys.argv[3]), device="cpu"))
ScoringDesk(Path(sys.argv[2])).start(slide, bundle, plan_slide(slide, bundle), "me")
time.sleep(600)
"""


def test_a_killed_server_loses_no_finished_batch(
    slide: Slide, bundle: Bundle, whole: SlideScore, phantom_slide: Path, tmp_path: Path
) -> None:
    rows = result_dir(tmp_path, slide.sha256, bundle.sha256) / ROWS_NAME
    dtype = row_dtype(bundle.session_of("tile").model)
    order = [sys.executable, "-c", SCORE_IN_A_SERVER, *map(str, (phantom_slide, tmp_path, bundle.root))]
    server = subprocess.Popen(order, cwd=PROJECT_ROOT)
    until(lambda: rows.is_file() and rows.stat().st_size >= 8 * dtype.itemsize)
    os.kill(server.pid, signal.SIGKILL)
    server.wait()
    finished = len(read_rows(rows, dtype, 10_000))
    assert 8 <= finished < len(whole.tiles)

    desk = ScoringDesk(tmp_path)
    assert desk.resume(replace(bundle, sha256="0" * 64)) == 0, "after a promotion it waits for the bundle that began it"
    assert desk.resume(bundle) == 1
    assert desk.resume(bundle) == 0, "once a process"
    job = ended(desk.job(slide, bundle))
    assert job.result is not None
    assert job.result.summary.timings.resumed_tiles == finished
    assert same_scores(job.result, whole)


def test_a_row_cut_short_by_a_crash_is_scored_again(slide: Slide, bundle: Bundle, whole: SlideScore, tmp_path: Path) -> None:
    desk = ScoringDesk(tmp_path)
    plan, kept = stopped_half_way(desk, slide, bundle)
    rows = result_dir(tmp_path, slide.sha256, bundle.sha256) / ROWS_NAME
    rows.write_bytes(rows.read_bytes()[:-10])
    assert desk.tiles_kept(slide, bundle, plan) == kept - 1
    again = ended(desk.start(slide, bundle, plan, "me"))
    assert again.result is not None
    assert same_scores(again.result, whole)


def test_rows_of_another_scale_are_not_gone_on_with(slide: Slide, bundle: Bundle, tmp_path: Path) -> None:
    desk = ScoringDesk(tmp_path)
    stopped_half_way(desk, slide, bundle)
    other = slide.with_spacing(0.25)
    assert desk.tiles_kept(other, bundle, plan_slide(other, bundle)) == 0


def test_rows_of_tiles_that_were_laid_otherwise_are_not_gone_on_with(slide: Slide, bundle: Bundle, tmp_path: Path) -> None:
    desk = ScoringDesk(tmp_path)
    plan, kept = stopped_half_way(desk, slide, bundle)
    assert kept > 0
    other = replace(plan, grid=replace(plan.grid, x_l0_px=plan.grid.x_l0_px[::-1], y_l0_px=plan.grid.y_l0_px[::-1]))
    assert desk.tiles_kept(slide, bundle, other) == 0
    order = read_order(result_dir(tmp_path, slide.sha256, bundle.sha256))
    assert order is not None
    # 0.1.0 named no grid, and laid none to the border.
    assert not order.model_copy(update={"grid_sha256": ""}).same_work(order)


def test_a_slide_that_is_gone_when_the_server_comes_back_is_said_and_not_tried_for_ever(bundle: Bundle, tmp_path: Path) -> None:
    path = tmp_path / "gone.tiff"
    write_pyramid(path, phantom_region(900, 700, seed=31), 0.5)
    slide = open_slide(path)
    desk = ScoringDesk(tmp_path / "results")
    job = desk.start(slide, bundle, plan_slide(slide, bundle), "me")
    job.pause_requested.set()
    folder = result_dir(tmp_path / "results", slide.sha256, bundle.sha256)
    until(lambda: read_order(folder) is not None)
    path.unlink()
    later = ScoringDesk(tmp_path / "results")
    assert later.resume(bundle) == 1
    failed = ended(later.job(slide, bundle))
    assert failed.state == "failed"
    assert "no such slide file" in failed.error
    assert ScoringDesk(tmp_path / "results").resume(bundle) == 0
    job.cancel()


def test_a_slide_removed_while_it_is_read_ends_in_one_sentence(bundle: Bundle, tmp_path: Path) -> None:
    path = tmp_path / "slide.tiff"
    write_pyramid(path, phantom_region(1400, 1100, seed=32), 0.5)
    slide = open_slide(path)
    plan = plan_slide(slide, bundle)
    path.unlink()
    slide.file.let_go()
    job = ended(ScoringDesk(tmp_path / "results").start(slide, bundle, plan, "me"))
    assert job.state == "failed"
    assert "no longer where it was" in job.error


def test_a_full_disk_costs_the_copy_on_disk_and_not_the_score(
    slide: Slide, bundle: Bundle, whole: SlideScore, small_disk: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (small_disk / "filler").write_bytes(bytes(196_000 - 4096))
    job = ended(ScoringDesk(small_disk).start(slide, bundle, plan_slide(slide, bundle), "me"))
    assert job.result is not None
    assert same_scores(job.result, whole)
    assert "kept on disk" in caplog.text


def test_sessions_take_turns_so_that_a_second_slide_is_not_starved(bundle: Bundle, tmp_path: Path) -> None:
    slides = []
    for seed in (41, 42, 43):
        write_pyramid(tmp_path / f"{seed}.tiff", phantom_region(1100, 1100, seed=seed), 0.5)
        slides.append(open_slide(tmp_path / f"{seed}.tiff"))
    desk = ScoringDesk(tmp_path / "results")
    plans = [plan_slide(slide, bundle) for slide in slides]
    jobs = [
        desk.start(slide, bundle, plan, owner)
        for slide, plan, owner in zip(slides, plans, ("greedy", "greedy", "modest"), strict=True)
    ]
    ended(jobs[2])
    assert any(job.active for job in jobs[:2]), "the modest one came last and was not served last"
    assert all(ended(job).state == "done" for job in jobs)


class LostAfter:
    """An ONNX session on a GPU that fails after some batches."""

    def __init__(self, session: object, batches: int) -> None:
        self.session, self.left = session, batches

    def run(self, names: list[str], inputs: Arrays) -> list[object]:
        from onnxruntime.capi.onnxruntime_pybind11_state import RuntimeException

        self.left -= 1
        if self.left < 0:
            raise RuntimeException("CUDA error 719: unspecified launch failure")
        return self.session.run(names, inputs)  # type: ignore[attr-defined, no-any-return]


def test_a_gpu_lost_on_the_way_is_replaced_by_the_cpu_and_said(slide: Slide, bundle: Bundle, whole: SlideScore) -> None:
    real = bundle.session_of("tile")
    lost = dataclasses.replace(real, session=LostAfter(real.session, 1), provider=CUDA_PROVIDER)
    gpu = dataclasses.replace(bundle, sessions={**bundle.sessions, "slide": lost})
    with pytest.raises(DeviceLost):
        dataclasses.replace(real, session=LostAfter(real.session, 0), provider=CUDA_PROVIDER).run(
            {"tiles": np.zeros((8, 224, 224, 3), np.uint8)}
        )
    small = dataclasses.replace(gpu, sessions={**gpu.sessions, "slide": _with_batch(lost)})
    score = score_slide(slide, small)
    assert same_scores(score, whole)
    notice = score.summary.notices[-1]
    assert "session failed" in notice
    assert "scored on CPU, int8" in notice


def _with_batch(session: object) -> object:
    class Small(type(session)):  # type: ignore[misc]
        batch_size = 8

    return Small(**{field.name: getattr(session, field.name) for field in dataclasses.fields(session)})  # type: ignore[arg-type]


def test_the_speed_of_the_device_is_measured(bundle: Bundle) -> None:
    assert 0.1 < measured_tiles_per_s(bundle) < 100_000


def test_a_desk_that_is_stopped_has_ended_whatever_it_scored_and_writes_no_more(
    phantom_slide: Path, bundle: Bundle, tmp_path: Path
) -> None:
    stopped = ScoringDesk(tmp_path / "results")
    slide = open_slide(phantom_slide)
    job = stopped.start(slide, bundle, plan_slide(slide, bundle), "somebody")
    stopped.stop()
    assert not job.active
    left = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    time.sleep(0.2)
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == left


def test_two_servers_on_one_home_do_not_score_the_same_slide_at_once(
    slide: Slide, bundle: Bundle, whole: SlideScore, tmp_path: Path
) -> None:
    """The second waits for the first and takes its score: no row is written twice."""
    folder = result_dir(tmp_path, slide.sha256, bundle.sha256)
    desk, plan = ScoringDesk(tmp_path), plan_slide(slide, bundle)
    first = desk.start(slide, bundle, plan, "me")
    until((folder / ROWS_NAME).is_file)
    beside = ScoringDesk(tmp_path).start(slide, bundle, plan, "me, elsewhere")
    until(lambda: beside.state == "running")
    assert ended(first).state == "done"
    assert ended(beside).state == "done"
    assert beside.progress is None, "it scored no tile"
    assert beside.result is not None
    assert same_scores(beside.result, whole)


def test_who_waits_for_another_server_can_stop_waiting(slide: Slide, bundle: Bundle, tmp_path: Path) -> None:
    desk, plan = ScoringDesk(tmp_path), plan_slide(slide, bundle)
    first = desk.start(slide, bundle, plan, "me")
    until((result_dir(tmp_path, slide.sha256, bundle.sha256) / ROWS_NAME).is_file)
    beside = ScoringDesk(tmp_path).start(slide, bundle, plan, "me, elsewhere")
    until(lambda: beside.state == "running")
    beside.cancel()
    assert ended(beside).state == "cancelled"
    assert first.active
    first.cancel()
    ended(first)
