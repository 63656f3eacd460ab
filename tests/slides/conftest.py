"""Small real files: a phantom pyramid, pictures in every awkward mode."""

from pathlib import Path

import numpy as np
import pytest

from cervix.slides.phantom import PHANTOM_SPACING_UM_PX, phantom_region, write_pyramid


@pytest.fixture(scope="session")
def phantom_slide(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiled pyramid of 1400 x 1100 px at 0.5 µm per pixel."""
    path = tmp_path_factory.mktemp("phantom") / "phantom.tiff"
    write_pyramid(path, phantom_region(1400, 1100, seed=11), PHANTOM_SPACING_UM_PX)
    return path


@pytest.fixture(scope="session")
def unscaled_slide(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same kind of slide without a physical scale."""
    path = tmp_path_factory.mktemp("unscaled") / "unscaled.tiff"
    write_pyramid(path, phantom_region(900, 700, seed=12), None)
    return path


@pytest.fixture(scope="session")
def glass_slide(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A slide with nothing on it but sensor noise."""
    path = tmp_path_factory.mktemp("glass") / "glass.tiff"
    noise = np.random.default_rng(0).normal(242, 1.5, size=(800, 900, 1))
    write_pyramid(path, np.repeat(noise, 3, axis=2).astype(np.uint8), 0.5)
    return path
