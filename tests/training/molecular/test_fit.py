"""Choosing and fitting on drawn tumours: nothing of a held-out tumour is used, and chance stays chance."""

import numpy as np
import pytest

pytestmark = pytest.mark.training

from training.molecular.data import of_one_place  # noqa: E402
from training.molecular.fit import (  # noqa: E402
    Settings,
    aurocs,
    fit_answer,
    folds_by_hospital,
    ranked_markers,
    sensitive_threshold,
)
from training.molecular.gaussian import fit_joint  # noqa: E402

SETTINGS = Settings((2, 4), (0.3, 1.0), 3.0, 0.2, 3)


def drawn(markers: int = 30, tumours: int = 150, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    glandular = rng.random(tumours) < 0.3
    logs = rng.normal(6, 1, (tumours, markers))
    logs[:, 3] += 3.0 * glandular
    logs[:, 7] -= 2.0 * glandular
    return logs, glandular, rng.integers(0, 15, tumours).astype(str)


def test_auroc_of_a_column_is_the_share_of_pairs_in_order() -> None:
    values, glandular = np.array([[1.0], [2.0], [2.0], [4.0]]), np.array([False, False, True, True])
    assert aurocs(values, glandular)[0] == pytest.approx(3.5 / 4)


def test_markers_are_ranked_by_what_they_separate_and_the_rare_ones_are_left_out() -> None:
    logs, glandular, _ = drawn()
    logs[:, 3] = np.where(np.arange(len(logs)) % 10 == 0, logs[:, 3], 0.0)
    allowed = np.ones(30, bool)
    allowed[7] = False
    ranked = ranked_markers(logs, glandular, allowed, SETTINGS)
    assert {3, 7}.isdisjoint(ranked)
    assert len(ranked) == 28
    assert ranked_markers(drawn()[0], glandular, np.ones(30, bool), SETTINGS)[:2].tolist() == [3, 7]


def test_folds_keep_hospitals_whole_and_hold_out_every_tumour_once() -> None:
    logs, glandular, hospitals = drawn()
    held_out = []
    for train, test in folds_by_hospital(glandular, hospitals, 5, 0):
        assert set(hospitals[train]).isdisjoint(hospitals[test])
        held_out.extend(test.tolist())
    assert sorted(held_out) == list(range(len(logs)))


def test_the_answer_separates_new_tumours_and_rests_on_the_markers_that_differ() -> None:
    answer = fit_answer(*drawn(), np.ones(30, bool), SETTINGS, seed=0, sensitivity=0.95)
    assert {3, 7} <= set(answer.places.tolist())
    logs, glandular, _ = drawn(seed=5)
    assert aurocs(answer.probability(logs)[:, None], glandular)[0] > 0.95


def test_a_column_that_is_not_allowed_is_never_chosen() -> None:
    allowed = np.ones(30, bool)
    allowed[3] = False
    assert 3 not in fit_answer(*drawn(), allowed, SETTINGS, seed=0, sensitivity=0.95).places


@pytest.mark.parametrize(("sensitivity", "expected"), [(1.0, 0.1), (0.95, 0.1), (0.8, 0.5), (0.2, 0.9)])
def test_the_threshold_is_the_highest_that_finds_enough(sensitivity: float, expected: float) -> None:
    probability = np.array([0.1, 0.5, 0.6, 0.7, 0.9, 0.99])
    glandular = np.array([True, True, True, True, True, False])
    assert sensitive_threshold(probability, glandular, sensitivity) == expected


def test_a_usual_tumour_is_about_one_away_however_many_markers_are_known() -> None:
    logs, _, _ = drawn(tumours=600)
    joint = fit_joint(logs)
    half = np.where(np.arange(30) % 2 == 0, logs, np.nan)
    for given in (logs, half):
        assert joint.solved(given)[1].mean() == pytest.approx(1.0, abs=0.1)
    assert joint.solved(np.full((1, 30), np.nan))[1].tolist() == [0.0]


@pytest.mark.parametrize(
    ("name", "alone"), [("hsa-mir-205", True), ("hsa-mir-194-2", False), ("hsa-let-7a-1", False), ("hsa-let-7i", True)]
)
def test_precursors_of_several_places_are_told_by_their_last_number(name: str, alone: bool) -> None:
    assert of_one_place(np.array([name])).tolist() == [alone]
