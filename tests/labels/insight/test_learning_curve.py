"""The live learning curve learns what there is to learn, from nobody's own slide, and never says more than the labels do."""

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import balanced_accuracy_score

from cervix.bundle import Bundle
from cervix.errors import EvaluationError
from cervix.intervals import wilson_interval
from cervix.labels import LabelStore, Score
from cervix.labels.insight.embedded import embedded_labels, folds, small_model
from cervix.labels.insight.learning_curve import balanced_accuracy, bundle_calls, learning_curve
from cervix.labels.store.cases import Scorer
from tests.labels.making import BUNDLE, TILES, adjudicate, label

CLASSES = np.array(["ac", "benign", "scc"])


def labelled(count: int = 150, groups: int = 10, *, apart: float = 6.0, seed: int = 0) -> tuple[pd.DataFrame, np.ndarray]:
    """So many cases of so many slides in three clouds so far apart."""
    rng = np.random.default_rng(seed)
    kind = rng.integers(3, size=count)
    table = pd.DataFrame({"label": CLASSES[kind], "group_id": [f"slide {number % groups}" for number in range(count)]})
    return table, (rng.normal(size=(count, 16)) + apart * np.eye(3, 16)[kind]).astype(np.float32)


def test_what_can_be_told_apart_is_learned_from_few_labels() -> None:
    curve = learning_curve(*labelled())
    assert curve.labels[-1] == curve.cases == 150
    assert list(curve.labels) == sorted(set(curve.labels))
    assert curve.scores[-1].value == 1
    assert curve.scores[-1].low < 0.95, "fifty tiles of ten slides prove less than a bootstrap of them would say"
    assert (curve.groups, curve.whole_groups, curve.classes) == (10, True, ("ac", "benign", "scc"))
    assert curve.model is None


def test_labels_drawn_by_lot_teach_nothing() -> None:
    table, _ = labelled(240)
    noise = np.random.default_rng(1).normal(size=(240, 16))
    for score in learning_curve(table, noise).scores:
        assert score.low < 1 / 3 < score.high


def test_the_last_point_is_the_cross_validation_of_all_labels() -> None:
    table, embeddings = labelled(apart=1.0)
    names, truth = np.unique(table["label"], return_inverse=True)
    predicted = np.empty(len(truth), int)
    for taught, held in folds(truth, table["group_id"].to_numpy(str))[0]:
        predicted[held] = small_model().fit(embeddings[taught].astype(float), truth[taught]).predict(embeddings[held])
    assert len(names) == 3
    assert learning_curve(table, embeddings).scores[-1].value == pytest.approx(balanced_accuracy_score(truth, predicted))


@pytest.mark.parametrize("groups", [2, 7, 40])
def test_no_slide_is_on_both_sides_and_every_case_is_tested_once(groups: int) -> None:
    table, _ = labelled(groups=groups)
    label_, slide = np.unique(table["label"], return_inverse=True)[1], table["group_id"].to_numpy(str)
    parts, whole = folds(label_, slide)
    assert whole
    assert len(parts) == min(5, groups)
    for taught, held in parts:
        assert not set(slide[taught]) & set(slide[held])
    assert sorted(np.concatenate([held for _, held in parts])) == list(range(150))


def test_a_single_slide_is_cut_and_said_to_be() -> None:
    curve = learning_curve(*labelled(groups=1), np.full(150, "scc"))
    assert (curve.groups, curve.whole_groups) == (1, False)
    assert curve.gain is None


def test_a_class_on_one_slide_only_is_not_tested_by_a_model_that_never_saw_it() -> None:
    table, embeddings = labelled(groups=3)
    table = table.assign(group_id=table["label"])
    assert not learning_curve(table, embeddings).whole_groups


def test_the_first_labels_teach_first() -> None:
    table, embeddings = labelled(300, apart=4.0)
    wrong_first = table.copy()
    wrong_first.loc[:99, "label"] = np.roll(table["label"].to_numpy()[:100], 1)
    early = learning_curve(table, embeddings)
    late = learning_curve(wrong_first, embeddings)
    assert late.scores[2].value < early.scores[2].value - 0.2
    assert late.scores[-1].value > late.scores[2].value


def test_the_curve_begins_where_every_class_has_been_seen() -> None:
    table, embeddings = labelled()
    order = np.argsort(table["label"].to_numpy() == "scc", kind="stable")
    curve = learning_curve(table.iloc[order].reset_index(drop=True), embeddings[order])
    assert curve.labels[0] > (table["label"] != "scc").sum()


