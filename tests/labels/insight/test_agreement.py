"""Agreement is what the publications compute from their tables."""

import math

import numpy as np
import pytest

from cervix.errors import EvaluationError
from cervix.labels import LabelStore
from cervix.labels.insight.agreement import (
    all_readers,
    blinded_names,
    cohen_kappa,
    disputed,
    fleiss_kappa_of,
    pairs,
    readers,
    said_counts,
)
from tests.labels.making import TILES, adjudicate, label

FLEISS_1971 = np.array(
    [
        [0, 0, 0, 0, 14], [0, 2, 6, 4, 2], [0, 0, 3, 5, 6], [0, 3, 9, 2, 0], [2, 2, 8, 1, 1],
        [7, 7, 0, 0, 0], [3, 2, 6, 3, 0], [2, 5, 3, 2, 2], [6, 5, 2, 1, 0], [0, 2, 2, 3, 7],
    ]
)  # fmt: skip
"""Ten subjects, fourteen raters, five categories: kappa 0.210 (the worked example in wide use)."""
COHEN_1960 = np.array([[88, 14, 18], [10, 40, 10], [2, 6, 12]])
"""Cohen's first table, in two hundredths: kappa 0.492."""


def test_fleiss_kappa_is_that_of_the_worked_example() -> None:
    kappa = fleiss_kappa_of(FLEISS_1971)
    assert kappa.interval.value == pytest.approx(0.210, abs=5e-4)
    assert kappa.agreed_share == pytest.approx(0.378, abs=5e-4)
    assert (kappa.cases, kappa.readers) == (10, 14)
    assert -0.1 < kappa.interval.low < 0.210 < kappa.interval.high < 0.6


def test_cohens_kappa_is_that_of_the_publication() -> None:
    kappa = cohen_kappa(COHEN_1960)
    assert kappa.interval.value == pytest.approx(0.492, abs=5e-4)
    assert kappa.agreed_share == pytest.approx(0.70)
    assert kappa.cases == 200


def test_cohens_interval_follows_the_large_sample_variance() -> None:
    share = COHEN_1960 / COHEN_1960.sum()
    first, second = share.sum(axis=1), share.sum(axis=0)
    observed, chance = np.trace(share), first @ second
    kappa = (observed - chance) / (1 - chance)
    diagonal = sum(share[i, i] * (1 - (first[i] + second[i]) * (1 - kappa)) ** 2 for i in range(3))
    crossed = np.add.outer(second, first)
    off = (1 - kappa) ** 2 * sum(share[i, j] * crossed[i, j] ** 2 for i in range(3) for j in range(3) if i != j)
    variance = (diagonal + off - (kappa - chance * (1 - kappa)) ** 2) / (200 * (1 - chance) ** 2)
    half = 1.959964 * math.sqrt(variance)
    found = cohen_kappa(COHEN_1960).interval
    assert found == pytest.approx((kappa, kappa - half, kappa + half), abs=0.015)
    assert kappa - found.low > found.high - kappa, "agreement of 70 % leaves more room below than above"
    # Of ten thousand times the cases it is symmetric, and no narrower: it counts no more cases than there are.
    many = cohen_kappa(COHEN_1960 * 10_000).interval
    assert many.high - kappa == pytest.approx(kappa - many.low, rel=0.01)
    assert half / 100 <= many.high - kappa < 1.1 * half / 100


def test_full_agreement_is_one_and_a_single_class_has_no_kappa() -> None:
    assert cohen_kappa(np.diag([5, 5])).interval.value == 1
    assert fleiss_kappa_of(np.array([[3, 0], [0, 3], [3, 0]])).interval.value == 1
    assert math.isnan(cohen_kappa(np.diag([5, 0])).interval.value)
    assert math.isnan(fleiss_kappa_of(np.array([[3, 0], [3, 0]])).interval.value)


@pytest.mark.parametrize("counts", [np.zeros((0, 3), int), np.array([[1, 0], [0, 1]]), np.array([[2, 0], [2, 1]])])
def test_fleiss_kappa_of_unequal_reads_is_refused(counts: np.ndarray) -> None:
    with pytest.raises(EvaluationError, match="equally many labels of each case"):
        fleiss_kappa_of(counts)


def test_two_readers_with_nothing_in_common_have_no_kappa() -> None:
    with pytest.raises(EvaluationError, match="no case in common"):
        cohen_kappa(np.zeros((2, 2), int))


@pytest.fixture
def read(store: LabelStore) -> LabelStore:
    said = {"A": "bbssaabbss", "B": "bbssabbbss", "C": "bbsb"}
    classes = {"b": "benign", "s": "scc", "a": "ac"}
    for reader, letters in said.items():
        for case, letter in zip(TILES, letters, strict=False):
            label(store, case, reader, classes[letter], seconds_taken=1.8)
    label(store, TILES[10], "A", "skip", seconds_taken=60)
    label(store, TILES[10], "B", "unsure", seconds_taken=1.8)
    return store


