"""Is a tile fit to learn from: sharp, stained, and free of ink?"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter, laplace
from skimage.color import rgb2gray

# Set on the 2,387 LC25000 lung tiles at hand (224 px, about 0.5 µm/px, sharp): their contrast begins at 0.07, their
# sharpness at 0.086; blurred by 4 px the sharpness ends at 0.063.
CONTRAST_AT_LEAST = 0.03
SHARPNESS_AT_LEAST = 0.07
# The same tiles have next to none of their area in the colours of ink; a stroke fills much of a tile.
INK_AT_MOST = 0.05
NOISE_SIGMA_PX = 1.0
# Against the contrast of tissue with glass a sharp texture looks blurred: on the edge of a drawn slide 12 of 17 tiles did, and
# none of 40 within it. Where the grey around a pixel is brighter than this it is glass.
GLASS_GREY, GLASS_SIGMA_PX = 0.9, 2.0
# Strokes are millimetres wide and nuclei 8 µm, so ink is looked for in the lighter part of cells of 16 px (8 µm): what
# shines between nuclei is tissue, and what shines through ink has its colour. Means of 4 px leave out JPEG's colour noise.
CELL_PX = 16
FINE_PX = 4
LIGHT_SHARE = 0.8
# Haematoxylin absorbs red, green and blue light as 0.65 : 0.70 : 0.29 and eosin as 0.07 : 0.99 : 0.11 (Ruifrok and
# Johnston 2001): both absorb green most and blue far less. A camera's white balance can turn dense haematoxylin bluer than
# green, eosin and blood red: so ink must be dense as well. Densities and shares set on tiles of nine sources, of which at
# most 3.4 % (of the 407 oral tiles of Rahman) are taken for ink, on a slide with dense keratin, and on both under ink.
COOL_DENSITY = 0.6
BLACK_DENSITY, BLACK_EVENNESS = 0.45, 0.65
RED_DENSITY, RED_BLUE_TO_GREEN, RED_RED_TO_GREEN = 0.65, 0.75, 0.6


@dataclass(frozen=True)
class TileQuality:
    """Measures of tiles, each ``(n,)``.

    Attributes
    ----------
    contrast : standard deviation of grey, 0..0.5
    sharpness : standard deviation of the Laplacian of slightly smoothed grey, relative to that of grey, both without glass
    ink : share of the area in the colours of marker pens, 0..1
    """

    contrast: NDArray[np.float64]
    sharpness: NDArray[np.float64]
    ink: NDArray[np.float64]

    @property
    def problems(self) -> NDArray[np.str_]:
        """The first that applies of ``"blank"``, ``"pen"``, ``"blurred"``; ``""`` for a good tile."""
        return np.select(
            [self.contrast < CONTRAST_AT_LEAST, self.ink > INK_AT_MOST, self.sharpness < SHARPNESS_AT_LEAST],
            ["blank", "pen", "blurred"],
            default="",
        )


def measure_quality(tiles: NDArray[np.uint8]) -> TileQuality:
    """Measure tiles ``(n, size, size, 3)`` RGB at the model's scale."""
    measured = np.array([_measure(tile) for tile in tiles], np.float64).reshape(len(tiles), 3)
    return TileQuality(measured[:, 0], measured[:, 1], measured[:, 2])


def _measure(tile: NDArray[np.uint8]) -> tuple[float, float, float]:
    grey = rgb2gray(tile)
    edges = laplace(gaussian_filter(grey, NOISE_SIGMA_PX))
    tissue = gaussian_filter(grey, GLASS_SIGMA_PX) <= GLASS_GREY
    sharpness = edges[tissue].std() / max(grey[tissue].std(), 1e-6) if tissue.any() else 0.0
    return float(grey.std()), float(sharpness), float(_ink(tile).mean())


def _ink(tile: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Cells whose light lacks what haematoxylin and eosin let through: under blue, green, black or red ink.

    Optical density adds up where stain and ink lie on one another, so a rule in it holds over pale and dark tissue.
    Red absorbed more than green (a hue of 60 to 240 degrees) is blue or green ink where it is dense, less so the more the
    two differ; all three nearly alike is black; blue nearly as much as green, and red little, is red. A violet-blue as dark
    as haematoxylin and a pale red are not told from stain.
    """
    density = -np.log10((_light_of_cells(tile) + 1.0) / 256.0)
    red, green, blue = np.moveaxis(density, -1, 0)
    cool = (2 * red - green > COOL_DENSITY) & (red > green)
    black = density.min(axis=-1) > np.maximum(BLACK_DENSITY, BLACK_EVENNESS * density.max(axis=-1))
    pure_red = (green > RED_DENSITY) & (blue > RED_BLUE_TO_GREEN * green) & (red < RED_RED_TO_GREEN * green)
    return np.asarray(cool | black | pure_red, np.bool_)


def _light_of_cells(tile: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Colour of the lighter part of each cell: ``(rows, columns, 3)`` in 0..255. A rest at the border is left out."""
    rows, columns = tile.shape[0] // CELL_PX, tile.shape[1] // CELL_PX
    per_cell = CELL_PX // FINE_PX
    inside = tile[: rows * CELL_PX, : columns * CELL_PX]
    fine = inside.reshape(rows * per_cell, FINE_PX, columns * per_cell, FINE_PX, 3).mean(axis=(1, 3))
    cells = fine.reshape(rows, per_cell, columns, per_cell, 3).swapaxes(1, 2).reshape(rows, columns, per_cell**2, 3)
    return np.asarray(np.quantile(cells, LIGHT_SHARE, axis=2, method="nearest"), np.float64)
