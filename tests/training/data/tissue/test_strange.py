"""Strange tiles are there without a network, the same for a seed, and of every kind that the model must be tried on."""

import socket
from pathlib import Path

import numpy as np
import pytest
import skimage
import sklearn
from numpy.typing import NDArray
from PIL import Image

from training.data.tissue.strange import (
    CROPS_PER_PICTURE,
    GENERATED_PER_KIND,
    NOT_HISTOLOGY,
    OTHER_STAIN,
    PICTURES,
    StrangeTiles,
    strange_tiles,
)

SIZE_PX = 64
# Pictures with many grey levels; one of two or three colours cannot take on a histogram.
PHOTOGRAPHS = ("brick.png", "chelsea.png", "coffee.png", "coins.png", "grass.png", "gravel.png", "rocket.jpg")


@pytest.fixture(scope="module")
def tissue(data_dir: Path) -> NDArray[np.uint8]:
    """Two real tiles, cut to size."""
    found = []
    for name in ("lung_n/lungn2256.jpeg", "lung_scc/lungscc1473.jpeg"):
        with Image.open(data_dir / "tiles/lc25000_lung" / name) as image:
            found.append(np.asarray(image.convert("RGB"))[:SIZE_PX, :SIZE_PX])
    return np.stack(found)


@pytest.fixture(scope="module")
def strange(tissue: NDArray[np.uint8]) -> StrangeTiles:
    return strange_tiles(SIZE_PX, 3, tissue)


def test_every_kind_has_its_number_of_tiles(strange: StrangeTiles) -> None:
    crops = 1 + CROPS_PER_PICTURE
    assert dict(zip(*np.unique(strange.kind, return_counts=True), strict=True)) == {
        "picture": crops * len(PICTURES),
        "tinted picture": crops * len(PICTURES),
        "other stain": crops,
        "generated": 4 * GENERATED_PER_KIND,
    }
    assert set(NOT_HISTOLOGY) < set(strange.kind)


def test_every_picture_gives_as_many_tiles_as_any_other(strange: StrangeTiles) -> None:
    names, counts = np.unique(strange.source[strange.kind == "picture"], return_counts=True)
    assert set(names) == set(PICTURES)
    assert set(counts) == {1 + CROPS_PER_PICTURE}
    assert set(strange.source[strange.kind == "other stain"]) == {OTHER_STAIN}
    assert set(strange.source[strange.kind == "generated"]) == {"noise", "flat", "gradient", "stripes"}


@pytest.mark.parametrize("name", [*PICTURES, OTHER_STAIN])
def test_every_picture_named_is_installed(name: str) -> None:
    folders = (Path(skimage.__file__).parent / "data", Path(sklearn.__file__).parent / "datasets/images")
    assert [folder for folder in folders if (folder / name).is_file()]


@pytest.mark.parametrize("size_px", [SIZE_PX, 224, 400])
def test_every_tile_has_the_size_asked_for_even_where_the_picture_is_smaller(tissue: NDArray[np.uint8], size_px: int) -> None:
    found = strange_tiles(size_px, 3, tissue)
    assert found.pixels.shape == (len(found.kind), size_px, size_px, 3)
    assert found.pixels.dtype == np.uint8
    assert len(found.source) == len(found.kind)


def test_the_seed_decides_the_pixels(strange: StrangeTiles, tissue: NDArray[np.uint8]) -> None:
    again, other = (strange_tiles(SIZE_PX, seed, tissue) for seed in (3, 4))
    np.testing.assert_array_equal(again.pixels, strange.pixels)
    np.testing.assert_array_equal(again.source, strange.source)
    assert (other.pixels != strange.pixels).any(axis=(1, 2, 3)).mean() > 0.7


