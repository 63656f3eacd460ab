"""A triage says what the full score says, sees little, and is never taken for a full score."""

import json
from dataclasses import replace
from pathlib import Path
from threading import Event

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

from cervix.archive.answers import facts_of
from cervix.bundle import Bundle, Model
from cervix.errors import Cancelled, SlideNotSuitable
from cervix.interop.dicom import write_objects
from cervix.interop.exports import EXPORTS, why_no_export, write_export
from cervix.interop.fhir.slide import slide_bundle
from cervix.slides.decision import decide
from cervix.slides.grid import sweep_order
from cervix.slides.pyramid import write_pyramid
from cervix.slides.results import RowJournal, load_score, order_of, result_dir, save_score
from cervix.slides.rows import Rows, places_of
from cervix.slides.scoring import SlidePlan, SlideScore, plan_slide, score_slide
from cervix.slides.sweep import ERROR, Step, Sweep, next_step
from cervix.slides.triage import triage_slide
from cervix.sources.opening import open_slide
from cervix.sources.slide import Slide
from tests.bundle.made import SHIPPED_CLASSES
from tests.bundle.made.tiles import centres_rgb, tissue_of

BENIGN, SCC = [0.98, 0.01, 0.005, 0.005], [0.02, 0.9, 0.05, 0.03]
KNOWN, NOVEL = 1.0, 1e6
SPACING_UM_PX, TILE_L0_PX, EDGE_TILES = 0.7, 160, 12


def square(edge: int, seed: int = 3) -> Sweep:
    """A square of tissue, tiles row by row."""
    row, column = np.divmod(np.arange(edge**2), edge)
    return Sweep(column, row, np.ones(edge**2), seed)


def triaged(sweep: Sweep, cancerous: NDArray[np.bool_], model: Model, novel: float = 0.0) -> tuple[Step, NDArray[np.bool_]]:
    """Where the triage of a made slide ends, and what it had seen by then."""
    probabilities = np.where(cancerous[:, None], SCC, BENIGN)
    novelty = np.where(np.arange(len(sweep)) % 100 < 100 * novel, NOVEL, KNOWN)
    known = np.zeros(len(sweep), np.bool_)
    while len((step := next_step(sweep, known, probabilities, novelty, model)).places):
        assert not known[step.places].any(), "no tile twice"
        known[step.places] = True
    return step, known


@pytest.fixture(scope="module")
def model(bundle: Bundle) -> Model:
    return bundle.session_of("tile").model


def verdict(cancerous: NDArray[np.bool_], model: Model) -> str:
    return decide(np.where(cancerous[:, None], SCC, BENIGN), np.full(len(cancerous), KNOWN), model).verdict


def test_its_verdict_is_that_of_all_tiles_even_where_the_share_is_right_at_the_boundary(bundle: Bundle) -> None:
    model = bundle.session_of("tile").model
    assert model.slide_rule is not None
    model = model.model_copy(update={"slide_rule": model.slide_rule.model_copy(update={"share_of": "read"})})
    random, edge = np.random.default_rng(7), 40
    agrees = early = 0
    for number in range(150):
        column, row = np.meshgrid(np.arange(edge), np.arange(edge))
        slope = random.normal(size=2) @ np.stack([column.ravel(), row.ravel()]) + random.normal(0, 20, edge**2)
        cancerous = slope >= np.quantile(slope, 1 - random.uniform(0.08, 0.16))
        step, known = triaged(square(edge, seed=number), cancerous, model)
        found = {"cancer": "cancer", "few": "undecided"}.get(step.finding or "", verdict(cancerous, model))
        agrees += found == verdict(cancerous, model)
        early += step.finding is not None and not known.all()
    assert agrees >= 148, "1 % of 150 is 1.5"
    assert early >= 60, "and the test did decide"


def test_a_clear_carcinoma_is_called_after_a_tenth_of_a_large_slide(model: Model) -> None:
    sweep = square(72)
    step, known = triaged(sweep, sweep.column < 40, model)
    assert step.finding == "cancer"
    assert known.mean() <= 0.1
    assert known.sum() == step.swept, "nothing is refined where a slide is called"


@pytest.mark.parametrize("novel", [0.0, 0.7])
def test_a_slide_without_a_cancerous_tile_or_without_an_answer_is_scored_to_its_end(model: Model, novel: float) -> None:
    sweep = square(30)
    step, known = triaged(sweep, (sweep.column < 15) & (novel > 0), model, novel)
    assert step.finding is None
    assert known.all()


