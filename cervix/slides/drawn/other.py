"""Tissue that the slide model has no question about: striated muscle."""

import numpy as np
from scipy.ndimage import gaussian_filter

from cervix.slides.drawn.look import Look
from cervix.slides.drawn.patterns import Mask, at, border_distance, mixed, pixel_grid, scattered_points, smooth_field
from cervix.slides.drawn.sheet import Sheet
from cervix.slides.drawn.stains import Density
from cervix.slides.drawn.stroma import Stroma, draw_stroma_cells

FIBRE_PX, STRIATION_PX = 90.0, 5.0
"""Fibres of skeletal muscle are 40 to 50 µm thick, their striations 2 to 3 µm apart."""


def striated_muscle(rng: np.random.Generator, look: Look, inside: Mask) -> Density:
    """Long, evenly eosinophilic fibres side by side with flat nuclei at their borders, in bundles with stroma between."""
    shape = inside.shape
    stroma = Stroma(rng, shape)
    x_px, y_px = pixel_grid(shape)
    bend = 30 * smooth_field(rng, shape, 220)
    along, across = x_px, y_px + bend
    # Cells stretched along the fibres: centres are scattered in a plane that is squeezed along x.
    squeezed = 12.0
    centres = scattered_points(rng, (shape[0] + 300, int(shape[1] / squeezed) + 200), FIBRE_PX * 0.62) - (100, 150)
    borders = border_distance(centres, along / squeezed + 40, across)
    septum = np.abs(smooth_field(rng, shape, 110, 420)) < 0.09
    fibre = gaussian_filter((~septum & (borders > 6)).astype(np.float32), 1.2)
    stripes = np.sin(2 * np.pi * (along + 4 * smooth_field(rng, shape, 30)) / STRIATION_PX)
    eosin = 0.34 + 0.03 * smooth_field(rng, shape, 60, 300) + 0.022 * stripes
    sheet = Sheet(
        mixed(0.6 * stroma.haematoxylin, np.full(shape, 0.025, np.float32), fibre),
        mixed(0.5 * stroma.eosin, np.asarray(eosin, np.float32), fibre),
        inside,
        rng,
        look,
    )
    draw_stroma_cells(sheet, septum, stroma.angle, fibroblasts_px=26, inflamed=0.4)
    edges = scattered_points(rng, shape, 34)
    for x, y in edges[sheet.seen(edges) & at((borders > 3) & (borders < 12) & ~septum, edges)]:
        slope = -np.arctan(np.gradient(bend[:, int(np.clip(x, 0, shape[1] - 1))])[int(np.clip(y, 0, shape[0] - 1))])
        sheet.nucleus(x, y, rng.uniform(9, 15), rng.uniform(2.4, 3.4), float(slope), vesicular=False)
    return sheet.density()
