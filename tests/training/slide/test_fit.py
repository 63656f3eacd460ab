"""An epoch shows tiles by their weights, and the loss is the one of the textbook."""

import numpy as np
import pytest

pytestmark = pytest.mark.training
pytest.importorskip("tensorflow", reason="training needs TensorFlow, which the app's environment has not")

from sklearn.metrics import log_loss as reference_log_loss  # noqa: E402

from training.shared.calibrate import log_loss  # noqa: E402
from training.slide.fit import draw_epoch, smoothed, standardisation  # noqa: E402


def test_tiles_are_drawn_by_their_weights_and_versions_alike() -> None:
    position, version = draw_epoch(np.array([3.0, 1.0, 0.0]), 4, 8000, np.random.default_rng(0))
    np.testing.assert_allclose(np.bincount(position, minlength=3) / 8000, [0.75, 0.25, 0], atol=0.02)
    np.testing.assert_allclose(np.bincount(version) / 8000, 0.25, atol=0.02)


def test_epochs_differ_and_the_same_seed_gives_the_same_epochs() -> None:
    def two_epochs(seed: int) -> list[list[int]]:
        rng = np.random.default_rng(seed)
        return [draw_epoch(np.ones(9), 3, 20, rng)[0].tolist() for _ in range(2)]

    first, second = two_epochs(1)
    assert first != second
    assert two_epochs(1) == [first, second]


def test_a_noisy_label_is_believed_less_and_a_tile_of_no_class_says_nothing() -> None:
    found = smoothed(np.array([1, 1, -1]), np.array([0.0, 0.2, 0.0]), 4)
    np.testing.assert_allclose(found, [[0, 1, 0, 0], [0.05, 0.85, 0.05, 0.05], [0.25] * 4], atol=1e-6)


def test_the_loss_is_that_of_scikit_learn_also_for_extreme_logits() -> None:
    logits = np.random.default_rng(0).normal(0, 3, (50, 3)).astype(np.float32)
    target = np.arange(50) % 3
    probabilities = np.exp(logits.astype(np.float64)) / np.exp(logits.astype(np.float64)).sum(axis=1, keepdims=True)
    assert log_loss(logits, target) == pytest.approx(reference_log_loss(target, probabilities), rel=1e-5)
    weights = np.arange(50.0)
    weighed = reference_log_loss(target, probabilities, sample_weight=weights)
    assert log_loss(logits, target, weights) == pytest.approx(weighed, rel=1e-5)
    assert log_loss(np.array([[1000.0, 0.0]], np.float32), np.array([1])) == pytest.approx(1000.0)


def test_a_channel_that_hardly_varies_is_not_blown_up() -> None:
    features = np.random.default_rng(0).normal(5, 2, (100, 4)).astype(np.float32)
    features[:, 2] = 1.0
    centre, spread = standardisation(features)
    np.testing.assert_allclose(centre, features.mean(axis=0))
    assert spread[2] == pytest.approx(0.1 * np.median(features.std(axis=0)))
