"""Scores as people read them: their order, their words, the file, and the frequencies beside them."""

import io
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from cervix import RESEARCH_NOTICE
from cervix.bundle import Bundle, ModelSession
from cervix.errors import BundleError
from cervix.molecular.answers import in_order_of_doubt, learned_from, marker_words, probability_words, scores_csv
from cervix.molecular.charts import added_figure, markers_figure
from cervix.molecular.context import context_of
from cervix.molecular.reading import MarkerTable, read_markers
from cervix.molecular.scoring import MolecularScores, explained, markers_of, score_markers
from cervix.patients.golden import prove_bundle
from cervix.provenance import provenance_of
from tests.bundle.made.tumours import ANSWER, KEY, MODEL_ID, THRESHOLD, drawn_tumours, sample_csv

Scored = tuple[MarkerTable, MolecularScores]


@pytest.fixture(scope="module")
def bundle(molecular_root: Path) -> Bundle:
    return prove_bundle(molecular_root, device="cpu")


@pytest.fixture(scope="module")
def scored(session: ModelSession) -> Scored:
    """The sample, whose second tumour has none of the key markers and a name that a spreadsheet would run."""
    frame = pd.read_csv(io.BytesIO(sample_csv(drawn_tumours()[0])))
    frame.loc[1, list(KEY)] = np.nan
    frame.loc[1, "tumour"] = "=1+1"
    table = read_markers(frame.to_csv(index=False).encode(), markers_of(session))
    return table, score_markers(table, session)


def test_tumours_without_an_answer_stand_first_then_those_nearest_to_the_threshold(
    scored: Scored, session: ModelSession
) -> None:
    order = in_order_of_doubt(scored[1], session.model)
    assert order[0] == 1
    p = scored[1].frame["p_ac"].to_numpy(np.float64)[order[1:]]
    distance = np.abs(np.log(p / (1 - p)) - np.log(THRESHOLD / (1 - THRESHOLD)))
    assert (np.diff(distance) >= -1e-3).all()
    assert sorted(order) == list(range(len(p) + 1))


@pytest.mark.parametrize(("value", "words"), [(0.004, "under 1 %"), (0.5, "50 %"), (0.991, "over 99 %"), (0.01, "1 %")])
def test_no_probability_is_told_as_certain(value: float, words: str) -> None:
    assert probability_words(value) == words


def test_the_file_carries_notice_provenance_n_and_no_formula(scored: Scored, session: ModelSession, bundle: Bundle) -> None:
    content = scores_csv(*scored, session.model, markers_of(session), provenance_of(bundle, MODEL_ID))
    told = pd.read_csv(io.BytesIO(content), keep_default_na=True)
    assert (told["notice"] == RESEARCH_NOTICE).all()
    assert (told["bundle_sha256"] == bundle.sha256).all()
    assert (told["tumours_in_file"] == len(told)).all()
    assert (told["learned_from"] == learned_from(session.model)).all()
    assert told["tumour"][1] == "'=1+1"
    odds = told["log_odds_midway"] + told[[f"adds_{name}" for name in ANSWER]].sum(axis=1)
    answered = told["p_ac"].notna()
    assert np.allclose(1 / (1 + np.exp(-odds[answered])), told["p_ac"][answered], atol=1e-4)
    assert told.loc[1, [f"adds_{name}" for name in ANSWER]].isna().all(), "no answer, so nothing was added to one"


def test_each_marker_is_drawn_against_both_kinds_and_one_that_is_missing_says_so(scored: Scored, session: ModelSession) -> None:
    parts = explained(*scored, 1, markers_of(session))
    figure = markers_figure(parts, markers_of(session).encoding, session.model.classes, "This tumour")
    assert {trace.name for trace in figure.data if trace.name} == {"SCC", "AC", "This tumour"}
    assert sum("not measured" in text for text in figure.layout.yaxis.ticktext) == len(KEY)
    medians = next(trace for trace in figure.data if trace.name == "AC")
    first = next(marker for marker in markers_of(session).encoding if marker.name == parts["marker"][0])
    assert medians.x[0] == pytest.approx(np.log10(first.cohort["ac"][2] + 1))


def test_bars_of_both_directions_hold_what_was_added(scored: Scored, session: ModelSession) -> None:
    parts = explained(*scored, 0, markers_of(session))
    kinds = {item.id: item for item in session.model.classes}
    figure = added_figure(parts, {True: kinds["ac"], False: kinds["scc"]})
    shown = np.concatenate([trace.x for trace in figure.data])
    assert shown.sum() == pytest.approx(parts["log_odds"].sum(), abs=1e-4)


def test_a_marker_is_called_as_people_call_it() -> None:
    assert marker_words("hsa-mir-205") == "miR-205"
    assert marker_words("hsa-let-7a") == "let-7a"


def test_frequencies_stand_by_kind_with_n_and_source(bundle: Bundle) -> None:
    context = context_of(bundle, bundle.manifest.model(MODEL_ID))
    assert context is not None
    assert context.frame.loc["KRAS mutated", "glandular"] == "9 of 44: 20.5 % (11.2–34.5)"
    assert context.said.endswith("Source: Drawn.")


def test_a_bundle_without_frequencies_has_none(bundle: Bundle) -> None:
    model = bundle.manifest.model(MODEL_ID)
    bare = model.model_copy(update={"evaluation": model.measured.model_copy(update={"tables": []})})
    assert context_of(bundle, bare) is None


def test_frequencies_of_another_form_are_refused(bundle: Bundle) -> None:
    model = bundle.manifest.model(MODEL_ID)
    other = model.tables[0].model_copy(update={"file": model.markers.sample if model.markers else ""})
    odd = model.model_copy(update={"evaluation": model.measured.model_copy(update={"tables": [other]})})
    with pytest.raises(BundleError, match="gene or HPV type"):
        context_of(bundle, odd)
