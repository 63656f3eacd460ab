"""Scoring a real file with the real model: complete, repeatable, cancellable, cached."""

import json
from dataclasses import replace
from pathlib import Path
from threading import Event

import numpy as np
import pytest

from cervix import RESEARCH_NOTICE
from cervix.bundle import Bundle
from cervix.errors import Cancelled, SlideNotReadable
from cervix.slides.explanation import explain_tile, overlay_cam
from cervix.slides.exports import tile_table
from cervix.slides.results import load_score, result_dir, save_score
from cervix.slides.scoring import ScoreProgress, SlideScore, score_slide
from cervix.sources.opening import open_slide


@pytest.fixture(scope="module")
def score(phantom_score: SlideScore) -> SlideScore:
    return phantom_score


def test_every_tile_has_the_columns_of_the_contract(score: SlideScore) -> None:
    assert list(score.tiles.columns) == [
        "x_l0_px", "y_l0_px", "size_l0_px", "tissue_fraction", "p_benign", "p_scc", "p_ac", "p_other", "novelty",
    ]  # fmt: skip
    assert score.tiles[["p_benign", "p_scc", "p_ac", "p_other"]].sum(axis=1).to_numpy() == pytest.approx(1.0, abs=1e-5)
    assert len(score.tiles) == score.summary.answer.tiles > 8


def test_batches_and_order_do_not_change_a_tile_s_score(score: SlideScore, phantom_slide: Path, bundle: Bundle) -> None:
    slide, session = open_slide(phantom_slide), bundle.session_of("tile")
    for index in (0, 3, len(score.tiles) - 1):
        row = score.tiles.iloc[index]
        alone = explain_tile(slide, score.summary, int(row["x_l0_px"]), int(row["y_l0_px"]), session)
        assert alone.probabilities == pytest.approx({name: row[f"p_{name}"] for name in session.model.class_ids}, abs=1e-4)
        assert alone.novelty == pytest.approx(row["novelty"], rel=1e-4)


def test_progress_grows_to_the_total_and_already_answers(phantom_slide: Path, bundle: Bundle) -> None:
    seen: list[ScoreProgress] = []
    score = score_slide(open_slide(phantom_slide), bundle, on_progress=seen.append)
    assert seen[-1].done == seen[-1].total == len(score.tiles)
    assert [step.done for step in seen] == sorted(step.done for step in seen)
    assert seen[-1].answer == score.summary.answer
    assert seen[-1].eta_s == 0


def test_a_cancelled_score_stops_after_the_batch_in_hand(phantom_slide: Path, bundle: Bundle) -> None:
    cancel = Event()
    cancel.set()
    with pytest.raises(Cancelled):
        score_slide(open_slide(phantom_slide), bundle, cancel=cancel)


def test_a_slide_that_fails_while_reading_ends_in_one_sentence(data_dir: Path, bundle: Bundle) -> None:
    with pytest.raises(SlideNotReadable, match="opened but too much of it cannot be read"):
        score_slide(open_slide(data_dir / "slides/broken/opens_but_unreadable.svs"), bundle)


def test_a_stored_score_is_found_again(score: SlideScore, phantom_slide: Path, bundle: Bundle, tmp_path: Path) -> None:
    folder = save_score(tmp_path, score)
    assert folder == tmp_path / score.summary.slide_sha256 / bundle.sha256
    again = load_score(tmp_path, open_slide(phantom_slide), bundle)
    assert again is not None
    assert again.summary == score.summary
    assert again.tiles.equals(score.tiles)


def test_a_score_at_another_scale_or_half_written_is_not_reused(
    score: SlideScore, phantom_slide: Path, bundle: Bundle, tmp_path: Path
) -> None:
    slide = open_slide(phantom_slide)
    assert load_score(tmp_path, slide, bundle) is None
    save_score(tmp_path, score)
    assert load_score(tmp_path, replace(slide, spacing_um_px=0.25), bundle) is None
    summary = result_dir(tmp_path, slide.sha256, bundle.sha256) / "summary.json"
    summary.write_text(summary.read_text()[:100])
    assert load_score(tmp_path, slide, bundle) is None


def test_a_score_of_a_slide_too_coarse_for_the_model_is_not_shown(
    score: SlideScore, phantom_slide: Path, bundle: Bundle, tmp_path: Path
) -> None:
    """Earlier versions enlarged such slides, and what they answered may still be on disk."""
    coarse = score.summary.model_copy(update={"spacing_um_px": 1.38})
    save_score(tmp_path, replace(score, summary=coarse))
    assert load_score(tmp_path, open_slide(phantom_slide, spacing_um_px=1.38), bundle) is None


def test_an_export_carries_bundle_version_provider_date_and_notice(score: SlideScore, bundle: Bundle) -> None:
    table = tile_table(score, bundle.session_of("tile").model)
    assert set(table["notice"]) == {RESEARCH_NOTICE}
    assert set(table["bundle_sha256"]) == {bundle.sha256}
    assert set(table["provider"]) == {"CPU, int8"}
    assert table["scored_at"].str.match(r"20\d\d-\d\d-\d\dT").all()
    assert json.loads(score.summary.model_dump_json())["provenance"]["notice"] == RESEARCH_NOTICE


def test_grad_cam_is_non_negative_and_laid_over_the_tile(score: SlideScore, phantom_slide: Path, bundle: Bundle) -> None:
    row = score.tiles.iloc[0]
    slide = open_slide(phantom_slide)
    explained = explain_tile(slide, score.summary, int(row["x_l0_px"]), int(row["y_l0_px"]), bundle.session_of("tile"))
    assert {cam.shape for cam in explained.cam.values()} == {(14, 14)}
    assert all((cam >= 0).all() for cam in explained.cam.values())
    best = max(explained.probabilities, key=explained.probabilities.__getitem__)
    assert explained.cam[best].max() > 0
    assert (explained.overlay(best, 0.5) != explained.pixels).any()
    assert (explained.overlay(best, 0.0) == explained.pixels).all()


def test_an_empty_grad_cam_leaves_the_tile_as_it_is() -> None:
    pixels = np.full((224, 224, 3), 120, np.uint8)
    assert (overlay_cam(pixels, np.zeros((14, 14)), 0.5) == pixels).all()
