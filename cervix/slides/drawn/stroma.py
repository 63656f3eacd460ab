"""The stroma under every epithelium: wavy collagen with its cells and capillaries."""

import numpy as np
from scipy.ndimage import map_coordinates

from cervix.slides.drawn.patterns import PERIOD_PX, Field, Mask, at, pixel_grid, scattered_points, smooth_field
from cervix.slides.drawn.sheet import Sheet, on_ellipse


class Stroma:
    """Wavy collagen: its stains, and the angle of its fibres."""

    def __init__(self, rng: np.random.Generator, shape: tuple[int, int], looseness: float = 1.0) -> None:
        bend = 16 * smooth_field(rng, shape, 48) + 45 * smooth_field(rng, shape, 150)
        x_px, y_px = pixel_grid(shape)
        fibres = map_coordinates(
            smooth_field(rng, (PERIOD_PX, PERIOD_PX), 1.7, 15), [y_px + bend, x_px], order=1, mode="grid-wrap"
        )
        bundles = smooth_field(rng, shape, 14)
        cleft = np.clip((-1.15 - fibres - 0.5 * bundles) / 0.5, 0, 1) * looseness
        self.haematoxylin = np.asarray(
            np.clip(0.055 + 0.012 * fibres + 0.012 * bundles, 0.02, 1) * (1 - 0.8 * cleft), np.float32
        )
        self.eosin = np.asarray(np.clip(0.20 + 0.045 * fibres + 0.03 * bundles, 0.05, 1) * (1 - 0.85 * cleft), np.float32)
        self.angle = np.asarray(-np.arctan(np.gradient(bend, axis=1)), np.float32)


def draw_stroma_cells(sheet: Sheet, where: Mask, angle: Field, *, fibroblasts_px: float, inflamed: float) -> None:
    """Spindle-shaped nuclei along the fibres, lymphocytes in groups, and capillaries with red cells."""
    rng, shape = sheet.rng, sheet.shape
    here = sheet.inside & where
    vessels = scattered_points(rng, shape, 210)
    for x, y in vessels[at(here, vessels)]:
        if rng.random() < 0.6:
            _draw_vessel(sheet, x, y, rng.uniform(9, 19), rng.uniform(0, np.pi))
    spindles = scattered_points(rng, shape, fibroblasts_px)
    for x, y in spindles[at(here, spindles)]:
        if rng.random() < 0.75:
            direction = float(angle[int(y), int(x)]) + rng.normal(0, 0.2)
            sheet.nucleus(x, y, rng.uniform(7, 12), rng.uniform(2.2, 3.6), direction, vesicular=rng.random() < 0.3)
    groups = smooth_field(rng, shape, 40)
    lymphocytes = scattered_points(rng, shape, 12)
    for x, y in lymphocytes[at(here & (groups > 2.1 - inflamed), lymphocytes)]:
        if rng.random() < 0.55:
            radius = rng.uniform(4.0, 5.0)
            sheet.nucleus(x, y, radius, radius * rng.uniform(0.85, 1), 0.0, darker=0.08, vesicular=False)


def _draw_vessel(sheet: Sheet, x: float, y: float, radius: float, angle: float) -> None:
    """A capillary cut across, of half a long axis ``radius`` px, with red cells and some nuclei of its wall."""
    rng = sheet.rng
    flat = rng.uniform(0.5, 0.9)
    sheet.shape_at(sheet.blob(x, y, radius + 3, (radius + 3) * flat, angle, 0.06), haematoxylin=0.08, eosin=0.24)
    sheet.shape_at(sheet.blob(x, y, radius, radius * flat, angle, 0.06), haematoxylin=0.01, eosin=0.015)
    for _ in range(int(radius * radius * flat / 55)):
        reach = 0.6 * radius * np.sqrt(rng.random())
        sheet.red_cell(*on_ellipse(x, y, reach, reach * flat, angle, rng.uniform(0, 2 * np.pi))[:2])
    for turn in np.arange(rng.uniform(0, 1), 2 * np.pi, 1.7):
        at_x, at_y, tangent = on_ellipse(x, y, radius, radius * flat, angle, turn)
        sheet.nucleus(at_x, at_y, 6.5, 2.2, tangent, vesicular=False)
