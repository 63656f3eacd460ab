"""A slide head answers beside the rule, from the tiles that are accepted, and the same after any interruption."""

import json
from dataclasses import replace
from pathlib import Path
from threading import Event

import numpy as np
import pandas as pd
import pypdf
import pytest

from cervix.bundle import Bundle
from cervix.errors import Cancelled
from cervix.interop.exports import write_export
from cervix.slides.decision import decide_tiles
from cervix.slides.head import ATTENTION, HeadAnswer, agreement_of, ask_head, looked_at, tile_centres_um
from cervix.slides.head_layer import attention_layers
from cervix.slides.results import ROWS_NAME, RowJournal, load_score, order_of, result_dir, save_score
from cervix.slides.rows import EMBEDDING, Rows
from cervix.slides.scoring import SlidePlan, SlideScore, plan_slide, score_slide
from cervix.slides.triage import triage_slide
from cervix.sources.opening import open_slide
from cervix.sources.slide import Slide
from tests.bundle.made import HEAD_ID
from tests.bundle.made.tiles import NOVELTY_LIMIT

SPACING_UM_PX = 0.5


@pytest.fixture(scope="module")
def slide(four_class_slide: Path) -> Slide:
    return open_slide(four_class_slide)


@pytest.fixture(scope="module")
def plan(slide: Slide, head_bundle: Bundle) -> SlidePlan:
    return plan_slide(slide, head_bundle)


@pytest.fixture(scope="module")
def score(slide: Slide, head_bundle: Bundle, plan: SlidePlan) -> SlideScore:
    return score_slide(slide, head_bundle, plan=plan)


def head_of(score: SlideScore) -> HeadAnswer:
    assert score.summary.head is not None
    return score.summary.head


def same_answer(one: SlideScore, other: SlideScore) -> bool:
    return one.summary.head == other.summary.head and one.tiles[ATTENTION].equals(other.tiles[ATTENTION])


def test_it_answers_for_the_slide_and_says_how_that_stands_to_the_rule(score: SlideScore, head_bundle: Bundle) -> None:
    head, model = head_of(score), head_bundle.manifest.model(HEAD_ID)
    assert head.model_id == HEAD_ID
    assert head.tiles == score.summary.answer.accepted_tiles == 40
    assert sum(head.probabilities.values()) == pytest.approx(1)
    assert head.called
    assert head.sentence(score.summary.answer) == (
        "Looking head: calls carcinoma. Probability of carcinoma more than 99 %, from 40 accepted tiles; the head calls a "
        "slide from 50 %. It agrees with the rule."
    )
    assert list(head.probabilities) == model.class_ids


@pytest.mark.parametrize(
    ("probability", "words"),
    [(0.0, "less than 1 %"), (0.004, "less than 1 %"), (0.5, "50 %"), (0.996, "more than 99 %"), (1.0, "more than 99 %")],
)
def test_it_is_never_told_to_be_certain(score: SlideScore, probability: float, words: str) -> None:
    assert f"Probability of carcinoma {words}, from" in head_of(score).model_copy(update={"probability": probability}).figures


def test_attention_is_a_share_of_the_slide_that_lies_on_carcinoma(score: SlideScore) -> None:
    attention = score.tiles[ATTENTION]
    assert (attention >= 0).all()
    assert attention.sum() == pytest.approx(1, abs=1e-5)
    malignant = score.tiles["p_invasive-squamous"] > 0.5
    assert attention[malignant].sum() > 0.6 > malignant.mean()
    assert looked_at(score.tiles).max() == 1


def test_it_is_told_where_tiles_lie_in_micrometres(score: SlideScore, head_bundle: Bundle) -> None:
    centres = tile_centres_um(score.tiles, SPACING_UM_PX)
    assert centres[0].tolist() == [56.0, 56.0]
    told = head_bundle.session(HEAD_ID).run(
        {"embeddings": score.rows[EMBEDDING].astype(np.float32), "positions": centres}, ["focus", "attention"]
    )
    # The bands of both carcinomas lie in the right half of 896 µm.
    assert 448 < told["focus"][0, 0] < 896
    assert told["focus"][0] == pytest.approx(told["attention"] @ centres, rel=1e-4)


