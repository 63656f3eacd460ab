"""The published recipe: its counts, its two stages, its figures beside the published ones."""

import tomllib
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

pytestmark = [pytest.mark.training, pytest.mark.timeout(1800)]
pytest.importorskip("tensorflow", reason="training needs TensorFlow, which the app's environment has not")

from tests.training.recipes import recipe_with, small_sources, without_pixels  # noqa: E402
from training.cli import RECIPES_DIR  # noqa: E402
from training.data.tissue.sources import APART, SourceTiles, tiles_of_recipe  # noqa: E402
from training.data.tissue.tiles import TileFolderError  # noqa: E402
from training.slide.paper import REPRODUCTION, choose_tiles, train_paper  # noqa: E402
from training.slide.vgg16 import backbone, last_block, paper_fine_tuned, paper_top  # noqa: E402

RECIPE = tomllib.loads((RECIPES_DIR / "paper.toml").read_text(encoding="utf-8"))


Every = tuple[SourceTiles, np.ndarray]


@pytest.fixture(scope="module")
def every(data_dir: Path) -> Every:
    """All tiles, and the split of each."""
    with without_pixels():
        return tiles_of_recipe(RECIPES_DIR / "paper.toml", RECIPE, data_dir / "tiles")


def test_the_published_numbers_of_tiles_are_chosen_from_whole_groups(every: Every) -> None:
    chosen, assigned = choose_tiles(*every, RECIPE)
    counts = pd.crosstab(assigned, chosen.tiles.labels)
    assert {split: counts.loc[split].tolist() for split in counts.index} == {
        "train": [216, 216], "validation": [24, 24], "test": [60, 60],
    }  # fmt: skip
    assert len(np.unique(np.char.add(chosen.source, chosen.tiles.paths))) == 600
    assert pd.Series(assigned).groupby(chosen.tiles.groups).nunique().max() == 1


def test_laboratories_give_alike_and_one_that_has_few_gives_all(every: Every) -> None:
    chosen, assigned = choose_tiles(*every, RECIPE)
    train = chosen.of(np.flatnonzero(assigned == "train"))
    of_scc, of_ac = (pd.Series(train.laboratory[train.tiles.labels == label]).value_counts() for label in ("scc", "ac"))
    assert of_scc.to_dict() == {"LC25000": 108, "Rahman": 108}
    assert set(of_ac.index) == {"LC25000", "EBHI", "Sun", "BreCaHAD"}
    here = (every[1] == "train") & (every[0].laboratory == "BreCaHAD")
    assert of_ac["BreCaHAD"] == np.count_nonzero(here) < of_ac.drop("BreCaHAD").min()
    assert of_ac.drop("BreCaHAD").max() - of_ac.drop("BreCaHAD").min() <= 1


def test_no_source_group_gives_two_tiles_before_every_one_of_its_laboratory_gave_one(every: Every) -> None:
    chosen, assigned = choose_tiles(*every, RECIPE)
    for label in ("scc", "ac"):
        here = (assigned == "train") & (chosen.tiles.labels == label)
        for name in np.unique(chosen.laboratory[here]):
            there = here & (chosen.laboratory == name)
            most = pd.Series(chosen.tiles.groups[there]).value_counts().max()
            offered = (every[1] == "train") & (every[0].tiles.labels == label) & (every[0].laboratory == name)
            unused = set(every[0].tiles.groups[offered]) - set(chosen.tiles.groups[there])
            assert most == 1 or not unused


def test_too_few_tiles_for_the_published_counts_are_said(every: Every) -> None:
    few = np.flatnonzero(every[1] != APART)[::4]
    with pytest.raises(TileFolderError, match=r"Too few scc tiles for the train split: expected 216; found"):
        choose_tiles(every[0].of(few), every[1][few], RECIPE)


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
    tiles = small_sources(data_dir, tmp_path / "tiles", tmp_path / "tissue.toml", 10)
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
    assert len(table) == 7
    assert table["source"].tolist()[3].endswith("fine-tuned; LC25000 alone")
    assert table.loc[1:, "n"].tolist() == [f"{n} tiles, {n} source groups" for n in (4, 4, 2, 4, 4, 4)]
    stored = pd.read_csv(tmp_path / "out" / REPRODUCTION.file)
    assert stored["source"].tolist() == table["source"].tolist()
    again: list[str] = []
    pd.testing.assert_frame_equal(train_paper(recipe, tiles, weights, tmp_path / "out", again.append), table)
    assert [line.split(":")[0] for line in again if line.endswith("read back")] == [
        "activations", "paper-features", "paper-stage1", "paper-stage2",
    ]  # fmt: skip
