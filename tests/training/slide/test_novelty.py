"""A tile is refused for its Mahalanobis distance to known tissue or for doubt, within limits of laboratories left out."""

from typing import ClassVar

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.spatial.distance import mahalanobis
from sklearn.covariance import LedoitWolf

from training.slide.novelty import Novelty, Refusal, RefusalLimits, doubt, fit_limits, fit_novelty

CENTRES = np.array([[0, 0, 0, 0, 0, 0], [8, 0, 0, 0, 0, 0], [0, 0, 8, 0, 0, 0]], np.float32)
Labelled = tuple[NDArray[np.float32], NDArray[np.int64]]


@pytest.fixture(scope="module")
def labelled() -> Labelled:
    """240 features of three classes, correlated and of unequal spread."""
    rng = np.random.default_rng(2)
    target = rng.integers(0, 3, 240)
    mixing = rng.normal(size=(6, 6)) * np.array([0.2, 0.5, 1, 1, 2, 0.1])
    return (CENTRES[target] + rng.normal(size=(240, 6)) @ mixing).astype(np.float32), target


@pytest.fixture(scope="module")
def novelty(labelled: Labelled) -> Novelty:
    return fit_novelty(*labelled, classes=3)


@pytest.fixture(scope="module")
def others() -> NDArray[np.float32]:
    return np.random.default_rng(9).normal(scale=6, size=(40, 6)).astype(np.float32)


def to_each_centre(labelled: Labelled, others: NDArray[np.float32]) -> NDArray[np.float64]:
    """By the textbook: ``(n, classes)``."""
    features, target = (part.astype(np.float64) if part.dtype == np.float32 else part for part in labelled)
    centres = np.stack([features[target == index].mean(axis=0) for index in range(3)])
    precision = np.linalg.inv(LedoitWolf().fit(features - centres[target]).covariance_)
    return np.array([[mahalanobis(one, centre, precision) for centre in centres] for one in others])


class TestDistance:
    def test_it_is_scipys_mahalanobis_distance_to_the_nearest_centre(
        self, labelled: Labelled, novelty: Novelty, others: NDArray[np.float32]
    ) -> None:
        expected = to_each_centre(labelled, others)
        assert set(expected.argmin(axis=1)) == {0, 1, 2}
        np.testing.assert_allclose(novelty.distances(others), expected.min(axis=1), rtol=1e-3)
        assert np.ptp(expected.min(axis=1)) > 1

    def test_a_class_centre_is_not_new(self, labelled: Labelled, novelty: Novelty) -> None:
        features, target = labelled
        centres = np.stack([features[target == index].mean(axis=0) for index in range(3)])
        np.testing.assert_allclose(novelty.distances(centres), 0, atol=1e-3)
        assert novelty.distances(centres.mean(axis=0, keepdims=True))[0] > 1

    def test_a_step_where_tissue_hardly_varies_is_newer_than_the_same_step_where_it_does(
        self, labelled: Labelled, novelty: Novelty
    ) -> None:
        features, target = labelled
        within = features - np.stack([features[target == index].mean(axis=0) for index in range(3)])[target]
        spreads, directions = np.linalg.eigh(np.cov(within.T))
        centre = features[target == 0].mean(axis=0)
        narrow, wide = (novelty.distances((centre + directions[:, index])[None].astype(np.float32))[0] for index in (0, -1))
        assert spreads[-1] > 10 * spreads[0]
        assert narrow > 2 * wide

    def test_one_distance_a_tile_whatever_the_other_tiles(self, novelty: Novelty, others: NDArray[np.float32]) -> None:
        together = novelty.distances(others)
        assert together.shape == (40,)
        np.testing.assert_allclose([novelty.distances(one[None])[0] for one in others], together, rtol=1e-5)

    def test_what_is_exported_is_float32_of_the_features_size(self, novelty: Novelty) -> None:
        assert (novelty.whitening.shape, novelty.whitened_centres.shape) == ((6, 6), (3, 6))
        assert novelty.whitening.dtype == novelty.whitened_centres.dtype == np.float32

    def test_fewer_tiles_than_features_still_give_a_distance(self) -> None:
        rng = np.random.default_rng(0)
        features = rng.normal(size=(20, 50)).astype(np.float32)
        found = fit_novelty(features, np.arange(20) % 2, classes=2).distances(features + 5)
        assert np.isfinite(found).all()
        assert found.min() > 5