def test_tiles_that_are_not_recognised_are_not_given_to_it(score: SlideScore, head_bundle: Bundle) -> None:
    strange = score.tiles["p_invasive-squamous"] > 0.5
    tiles = score.tiles.assign(novelty=score.tiles["novelty"].where(~strange, np.float32(NOVELTY_LIMIT + 1)))
    head, attention = ask_head(
        head_bundle, tiles, score.rows, decide_tiles(tiles, head_bundle.session_of("tile").model), SPACING_UM_PX
    )
    assert head.tiles == 40 - strange.sum()
    assert np.isnan(attention[strange]).all()
    assert np.nansum(attention) == pytest.approx(1, abs=1e-5)


def test_a_slide_without_an_answer_has_none_from_the_head_either(score: SlideScore, head_bundle: Bundle) -> None:
    tiles = score.tiles.assign(novelty=np.float32(NOVELTY_LIMIT + 1))
    answer = decide_tiles(tiles, head_bundle.session_of("tile").model)
    head, attention = ask_head(head_bundle, tiles, score.rows, answer, SPACING_UM_PX)
    assert head.called is None
    assert not head.probabilities
    assert head.sentence(answer) == "Looking head: no answer. The slide has no answer, so the head was not asked."
    assert agreement_of(answer, head) == "open"
    assert np.isnan(attention).all()


def test_numbers_that_are_none_are_no_answer(score: SlideScore, head_bundle: Bundle) -> None:
    rows = score.rows.copy()
    rows[EMBEDDING][3, 7] = np.nan
    head, attention = ask_head(head_bundle, score.tiles, rows, score.summary.answer, SPACING_UM_PX)
    assert head.called is None
    assert "cannot be used" in head.reason
    assert np.isnan(attention).all()


@pytest.mark.parametrize(
    ("verdict", "probability", "expected"),
    [
        ("cancer", 0.9, "agrees"), ("cancer", 0.1, "differs"), ("no-cancer", 0.1, "agrees"), ("no-cancer", 0.5, "differs"),
        ("undecided", 0.9, "open"), ("cancer", None, "open"),
    ],
)  # fmt: skip
def test_both_agree_where_they_call_the_same(
    score: SlideScore, verdict: str, probability: float | None, expected: str
) -> None:  # fmt: skip
    head = head_of(score).model_copy(update={"probability": probability})
    assert agreement_of(score.summary.answer.model_copy(update={"verdict": verdict}), head) == expected


def interrupted(slide: Slide, bundle: Bundle, plan: SlidePlan, journal: RowJournal) -> None:
    """Score two batches and stop, as a server that ends."""
    stop, kept = Event(), []
    with journal.appending(journal.finished) as append:

        def keep(rows: Rows) -> None:
            append(rows)
            kept.append(rows)
            if len(kept) == 2:
                stop.set()

        with pytest.raises(Cancelled):
            score_slide(slide, bundle, plan=plan, finished=journal.finished, keep=keep, cancel=stop)


def test_embeddings_survive_an_interruption_and_a_row_cut_short(
    slide: Slide, head_bundle: Bundle, plan: SlidePlan, score: SlideScore, tmp_path: Path
) -> None:
    folder = result_dir(tmp_path, slide.sha256, head_bundle.sha256)
    journal = RowJournal(folder, order_of(slide, head_bundle, plan), head_bundle)
    interrupted(slide, head_bundle, plan, journal)
    written = folder / ROWS_NAME
    # The last bytes of a row are those of its embedding.
    written.write_bytes(written.read_bytes()[:-100])
    finished = journal.finished
    assert 0 < len(finished) < len(score.tiles)
    with journal.appending(finished) as append:
        again = score_slide(slide, head_bundle, plan=plan, finished=finished, keep=append)
    assert again.summary.timings.resumed_tiles == len(finished)
    assert same_answer(again, score)
    assert (journal.finished[EMBEDDING] == score.rows[EMBEDDING]).all()


