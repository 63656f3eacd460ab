"""Slide and microRNA are joined by folds that leave a hospital out on both levels, and silence stays silence."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from training.molecular.data import Cohort
from training.molecular.fit import folds_by_hospital
from training.molecular_slide.folds import MolecularFolds, molecular_folds
from training.molecular_slide.fusion import Fused, dealt_anew, fuse
from training.molecular_slide.pairs import PairsRefused

N, FOLDS, MARKERS = 48, 3, 8
TOLD = {"penalty": 1.0, "each_kind_at_least": 3}
MOLECULAR: dict[str, Any] = {
    "seed": 5,
    "model": {"marker_counts": [2], "penalties": [0.3], "least_rpm": 1.0, "expressed_share": 0.2, "inner_folds": 2},
    "novelty": {"markers": 3, "least_median_rpm": 1.0, "kept_share": 0.97, "inner_folds": 2},
    "evaluation": {"repeats": 1, "folds": FOLDS, "sensitivity_inside": 0.95},
}
RNG = np.random.default_rng(0)
GLANDULAR = np.arange(N) % 3 == 0
RPM = np.exp2(8 + RNG.normal(0, 1, (N, MARKERS)) - 2 * GLANDULAR[:, None] * (np.arange(MARKERS) < 2))
COHORT = Cohort(
    patients=np.array([f"P{number}" for number in range(N)]), cases=np.array([f"T{number:03d}" for number in range(N)]),
    markers=np.array([f"hsa-mir-{20 + number}" for number in range(MARKERS)]), rpm=RPM, glandular=GLANDULAR,
    hospitals=np.array([f"H{number // 4}" for number in range(N)]), hpv=np.full(N, "none"), ages=np.full(N, 50.0),
    histology=np.full(N, "drawn"), others={},
)  # fmt: skip


@pytest.fixture(scope="module")
def folds() -> MolecularFolds:
    return MolecularFolds(**molecular_folds(COHORT, MOLECULAR, 2))


@pytest.fixture(scope="module")
def slide() -> NDArray[np.float64]:
    """A witness that is right four times in five."""
    rng = np.random.default_rng(1)
    return np.where(GLANDULAR, 1.0, -1.0) * np.where(rng.random(N) < 0.2, -1, 1) + rng.normal(0, 0.5, N)


def joined(folds: MolecularFolds, slide: NDArray[np.float64]) -> Fused:
    return fuse(COHORT, folds, slide, TOLD, 0.95)


def test_neither_level_knows_anything_of_the_hospitals_left_out(folds: MolecularFolds) -> None:
    left_out = folds.fold_of[0] == 1
    rest = left_out.copy()
    rest[asked := np.flatnonzero(left_out & ~np.isnan(folds.logits[0]))[0]] = False
    rng = np.random.default_rng(2)
    other = MolecularFolds(
        **molecular_folds(replace(COHORT, rpm=np.where(rest[:, None], rng.permuted(RPM), RPM)), MOLECULAR, 2)
    )
    assert other.logits[0, asked] == folds.logits[0, asked]
    assert np.array_equal(other.fold_of, folds.fold_of)
    assert np.isnan(folds.inner_logits[0, 1, left_out]).all()
    assert np.array_equal(other.inner_logits[0, 1], folds.inner_logits[0, 1], equal_nan=True)
    assert not np.array_equal(other.inner_logits[0, 0], folds.inner_logits[0, 0], equal_nan=True)
    assert not np.array_equal(other.logits[0], folds.logits[0], equal_nan=True)


def test_an_inner_answer_knows_nothing_of_the_tumours_own_hospital(folds: MolecularFolds) -> None:
    train = np.flatnonzero(folds.fold_of[0] != 0)
    _, asked = next(folds_by_hospital(GLANDULAR[train], COHORT.hospitals[train], 2, MOLECULAR["seed"]))
    one, beside = train[asked][0], train[asked][-1]
    rpm = RPM.copy()
    rpm[beside] = rpm[beside, ::-1]
    other = MolecularFolds(**molecular_folds(replace(COHORT, rpm=rpm), MOLECULAR, 2))
    assert other.inner_logits[0, 0, one] == folds.inner_logits[0, 0, one]


def test_hospitals_stand_in_one_fold(folds: MolecularFolds) -> None:
    for hospital in set(COHORT.hospitals.tolist()):
        assert len(set(folds.fold_of[0, COHORT.hospitals == hospital].tolist())) == 1


def test_the_slides_of_hospitals_left_out_teach_the_fusion_nothing(folds: MolecularFolds, slide: NDArray[np.float64]) -> None:
    left_out = np.flatnonzero(folds.fold_of[0] == 2)
    moved = slide.copy()
    moved[left_out[1:]] = -50.0
    before, after = joined(folds, slide), joined(folds, moved)
    for name in ("slide", "joined"):
        one = [getattr(of, name).probability[0, left_out[0]] for of in (before, after)]
        assert one[0] == one[1]


def test_two_witnesses_are_better_than_one(folds: MolecularFolds, slide: NDArray[np.float64]) -> None:
    fused = joined(folds, slide)
    of = fused.both_answer

    def loss(probability: NDArray[np.float64]) -> float:
        return float(-np.log(np.where(GLANDULAR, probability, 1 - probability)[of]).mean())

    losses = [loss(held.probability[0]) for held in (fused.joined, fused.molecular, fused.slide)]
    assert losses[0] < min(losses[1:])


def test_where_one_is_silent_the_other_answers_and_where_both_are_nobody_does(
    folds: MolecularFolds, slide: NDArray[np.float64]
) -> None:
    answered = np.flatnonzero(~np.isnan(folds.logits[0]))
    quiet = slide.copy()
    quiet[answered[:2]] = np.nan
    logits = folds.logits.copy()
    logits[0, answered[1:3]] = np.nan
    fused = joined(replace(folds, logits=logits), quiet)
    slide_gone, both_gone, microrna_gone = answered[:3]
    assert fused.either.probability[0, slide_gone] == fused.molecular.probability[0, slide_gone]
    assert fused.either.called[0, slide_gone] == fused.molecular.called[0, slide_gone]
    assert fused.either.probability[0, microrna_gone] == fused.slide.probability[0, microrna_gone]
    assert np.isnan(fused.either.probability[0, both_gone])
    assert not fused.either.called[0, both_gone]
    assert not fused.both_answer[answered[:3]].any()


def test_slides_are_dealt_out_among_those_that_answer_within_their_group() -> None:
    slide = np.array([1.0, np.nan, 2.0, 3.0, 4.0, np.nan])
    group = np.array([0, 0, 0, 1, 1, 1])
    seen = {tuple(dealt_anew(slide, group, np.random.default_rng(seed))[[0, 2, 3, 4]]) for seed in range(20)}
    assert seen == {(1, 2, 3, 4), (2, 1, 3, 4), (1, 2, 4, 3), (2, 1, 4, 3)}
    assert np.isnan(dealt_anew(slide, group, np.random.default_rng(0))[[1, 5]]).all()


def test_slides_that_hardly_answer_are_refused_and_not_fitted(folds: MolecularFolds, slide: NDArray[np.float64]) -> None:
    few = np.where(np.arange(N) < 6, slide, np.nan)
    with pytest.raises(PairsRefused, match="too few pairs of a kind: expected at least 3 of each kind"):
        joined(folds, few)
