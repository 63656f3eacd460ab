"""Tiles of many laboratories: what each label means, what is kept apart, and whole groups on one side."""

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from training.cli import RECIPES_DIR
from training.data.splits import check_no_leak
from training.data.tissue.sources import (
    APART,
    DOUBTFUL,
    PREMALIGNANT,
    SourceTiles,
    load_sources,
    read_sources,
    split_sources,
    stretched,
)
from training.data.tissue.tiles import TileFolderError

TABLE = RECIPES_DIR / "tissue.toml"
CLASSES = ["benign", "scc", "ac", "other"]


@pytest.fixture(scope="module")
def real(data_dir: Path) -> SourceTiles:
    return load_sources(data_dir / "tiles", TABLE, 224)


@pytest.fixture(scope="module")
def assigned(real: SourceTiles) -> np.ndarray:
    return split_sources(real.tiles.labels, real.tiles.groups, real.laboratory, CLASSES, tenths=(6, 2, 2), seed=1)


def test_every_tile_at_hand_has_a_class_and_mice_are_left_out(real: SourceTiles, data_dir: Path) -> None:
    index = pd.read_csv(data_dir / "tiles/multi_organ.csv", dtype=str)
    human = index[~index["organ"].str.startswith("mouse")]
    lung = pd.read_csv(data_dir / "tiles/lc25000_lung/index.csv")["source_group"].nunique()
    assert len(real.tiles.labels) == len(human) + lung
    assert set(real.tiles.labels) == {*CLASSES, PREMALIGNANT, DOUBTFUL}
    assert not any("mouse" in group for group in real.tiles.groups)


def test_tissue_on_the_way_to_carcinoma_is_kept_apart(real: SourceTiles) -> None:
    apart = real.tissue[real.tiles.labels == PREMALIGNANT]
    assert dict(zip(*np.unique(apart, return_counts=True), strict=True)) == {
        "endometrial hyperplasia": 143, "high-grade dysplasia": 50, "low-grade dysplasia": 75, "serrated adenoma": 25,
    }  # fmt: skip
    assert set(real.source[real.tiles.labels == "other"]) == {"bone_osteosarcoma_ut", "multiorgan_nuinsseg"}


def test_parts_of_one_laboratory_are_one_laboratory(real: SourceTiles) -> None:
    sources_of = {name: set(real.source[real.laboratory == name]) for name in np.unique(real.laboratory)}
    assert sources_of["LC25000"] == {"lung_lc25000", "colon_lc25000"}
    assert sources_of["Rahman"] == {"oral_rahman_400x", "oral_rahman_400x_coarse"}
    assert len(sources_of) == 7


def test_labels_beside_photographs_of_two_classes_are_not_trusted(real: SourceTiles) -> None:
    doubtful = real.tiles.labels == DOUBTFUL
    assert doubtful.sum() == 28 + 23 + 12
    assert set(real.laboratory[doubtful]) == {"Rahman"}


def test_whole_groups_stand_on_one_side_and_every_laboratory_on_each(real: SourceTiles, assigned: np.ndarray) -> None:
    usable = np.isin(real.tiles.labels, CLASSES)
    assert (assigned[~usable] == APART).all()
    check_no_leak(assigned[usable], real.tiles.groups[usable])
    sides = pd.crosstab(real.laboratory[usable], assigned[usable])
    assert (sides[["train", "validation", "test"]] > 0).all(axis=None)


def test_a_photograph_that_stands_under_two_names_is_one_group(real: SourceTiles) -> None:
    paths = real.tiles.paths.tolist()
    places = [paths.index(f"oral_rahman_400x_coarse/benign_00{number}.jpg") for number in (330, 332)]
    assert len(set(real.tiles.groups[places])) == 1


def test_no_group_is_of_two_laboratories(real: SourceTiles) -> None:
    owners = pd.Series(real.laboratory).groupby(real.tiles.groups).nunique()
    assert owners.max() == 1


def test_licences_and_citations_are_those_of_the_index(data_dir: Path) -> None:
    index = pd.read_csv(data_dir / "tiles/multi_organ.csv", dtype=str)
    theirs = index.groupby("dataset")["licence"].first()
    for source in read_sources(TABLE):
        if source.id in theirs and "same terms" not in theirs[source.id]:
            assert theirs[source.id].startswith(re.split(r"[,;]", source.licence)[0])
        assert re.search(r"\b(19|20)\d\d\b", source.citation)


def test_a_label_that_nobody_has_placed_is_refused(data_dir: Path, tmp_path: Path) -> None:
    text = TABLE.read_text(encoding="utf-8")
    table = tmp_path / "tissue.toml"
    table.write_text(text.replace('note = "Serrated adenoma"', 'note = "Adenoma of another kind"'), encoding="utf-8")
    with pytest.raises(TileFolderError, match="does not say what colorectal_ebhi_seg/"):
        load_sources(data_dir / "tiles", table, 224)


def test_a_table_with_an_unknown_key_is_refused(tmp_path: Path) -> None:
    table = tmp_path / "tissue.toml"
    table.write_text(TABLE.read_text(encoding="utf-8").replace("laboratory =", "hospital =", 1), encoding="utf-8")
    with pytest.raises(TileFolderError, match="hospital"):
        read_sources(table)


def test_a_squeezed_tile_is_drawn_out_about_its_middle() -> None:
    tile = np.zeros((224, 224, 3), np.uint8)
    tile[:, 112 - 28 : 112 + 28] = 200
    bright = (stretched(tile, 4 / 3)[112, :, 0] > 100).nonzero()[0]
    assert abs(len(bright) - 56 * 4 / 3) <= 1
    assert abs(bright.mean() - 111.5) <= 1
