"""Large slides for benchmarks, written tile by tile: a few blocks of phantom tissue on glass, as scanners lay them out."""

import io
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import numpy as np
import tifffile
from PIL import Image

from cervix.slides.phantom import GLASS_RGB, PHANTOM_SPACING_UM_PX, phantom_region

TILE_PX = 256
BLOCK_PX = 4096
"""Edge of a block of tissue; a whole tile at the coarsest level."""
DOWNSAMPLES = (1, 4, 16)
APERIO_JPEG_2000_RGB = 33005
JPEG_QUALITY = 80

Codec = Literal["jpeg", "jpeg2000"]


def write_large_slide(path: Path, side_px: int, tissue_blocks: int, codec: Codec = "jpeg") -> None:
    """A square slide with three levels. A block holds about 200 tiles of tissue."""
    block = Image.fromarray(phantom_region(BLOCK_PX, BLOCK_PX, seed=5))
    across = math.ceil(side_px / BLOCK_PX)
    places = np.linspace(0, across * across - 1, tissue_blocks + 2).astype(int)[1:-1]
    described = f"Aperio Image Library v12\r\n{side_px}x{side_px} (256x256)|AppMag = 20|MPP = {PHANTOM_SPACING_UM_PX}"
    with tifffile.TiffWriter(path, bigtiff=True) as writer:
        for downsample in DOWNSAMPLES:
            writer.write(
                _tiles(
                    block.reduce(downsample), side_px, downsample, {(int(p // across), int(p % across)) for p in places}, codec
                ),
                shape=(math.ceil(side_px / downsample), math.ceil(side_px / downsample), 3),
                dtype=np.uint8,
                tile=(TILE_PX, TILE_PX),
                photometric="ycbcr" if codec == "jpeg" else "rgb",
                compression="jpeg" if codec == "jpeg" else APERIO_JPEG_2000_RGB,
                subsampling=(2, 2) if codec == "jpeg" else None,
                subfiletype=int(downsample > 1),
                description=described,
                metadata=None,
            )


def _tiles(block: Image.Image, side_px: int, downsample: int, tissue: set[tuple[int, int]], codec: Codec) -> Iterator[bytes]:
    per_block = block.width // TILE_PX
    glass = _encoded(Image.new("RGB", (TILE_PX, TILE_PX), GLASS_RGB), codec)
    drawn = {
        (row, column): _encoded(
            block.crop((column * TILE_PX, row * TILE_PX, (column + 1) * TILE_PX, (row + 1) * TILE_PX)), codec
        )
        for row in range(per_block)
        for column in range(per_block)
    }
    count = math.ceil(math.ceil(side_px / downsample) / TILE_PX)
    for row in range(count):
        for column in range(count):
            here = (row // per_block, column // per_block) in tissue
            yield drawn[row % per_block, column % per_block] if here else glass


def _encoded(tile: Image.Image, codec: Codec) -> bytes:
    buffer = io.BytesIO()
    if codec == "jpeg":
        tile.save(buffer, "JPEG", quality=JPEG_QUALITY, subsampling="4:2:0")
    else:
        tile.save(buffer, "JPEG2000", no_jp2=True, irreversible=True, quality_mode="rates", quality_layers=[15])
    return buffer.getvalue()
