"""One worker, in this process: what it makes of good slides and of every kind of bad one."""

import errno
import os
import shutil
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from threading import Thread

import pandas as pd
import pytest

from cervix.archive.work import Outcome, Station, Work
from cervix.archive.worker import Worker
from cervix.bundle import Bundle
from cervix.errors import BundleError
from cervix.slides.results import ROWS_NAME, SUMMARY_NAME, load_score, read_order, result_dir, save_score, scored_alone
from cervix.slides.scoring import SlideSummary, score_slide
from cervix.sources.opening import open_slide
from tests.archive.conftest import PATIENCE_S, linked, made_slide


def work(path: Path, *, place: int = 1, attempt: int = 1, **more: object) -> Work:
    return Work(**{**vars(Work(place, str(path), attempt, "")), **more})


def summary_of(outcome: Outcome, station: Station) -> Path:
    return result_dir(station.results_dir, outcome.slide_sha256, station.bundle_sha256) / SUMMARY_NAME


def test_a_slide_is_scored_as_one_slide_is_and_kept_where_one_is(
    worker: Worker, station: Station, slides: Path, bundle: Bundle
) -> None:
    outcome = worker.score(work(slides / "slide-0.tiff"))
    assert (outcome.ended, outcome.tiles, outcome.worker) == ("done", 9, "here 1")
    assert outcome.seconds > 0 < outcome.tiles_per_s
    alone = score_slide(open_slide(slides / "slide-0.tiff"), bundle)
    kept = load_score(station.results_dir, open_slide(slides / "slide-0.tiff"), bundle)
    assert kept is not None
    pd.testing.assert_frame_equal(kept.tiles, alone.tiles)
    assert kept.summary.answer == alone.summary.answer
    assert outcome.answer is not None
    assert outcome.answer["verdict"] == alone.summary.answer.verdict == "cancer"
    assert (outcome.answer["scanner"], outcome.answer["seen_share"]) == ("generic-tiff", 1.0)
    assert not list(summary_of(outcome, station).parent.glob(".claim*"))


def test_a_score_that_is_there_is_taken_and_not_made_again(worker: Worker, station: Station, slides: Path) -> None:
    first = worker.score(work(slides / "slide-0.tiff"))
    made = summary_of(first, station).stat()
    again = worker.score(work(slides / "slide-0.tiff", place=2))
    assert (again.ended, again.tiles, again.answer) == ("done", 0, first.answer)
    assert summary_of(first, station).stat().st_ino == made.st_ino


def test_a_server_with_the_same_results_does_not_go_on_with_a_slide_that_a_worker_has(
    worker: Worker, station: Station, slides: Path
) -> None:
    outcome = worker.score(work(slides / "slide-0.tiff"))
    order = read_order(summary_of(outcome, station).parent)
    assert order is not None
    assert order.state == "stopped"


def test_two_runs_with_the_same_results_score_a_slide_once_between_them(station: Station, slides: Path) -> None:
    workers = [Worker(replace(station, run=run), run) for run in ("first", "second")]
    with ThreadPoolExecutor(2) as pool:
        outcomes = list(pool.map(lambda worker: worker.score(work(slides / "slide-0.tiff")), workers))
    assert [outcome.ended for outcome in outcomes] == ["done", "done"]
    assert sorted(outcome.tiles for outcome in outcomes) == [0, 9], "one waited for the other and took its score"


