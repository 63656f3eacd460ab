"""A copy is found however it was turned; a drawn tile is none."""

import numpy as np
import pytest

from training.slide.drawn.copies import copies_table, nearest_distances
from training.slide.rehearsal import orientations


@pytest.fixture
def tiles() -> np.ndarray:
    return np.random.default_rng(3).integers(0, 256, (6, 32, 32, 3), np.uint8)


def test_a_turned_and_mirrored_copy_has_no_distance(tiles: np.ndarray) -> None:
    for seen in orientations(tiles[2:3]):
        assert nearest_distances(seen, tiles)[0] == pytest.approx(0, abs=0.01)


def test_eight_positions_are_all_different(tiles: np.ndarray) -> None:
    assert len({seen.tobytes() for seen in orientations(tiles[:1])}) == 8


def test_the_distance_is_the_root_mean_square_in_grey_levels(tiles: np.ndarray) -> None:
    dark, light = np.full((1, 32, 32, 3), 90, np.uint8), np.full((1, 32, 32, 3), 100, np.uint8)
    assert nearest_distances(dark, np.concatenate([light, tiles])) == pytest.approx([10.0])


def test_the_table_sets_drawn_tiles_beside_real_ones_and_names_a_copy() -> None:
    real = np.random.default_rng(4).integers(0, 256, (8, 64, 64, 3), np.uint8)
    table = copies_table(real[:4], real[3:], np.array(["scc"] * 3 + ["ac"] * 2), seed=1).set_index("what")
    assert table.loc["real, held out: scc", "smallest"] == 0, "one of them stands in training too"
    drawn = table[table.index.str.startswith("drawn")]
    assert len(drawn) == 4
    assert (drawn["smallest"] > 10).all()
    assert table.loc["real, held out: ac", "n"] == 2