def test_a_focus_that_is_hit_is_seen_whole_and_its_surroundings_with_it(model: Model) -> None:
    sweep = square(72)
    focus = (abs(sweep.column - 30) <= 3) & (abs(sweep.row - 40) <= 3)
    step, known = triaged(sweep, focus, model)
    assert step.finding == "few"
    assert known[focus].all()
    assert known[(abs(sweep.column - 30) <= 4) & (abs(sweep.row - 40) <= 4)].all()
    assert known.sum() <= step.swept + 81, "and nothing else"


def test_refinement_scores_no_more_tiles_than_the_sweep(model: Model) -> None:
    sweep = square(72)
    step, known = triaged(sweep, sweep.column % 24 == 0, model)
    assert step.finding == "few"
    assert known.sum() == 2 * step.swept, "bands that go on and on"


def test_each_look_has_an_equal_part_of_the_error(model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    sweep = square(40)
    assert model.slide_rule is not None
    errors: list[float] = []

    def never(*told: object) -> bool:
        errors.append(float(told[-1]))  # type: ignore[arg-type]
        return False

    monkeypatch.setattr("cervix.slides.sweep.would_stand", never)
    triaged(sweep, sweep.column < 20, model)
    assert len(errors) == len(sweep.looks(model.slide_rule)) - 1 > 1, "at the last look nothing is uncertain"
    assert set(errors) == {ERROR / len(errors)}


def test_tissue_that_repeats_in_step_with_the_grid_is_not_seen_in_part(model: Model) -> None:
    """Of an order that is not scrambled the first half sees every other column alone."""
    sweep = square(64)
    for first in (0, 1):
        stripes = sweep.column % 2 == first
        assert triaged(sweep, stripes, model)[0].finding == "cancer"
        in_step = sweep_order(sweep.column, sweep.row)[: 64 * 64 // 2]
        assert stripes[in_step].all() or not stripes[in_step].any()


def test_a_scrambled_sweep_takes_one_tile_of_each_stretch_and_another_seed_another() -> None:
    sweep = square(32)
    assert sorted(sweep.order) == list(range(1024))
    plain = sweep_order(sweep.column, sweep.row)
    stretch = np.empty(1024, np.int64)
    # The places of the order that is not scrambled, sorted back along the curve.
    stretch[plain[np.argsort([int(f"{place:010b}"[::-1], 2) for place in range(1024)])]] = np.arange(1024)
    for size in (64, 128, 256):
        assert len(set(stretch[sweep.order[:size]] // (1024 // size))) == size
    assert (square(32).order == sweep.order).all()
    first = [int(square(32, seed).order[0]) for seed in range(200)]
    assert len(set(first)) > 150, "any tile may be the first"


def test_looks_wait_for_their_floor_of_tissue_and_grow_by_half(model: Model) -> None:
    rule = model.slide_rule
    assert rule is not None
    sweep = replace(square(100), tissue=np.random.default_rng(1).uniform(0.25, 1, 10_000))
    looks = sweep.looks(rule)
    swept_share = np.cumsum(sweep.tissue[sweep.order]) / sweep.tissue.sum()
    assert swept_share[looks[0] - 2] < 0.04 <= swept_share[looks[0] - 1]
    assert looks[1] == int(np.ceil(1.5 * looks[0]))
    assert looks[-1] == 10_000
    assert square(20).looks(rule)[0] == 64, "a small slide waits for 64 tiles"
    assert square(7).looks(rule) == [49]
    assert square(20).looks(rule.model_copy(update={"minimum_tiles": 99}))[0] == 99


def slide_of(path: Path, cancerous_columns: int) -> Slide:
    """12 x 12 tiles, the first columns of squamous-cell carcinoma."""
    some = 4 * TILE_L0_PX
    benign, scc = (
        np.tile(tissue_of(centres_rgb(SHIPPED_CLASSES)[index], some, some), (EDGE_TILES // 4, EDGE_TILES // 4, 1))
        for index in (0, 1)
    )
    pixels = np.where(np.arange(benign.shape[1])[None, :, None] < cancerous_columns * TILE_L0_PX, scc, benign)
    write_pyramid(path, pixels.astype(np.uint8), SPACING_UM_PX)
    return open_slide(path)


@pytest.fixture(scope="module")
def slide(tmp_path_factory: pytest.TempPathFactory) -> Slide:
    return slide_of(tmp_path_factory.mktemp("called") / "called.tiff", 8)


@pytest.fixture(scope="module")
def plan(slide: Slide, bundle: Bundle) -> SlidePlan:
    return plan_slide(slide, bundle)


@pytest.fixture(scope="module")
def whole(slide: Slide, bundle: Bundle, plan: SlidePlan) -> SlideScore:
    return score_slide(slide, bundle, plan=plan)


@pytest.fixture(scope="module")
def score(slide: Slide, bundle: Bundle, plan: SlidePlan) -> SlideScore:
    return triage_slide(slide, bundle, plan=plan)


def test_every_word_about_a_triage_says_that_it_is_one_and_how_much_was_seen(
    score: SlideScore, whole: SlideScore, plan: SlidePlan
) -> None:  # fmt: skip
    planned = len(plan.grid)
    answer, triage = score.summary.answer, score.summary.triage
    assert triage is not None
    assert whole.summary.triage is None
    assert answer.verdict == whole.summary.answer.verdict == "cancer"
    assert answer.headline == "Triage: Squamous-cell carcinoma"
    assert f"Triage: 64 of {planned} tiles seen ({triage.tissue_seen_mm2:.2f} of {triage.tissue_mm2:.2f} mm²" in answer.sentence
    assert "another verdict in at most 1 % of slides" in answer.sentence
    assert (triage.seen_tiles, triage.planned_tiles, len(score.tiles), len(score.rows)) == (64, planned, 64, 64)
    assert 0 < triage.tissue_seen_mm2 < triage.tissue_mm2
    assert facts_of(score.summary, scanner="", quality="", planned_tiles=planned)["seen_share"] == 64 / planned
    assert facts_of(whole.summary, scanner="", quality="", planned_tiles=planned)["seen_share"] == 1.0


def test_a_slide_that_is_decided_by_its_last_tile_has_a_full_score(bundle: Bundle, tmp_path: Path) -> None:
    slide = slide_of(tmp_path / "benign.tiff", 0)
    score = triage_slide(slide, bundle)
    assert score.summary.triage is None
    assert score.summary.answer == score_slide(slide, bundle).summary.answer
    assert "riage" not in score.summary.answer.sentence


def test_the_rest_is_scored_on_demand_and_no_tile_twice(
    slide: Slide, bundle: Bundle, plan: SlidePlan, score: SlideScore, whole: SlideScore
) -> None:
    kept: list[Rows] = []
    rest = score_slide(slide, bundle, plan=plan, finished=score.rows, keep=kept.append)
    places = places_of(np.concatenate(kept))
    assert sorted([*places, *places_of(score.rows)]) == list(range(len(plan.grid)))
    assert rest.summary.triage is None
    assert rest.summary.answer == whole.summary.answer
    assert rest.summary.timings.resumed_tiles == 64
    pd.testing.assert_frame_equal(rest.tiles, whole.tiles, atol=1e-4)


def interrupted(slide: Slide, bundle: Bundle, plan: SlidePlan, journal: RowJournal, *, triage: bool) -> Rows:
    """Start a score that ends after its second batch, as by a kill; the rows that it left."""
    stop, finished, kept = Event(), journal.finished, []
    with journal.appending(finished) as append:

        def keep(rows: Rows) -> None:
            append(rows)
            kept.append(rows)
            if len(kept) == 2:
                stop.set()

        score = triage_slide if triage else score_slide
        with pytest.raises(Cancelled):
            score(slide, bundle, plan=plan, finished=finished, keep=keep, cancel=stop)
    return journal.finished


@pytest.mark.parametrize("first_triage", [True, False], ids=["a triage", "a full score"])
def test_a_triage_goes_on_from_the_rows_of_an_interrupted_run(
    slide: Slide, bundle: Bundle, plan: SlidePlan, score: SlideScore, tmp_path: Path, first_triage: bool
) -> None:
    folder, order = result_dir(tmp_path, slide.sha256, bundle.sha256), order_of(slide, bundle, plan)
    before = interrupted(
        slide, bundle, plan, RowJournal(folder, order, bundle, triage=first_triage), triage=first_triage
    )  # fmt: skip
    journal = RowJournal(folder, order, bundle, triage=True)
    finished = journal.finished
    assert sorted(places_of(finished)) == sorted(places_of(before))
    with journal.appending(finished) as append:
        again = triage_slide(slide, bundle, plan=plan, finished=finished, keep=append)
    left = places_of(journal.finished)
    assert len(left) == len(set(left)) == len(again.rows), "no tile twice"
    assert again.summary.answer.verdict == score.summary.answer.verdict
    assert again.summary.timings.resumed_tiles == len(before)


def test_a_triage_is_never_found_as_a_full_score_and_goes_when_that_is_there(
    slide: Slide, bundle: Bundle, plan: SlidePlan, tmp_path: Path
) -> None:
    folder, order = result_dir(tmp_path, slide.sha256, bundle.sha256), order_of(slide, bundle, plan)
    journal = RowJournal(folder, order, bundle, triage=True)
    with journal.appending(journal.finished) as append:
        save_score(tmp_path, triage_slide(slide, bundle, plan=plan, finished=journal.finished, keep=append))
    assert load_score(tmp_path, slide, bundle) is None
    found = load_score(tmp_path, slide, bundle, triage=True)
    assert found is not None
    assert found.summary.triage is not None
    columns = [f"p_{label}" for label in bundle.session_of("tile").model.class_ids]
    assert (found.rows["probabilities"] == found.tiles[columns].to_numpy()).all()

    journal = RowJournal(folder, order, bundle)
    assert len(interrupted(slide, bundle, plan, journal, triage=False)) > 64, "the rest goes on after the triage"
    assert load_score(tmp_path, slide, bundle, triage=True) is not None, "which is there until the rest is"
    finished = RowJournal(folder, order, bundle).finished
    save_score(tmp_path, score_slide(slide, bundle, plan=plan, finished=finished))
    assert load_score(tmp_path, slide, bundle) is not None
    assert load_score(tmp_path, slide, bundle, triage=True) is None


def test_a_full_score_in_the_place_of_a_triage_does_not_count_nor_the_other_way_round(
    slide: Slide, bundle: Bundle, score: SlideScore, whole: SlideScore, tmp_path: Path
) -> None:
    triage = save_score(tmp_path, score)
    folder = save_score(tmp_path, whole)
    (folder / "summary.json").write_text(score.summary.model_dump_json())
    assert load_score(tmp_path, slide, bundle) is None
    triage.mkdir()
    (triage / "summary.json").write_text(whole.summary.model_dump_json())
    assert load_score(tmp_path, slide, bundle, triage=True) is None


def test_what_people_and_programs_take_away_is_marked(
    slide: Slide, bundle: Bundle, score: SlideScore, whole: SlideScore, tmp_path: Path
) -> None:
    session = bundle.session_of("tile")
    table = pd.read_csv(write_export("csv", score, slide, session, tmp_path, "s"))
    assert set(table["answer"]) == {"Triage: Squamous-cell carcinoma"}
    assert table["triage"].str.startswith(f"64 of {len(whole.tiles)} tiles seen").all()
    assert "triage" not in pd.read_csv(write_export("csv", whole, slide, session, tmp_path, "w"))
    told = json.loads(write_export("geojson", score, slide, session, tmp_path, "s").read_text())
    assert f'"planned_tiles": {len(whole.tiles)}' in json.dumps(told)
    assert EXPORTS["report"].audience == "people"
    assert why_no_export("report", score, slide) == ""


def test_a_hospital_s_systems_get_no_triage(slide: Slide, bundle: Bundle, score: SlideScore, tmp_path: Path) -> None:
    session = bundle.session_of("tile")
    hospital = [kind for kind, export in EXPORTS.items() if export.audience == "hospital"]
    assert hospital
    for kind in hospital:
        with pytest.raises(SlideNotSuitable):
            write_export(kind, score, slide, session, tmp_path, "s")
    assert "This is a triage: 64 of" in why_no_export("fhir-r5", score, slide)
    with pytest.raises(SlideNotSuitable, match="64 of [0-9]+ tiles seen"):
        slide_bundle(score, slide, session.model)
    with pytest.raises(SlideNotSuitable, match="64 of [0-9]+ tiles seen"):
        write_objects(score, replace(slide, vendor="dicom"), session, tmp_path)