def test_the_same_slide_in_hand_from_two_places_is_scored_once(station: Station, slides: Path, tmp_path: Path) -> None:
    copy = linked(slides / "slide-1.tiff", tmp_path / "copy.tiff")
    outcomes: dict[int, Outcome] = {}

    def score(place: int, path: Path) -> None:
        outcomes[place] = Worker(station, f"here {place}").score(work(path, place=place))

    threads = [Thread(target=score, args=at) for at in ((1, slides / "slide-1.tiff"), (2, copy))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(outcome.tiles for outcome in outcomes.values()) == 9, "each tile once"
    for place, outcome in outcomes.items():
        assert (outcome.ended, outcome.same_as) in {("done", None), ("duplicate", 3 - place)}


def test_a_claim_of_another_place_is_heeded_and_taken_over_when_that_one_is_given_up(
    worker: Worker, station: Station, slides: Path
) -> None:
    path = slides / "slide-1.tiff"
    folder = result_dir(station.results_dir, open_slide(path).sha256, station.bundle_sha256)
    folder.mkdir(parents=True)
    (folder / ".claim-run").symlink_to("7")
    assert (left := worker.score(work(path, place=3))).ended == "duplicate"
    assert (left.same_as, left.tiles) == (7, 0)
    assert worker.score(work(path, place=3, instead_of=8)).ended == "duplicate"
    assert worker.score(work(path, place=3, instead_of=7)).ended == "done"
    assert not (folder / ".claim-run").is_symlink()


def test_the_place_whose_worker_was_killed_has_its_claim_still(worker: Worker, station: Station, slides: Path) -> None:
    path = slides / "slide-1.tiff"
    folder = result_dir(station.results_dir, open_slide(path).sha256, station.bundle_sha256)
    folder.mkdir(parents=True)
    (folder / ".claim-run").symlink_to("3")
    assert worker.score(work(path, place=3, attempt=2)).ended == "done"


def test_a_stopped_slide_keeps_its_rows_and_the_next_attempt_scores_the_rest(station: Station, tmp_path: Path) -> None:
    path = made_slide(tmp_path / "large.tiff", seed=40, tiles=6)
    stopping = Worker(station, "here 1")
    stopped, outcomes = False, list[Outcome]()

    def watch() -> None:
        nonlocal stopped
        while not stopped:
            stopped = any(rows.stat().st_size for rows in station.results_dir.rglob(ROWS_NAME))
        stopping.stop()

    watching = Thread(target=watch)
    watching.start()
    outcomes.append(stopping.score(work(path)))
    watching.join()
    assert outcomes[0].ended == "stopped"
    outcomes.append(Worker(station, "here 2").score(work(path, attempt=2)))
    assert outcomes[1].ended == "done"
    summary = SlideSummary.model_validate_json(summary_of(outcomes[1], station).read_text())
    assert summary.timings.resumed_tiles == 36 - outcomes[1].tiles > 0


@pytest.fixture
def bad(tmp_path: Path, slides: Path, unscaled_slide: Path, glass_slide: Path) -> dict[str, Path]:
    """Slides that cannot be scored, by the code of why."""
    whole = (slides / "slide-0.tiff").read_bytes()
    (tmp_path / "truncated.tiff").write_bytes(whole[: len(whole) // 3])
    (tmp_path / "text.svs").write_text("no slide")
    (tmp_path / "empty.svs").write_bytes(b"")
    return {
        "truncated": tmp_path / "truncated.tiff",
        "slide-not-readable": tmp_path / "text.svs",
        "empty": tmp_path / "empty.svs",
        "slide-scale-unknown": unscaled_slide,
        "slide-no-tissue": glass_slide,
    }


def test_what_cannot_be_scored_is_refused_by_code_and_without_its_name(
    worker: Worker, station: Station, bad: dict[str, Path]
) -> None:
    for kind, path in bad.items():
        outcome = worker.score(work(path))
        assert outcome.ended == "refused", kind
        assert outcome.code == kind or kind in ("truncated", "empty")
        assert outcome.code.startswith("slide-")
        assert outcome.reason
        assert path.name not in outcome.reason
        assert str(path.parent) not in outcome.reason
    assert not station.results_dir.exists(), "nothing was kept of them"


def test_a_stated_scale_wins_over_a_missing_one(worker: Worker, unscaled_slide: Path) -> None:
    outcome = worker.score(work(unscaled_slide, spacing_um_px=0.5))
    assert outcome.ended == "done"


def test_a_slide_that_vanished_is_asked_for_again(worker: Worker, tmp_path: Path) -> None:
    outcome = worker.score(work(tmp_path / "gone.tiff"))
    assert (outcome.ended, outcome.code) == ("failed", "source-vanished")


def test_a_locked_slide_is_asked_for_again(worker: Worker, slides: Path) -> None:
    with tempfile.TemporaryDirectory() as folder:  # not below pytest's own, which nobody else may enter
        Path(folder).chmod(0o755)
        locked = Path(shutil.copy(slides / "slide-0.tiff", folder))
        locked.chmod(0)
        before = os.geteuid()
        try:
            if before == 0:
                os.seteuid(65534)  # root may read everything
            outcome = worker.score(work(locked))
        finally:
            os.seteuid(before)
    assert (outcome.ended, outcome.code) == ("failed", "source-unavailable")
    assert os.strerror(errno.EACCES) in outcome.reason


def test_a_slide_that_changes_while_it_is_scored_is_not_kept_under_its_old_hash(station: Station, tmp_path: Path) -> None:
    path = made_slide(tmp_path / "changing.tiff", seed=41, tiles=5)
    worker = Worker(station, "here 1")

    def change() -> None:
        while not any(station.results_dir.rglob(ROWS_NAME)):
            pass
        os.utime(path, (1, 1))

    changing = Thread(target=change)
    changing.start()
    outcome = worker.score(work(path))
    changing.join()
    assert (outcome.ended, outcome.code) == ("failed", "source-unavailable")
    assert "changed while it was scored" in outcome.reason
    assert not any(station.results_dir.rglob(SUMMARY_NAME))
    assert not any(station.results_dir.rglob(ROWS_NAME)), "nor gone on with"
    assert worker.score(work(path, attempt=2)).ended == "done"


def test_a_full_disk_is_waited_for_and_what_was_kept_is_gone_on_with(
    station: Station, small_disk: Path, tmp_path: Path
) -> None:
    path = made_slide(tmp_path / "large.tiff", seed=42, tiles=6)
    full = Station(**{**vars(station), "results_dir": small_disk / "results"})
    filler = small_disk / "filler"
    filler.write_bytes(bytes(180_000))
    worker = Worker(full, "here 1")
    outcome = worker.score(work(path))
    assert (outcome.ended, outcome.code) == ("failed", "source-unavailable")
    assert os.strerror(errno.ENOSPC) in outcome.reason
    assert not any(small_disk.rglob(SUMMARY_NAME))
    filler.unlink()
    assert worker.score(work(path, attempt=2)).ended == "done"


def test_the_next_slide_is_made_ready_beside_the_one_in_hand(worker: Worker, slides: Path, tmp_path: Path) -> None:
    first, second = work(slides / "slide-0.tiff"), work(slides / "slide-1.tiff", place=2)
    gone = work(tmp_path / "gone.tiff", place=3)
    assert worker.score(first, then=second).ended == "done"
    assert worker.score(second, then=gone).ended == "done"
    assert worker.score(gone, then=first).code == "source-vanished"
    assert worker.score(second).ended == "done", "another than was expected"
    worker.close()


def test_a_bundle_that_is_another_now_scores_nothing(station: Station, four_class_root: Path) -> None:
    with pytest.raises(BundleError, match="another one now"):
        Worker(Station(**{**vars(station), "bundle_root": four_class_root}), "here 1")


def test_a_slide_that_somebody_else_scores_into_the_same_results_is_waited_for(
    worker: Worker, station: Station, slides: Path, bundle: Bundle
) -> None:
    slide = open_slide(slides / "slide-1.tiff")
    folder = result_dir(station.results_dir, slide.sha256, station.bundle_sha256)
    outcomes: list[Outcome] = []
    with scored_alone(folder, lambda: None):
        waiting = Thread(target=lambda: outcomes.append(worker.score(work(slides / "slide-1.tiff"))))
        waiting.start()
        until = time.monotonic() + PATIENCE_S
        while not (folder / ".claim-run").is_symlink() and time.monotonic() < until:
            time.sleep(0.01)
        waiting.join(0.5)
        assert waiting.is_alive()
        assert not (folder / ROWS_NAME).exists(), "two that append to one file of rows would mix them"
        save_score(station.results_dir, score_slide(slide, bundle))
    waiting.join()
    assert [(outcome.ended, outcome.tiles) for outcome in outcomes] == [("done", 0)], "what the other one made is taken"


def test_a_worker_that_waits_for_somebody_else_can_be_stopped(worker: Worker, station: Station, slides: Path) -> None:
    folder = result_dir(station.results_dir, open_slide(slides / "slide-1.tiff").sha256, station.bundle_sha256)
    with scored_alone(folder, lambda: None):
        worker.stop()
        assert worker.score(work(slides / "slide-1.tiff")).ended == "stopped"