class TestLimits:
    """Two laboratories of 100 tiles; what is wrong is in doubt, and some of it far."""

    LABORATORY = np.repeat(["A", "B"], 100)
    DISTANCE = np.tile(np.arange(100.0), 2)
    DOUBTS = np.tile(np.arange(100) / 100, 2)
    GROUPS = np.arange(200).astype(str)
    SETTINGS: ClassVar = {"accepted_share": 0.8, "wrong_share": 0.1, "fewest_groups": 10}
    ALL = np.ones(200, bool)

    def limits(self, wrong: NDArray[np.bool_], shared: NDArray[np.bool_] | None = None) -> RefusalLimits:
        shared = self.ALL if shared is None else shared
        return fit_limits(self.DISTANCE, self.DOUBTS, shared, wrong, self.LABORATORY, self.GROUPS, self.SETTINGS)

    def test_the_share_of_every_laboratory_is_near_enough(self) -> None:
        far = np.where(self.LABORATORY == "B", self.DISTANCE + 50, self.DISTANCE)
        limit = fit_limits(far, self.DOUBTS, self.ALL, ~self.ALL, self.LABORATORY, self.GROUPS, self.SETTINGS).distance
        assert (far[100:] <= limit).mean() == pytest.approx(0.8)
        assert (far[:100] <= limit).all()

    def test_tissue_that_no_other_laboratory_has_does_not_widen_it(self) -> None:
        assert self.limits(~self.ALL, self.DISTANCE < 50).distance < 50

    def test_the_mean_over_laboratories_is_wrong_in_its_share_and_one_more_tile_would_be_too_many(self) -> None:
        wrong = (self.LABORATORY == "B") & (self.DOUBTS >= 0.4)
        found = self.limits(wrong)
        answered = (found.distance >= self.DISTANCE) & (found.doubt >= self.DOUBTS)
        assert (answered & wrong).sum() == 20, "a fifth of B's tiles and none of A's"
        assert found.doubt == pytest.approx(0.6)

    def test_a_laboratory_of_many_tiles_counts_like_one_of_few(self) -> None:
        wrong = (self.LABORATORY == "B") & (self.DOUBTS >= 0.4)
        few = (self.LABORATORY == "A") & (np.arange(200) % 10 > 0)
        assert self.limits(wrong, ~few).doubt == self.limits(wrong).doubt

    def test_mistakes_on_tissue_that_no_other_laboratory_has_set_no_limit(self) -> None:
        alone = self.LABORATORY == "B"
        assert self.limits(alone, ~alone).doubt == 1.0

    def test_a_laboratory_of_few_source_groups_sets_no_limit(self) -> None:
        wrong = self.LABORATORY == "B"
        few = np.where(wrong, "one", self.GROUPS)
        far = np.where(wrong, self.DISTANCE + 50, self.DISTANCE)
        found = fit_limits(far, self.DOUBTS, self.ALL, wrong, self.LABORATORY, few, self.SETTINGS)
        assert found.doubt == 1.0
        assert found.distance < 100

    def test_without_mistakes_no_doubt_is_too_much(self) -> None:
        assert self.limits(~self.ALL).doubt == 1.0


def test_doubt_is_of_answers_that_waver_and_of_other_tissue() -> None:
    signs = np.array([-1, 1, 1, 0], np.float32)
    answers = np.array([[0.98, 0.01, 0.01, 0.0], [0.5, 0.3, 0.2, 0.0], [0.05, 0.0, 0.05, 0.9], [0.0, 0.5, 0.5, 0.0]])
    np.testing.assert_allclose(doubt(answers, signs), [0.04, 1.0, 1.0, 0.0], atol=1e-6)


def test_a_tile_is_refused_for_distance_or_for_doubt(novelty: Novelty, labelled: Labelled) -> None:
    refusal = Refusal(novelty, np.array([-1, 1, 0], np.float32), doubt_scale=5.0)
    features = labelled[0][:2].astype(np.float32)
    features[1] += 40
    sure, unsure = np.array([[1.0, 0, 0]] * 2), np.array([[0.5, 0.5, 0]] * 2)
    np.testing.assert_allclose(refusal.values(features, sure), novelty.distances(features))
    assert refusal.values(features, unsure)[0] == pytest.approx(5.0)
    assert refusal.values(features, unsure)[1] > 5.0
