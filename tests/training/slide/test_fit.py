"""An epoch shows every source image equally often, and the loss is the one of the textbook."""

import numpy as np
import pytest

pytestmark = pytest.mark.training
pytest.importorskip("tensorflow", reason="training needs TensorFlow, which the app's environment has not")

from sklearn.metrics import log_loss as reference_log_loss  # noqa: E402

from training.shared.calibrate import log_loss  # noqa: E402
from training.slide.fit import draw_epoch, standardisation  # noqa: E402

GROUPS = np.array(["a"] * 6 + ["b"] * 2 + ["c"])


def test_every_source_image_is_drawn_equally_often_however_many_copies_it_has() -> None:
    position, version = draw_epoch(GROUPS, 3, 2, np.random.default_rng(0))
    assert sorted(GROUPS[position]) == ["a", "a", "b", "b", "c", "c"]
    assert set(version) <= {0, 1, 2}


def test_a_tile_is_not_drawn_twice_in_the_same_version_while_there_are_others() -> None:
    for seed in range(20):
        drawn = list(zip(*draw_epoch(GROUPS, 3, 3, np.random.default_rng(seed)), strict=True))
        assert len(set(drawn)) == len(drawn)


def test_a_source_image_with_too_few_tiles_repeats_them() -> None:
    position, _ = draw_epoch(GROUPS, 1, 3, np.random.default_rng(0))
    assert (GROUPS[position] == "c").sum() == 3


def test_epochs_differ_and_the_same_seed_gives_the_same_epochs() -> None:
    def two_epochs(seed: int) -> list[list[int]]:
        rng = np.random.default_rng(seed)
        return [draw_epoch(GROUPS, 3, 2, rng)[0].tolist() for _ in range(2)]

    first, second = two_epochs(1)
    assert first != second
    assert two_epochs(1) == [first, second]


def test_over_many_epochs_every_version_of_every_tile_is_seen() -> None:
    rng = np.random.default_rng(0)
    seen = {pair for _ in range(200) for pair in zip(*draw_epoch(GROUPS, 3, 2, rng), strict=True)}
    assert len(seen) == len(GROUPS) * 3


def test_the_loss_is_that_of_scikit_learn_also_for_extreme_logits() -> None:
    logits = np.random.default_rng(0).normal(0, 3, (50, 3)).astype(np.float32)
    target = np.arange(50) % 3
    probabilities = np.exp(logits.astype(np.float64)) / np.exp(logits.astype(np.float64)).sum(axis=1, keepdims=True)
    assert log_loss(logits, target) == pytest.approx(reference_log_loss(target, probabilities), rel=1e-5)
    assert log_loss(np.array([[1000.0, 0.0]], np.float32), np.array([1])) == pytest.approx(1000.0)


def test_a_channel_that_hardly_varies_is_not_blown_up() -> None:
    features = np.random.default_rng(0).normal(5, 2, (100, 4)).astype(np.float32)
    features[:, 2] = 1.0
    centre, spread = standardisation(features)
    np.testing.assert_allclose(centre, features.mean(axis=0))
    assert spread[2] == pytest.approx(0.1 * np.median(features.std(axis=0)))
