"""Sharp stained tissue passes; blank, blurred and inked tiles are named."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray
from PIL import Image
from scipy.ndimage import gaussian_filter

from cervix.slides.quality import measure_quality

Tiles = NDArray[np.uint8]
INKS = {"blue": (40, 60, 190), "green": (30, 140, 60), "black": (40, 40, 40)}


@pytest.fixture(scope="module")
def tiles(data_dir: Path) -> Tiles:
    """Sharp real H&E tiles, every twentieth."""
    folder = data_dir / "tiles/lc25000_lung"
    paths = pd.read_csv(folder / "index.csv", dtype=str)["path"].iloc[::20]
    return np.stack([np.asarray(Image.open(folder / path).convert("RGB")) for path in paths])


def share(tiles: Tiles, problem: str) -> float:
    return float((measure_quality(tiles).problems == problem).mean())


def test_real_sharp_tissue_is_good(tiles: Tiles) -> None:
    assert len(tiles) > 100
    assert share(tiles, "") >= 0.99


def test_blurred_tissue_is_named(tiles: Tiles) -> None:
    blurred = np.stack([gaussian_filter(tile.astype(np.float32), (4, 4, 0)) for tile in tiles]).astype(np.uint8)
    assert share(blurred, "blurred") >= 0.9


@pytest.mark.parametrize("ink", INKS.values(), ids=INKS)
def test_a_marker_stroke_over_tissue_is_named(tiles: Tiles, ink: tuple[int, int, int]) -> None:
    """Ink is transparent: it multiplies what lies below."""
    inked = tiles.copy()
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