def test_a_kept_score_is_found_with_its_answer_and_attention(
    slide: Slide, head_bundle: Bundle, score: SlideScore, tmp_path: Path
) -> None:
    save_score(tmp_path, score)
    found = load_score(tmp_path, slide, head_bundle)
    assert found is not None
    assert same_answer(found, score)
    assert (found.rows[EMBEDDING] == score.rows[EMBEDDING]).all()


def test_a_triage_asks_no_head_and_says_so_and_the_rest_goes_on_in_its_rows(
    slide: Slide, head_bundle: Bundle, plan: SlidePlan, score: SlideScore, monkeypatch: pytest.MonkeyPatch
) -> None:
    # So that a slide of 40 tiles is triaged at all.
    monkeypatch.setattr("cervix.slides.sweep.FIRST_LOOK_TILES", 16)
    triaged = triage_slide(slide, head_bundle, plan=plan)
    assert triaged.summary.triage is not None
    assert ATTENTION not in triaged.tiles
    assert head_of(triaged).reason.startswith("A triage sees a part of the tiles")
    assert head_of(triaged).called is None
    whole = score_slide(slide, head_bundle, plan=plan, finished=triaged.rows)
    assert whole.summary.timings.resumed_tiles == len(triaged.rows)
    assert head_of(whole).called
    assert whole.tiles[ATTENTION].to_numpy() == pytest.approx(score.tiles[ATTENTION].to_numpy(), abs=1e-3)


def test_a_bundle_without_a_head_keeps_no_embedding(four_class_bundle: Bundle, slide: Slide, plan: SlidePlan) -> None:
    without = score_slide(slide, four_class_bundle, plan=plan)
    assert EMBEDDING not in (without.rows.dtype.names or ())
    assert without.summary.head is None
    assert ATTENTION not in without.tiles


def test_a_score_without_attention_looks_nowhere(score: SlideScore) -> None:
    silent = replace(score, tiles=score.tiles.assign(attention=np.float32(np.nan)))
    assert pd.isna(looked_at(silent.tiles)).all()


def test_attention_is_a_layer_in_grey_where_the_head_was_given_nothing(score: SlideScore) -> None:
    left_out = score.tiles["x_l0_px"] < 448
    tiles = score.tiles.assign(attention=score.tiles[ATTENTION].where(~left_out))
    (layer,) = attention_layers(tiles, "v").values()
    assert layer.under is not None
    assert (layer.under.opacity[:, :2] > 0).all()
    assert (layer.under.opacity[:, 2:] == 0).all()
    assert (layer.opacity[:, :2] == 0).all()
    assert layer.opacity[:, 4].max() == layer.opacity.max() > 0, "the band of squamous carcinoma"
    assert attention_layers(score.tiles.assign(attention=np.float32(np.nan)), "v") == {}
    assert attention_layers(score.tiles.drop(columns=ATTENTION), "v") == {}


def test_exports_carry_attention_and_name_the_answer_of_the_head(
    slide: Slide, score: SlideScore, head_bundle: Bundle, tmp_path: Path
) -> None:
    session, sentence = head_bundle.session_of("tile"), head_of(score).sentence(score.summary.answer)

    def written(kind: str) -> Path:
        return write_export(kind, score, slide, session, tmp_path, "slide")

    table = pd.read_parquet(written("parquet"))
    assert table[ATTENTION].sum() == pytest.approx(1, abs=1e-5)
    assert set(table["head"]) == {sentence}
    assert pd.read_csv(written("csv"))[ATTENTION].tolist() == pytest.approx(table[ATTENTION].tolist(), rel=1e-5)
    document = json.loads(written("geojson").read_text(encoding="utf-8"))
    assert document["provenance"]["head"] == sentence
    told = [feature["properties"]["measurements"]["Attention"] for feature in document["features"]]
    assert told == pytest.approx(table[ATTENTION].tolist(), abs=1e-7)
    report = "".join(page.extract_text() for page in pypdf.PdfReader(written("report")).pages)
    assert "Looking head: calls carcinoma" in " ".join(report.split())
    assert json.loads(score.summary.model_dump_json())["head"]["model_id"] == HEAD_ID
