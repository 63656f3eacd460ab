"""A map that marks what the scorer looks at passes both checks, and one that marks something else fails them."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray
from PIL import Image

from training.slide.checks.cam import DELETED_SHARES, cam_table, deletion_curve, map_correlation
from training.slide.checks.robustness import Scorer

CELL_PX = 16
CORNER_CELLS = 4
NAMES = (
    "lung_n/lungn2256.jpeg",
    "lung_aca/lungaca2684.jpeg",
    "lung_scc/lungscc1473.jpeg",
    "lung_scc/lungscc3213.jpeg",
)
GROUPS = np.array(["a", "b", "c", "c"])
Maps = NDArray[np.float32]
Corner = tuple[int, int]
TOP_LEFT, BOTTOM_RIGHT = (0, 0), (13, 13)


@pytest.fixture(scope="module")
def pixels(data_dir: Path) -> NDArray[np.uint8]:
    """Four real tiles of three source images."""
    found = []
    for name in NAMES:
        with Image.open(data_dir / "tiles/lc25000_lung" / name) as image:
            found.append(np.asarray(image.convert("RGB")))
    return np.stack(found)


def away_from(corner: Corner) -> NDArray[np.float64]:
    """Distance of each cell of the 14 x 14 map from a corner, in cells along the longer side."""
    rows, columns = np.indices((14, 14))
    return np.maximum(np.abs(rows - corner[0]), np.abs(columns - corner[1])).astype(float)


def detail(pixels: NDArray[np.uint8], corner: Corner) -> NDArray[np.float64]:
    """Mean step between neighbouring pixels in 4 x 4 cells of one corner: what blurring takes away."""
    rows, columns = (slice(0, 64) if start == 0 else slice(160, 224) for start in corner)
    return np.abs(np.diff(pixels[:, rows, columns].astype(float), axis=2)).mean(axis=(1, 2, 3))


def looks_at(corner: Corner, cam: NDArray[np.float64], whole: NDArray[np.uint8]) -> Scorer:
    """A scorer that sees only the detail in one corner of ``whole`` tiles, and whose map is always ``cam``.

    ``cam`` is one map for all tiles, or one a tile; that of the other class just counts the cells.
    """
    at_first = detail(whole, corner)

    def score(pixels: NDArray[np.uint8]) -> dict[str, NDArray[np.float32]]:
        seen = np.clip(detail(pixels, corner) / at_first, 0, 1) * 0.9
        probabilities = np.stack([1 - seen, seen], axis=1).astype(np.float32)
        both = np.broadcast_arrays(np.arange(196.0).reshape(14, 14), cam, np.empty((len(pixels), 14, 14)))[:2]
        return {"probabilities": probabilities, "cam": np.stack(both, axis=1).astype(np.float32)}

    return score


def marks(corner: Corner) -> NDArray[np.float64]:
    """Highest in a corner, falling towards the opposite one."""
    return 14 - away_from(corner)


def figures(pixels: NDArray[np.uint8], score: Scorer, randomised: Scorer | None = None) -> dict[str, float]:
    """The four figures by the first words of their row."""
    table = cam_table(pixels, np.resize(GROUPS, len(pixels)), score, randomised or score, seed=3)
    names = ("correlation", "marked", "random", "gain")
    return {name: float(cell.split()[0]) for name, cell in zip(names, table["figure"], strict=True)}


class TestCorrelation:
    @pytest.fixture
    def maps(self) -> Maps:
        return np.random.default_rng(0).random((40, 14, 14)).astype(np.float32)

    def test_a_map_agrees_with_itself_and_with_anything_that_rises_with_it(self, maps: Maps) -> None:
        np.testing.assert_allclose(map_correlation(maps, maps), 1)
        np.testing.assert_allclose(map_correlation(maps, np.exp(5 * maps)), 1)
        np.testing.assert_allclose(map_correlation(maps, -maps), -1)

    def test_independent_maps_correlate_near_0(self, maps: Maps) -> None:
        others = np.random.default_rng(1).random((40, 14, 14)).astype(np.float32)
        found = map_correlation(maps, others)
        assert found.shape == (40,)
        assert abs(found.mean()) < 0.05
        assert np.abs(found).max() < 0.3

    def test_a_flat_map_agrees_with_nothing_on_either_side(self, maps: Maps) -> None:
        flat = np.ones_like(maps)
        for pair in ((flat, maps), (maps, flat), (flat, flat)):
            np.testing.assert_array_equal(map_correlation(*pair), 0)

    def test_each_pair_is_compared_on_its_own(self, maps: Maps) -> None:
        mixed = maps[:3].copy()
        mixed[1] = 0
        mixed[2] *= -1
        np.testing.assert_allclose(map_correlation(maps[:3], mixed), [1, 0, -1])


class TestDeletion:
    def test_the_cells_first_in_order_are_blurred_and_the_others_left_as_they_are(self, pixels: NDArray[np.uint8]) -> None:
        seen: list[NDArray[np.uint8]] = []

        def record(changed: NDArray[np.uint8]) -> dict[str, NDArray[np.float32]]:
            seen.append(changed.copy())
            return {"probabilities": np.full((len(changed), 2), 0.5, np.float32)}

        order = np.stack([np.random.default_rng(index).permutation(196) for index in range(4)])
        deletion_curve(pixels, order, np.zeros(4, np.int64), record)
        assert len(seen) == len(DELETED_SHARES)
        for changed, share in zip(seen, DELETED_SHARES, strict=True):
            assert (changed.shape, changed.dtype) == (pixels.shape, np.uint8)
            touched = (changed != pixels).any(axis=3).reshape(4, 14, CELL_PX, 14, CELL_PX).any(axis=(2, 4)).reshape(4, 196)
            for tile, cells in enumerate(order):
                assert set(np.flatnonzero(touched[tile])) == set(cells[: round(196 * share)])

    def test_erasing_keeps_the_colour_and_takes_the_detail(self, pixels: NDArray[np.uint8]) -> None:
        seen: list[NDArray[np.uint8]] = []

        def record(changed: NDArray[np.uint8]) -> dict[str, NDArray[np.float32]]:
            seen.append(changed)
            return {"probabilities": np.full((len(changed), 2), 0.5, np.float32)}

        from_the_top_left = np.tile(np.argsort(away_from(TOP_LEFT).ravel(), kind="stable"), (4, 1))
        deletion_curve(pixels, from_the_top_left, np.zeros(4, np.int64), record)
        corner = (slice(None), slice(0, 64), slice(0, 64))
        assert np.abs(seen[-1][corner].mean(axis=(1, 2)) - pixels[corner].mean(axis=(1, 2))).max() < 10
        assert (detail(seen[-1], TOP_LEFT) < 0.2 * detail(pixels, TOP_LEFT)).all()

    def test_the_curve_is_the_probability_of_the_target_of_each_tile(self, pixels: NDArray[np.uint8]) -> None:
        score = looks_at(TOP_LEFT, marks(TOP_LEFT), pixels)
        order = np.tile(np.arange(196), (4, 1))
        seen = deletion_curve(pixels, order, np.ones(4, np.int64), score)
        unseen = deletion_curve(pixels, order, np.zeros(4, np.int64), score)
        assert seen.shape == (4, len(DELETED_SHARES))
        np.testing.assert_allclose(seen + unseen, 1, atol=1e-6)
        assert (np.diff(seen, axis=1) <= 0.01).all()
        assert (seen[:, -1] < 0.3).all()


class TestTable:
    @pytest.mark.parametrize("corner", [TOP_LEFT, BOTTOM_RIGHT], ids=["top left", "bottom right"])
    def test_marking_the_corner_that_the_scorer_looks_at_gains_much(self, pixels: NDArray[np.uint8], corner: Corner) -> None:
        found = figures(pixels, looks_at(corner, marks(corner), pixels))
        assert found["gain"] > 0.3
        assert found["marked"] < 0.2 < 0.5 < found["random"]

    @pytest.mark.parametrize(("looked_at", "marked"), [(TOP_LEFT, BOTTOM_RIGHT), (BOTTOM_RIGHT, TOP_LEFT)])
    def test_marking_the_opposite_corner_does_worse_than_chance(
        self, pixels: NDArray[np.uint8], looked_at: Corner, marked: Corner
    ) -> None:
        found = figures(pixels, looks_at(looked_at, marks(marked), pixels))
        assert found["gain"] < -0.1
        assert found["marked"] > 0.8

    @pytest.mark.parametrize("corner", [TOP_LEFT, BOTTOM_RIGHT], ids=["top left", "bottom right"])
    def test_a_map_of_noise_gains_nothing(self, pixels: NDArray[np.uint8], corner: Corner) -> None:
        many = np.tile(pixels, (4, 1, 1, 1))
        noise = np.random.default_rng(5).random((len(many), 14, 14))
        assert abs(figures(many, looks_at(corner, noise, many))["gain"]) < 0.1

    @pytest.mark.parametrize("corner", [TOP_LEFT, BOTTOM_RIGHT], ids=["top left", "bottom right"])
    def test_a_map_that_marks_nothing_gains_nothing(self, pixels: NDArray[np.uint8], corner: Corner) -> None:
        """A rectified map is 0 over most of a tile; which of these cells goes first must not depend on where it lies."""
        many = np.tile(pixels, (4, 1, 1, 1))
        assert abs(figures(many, looks_at(corner, np.zeros((14, 14)), many))["gain"]) < 0.1

    def test_the_gain_is_the_difference_of_the_two_means(self, pixels: NDArray[np.uint8]) -> None:
        found = figures(pixels, looks_at(TOP_LEFT, marks(TOP_LEFT), pixels))
        assert found["gain"] == pytest.approx(found["random"] - found["marked"], abs=0.0011)

    def test_the_map_is_that_of_the_class_the_scorer_is_for(self, pixels: NDArray[np.uint8]) -> None:
        score = looks_at(TOP_LEFT, marks(TOP_LEFT), pixels)

        def with_the_other_map_turned(tiles: NDArray[np.uint8]) -> dict[str, NDArray[np.float32]]:
            found = score(tiles)
            return found | {"cam": found["cam"] * np.array([-1, 1], np.float32)[:, None, None]}

        assert (score(pixels)["probabilities"].argmax(axis=1) == 1).all()
        assert figures(pixels, with_the_other_map_turned) == figures(pixels, score)

    def test_equal_weights_give_a_correlation_of_1_and_other_maps_their_own(self, pixels: NDArray[np.uint8]) -> None:
        score = looks_at(TOP_LEFT, marks(TOP_LEFT), pixels)
        noise = looks_at(TOP_LEFT, np.random.default_rng(5).random((14, 14)), pixels)
        flat = looks_at(TOP_LEFT, np.zeros((14, 14)), pixels)
        opposite = looks_at(TOP_LEFT, -marks(TOP_LEFT), pixels)
        assert figures(pixels, score)["correlation"] == 1
        assert abs(figures(pixels, score, noise)["correlation"]) < 0.2
        assert figures(pixels, score, flat)["correlation"] == 0
        assert figures(pixels, score, opposite)["correlation"] == -1

    def test_every_figure_says_what_it_should_be_and_of_how_many(self, pixels: NDArray[np.uint8]) -> None:
        score = looks_at(TOP_LEFT, marks(TOP_LEFT), pixels)
        table: pd.DataFrame = cam_table(pixels, GROUPS, score, score, seed=3)
        assert set(table["n"]) == {"4 tiles, 3 source images"}
        assert table["should be"].str.len().min() > 0
        assert table["figure"].str.fullmatch(r"-?\d\.\d{3} \(-?\d\.\d{3}–-?\d\.\d{3}\)").all()

    def test_the_seed_decides_the_random_cells(self, pixels: NDArray[np.uint8]) -> None:
        score = looks_at(TOP_LEFT, marks(TOP_LEFT), pixels)
        first, again, other = (cam_table(pixels, GROUPS, score, score, seed)["figure"].tolist() for seed in (3, 3, 4))
        assert first == again
        assert first[:2] == other[:2]
        assert first[2:] != other[2:]
