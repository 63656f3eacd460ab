"""Five sample slides: an island of drawn tissue on glass, always the same."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from cervix.slides.drawn.carcinomas import adenocarcinoma, squamous_carcinoma
from cervix.slides.drawn.look import Look, looks
from cervix.slides.drawn.mucosae import MUCOSA_PX, glandular_mucosa, squamous_mucosa
from cervix.slides.drawn.other import striated_muscle
from cervix.slides.drawn.patterns import Mask, pixel_grid, smooth_field
from cervix.slides.drawn.stains import Density, as_seen
from cervix.slides.pyramid import write_pyramid

SPACING_UM_PX = 0.5
WIDTH_PX, HEIGHT_PX = 2304, 1728
JPEG_QUALITY = 85
DRAWN = "Drawn by rules with a fixed seed: nobody's tissue, no image used."
TUNED = (
    f"{DRAWN} Its settings were tuned until this model took it for tissue, so its answer shows how the app works, not that the "
    "model is right."
)
UNTUNED = f"{DRAWN} Nothing was tuned to the model, which does not take it for tissue that it knows."
Composition = Callable[[np.random.Generator, Mapping[str, Look], Mask], Density]


@dataclass(frozen=True)
class DrawnSlide:
    """A sample slide and what it shows."""

    id: str
    title: str
    story: str
    compose: Composition
    seed: int
    credit: str = TUNED

    @property
    def file_name(self) -> str:
        return f"drawn-{self.id}.tiff"

    def pixels(self, seed: int | None = None) -> NDArray[np.uint8]:
        """The slide at 0.5 µm per pixel, ``(HEIGHT_PX, WIDTH_PX, 3)`` uint8 RGB; another ``seed`` draws another one."""
        rng = np.random.default_rng(self.seed if seed is None else seed)
        inside = island(rng, (HEIGHT_PX, WIDTH_PX))
        edge = gaussian_filter(inside.astype(np.float32), 0.8)
        return as_seen(self.compose(rng, looks(), inside) * edge[..., None])

    def write(self, path: Path) -> None:
        """Write it as a JPEG pyramid that states its scale."""
        write_pyramid(path, self.pixels(), SPACING_UM_PX, jpeg_quality=JPEG_QUALITY)


def island(rng: np.random.Generator, shape: tuple[int, int]) -> Mask:
    """Where tissue lies on the glass ``(height, width)``: one rounded piece with an uneven edge."""
    x_px, y_px = pixel_grid(shape)
    height, width = shape
    across, down = (x_px / width - 0.5) / 0.45, (y_px / height - 0.5) / 0.44
    distance = (np.abs(across) ** 3 + np.abs(down) ** 3) ** (1 / 3)
    uneven = 0.05 * smooth_field(rng, shape, 160) + 0.012 * smooth_field(rng, shape, 30) + 0.002 * smooth_field(rng, shape, 6)
    return np.asarray(distance + uneven < 0.95, np.bool_)


def _squamous_carcinoma(rng: np.random.Generator, look: Mapping[str, Look], inside: Mask) -> Density:
    return squamous_carcinoma(rng, look["squamous-carcinoma"], inside)


def _adenocarcinoma(rng: np.random.Generator, look: Mapping[str, Look], inside: Mask) -> Density:
    return adenocarcinoma(rng, look["adenocarcinoma"], inside)


def _normal(rng: np.random.Generator, look: Mapping[str, Look], inside: Mask) -> Density:
    """Squamous epithelium on stroma, with glands in the depth."""
    top = inside.argmax(axis=0).astype(np.float32)
    _, y_px = pixel_grid(inside.shape)
    deep = inside & (y_px - top > 1.55 * MUCOSA_PX + 60 * smooth_field(rng, inside.shape, 90))
    ground = squamous_mucosa(rng, look["squamous-mucosa"], inside)
    return _laid_over(ground, deep, 14, lambda part: glandular_mucosa(rng, look["glandular-mucosa"], part))


def _muscle(rng: np.random.Generator, look: Mapping[str, Look], inside: Mask) -> Density:
    return striated_muscle(rng, look["squamous-mucosa"], inside)


def _mixed(rng: np.random.Generator, look: Mapping[str, Look], inside: Mask) -> Density:
    """Squamous epithelium on stroma, in which a squamous-cell carcinoma grows from one side."""
    tumour = _grown_in(rng, inside)
    ground = squamous_mucosa(rng, look["squamous-mucosa"], inside)
    return _laid_over(ground, tumour, 2, lambda part: squamous_carcinoma(rng, look["squamous-carcinoma"], part))


def _grown_in(rng: np.random.Generator, inside: Mask) -> Mask:
    """Where the carcinoma of the slide ``mixed`` grows: its right side, with an uneven border."""
    shape = inside.shape
    x_px, _ = pixel_grid(shape)
    uneven = 110 * smooth_field(rng, shape, 110) + 45 * smooth_field(rng, shape, 32)
    return inside & np.asarray(x_px > 0.56 * shape[1] + uneven, np.bool_)


def _laid_over(ground: Density, where: Mask, softness_px: float, draw: Callable[[Mask], Density]) -> Density:
    """The ground with something drawn over it in the rectangle that it needs."""
    share = gaussian_filter(where.astype(np.float32), softness_px)
    rows, columns = (np.flatnonzero((share > 0).any(axis=axis)) for axis in (1, 0))
    box = slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)
    ground[box] += (draw(where[box]) - ground[box]) * share[box][..., None]
    return ground


DRAWN_SLIDES = (
    DrawnSlide("squamous", "Drawn: squamous-cell carcinoma", "Nests of crowded cells with keratin.", _squamous_carcinoma, 1),
    DrawnSlide("glandular", "Drawn: adenocarcinoma", "Crowded, irregular glands with tall dark nuclei.", _adenocarcinoma, 2),
    DrawnSlide("normal", "Drawn: normal mucosa", "Squamous epithelium that matures upwards; glands in the depth.", _normal, 3),
    DrawnSlide("mixed", "Drawn: tumour beside normal mucosa", "A carcinoma that takes up part of the piece.", _mixed, 4),
    DrawnSlide("muscle", "Drawn: striated muscle", "Fibres side by side, flat nuclei at their borders.", _muscle, 5, UNTUNED),
)


def tumour_of_mixed() -> Mask:
    """Where the slide ``mixed`` shows carcinoma, as it was drawn: ``(HEIGHT_PX, WIDTH_PX)``."""
    rng = np.random.default_rng(next(slide.seed for slide in DRAWN_SLIDES if slide.id == "mixed"))
    return _grown_in(rng, island(rng, (HEIGHT_PX, WIDTH_PX)))
