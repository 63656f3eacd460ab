"""The published recipe: its counts, its two stages, its figures beside the published ones."""

import tomllib
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

pytestmark = [pytest.mark.training, pytest.mark.timeout(600)]
pytest.importorskip("tensorflow", reason="training needs TensorFlow, which the app's environment has not")

from tests.training.recipes import recipe_with, tile_folder  # noqa: E402
from training.cli import RECIPES_DIR  # noqa: E402
from training.data.tissue.tiles import TileFolderError, TileSet, load_tile_folder  # noqa: E402
from training.slide.paper import REPRODUCTION, choose_tiles, train_paper  # noqa: E402
from training.slide.vgg16 import backbone, last_block, paper_fine_tuned, paper_top  # noqa: E402

RECIPE = tomllib.loads((RECIPES_DIR / "paper.toml").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def every(data_dir: Path) -> TileSet:
    return load_tile_folder(data_dir / "tiles/lc25000_lung", RECIPE["data"]["classes"], 224)


def test_the_published_numbers_of_tiles_are_chosen_from_whole_groups(every: TileSet) -> None:
    tiles, assigned = choose_tiles(every, RECIPE)
    counts = pd.crosstab(assigned, tiles.labels)
    assert {split: counts.loc[split].tolist() for split in counts.index} == {
        "train": [216, 216], "validation": [24, 24], "test": [60, 60],
    }  # fmt: skip
    assert len(np.unique(tiles.paths)) == 600
    assert pd.Series(assigned).groupby(tiles.groups).nunique().max() == 1


def test_no_source_image_gives_two_tiles_before_every_one_gave_one(every: TileSet) -> None:
    tiles, assigned = choose_tiles(every, RECIPE)
    for label in ("scc", "ac"):
        per_group = pd.Series(tiles.groups[(assigned == "train") & (tiles.labels == label)]).value_counts()
        assert per_group.max() - per_group.min() <= 1


def test_too_few_tiles_for_the_published_counts_are_said(every: TileSet) -> None:
    few = every.of(np.arange(0, len(every.labels), 4))
    with pytest.raises(TileFolderError, match=r"Too few scc tiles for the train split: expected 216; found"):
        choose_tiles(few, RECIPE)


def test_the_network_is_that_of_table_1(data_dir: Path) -> None:
    """VGG16 has 138,357,544 weights with 1,000 outputs; with one output its last layer has 4,097 in place of 4,097,000."""
    top = paper_top(tuple(RECIPE["network"]["dense"]), RECIPE["network"]["dropout"])
    assert [layer.units for layer in top.layers if hasattr(layer, "units")] == [4096, 4096, 1]
    assert top.get_layer("fc1").kernel.shape == (25088, 4096)
    network = backbone(data_dir / "weights/vgg16_imagenet_notop.h5")
    convolutions = [layer for layer in network.layers if "conv" in layer.name]
    assert len(convolutions) == 13
    assert network.count_params() + top.count_params() == 138_357_544 - 4_097_000 + 4_097
    fine_tuned = paper_fine_tuned(last_block(network), top)
    assert fine_tuned.count_params() == top.count_params() + sum(layer.count_params() for layer in convolutions[-3:])
    assert fine_tuned.output_shape == (None, 1)


def test_a_small_run_goes_through_both_stages_and_tables_every_source(data_dir: Path, tmp_path: Path) -> None:
    tile_folder(data_dir, tmp_path / "tiles/lc25000_lung", 10)
    tiles = tmp_path / "tiles"
    recipe = recipe_with(
        "paper", tmp_path / "small.toml",
        dense="[8, 8]", epochs=1, batch_size=4, tiles_per_class="{ train = 6, validation = 1, test = 2 }",
    )  # fmt: skip
    logs: list[str] = []
    weights = data_dir / "weights/vgg16_imagenet_notop.h5"
    table = train_paper(recipe, tiles, weights, tmp_path / "out", logs.append)
    assert table["source"].str.split(".").str[0].tolist()[:3] == [
        "Published, TCGA cervical tiles (Table 3); data and code not available", "This reproduction", "This reproduction",
    ]  # fmt: skip
    assert table.loc[0, ["accuracy", "precision", "recall", "f1"]].tolist() == ["98.26 %", "96.8 %", "99 %", "97.9 %"]
    assert len(table) == 6
    assert table.loc[1:, "n"].unique().tolist() == ["4 tiles, 4 source images"]
    stored = pd.read_csv(tmp_path / "out" / REPRODUCTION.file)
    assert stored["source"].tolist() == table["source"].tolist()
    again: list[str] = []
    pd.testing.assert_frame_equal(train_paper(recipe, tiles, weights, tmp_path / "out", again.append), table)
    assert [line.split(":")[0] for line in again if line.endswith("read back")] == [
        "activations", "paper-features", "paper-stage1", "paper-stage2",
    ]  # fmt: skip