def test_nothing_asks_the_network(
    strange: StrangeTiles, tissue: NDArray[np.uint8], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError("no network in this test")

    monkeypatch.setattr(socket, "socket", refuse)
    monkeypatch.setattr(socket, "create_connection", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setenv("HOME", str(tmp_path))
    np.testing.assert_array_equal(strange_tiles(SIZE_PX, 3, tissue).pixels, strange.pixels)
    assert not list(tmp_path.iterdir())


def test_the_first_tile_of_a_picture_is_all_of_it_made_small(strange: StrangeTiles) -> None:
    with Image.open(Path(skimage.__file__).parent / "data/coffee.png") as image:
        small = np.asarray(image.convert("RGB").resize((SIZE_PX, SIZE_PX)))
    found = strange.of((strange.kind == "picture") & (strange.source == "coffee.png")).pixels
    np.testing.assert_array_equal(found[0], small)


def test_the_crops_are_pieces_of_the_picture(strange: StrangeTiles) -> None:
    with Image.open(Path(skimage.__file__).parent / "data/coffee.png") as image:
        picture = np.asarray(image.convert("RGB"))
    windows = np.lib.stride_tricks.sliding_window_view(picture, (SIZE_PX, SIZE_PX), axis=(0, 1))
    for crop in strange.of((strange.kind == "picture") & (strange.source == "coffee.png")).pixels[1:]:
        corners = np.argwhere((picture[: -SIZE_PX + 1, : -SIZE_PX + 1] == crop[0, 0]).all(axis=2))
        assert any((windows[row, column].transpose(1, 2, 0) == crop).all() for row, column in corners)


def test_tinted_pictures_take_on_the_colours_of_tissue(strange: StrangeTiles, tissue: NDArray[np.uint8]) -> None:
    palettes = tissue.mean(axis=(1, 2))
    photograph = np.isin(strange.source, PHOTOGRAPHS)

    def from_nearest_palette(kind: str) -> NDArray[np.float64]:
        means = strange.of(photograph & (strange.kind == kind)).pixels.mean(axis=(1, 2))
        return np.abs(means[:, None] - palettes[None]).max(axis=2).min(axis=1)

    assert np.median(from_nearest_palette("tinted picture")) < 2
    assert from_nearest_palette("tinted picture").max() < 10  # a nearly flat crop has few levels to spread
    assert np.median(from_nearest_palette("picture")) > 30


def test_a_tinted_picture_keeps_the_shapes_of_its_picture(strange: StrangeTiles) -> None:
    chosen = strange.source == "chelsea.png"
    plain = strange.of(chosen & (strange.kind == "picture")).pixels
    tinted = strange.of(chosen & (strange.kind == "tinted picture")).pixels
    for one, other in zip(plain, tinted, strict=True):
        assert np.corrcoef(one[..., 1].ravel(), other[..., 1].ravel())[0, 1] > 0.7


def test_what_is_generated_is_what_its_name_says(strange: StrangeTiles) -> None:
    patterns = {name: strange.of(strange.source == name).pixels for name in ("noise", "flat", "gradient", "stripes")}
    colours = {name: [len(np.unique(tile.reshape(-1, 3), axis=0)) for tile in tiles] for name, tiles in patterns.items()}
    assert colours["flat"] == [1] * GENERATED_PER_KIND
    assert colours["stripes"] == [2] * GENERATED_PER_KIND
    assert min(colours["noise"]) > 0.9 * SIZE_PX**2
    for tile in patterns["gradient"].astype(int):
        assert (tile == tile[:1]).all()
        assert all(
            (np.diff(tile[0, :, channel]) >= 0).all() or (np.diff(tile[0, :, channel]) <= 0).all() for channel in range(3)
        )


def test_choosing_keeps_pixels_kind_and_source_together(strange: StrangeTiles) -> None:
    chosen = strange.source == "retina.jpg"
    found = strange.of(chosen)
    assert len(found.pixels) == len(found.kind) == len(found.source) == chosen.sum() == 2 * (1 + CROPS_PER_PICTURE)
    np.testing.assert_array_equal(found.pixels, strange.pixels[chosen])
    assert set(found.source) == {"retina.jpg"}
