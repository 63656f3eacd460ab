"""Write pixels as a tiled TIFF pyramid."""

import io
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import tifffile
from numpy.typing import NDArray
from PIL import Image

TILE_PX = 256
SMALLEST_LEVEL_PX = 512


def write_pyramid(
    path: Path, pixels: NDArray[np.uint8], spacing_um_px: float | None, *, jpeg_quality: int | None = None
) -> None:
    """Write ``(height, width, 3)`` uint8 as a tiled TIFF pyramid, halving until a level fits 512 px.

    Parameters
    ----------
    spacing_um_px : float, optional
        None leaves the physical size out, as many converters do.
    jpeg_quality : int, optional
        1..95: a tenth of the size; None keeps every pixel as it is.
    """
    level = Image.fromarray(pixels)
    with tifffile.TiffWriter(path, bigtiff=pixels.nbytes > 2**31) as writer:
        factor = 1
        while True:
            scale: dict[str, object] = {"resolutionunit": "NONE"}
            if spacing_um_px is not None:
                per_cm = 1e4 / (spacing_um_px * factor)
                scale = {"resolution": (per_cm, per_cm), "resolutionunit": "CENTIMETER"}
            layout: dict[str, object] = {"data": np.asarray(level), "compression": "zlib", "photometric": "rgb"}
            if jpeg_quality is not None:
                layout = {
                    "data": _jpeg_tiles(level, jpeg_quality), "shape": (level.height, level.width, 3), "dtype": np.uint8,
                    "compression": "jpeg", "photometric": "ycbcr", "subsampling": (2, 2),
                }  # fmt: skip
            writer.write(
                **layout,  # type: ignore[arg-type]
                tile=(TILE_PX, TILE_PX),
                subfiletype=int(factor > 1),
                metadata=None,
                **scale,  # type: ignore[arg-type]
            )
            if max(level.size) <= SMALLEST_LEVEL_PX:
                return
            level = level.reduce(2)
            factor *= 2


def _jpeg_tiles(level: Image.Image, quality: int) -> Iterator[bytes]:
    """Tiles from left to right and from above, the last ones padded with their own border."""
    pixels = np.asarray(level)
    padding = [(0, -size % TILE_PX) for size in pixels.shape[:2]]
    padded = np.pad(pixels, (*padding, (0, 0)), mode="edge")
    for top in range(0, padded.shape[0], TILE_PX):
        for left in range(0, padded.shape[1], TILE_PX):
            held = io.BytesIO()
            tile = Image.fromarray(padded[top : top + TILE_PX, left : left + TILE_PX])
            tile.save(held, "JPEG", quality=quality, subsampling="4:2:0")
            yield held.getvalue()