def test_every_pair_of_readers_has_its_kappa(read: LabelStore) -> None:
    table = pairs(read.reads("tile")).set_index(["first", "second"])
    assert table["cases"].to_dict() == {("A", "B"): 10, ("A", "C"): 4, ("B", "C"): 4}
    # Observed 0.9; by chance 0.4 * 0.5 + 0.4 * 0.4 + 0.2 * 0.1 = 0.38.
    assert table.loc[("A", "B"), "kappa"] == pytest.approx((0.9 - 0.38) / (1 - 0.38))
    assert (table["low"] <= table["kappa"]).all()
    assert (table["high"] <= 1).all()


def test_all_readers_are_compared_on_cases_with_as_many_labels(read: LabelStore) -> None:
    kappa = all_readers(read.reads("tile"))
    assert (kappa.cases, kappa.readers) == (6, 2)


def test_without_a_second_read_there_is_no_agreement(store: LabelStore) -> None:
    label(store, TILES[0], "A", "scc")
    assert all_readers(store.reads()) is None
    assert pairs(store.reads()).empty
    assert disputed(store.reads(), store.truths()).empty
    row = readers(store.reads(), store.truths()).iloc[0]
    assert (row["labels"], row["compared"]) == (1, 0)
    assert math.isnan(row["right_share"])
    assert readers(store.reads("patient"), store.truths("patient")).empty


def test_readers_are_counted_timed_and_compared_with_the_truth(read: LabelStore) -> None:
    adjudicate(read, TILES[5], "ac")
    table = readers(read.reads(), read.truths()).set_index("reader")
    assert table.loc["A", ["labels", "unsure", "skipped", "compared"]].tolist() == [10, 0, 1, 9]
    assert table.loc["A", "per_hour"] == pytest.approx(2000)
    assert table.loc["A", "right_share"] == 1
    assert table.loc["B", "right_share"] == pytest.approx(8 / 9)
    assert table.loc["B", "low"] < 8 / 9 < table.loc["B", "high"]


def test_disputed_cases_are_listed_with_what_each_reader_said(read: LabelStore) -> None:
    table = disputed(read.reads(), read.truths())
    assert table["case_id"].tolist() == [TILES[3], TILES[5]]
    assert table.loc[0, ["A", "B", "C"]].tolist() == ["scc", "scc", "benign"]
    adjudicate(read, TILES[3], "scc")
    assert disputed(read.reads(), read.truths())["case_id"].tolist() == [TILES[5]]


def test_a_dispute_is_summed_up_and_told_without_names(read: LabelStore) -> None:
    counts = said_counts(disputed(read.reads(), read.truths()))
    assert list(counts) == [TILES[3], TILES[5]]
    assert counts[TILES[3]] == {"scc": 2, "benign": 1}
    names = [blinded_names(case, ["A", "B", "C"]) for case in TILES]
    assert all(set(of.values()) == {"Reader 1", "Reader 2", "Reader 3"} for of in names)
    assert len({of["A"] for of in names}) > 1, "the number of a reader says nothing over several cases"
    assert names == [blinded_names(case, ["C", "B", "A"]) for case in TILES]


@pytest.mark.parametrize(
    ("counts", "said"),
    [
        (np.diag([5, 0]), "kappa is not defined"),
        (np.array([[0, 1], [0, 1]]), "Based on 2 cases only"),
        (np.array([[14, 1], [0, 14]]), "Based on 29 cases only"),
        (np.diag([15, 15]), ""),
        (np.array([[12, 4], [4, 12]]), "too wide to call agreement good or poor"),
        (np.array([[140, 10], [10, 140]]), ""),
    ],
)
def test_a_kappa_that_says_little_says_so(counts: np.ndarray, said: str) -> None:
    caution = cohen_kappa(counts).caution
    assert said in caution
    assert bool(caution) == bool(said)


@pytest.mark.parametrize(("prevalence", "right"), [(0.5, 0.95), (0.15, 0.95)])
def test_a_kappa_without_a_caution_holds_the_true_one_nineteen_times_in_twenty(prevalence: float, right: float) -> None:
    """Draws of two readers who are each right so often; the interval once missed the true kappa up to 28 times in a hundred."""
    chances = [np.array([right, 1 - right]), np.array([1 - right, right])]
    joint = sum(share * np.outer(reads, reads) for share, reads in zip((1 - prevalence, prevalence), chances, strict=True))
    by_chance = (joint.sum(axis=0) ** 2).sum()
    true = (np.trace(joint) - by_chance) / (1 - by_chance)
    rng = np.random.default_rng(0)
    for n in (5, 20, 30, 50, 100, 300):
        found = [cohen_kappa(rng.multinomial(n, joint.ravel()).reshape(2, 2)) for _ in range(80)]
        relied_on = [kappa.interval for kappa in found if not kappa.caution]
        missed = sum(not interval.low <= true <= interval.high for interval in relied_on)
        # A rate of 5 % reaches 10 of 80 in less than 1 % of such runs.
        assert missed < 10, f"{missed} of {len(relied_on)} at {n}"
        assert n >= 30 or not relied_on


def test_full_agreement_of_few_is_not_proof_of_full_agreement() -> None:
    for kappa in (cohen_kappa(np.diag([15, 15])), fleiss_kappa_of(np.array([[3, 0]] * 15 + [[0, 3]] * 15))):
        assert kappa.interval.value == pytest.approx(1)
        assert kappa.interval.high == pytest.approx(1)
        assert 0.6 < kappa.interval.low < 0.9
