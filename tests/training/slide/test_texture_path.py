"""The second path learns what is there, folds its standardisation away, and stays modest where there is little to learn."""

import numpy as np
from scipy.special import softmax

from training.slide.texture_path import fit_linear_path


def test_classes_that_a_shifted_and_scaled_feature_tells_apart_are_told_apart() -> None:
    rng = np.random.default_rng(0)
    target = rng.integers(0, 3, 600)
    features = rng.normal(size=(600, 5))
    features[:, 2] += 4 * (target == 1)
    features[:, 3] += 4 * (target == 2)
    path = fit_linear_path(features * [1, 1, 1000, 0.001, 1] + [0, 0, 5e4, -7, 0], target)
    logits = path.logits(features * [1, 1, 1000, 0.001, 1] + [0, 0, 5e4, -7, 0])
    assert (logits.argmax(axis=1) == target).mean() > 0.9
    assert path.kernel.shape == (5, 3)
    assert path.kernel.dtype == np.float32


def test_pure_noise_gives_answers_near_the_class_shares() -> None:
    rng = np.random.default_rng(1)
    features, target = rng.normal(size=(300, 20)), np.repeat([0, 1, 2], 100)
    spread = softmax(fit_linear_path(features, target).logits(rng.normal(size=(1000, 20))), axis=1)
    assert np.abs(spread - 1 / 3).mean() < 0.1
