"""Pixels that look a little like H&E and are nobody's tissue, made in an instant.

For golden vectors, which must hold no patient image, and wherever a slide is needed and not what it shows. Scores of it mean
nothing; drawn tissue (``cervix.slides.drawn``) is what people look at.
"""

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from scipy.ndimage import gaussian_filter, zoom

PHANTOM_SPACING_UM_PX = 0.5
GLASS_RGB = (243, 242, 244)
EOSIN_RGB = (222, 158, 196)
HAEMATOXYLIN_RGB = (92, 58, 138)
NUCLEI_PER_MEGAPIXEL = 1500


def phantom_region(width_px: int, height_px: int, *, seed: int, tissue_share: float = 0.6) -> NDArray[np.uint8]:
    """Draw a region ``(height, width, 3)`` uint8 RGB of glass, stroma and nuclei at 0.5 µm per pixel.

    ``tissue_share`` of the area is tissue (1.0: all of it).
    """
    rng = np.random.default_rng(seed)
    coarse = gaussian_filter(rng.normal(size=(height_px // 32 + 2, width_px // 32 + 2)), 5, mode="wrap")
    field = zoom(coarse, 32, order=1)[:height_px, :width_px]
    tissue = field >= np.quantile(field, 1.0 - tissue_share)

    texture = gaussian_filter(rng.normal(size=(height_px, width_px)).astype(np.float32), (2, 6))
    texture /= texture.std()
    stroma = np.asarray(EOSIN_RGB, np.float32) + texture[..., None] * np.array([9.0, 12.0, 8.0], np.float32)
    canvas = Image.fromarray(np.clip(stroma, 0, 255).astype(np.uint8))
    draw = ImageDraw.Draw(canvas)
    for _ in range(int(NUCLEI_PER_MEGAPIXEL * width_px * height_px / 1e6)):
        x, y = rng.uniform(0, width_px), rng.uniform(0, height_px)
        a, b = rng.uniform(5, 10), rng.uniform(4, 8)
        shade = rng.normal(0, 12)
        draw.ellipse(
            (x - a, y - b, x + a, y + b),
            fill=tuple(int(np.clip(c + shade, 0, 255)) for c in HAEMATOXYLIN_RGB),
        )
    pixels = np.asarray(canvas).copy()
    glass = np.asarray(GLASS_RGB, np.float32) + rng.normal(0, 1.5, size=(height_px, width_px, 1))
    pixels[~tissue] = np.clip(glass, 0, 255).astype(np.uint8)[~tissue]
    return pixels
