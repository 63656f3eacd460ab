"""Calibration finds the scale that the data were made with, and stays finite where the data are perfect."""

import numpy as np
import pytest
from scipy.special import expit, log_softmax, softmax

from training.shared.calibrate import fit_opinion_weights, fit_platt


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.5])
def test_the_temperature_of_the_data_is_found(temperature: float) -> None:
    rng = np.random.default_rng(0)
    logits = rng.normal(scale=3, size=(20_000, 3))
    probabilities = softmax(logits / temperature, axis=1)
    drawn = (probabilities.cumsum(axis=1) < rng.random((len(logits), 1))).sum(axis=1)
    assert fit_opinion_weights(logits[None], drawn) == pytest.approx([1 / temperature], rel=0.05)


def test_the_weights_of_two_classifiers_in_the_data_are_found() -> None:
    rng = np.random.default_rng(5)
    logits = rng.normal(scale=2, size=(2, 20_000, 3))
    probabilities = softmax(0.4 * logits[0] + 1.2 * logits[1], axis=1)
    drawn = (probabilities.cumsum(axis=1) < rng.random((20_000, 1))).sum(axis=1)
    assert fit_opinion_weights(logits, drawn) == pytest.approx([0.4, 1.2], rel=0.05)


def test_a_classifier_that_knows_nothing_gets_hardly_any_weight() -> None:
    rng = np.random.default_rng(6)
    true_class = rng.integers(0, 3, 5_000)
    informed = 2.0 * np.eye(3)[true_class] + rng.normal(size=(5_000, 3))
    weights = fit_opinion_weights(np.stack([informed, rng.normal(size=(5_000, 3))]), true_class)
    assert weights[0] > 1
    assert weights[1] < 0.1


def test_no_other_weight_explains_the_classes_better() -> None:
    rng = np.random.default_rng(1)
    logits, true_class = rng.normal(scale=4, size=(300, 3)), rng.integers(0, 3, 300)
    true_class[:200] = logits[:200].argmax(axis=1)
    best = fit_opinion_weights(logits[None], true_class)[0]

    def loss(weight: float) -> float:
        return float(-log_softmax(logits * weight, axis=1)[np.arange(300), true_class].mean())

    assert all(loss(best) <= loss(best * factor) for factor in (0.5, 0.9, 0.99, 1.01, 1.1, 2.0))


def test_perfect_logits_get_a_finite_weight() -> None:
    logits = np.eye(3)[[0, 1, 2] * 10] * 50
    assert 0 < fit_opinion_weights(logits[None], np.array([0, 1, 2] * 10))[0] < np.inf


def test_the_slope_and_intercept_of_the_data_are_found() -> None:
    rng = np.random.default_rng(2)
    logits = rng.normal(scale=2, size=40_000)
    slope, intercept = fit_platt(logits, rng.random(len(logits)) < expit(0.6 * logits - 1.5))
    assert slope == pytest.approx(0.6, abs=0.05)
    assert intercept == pytest.approx(-1.5, abs=0.05)


def test_at_the_optimum_the_mean_risk_is_the_mean_of_platts_targets() -> None:
    rng = np.random.default_rng(3)
    logits = rng.normal(size=167)
    positive = rng.random(167) < 0.1
    yes, no = int(positive.sum()), int((~positive).sum())
    target = np.where(positive, (yes + 1) / (yes + 2), 1 / (no + 2))
    slope, intercept = fit_platt(logits, positive)
    gap = expit(slope * logits + intercept) - target
    assert gap.mean() == pytest.approx(0, abs=1e-4)
    assert (gap * logits).mean() == pytest.approx(0, abs=1e-4)


def test_perfectly_separated_cases_still_get_a_risk_short_of_certainty() -> None:
    logits, positive = np.array([-3.0, -2.0, -1.0, 1.0, 2.0, 3.0]), np.array([False] * 3 + [True] * 3)
    slope, intercept = fit_platt(logits, positive)
    risk = expit(slope * logits + intercept)
    assert 0.05 < risk.min() < 0.5 < risk.max() < 0.95


def test_logits_that_point_the_wrong_way_get_a_negative_slope() -> None:
    logits = np.linspace(-2, 2, 50)
    assert fit_platt(logits, logits < 0)[0] < 0
