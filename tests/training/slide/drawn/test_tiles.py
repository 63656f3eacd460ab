"""Drawn tiles as a source among real ones: to train on, and for nothing else."""

import numpy as np
import pytest

from training.data.tissue.sources import SourceTiles, shared_tissue
from training.data.tissue.tiles import TileSet
from training.slide.drawn.tiles import DRAWN, with_drawn

SIZE_PX = 64


@pytest.fixture
def known() -> SourceTiles:
    tiles = TileSet(
        np.zeros((3, SIZE_PX, SIZE_PX, 3), np.uint8), np.array(["benign", "scc", "other"]), np.array(["a", "b", "c"]),
        np.array(["1", "2", "3"]), [],
    )  # fmt: skip
    return SourceTiles(
        tiles,
        np.array(["x"] * 3),
        np.array(["X"] * 3),
        np.array(["lung", "squamous carcinoma", "bone"]),
        np.array(["lung", "lung", "bone"]),
        np.ones(3),
        [],
    )


def recipe(tiles_per_class: int) -> dict[str, object]:
    return {"drawn": {"tiles_per_class": tiles_per_class}, "tiles": {"size_px": SIZE_PX}, "seed": 3}


def test_none_are_added_unless_asked_for(known: SourceTiles) -> None:
    assigned = np.array(["train", "test", "validation"])
    assert with_drawn(known, assigned, recipe(0)) == (known, assigned)


def test_so_many_of_each_class_are_added_to_train_on_and_set_no_limit(known: SourceTiles) -> None:
    together, assigned = with_drawn(known, np.array(["train", "test", "validation"]), recipe(10))
    more = together.source == DRAWN.id
    assert dict(zip(*np.unique(together.tiles.labels[more], return_counts=True), strict=True)) == {
        "benign": 10, "scc": 10, "ac": 10,
    }  # fmt: skip
    assert set(assigned[more]) == {"train"}
    assert list(assigned[~more]) == ["train", "test", "validation"]
    assert not shared_tissue(together.tissue, together.laboratory)[more].any()
    assert len(np.unique(together.tiles.groups[more])) == 6, "each field is a group"
    assert len(np.unique(together.tiles.paths)) == 33
    assert together.sources == [DRAWN]
