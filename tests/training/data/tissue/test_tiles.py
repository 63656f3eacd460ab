"""Real tiles are read as they are; what cannot be read is named, and too much of it stops the run."""

import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from training.data.tissue.tiles import TileFolderError, colour_statistics, first_of_groups, load_tile_folder

CLASSES = {"benign": "lung_n", "scc": "lung_scc", "ac": "lung_aca"}
SIZE_PX = 224
TILES_PER_CLASS = 40


@pytest.fixture
def folder(data_dir: Path, tmp_path: Path) -> Path:
    """120 real tiles with their part of the index."""
    source = data_dir / "tiles/lc25000_lung"
    index = pd.read_csv(source / "index.csv", dtype=str).groupby("label").head(TILES_PER_CLASS)
    for path in index["path"]:
        (tmp_path / path).parent.mkdir(exist_ok=True)
        shutil.copyfile(source / path, tmp_path / path)
    index.to_csv(tmp_path / "index.csv", index=False)
    return tmp_path


def index_of(folder: Path) -> pd.DataFrame:
    return pd.read_csv(folder / "index.csv", dtype=str)


def test_tiles_come_with_our_class_names_their_groups_and_paths(folder: Path) -> None:
    tiles = load_tile_folder(folder, CLASSES, SIZE_PX)
    index = index_of(folder)
    assert tiles.pixels.shape == (120, SIZE_PX, SIZE_PX, 3)
    assert tiles.pixels.dtype == np.uint8
    assert tiles.skipped == []
    assert [CLASSES[label] for label in tiles.labels] == index["label"].tolist()
    assert tiles.groups.tolist() == index["source_group"].tolist()
    assert tiles.paths.tolist() == index["path"].tolist()


def test_pixels_are_those_of_the_file(folder: Path) -> None:
    tiles = load_tile_folder(folder, CLASSES, SIZE_PX)
    with Image.open(folder / tiles.paths[7]) as image:
        np.testing.assert_array_equal(tiles.pixels[7], np.asarray(image.convert("RGB")))


def test_only_the_classes_asked_for_are_read(folder: Path) -> None:
    tiles = load_tile_folder(folder, {"ac": "lung_aca"}, SIZE_PX)
    assert set(tiles.labels) == {"ac"}
    assert len(tiles.labels) == TILES_PER_CLASS


@pytest.mark.parametrize("damage", ["missing", "empty", "truncated", "another format", "broken png"])
def test_a_tile_that_cannot_be_read_is_named_and_the_others_stay_in_line(folder: Path, damage: str) -> None:
    broken = index_of(folder)["path"][50]
    whole = (folder / broken).read_bytes()
    Image.open(folder / broken).save(folder / "copy.png")
    png = bytearray((folder / "copy.png").read_bytes())
    png[len(png) // 2] ^= 0xFF
    contents = {
        "empty": b"",
        "truncated": whole[: len(whole) // 2],
        "another format": b"this is a letter, not a tile" * 50,
        "broken png": bytes(png),
    }
    (folder / broken).unlink()
    if damage in contents:
        (folder / broken).write_bytes(contents[damage])
    tiles = load_tile_folder(folder, CLASSES, SIZE_PX)
    assert tiles.skipped == [broken]
    assert len(tiles.pixels) == len(tiles.labels) == len(tiles.groups) == len(tiles.paths) == 119
    assert broken not in tiles.paths
    with Image.open(folder / tiles.paths[50]) as image:
        np.testing.assert_array_equal(tiles.pixels[50], np.asarray(image.convert("RGB")))


def test_more_than_one_in_a_hundred_unreadable_stops_the_run_with_count_and_example(folder: Path) -> None:
    broken = index_of(folder)["path"][[3, 50]].tolist()
    for path in broken:
        (folder / path).write_bytes(b"")
    with pytest.raises(TileFolderError, match=f"2 of 120, e.g. {broken[0]}"):
        load_tile_folder(folder, CLASSES, SIZE_PX)


def test_a_tile_of_another_size_stops_the_run_by_name(folder: Path) -> None:
    path = index_of(folder)["path"][3]
    Image.new("RGB", (100, 90)).save(folder / path)
    with pytest.raises(TileFolderError, match=rf"{path} has another size: expected 224 px square; found \(90, 100, 3\)"):
        load_tile_folder(folder, CLASSES, SIZE_PX)


def test_a_grey_tile_is_read_as_rgb(folder: Path) -> None:
    path = index_of(folder)["path"][0]
    Image.new("L", (SIZE_PX, SIZE_PX), 90).save(folder / path)
    assert (load_tile_folder(folder, CLASSES, SIZE_PX).pixels[0] == 90).mean() > 0.99


def test_a_folder_without_an_index_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TileFolderError, match="No index of labelled tiles"):
        load_tile_folder(tmp_path, CLASSES, SIZE_PX)


def test_an_index_without_groups_is_refused(folder: Path) -> None:
    index_of(folder).drop(columns="source_group").to_csv(folder / "index.csv", index=False)
    with pytest.raises(TileFolderError, match="found no source_group"):
        load_tile_folder(folder, CLASSES, SIZE_PX)


def test_a_class_without_a_tile_is_refused_by_its_label(folder: Path) -> None:
    with pytest.raises(TileFolderError, match="found no lung_other"):
        load_tile_folder(folder, CLASSES | {"other": "lung_other"}, SIZE_PX)


def test_the_real_index_keeps_each_source_image_in_one_class(data_dir: Path) -> None:
    index = index_of(data_dir / "tiles/lc25000_lung")
    assert set(CLASSES.values()) <= set(index["label"])
    assert index.groupby("source_group")["label"].nunique().max() == 1
    assert index["path"].is_unique


def test_colour_statistics_are_the_mean_and_spread_of_each_channel() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (5, 16, 16, 3), dtype=np.uint8)
    found = colour_statistics(pixels)
    assert found.shape == (5, 6)
    np.testing.assert_allclose(found[:, :3], pixels.mean(axis=(1, 2)))
    np.testing.assert_allclose(found[:, 3:], pixels.std(axis=(1, 2)))


def test_the_first_tiles_of_each_group_are_taken_in_their_order() -> None:
    assert first_of_groups(np.array(["a", "b", "a", "a", "b", "c"]), 2).tolist() == [0, 1, 2, 4, 5]
