"""A sheet on which nuclei and other shapes are drawn over stained ground, then textured and blurred."""

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from scipy.ndimage import gaussian_filter, map_coordinates

from cervix.slides.drawn.look import Look
from cervix.slides.drawn.patterns import Field, at, pixel_grid, smooth_field
from cervix.slides.drawn.stains import Density, density_of

DRAWN_LARGER = 2
STEPS_PER_STAIN = 200.0
"""Shapes are drawn in 8 bits, so an amount of stain is at most 1.27."""
CORNERS = 28
_TURN = np.linspace(0, 2 * np.pi, CORNERS, endpoint=False)
NUCLEUS_FROM = 0.4
"""Amount of haematoxylin that only nuclei have."""


class Sheet:
    """Amounts of three stains, and shapes over them.

    Parameters
    ----------
    haematoxylin, eosin : (height, width)
        The ground; shapes cover it.
    inside : (height, width) bool
        Where anything will be seen; shapes with their middle elsewhere are left out.
    """

    def __init__(
        self, haematoxylin: Field, eosin: Field, inside: NDArray[np.bool_], rng: np.random.Generator, look: Look
    ) -> None:
        self.shape = inside.shape
        self.inside = inside
        self.rng = rng
        self.look = look
        self._images = [_drawable(ground) for ground in (haematoxylin, eosin, np.zeros(self.shape, np.float32))]
        self._pens = [ImageDraw.Draw(image) for image in self._images]

    def shape_at(self, outline: NDArray[np.float64], **stains: float) -> None:
        """Fill an outline ``(n, 2)`` with amounts of ``haematoxylin``, ``eosin`` and ``red_cells``; those left out stay."""
        corners = [(float(x), float(y)) for x, y in outline * DRAWN_LARGER]
        for name, pen in zip(("haematoxylin", "eosin", "red_cells"), self._pens, strict=True):
            if name in stains:
                pen.polygon(corners, fill=int(np.clip(stains[name] * STEPS_PER_STAIN, 0, 255)))

    def blob(self, x: float, y: float, a: float, b: float, angle: float, roughness: float) -> NDArray[np.float64]:
        """Outline of an ellipse with half axes ``a`` and ``b`` px that strays by ``roughness`` of its radius."""
        rng = self.rng
        strays = sum(
            weight * rng.normal() * np.cos(waves * _TURN + rng.uniform(0, 2 * np.pi))
            for waves, weight in ((2, 1.0), (3, 0.6), (5, 0.4))
        )
        radius = np.clip(1 + roughness * strays, 0.6, 1.4)
        along, across = a * radius * np.cos(_TURN), b * radius * np.sin(_TURN)
        cos, sin = np.cos(angle), np.sin(angle)
        return np.stack([x + along * cos - across * sin, y + along * sin + across * cos], axis=1)

    def seen(self, points: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Which points ``(n, 2)`` lie where anything will be seen."""
        height, width = self.shape
        x, y = points.T
        return np.asarray((x >= -10) & (x < width + 10) & (y >= -10) & (y < height + 10) & at(self.inside, points), np.bool_)

    def nucleus(
        self, x: float, y: float, a: float, b: float, angle: float, *, darker: float = 0.0, vesicular: bool = True
    ) -> None:
        """A nucleus with half axes ``a`` and ``b`` px: its membrane, paler within if vesicular, and nucleoli."""
        look, rng = self.look, self.rng
        a, b = a * look.nucleus_size, b * look.nucleus_size
        stain = look.nucleus_stain + darker + rng.normal(0, 0.06)
        outline = self.blob(x, y, a, b, angle, look.outline)
        self.shape_at(outline, haematoxylin=stain + look.nucleus_rim)
        if not vesicular:
            return
        within = np.array([x, y]) + (outline - (x, y)) * 0.85
        self.shape_at(within, haematoxylin=stain - look.nucleus_pallor * rng.uniform(0.3, 1.0))
        for _ in range(rng.integers(1, 4)):
            along, across = rng.normal(0, 0.35, 2)
            spot = self.blob(x + along * a, y + across * b, rng.uniform(1.2, 2.4), rng.uniform(1.2, 2.0), 0.0, 0.05)
            self.shape_at(spot, haematoxylin=stain + look.nucleolus)

    def red_cell(self, x: float, y: float) -> None:
        """A red cell of about 7.5 µm, seen from any side."""
        rng = self.rng
        outline = self.blob(x, y, rng.uniform(5.5, 7.5), rng.uniform(3.5, 6.5), rng.uniform(0, np.pi), 0.05)
        self.shape_at(outline, haematoxylin=0.02, eosin=0.03, red_cells=rng.uniform(0.75, 1.1))

    def density(self) -> Density:
        """What was drawn, with the texture of stain and the blur of optics."""
        look, rng, shape = self.look, self.rng, self.shape
        haematoxylin, eosin, red_cells = (
            np.asarray(image.reduce(DRAWN_LARGER), np.float32) / STEPS_PER_STAIN for image in self._images
        )
        nuclei = gaussian_filter((haematoxylin > NUCLEUS_FROM).astype(np.float32), 1)
        haematoxylin = haematoxylin * look.haematoxylin * np.exp(
            look.texture * smooth_field(rng, shape, 1.8) + look.coarse_texture * smooth_field(rng, shape, 5.0)
            + look.chromatin * nuclei * smooth_field(rng, shape, 1.3)
        )  # fmt: skip
        eosin = eosin * look.eosin * np.exp(
            look.texture * smooth_field(rng, shape, 1.6) + look.coarse_texture * smooth_field(rng, shape, 4.0)
        )  # fmt: skip
        x_px, y_px = pixel_grid(shape)
        places = [field + look.warp_px * smooth_field(rng, shape, 2.5) for field in (y_px, x_px)]
        shaken = [
            np.asarray(gaussian_filter(map_coordinates(part, places, order=1, mode="nearest"), look.blur_px), np.float32)
            for part in (haematoxylin, eosin, red_cells)
        ]
        grain = np.exp(look.fine_texture * smooth_field(rng, shape, 0.7))
        return np.asarray(density_of(shaken[0], shaken[1], shaken[2], look.warmth) * grain[..., None], np.float32)


def on_ellipse(x: float, y: float, a: float, b: float, angle: float, turn: float) -> tuple[float, float, float]:
    """A point at ``turn`` on an ellipse with half axes ``a`` and ``b`` px, and the direction of the ellipse there."""
    along, across, cos, sin = a * np.cos(turn), b * np.sin(turn), np.cos(angle), np.sin(angle)
    tangent = angle + np.arctan2(b * np.cos(turn), -a * np.sin(turn))
    return float(x + along * cos - across * sin), float(y + along * sin + across * cos), float(tangent)


def _drawable(ground: Field) -> Image.Image:
    image = Image.fromarray(np.clip(ground * STEPS_PER_STAIN, 0, 255).astype(np.uint8))
    return image.resize((image.width * DRAWN_LARGER, image.height * DRAWN_LARGER), Image.Resampling.BILINEAR)
