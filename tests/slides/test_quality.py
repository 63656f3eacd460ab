"""Sharp stained tissue passes; blank, blurred and inked tiles are named."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray
from PIL import Image
from scipy.ndimage import gaussian_filter

from cervix.bundle.manifest import TileInput
from cervix.slides.grid import lay_grid
from cervix.slides.quality import measure_quality
from cervix.slides.tissue import find_tissue
from cervix.sources.opening import open_slide

Tiles = NDArray[np.uint8]
# Colours of ink on bare glass.
INKS = {
    "blue": (40, 60, 190),
    "pale blue": (60, 120, 190),
    "dark blue": (37, 95, 160),
    "green": (30, 140, 60),
    "blue-green": (45, 115, 100),
    "pale green": (100, 170, 120),
    "black": (40, 40, 40),
    "washed-out black": (60, 60, 65),
}


@pytest.fixture(scope="module")
def tiles(data_dir: Path) -> Tiles:
    """Sharp real H&E tiles, every twentieth."""
    folder = data_dir / "tiles/lc25000_lung"
    paths = pd.read_csv(folder / "index.csv", dtype=str)["path"].iloc[::20]
    return np.stack([np.asarray(Image.open(folder / path).convert("RGB")) for path in paths])


@pytest.fixture(scope="module")
def sources(data_dir: Path) -> dict[str, Tiles]:
    """Real H&E tiles of other laboratories, cameras and organs, every sixth of each source."""
    folder = data_dir / "tiles"
    index = pd.read_csv(folder / "multi_organ.csv", dtype=str)
    return {
        name: np.stack([np.asarray(Image.open(folder / path).convert("RGB")) for path in some["path"].iloc[::6]])
        for name, some in index.groupby("dataset")
    }


@pytest.fixture(scope="module")
def slide_tiles(data_dir: Path) -> Tiles:
    """All 50 tissue tiles of a real slide: skin, with keratin, melanin and a little ink on its margin."""
    slide = open_slide(data_dir / "slides/CMU-1-Small-Region.svs")
    scale = TileInput(size_px=224, spacing_um_px=0.5, spacing_source="test", steps_in_graph=[])
    grid = lay_grid(slide, find_tissue(slide), scale)
    corners = zip(grid.x_l0_px.tolist(), grid.y_l0_px.tolist(), strict=True)
    return np.stack([slide.read_tile(x, y, grid.level, grid.size_level_px, grid.size_px) for x, y in corners])


def share(tiles: Tiles, problem: str) -> float:
    return float((measure_quality(tiles).problems == problem).mean())


def test_real_sharp_tissue_is_good(tiles: Tiles) -> None:
    assert len(tiles) > 100
    assert share(tiles, "") >= 0.99


def test_the_stains_of_no_laboratory_are_taken_for_ink(sources: dict[str, Tiles]) -> None:
    """Purple haematoxylin of the oral photographs once was, in half of them; eosin of the endometrium in a tenth."""
    assert len(sources) == 8
    found = {name: share(tiles, "pen") for name, tiles in sources.items()}
    assert max(found.values()) <= 0.05, found


def test_blurred_tissue_is_named(tiles: Tiles) -> None:
    blurred = np.stack([gaussian_filter(tile.astype(np.float32), (4, 4, 0)) for tile in tiles]).astype(np.uint8)
    assert share(blurred, "blurred") >= 0.9


def test_glass_beside_tissue_makes_it_neither_blurred_nor_sharp(tiles: Tiles) -> None:
    beside = tiles.copy()
    beside[:, :, 70:] = 242
    assert share(beside, "blurred") <= 0.01
    blurred = np.stack([gaussian_filter(tile.astype(np.float32), (4, 4, 0)) for tile in beside]).astype(np.uint8)
    assert share(blurred, "blurred") >= 0.99


@pytest.mark.parametrize("ink", INKS.values(), ids=INKS)
def test_a_marker_stroke_over_tissue_is_named(tiles: Tiles, ink: tuple[int, int, int]) -> None:
    """Ink is transparent: it multiplies what lies below."""
    inked = tiles[::2].copy()
    inked[:, :, 80:140] = (inked[:, :, 80:140] * (np.array(ink) / 255)).astype(np.uint8)
    assert share(inked, "pen") >= 0.9


@pytest.mark.parametrize("grey", [0, 128, 243, 255])
def test_glass_and_shade_are_blank(grey: int) -> None:
    noise = np.random.default_rng(0).normal(0, 2, (2, 224, 224, 3))
    assert share(np.clip(grey + noise, 0, 255).astype(np.uint8), "blank") == 1.0


def test_measures_have_one_value_a_tile(tiles: Tiles) -> None:
    found = measure_quality(tiles[:5])
    assert found.contrast.shape == found.sharpness.shape == found.ink.shape == found.problems.shape == (5,)
    assert (found.ink >= 0).all()
    assert (found.ink <= 1).all()


def test_no_tiles_have_no_problems() -> None:
    assert len(measure_quality(np.empty((0, 224, 224, 3), np.uint8)).problems) == 0


def test_a_contrasty_slide_with_keratin_and_dark_nuclei_is_not_inked(slide_tiles: Tiles) -> None:
    assert share(slide_tiles, "") == 1.0


@pytest.mark.parametrize("ink", INKS.values(), ids=INKS)
def test_ink_on_a_contrasty_slide_is_named(slide_tiles: Tiles, ink: tuple[int, int, int]) -> None:
    inked = slide_tiles[::2].copy()
    inked[:, :, 80:140] = (inked[:, :, 80:140] * (np.array(ink) / 255)).astype(np.uint8)
    assert share(inked, "pen") >= 0.9


@pytest.mark.parametrize("density", [0.4, 0.8, 1.2])
def test_dense_haematoxylin_is_not_ink(density: float) -> None:
    """A sheet of nuclei with hardly any cytoplasm, in the colour of pure haematoxylin (Ruifrok and Johnston 2001)."""
    rng = np.random.default_rng(0)
    amount = density * (0.6 + 0.8 * gaussian_filter(rng.random((224, 224)), 4)[..., None] / 0.5)
    colour = 255 * 10 ** (-amount * np.array([0.65, 0.70, 0.29]) / 0.70)
    tile = np.clip(colour + rng.normal(0, 2, (224, 224, 3)), 0, 255).astype(np.uint8)
    assert measure_quality(tile[None]).ink[0] < 0.01
