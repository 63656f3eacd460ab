"""Is a tile fit to be learnt from: sharp, stained, and free of ink?"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter, laplace
from skimage.color import rgb2gray, rgb2hsv

# Set on the 2,387 LC25000 lung tiles at hand (224 px, about 0.5 µm/px, sharp): their contrast begins at 0.07, their
# sharpness at 0.086; blurred by 4 px the sharpness ends at 0.063.
CONTRAST_AT_LEAST = 0.03
SHARPNESS_AT_LEAST = 0.07
# Of the same tiles, 0.4 % have a tenth of their pixels in the colours of ink.
INK_AT_MOST = 0.10
NOISE_SIGMA_PX = 1.0


@dataclass(frozen=True)
class TileQuality:
    """Measures of tiles, each ``(n,)``.

    Attributes
    ----------
    contrast : standard deviation of grey, 0..0.5
    sharpness : standard deviation of the Laplacian of slightly smoothed grey, relative to the contrast
    ink : share of pixels in the colours of marker pens, 0..1
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
    contrast = float(grey.std())
    edges = laplace(gaussian_filter(grey, NOISE_SIGMA_PX))
    return contrast, float(edges.std() / max(contrast, 1e-6)), float(_ink(tile).mean())


def _ink(tile: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Pixels in colours that haematoxylin and eosin do not make: pure blue, green, pure red, black.

    Haematoxylin is blue too, but less saturated and nearer to violet; erythrocytes are red, but lighter and small.
    """
    hue, saturation, value = np.moveaxis(rgb2hsv(tile), 2, 0)
    degrees = hue * 360.0
    blue = (degrees > 195) & (degrees < 248) & (saturation > 0.72) & (value > 0.3)
    green = (degrees > 70) & (degrees < 190) & (saturation > 0.3) & (value < 0.7)
    red = ((degrees < 15) | (degrees > 345)) & (saturation > 0.75) & (value > 0.3)
    return np.asarray(blue | green | red | (value < 0.2), np.bool_)
