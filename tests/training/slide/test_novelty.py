"""Novelty is the Mahalanobis distance to the nearest class, and its limit errs towards hearing the model on tissue."""

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.spatial.distance import mahalanobis
from scipy.stats import norm
from sklearn.covariance import LedoitWolf

from training.slide.novelty import Novelty, acceptance_limit, fit_novelty

CENTRES = np.array([[0, 0, 0, 0, 0, 0], [8, 0, 0, 0, 0, 0], [0, 0, 8, 0, 0, 0]], np.float32)
SHARE = 0.9
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


class TestLimit:
    @pytest.fixture(scope="class")
    def held_out(self) -> tuple[NDArray[np.float64], NDArray[np.str_]]:
        """150 distances of 40 source images of unequal size; tiles of one image are alike."""
        rng = np.random.default_rng(1)
        groups = np.sort(rng.integers(0, 40, 150))
        return rng.normal(20, 3, 40)[groups] + rng.normal(0, 0.5, 150), groups.astype(str)

    def test_at_least_the_share_of_the_distances_that_it_was_set_on_is_accepted(
        self, held_out: tuple[NDArray[np.float64], NDArray[np.str_]]
    ) -> None:
        distances, groups = held_out
        limit = acceptance_limit(distances, groups, SHARE)
        assert (distances <= limit).mean() >= SHARE
        assert np.quantile(distances, SHARE) < limit <= distances.max()

    def test_a_larger_share_needs_a_larger_limit(self, held_out: tuple[NDArray[np.float64], NDArray[np.str_]]) -> None:
        low, middle, high = (acceptance_limit(*held_out, share) for share in (0.5, 0.8, 0.95))
        assert low < middle < high

    def test_it_is_the_same_every_time(self, held_out: tuple[NDArray[np.float64], NDArray[np.str_]]) -> None:
        assert acceptance_limit(*held_out, SHARE) == acceptance_limit(*held_out, SHARE)

    def test_the_order_of_the_tiles_does_not_matter(self, held_out: tuple[NDArray[np.float64], NDArray[np.str_]]) -> None:
        order = np.random.default_rng(1).permutation(150)
        shuffled = acceptance_limit(*(values[order] for values in held_out), SHARE)
        assert shuffled == pytest.approx(acceptance_limit(*held_out, SHARE))

    def test_copies_within_a_source_image_add_no_certainty(
        self, held_out: tuple[NDArray[np.float64], NDArray[np.str_]]
    ) -> None:
        distances, groups = held_out
        once = acceptance_limit(distances, groups, SHARE)
        copied = acceptance_limit(np.repeat(distances, 6), np.repeat(groups, 6), SHARE)
        naive = acceptance_limit(np.repeat(distances, 6), np.arange(900).astype(str), SHARE)
        assert copied == pytest.approx(once, abs=0.1)  # the quantile's interpolation moves a little
        assert naive < once - 0.5

    def test_it_equals_a_plain_loop_over_the_same_draws(self, held_out: tuple[NDArray[np.float64], NDArray[np.str_]]) -> None:
        distances, groups = held_out
        names = sorted(set(groups))
        rng = np.random.default_rng(0)
        quantiles = []
        for _ in range(1000):
            drawn = [names[index] for index in rng.integers(len(names), size=len(names))]
            quantiles.append(np.quantile([d for name in drawn for d in distances[groups == name]], SHARE))
        assert acceptance_limit(distances, groups, SHARE) == pytest.approx(np.quantile(quantiles, 0.95))

    def test_new_tissue_of_the_same_kind_is_accepted_as_promised_far_more_often_than_by_the_plain_quantile(self) -> None:
        rng = np.random.default_rng(6)
        promised_at = norm.ppf(SHARE, 20, 3)
        by_limit, by_quantile = 0, 0
        for _ in range(12):
            distances = rng.normal(20, 3, 80)
            by_limit += acceptance_limit(distances, np.arange(80).astype(str), SHARE) >= promised_at
            by_quantile += np.quantile(distances, SHARE) >= promised_at
        assert by_limit >= by_quantile + 4