def test_the_bundles_own_answers_stand_beside_the_curve_on_the_same_cases() -> None:
    table, embeddings = labelled()
    calls = table["label"].to_numpy(str).copy()
    calls[::3] = "scc"
    curve = learning_curve(table, embeddings, calls)
    assert curve.model.value == pytest.approx(balanced_accuracy_score(table["label"], calls))
    assert curve.gain.value == pytest.approx(1 - curve.model.value)
    assert 0 < curve.gain.low < curve.gain.value < curve.gain.high


def test_a_class_with_too_few_labels_is_left_out_and_counted() -> None:
    table, embeddings = labelled()
    rare = table["label"].where(table["label"] != "ac", "benign")
    rare[[3, 50]] = "ac"
    curve = learning_curve(table.assign(label=rare), embeddings)
    assert (curve.classes, curve.left_out, curve.cases) == (("benign", "scc"), 2, 148)


@pytest.mark.parametrize(("count", "found"), [(0, "none"), (12, "found ")])
def test_too_few_labels_are_refused_with_how_many_are_needed(count: int, found: str) -> None:
    table, embeddings = labelled()
    with pytest.raises(EvaluationError, match=f"expected 20, and two classes with 5 each; .*{found}"):
        learning_curve(table[:count], embeddings[:count])


def test_progress_is_told() -> None:
    told: list[tuple[int, int]] = []
    curve = learning_curve(*labelled(60), on_progress=lambda done, total: told.append((done, total)))
    assert told == [(at + 1, len(curve.labels)) for at in range(len(curve.labels))]


def test_balanced_accuracy_of_one_class_is_wilsons_interval_at_its_groups() -> None:
    right = np.array([True] * 8 + [False] * 2)
    groups = np.repeat([f"g{number}" for number in range(5)], 2)
    assert balanced_accuracy(right, np.zeros(10, int), groups) == pytest.approx(wilson_interval(8, 10, effective_n=5))


def test_the_interval_holds_the_truth_as_often_as_it_says() -> None:
    rng = np.random.default_rng(0)
    truth, classes, groups = np.array([0.95, 0.8]), np.repeat([0, 1], 40), np.arange(80).astype(str)
    intervals = [balanced_accuracy(rng.random(80) < truth[classes], classes, groups) for _ in range(600)]
    held = np.mean([found.low <= truth.mean() <= found.high for found in intervals])
    assert 0.93 <= held <= 0.98


def scored(store: LabelStore) -> LabelStore:
    embedding = np.arange(4, dtype=np.float32)
    store.add_scores(
        Score(case, model, BUNDLE, "1.0.0", {"benign": 0.7, "scc": 0.2, "ac": 0.1}, embedding + number)
        for number, case in enumerate(TILES[:3])
        for model in ("slide", "another")
    )
    store.add_scores([Score(TILES[3], "slide", BUNDLE, "1.0.0", {"benign": 1.0})])
    return store


def test_labels_meet_their_embeddings_in_the_order_in_which_they_became_true(store: LabelStore) -> None:
    scored(store)
    for case, said in ((2, "scc"), (0, "benign"), (3, "scc"), (1, "ac"), (8, "ac")):
        label(store, TILES[case], "A", said)
    label(store, TILES[0], "B", "scc")
    adjudicate(store, TILES[2], "ac")
    label(store, TILES[5], "A", "unsure")
    found = embedded_labels(store, Scorer(BUNDLE, "1.0.0", "slide"), "tile")
    assert found.table["case_id"].tolist() == [TILES[1], TILES[2]]
    assert found.table["label"].tolist() == ["ac", "ac"]
    assert found.embeddings[:, 0].tolist() == [1, 2]
    assert found.without == 2
    nothing = embedded_labels(store, Scorer("0" * 64, "1.0.0", "slide"), "tile")
    assert (len(nothing.table), nothing.without) == (0, 4)


def test_a_bundles_call_is_the_probable_class_of_a_tile_and_its_threshold_for_a_woman(bundle: Bundle) -> None:
    tiles = pd.DataFrame({"probabilities": [{"benign": 0.2, "scc": 0.7, "ac": 0.1}, {"benign": 0.9, "scc": 0.1}]})
    assert bundle_calls(bundle, tiles, "tile").tolist() == ["scc", "benign"]
    model = bundle.session("history").model
    limit = model.threshold(model.main_task.id)
    women = pd.DataFrame({"probabilities": [{"no": 1 - p, "yes": p} for p in (limit, limit * 0.9)]})
    assert bundle_calls(bundle, women, "patient").tolist() == ["yes", "no"]
    assert bundle_calls(bundle, women[:0], "patient") is None
