"""Amounts of stain as optical density, and optical density as the colours that a scanner sees."""

import numpy as np
from numpy.typing import NDArray

Density = NDArray[np.float32]
"""Optical density ``(height, width, 3)`` in red, green and blue; 0 is clear glass."""

# Optical density in red, green and blue at an amount of 1. Ruifrok and Johnston 2001, Anal Quant Cytol Histol 23:291-299,
# measured pure dyes, which are violet and magenta; Macenko et al. 2009, ISBI 1107-1110, whole sections, which are warmer.
HAEMATOXYLIN_OD = np.array([[0.650, 0.704, 0.286], [0.563, 0.720, 0.406]], np.float32)
EOSIN_OD = np.array([[0.072, 0.990, 0.105], [0.216, 0.801, 0.558]], np.float32)
# Red cells take eosin and keep the brownish yellow of haemoglobin; set by eye.
RED_CELL_OD = np.array([0.060, 0.560, 0.365], np.float32)
GLASS_OD = 0.018
LIGHT = 250.0
"""Grey of the scanner's light where nothing absorbs it, 0..255."""


def density_of(
    haematoxylin: NDArray[np.float32], eosin: NDArray[np.float32], red_cells: NDArray[np.float32], warmth: float
) -> Density:
    """Densities of stains add up (Beer and Lambert).

    Parameters
    ----------
    haematoxylin, eosin, red_cells : (height, width)
        Amounts: 0 for none, about 1 for the darkest nucleus.
    warmth : 0..1
        From the colours of pure dyes to those of whole sections.
    """
    mixed = [(1 - warmth) * pure + warmth * whole for pure, whole in (HAEMATOXYLIN_OD, EOSIN_OD)]
    density = np.empty((*haematoxylin.shape, 3), np.float32)
    for channel in range(3):
        density[..., channel] = haematoxylin * mixed[0][channel] + eosin * mixed[1][channel] + red_cells * RED_CELL_OD[channel]
    return density


def as_seen(density: Density) -> NDArray[np.uint8]:
    """RGB ``(height, width, 3)``: light falls as ten to the minus density."""
    return np.asarray(np.clip(LIGHT * np.power(10.0, -(density + GLASS_OD), dtype=np.float32), 0, 255).round(), np.uint8)
