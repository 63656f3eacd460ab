"""A slide as a map: Web-Mercator tiles of its pixels and of its scores.

The world at zoom Z is 256 * 2**Z pixels wide. Z is chosen so that one world pixel is one level-0 pixel and the
slide fills at most half of the world, in whose middle it lies: the map then neither repeats it nor stretches it
beyond the latitudes that Mercator knows.
"""

import io
import math
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image

from cervix.slides.reading import Slide

MAP_TILE_PX = 256
JPEG_QUALITY = 85
# Enlarged tiles beyond one map pixel a slide pixel: 8 times, enough to look at single nuclei.
OVERZOOM = 3
# Probability in eleven steps from clear to the class's colour; opacity carries the value, so that it reads
# without telling colours apart.
OPACITY_RANGE = (40, 215)
# Okabe & Ito 2008: distinguishable with every common colour-vision deficiency.
CLASS_COLOURS = {"benign": "#0072B2", "scc": "#D55E00", "ac": "#CC79A7"}
NOVELTY_COLOUR = "#000000"


@dataclass(frozen=True)
class WorldMap:
    """Where a slide lies on the world map."""

    width_l0_px: int
    height_l0_px: int

    @property
    def max_zoom(self) -> int:
        """Zoom at which one map pixel is one level-0 pixel."""
        return max(1, math.ceil(math.log2(2 * max(self.width_l0_px, self.height_l0_px) / MAP_TILE_PX)))

    @property
    def world_px(self) -> int:
        return int(MAP_TILE_PX * 2**self.max_zoom)

    @property
    def origin_px(self) -> tuple[float, float]:
        """World pixel of the slide's upper left corner."""
        return (self.world_px - self.width_l0_px) / 2, (self.world_px - self.height_l0_px) / 2

    def lon_lat(
        self, x_l0_px: NDArray[np.floating] | float, y_l0_px: NDArray[np.floating] | float
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Longitude and latitude, in degrees, of level-0 pixels."""
        left, top = self.origin_px
        x = (np.asarray(x_l0_px, np.float64) + left) / self.world_px
        y = (np.asarray(y_l0_px, np.float64) + top) / self.world_px
        return x * 360.0 - 180.0, np.degrees(np.arctan(np.sinh(np.pi * (1.0 - 2.0 * y))))

    def region(self, z: int, x: int, y: int) -> tuple[float, float, float]:
        """Level-0 corner (x, y) and edge, in level-0 pixels, of a map tile."""
        edge = self.world_px / 2**z
        left, top = self.origin_px
        return x * edge - left, y * edge - top, edge

    def zoom_to_fit(self, width_px: int, height_px: int) -> float:
        """The map zoom at which the slide fits a viewport. Map zoom counts in tiles of 512 px."""
        scale = min(width_px / self.width_l0_px, height_px / self.height_l0_px)
        return math.log2(self.world_px * scale / 512)


def render_slide_tile(slide: Slide, z: int, x: int, y: int) -> bytes | None:
    """A map tile of the slide as JPEG; None where it lies wholly outside."""
    world = WorldMap(slide.width_l0_px, slide.height_l0_px)
    if not 0 <= z <= world.max_zoom + OVERZOOM:
        return None
    left, top, edge = world.region(z, x, y)
    if left + edge <= 0 or top + edge <= 0 or left >= slide.width_l0_px or top >= slide.height_l0_px:
        return None
    # Only the part that lies on the slide is read; the rest of the tile stays white.
    x0, y0 = max(0.0, left), max(0.0, top)
    x1, y1 = min(left + edge, float(slide.width_l0_px)), min(top + edge, float(slide.height_l0_px))
    per_px = edge / MAP_TILE_PX
    part, _ = slide.read_reduced(int(x0), int(y0), x1 - x0, y1 - y0, per_px)
    size = max(1, round((x1 - x0) / per_px)), max(1, round((y1 - y0) / per_px))
    canvas = Image.new("RGB", (MAP_TILE_PX, MAP_TILE_PX), "white")
    canvas.paste(
        part.resize(size, Image.Resampling.BILINEAR) if part.size != size else part,
        (round((x0 - left) / per_px), round((y0 - top) / per_px)),
    )
    buffer = io.BytesIO()
    canvas.save(buffer, "JPEG", quality=JPEG_QUALITY)
    return buffer.getvalue()


@dataclass(frozen=True)
class HeatLayer:
    """Scores as one RGBA pixel a grid cell.

    Attributes
    ----------
    cells : Image
        RGBA, one pixel a grid cell; clear where nothing was scored.
    size_l0_px : int
        Edge of a cell on level 0.
    """

    cells: Image.Image
    size_l0_px: int

    def render_tile(self, world: WorldMap, z: int, x: int, y: int) -> bytes:
        """A map tile of the layer as PNG, cells with sharp edges."""
        left, top, edge = world.region(z, x, y)
        step = edge / MAP_TILE_PX / self.size_l0_px
        tile = self.cells.transform(
            (MAP_TILE_PX, MAP_TILE_PX),
            Image.Transform.AFFINE,
            (step, 0, left / self.size_l0_px, 0, step, top / self.size_l0_px),
            Image.Resampling.NEAREST,
        )
        buffer = io.BytesIO()
        tile.save(buffer, "PNG", compress_level=1)
        return buffer.getvalue()


def heat_layer(tiles: pd.DataFrame, value: NDArray[np.floating], colour: str) -> HeatLayer:
    """Colour the scored cells by a value in 0..1 (``(n,)``, one a row of ``tiles``)."""
    size = int(tiles["size_l0_px"].iloc[0])
    column = tiles["x_l0_px"].to_numpy() // size
    row = tiles["y_l0_px"].to_numpy() // size
    cells = np.zeros((int(row.max()) + 1, int(column.max()) + 1, 4), np.uint8)
    low, high = OPACITY_RANGE
    red, green, blue = (int(colour[start : start + 2], 16) for start in (1, 3, 5))
    cells[row, column, :3] = (red, green, blue)
    steps = np.round(np.clip(value, 0.0, 1.0) * 10) / 10
    cells[row, column, 3] = np.where(steps > 0, low + steps * (high - low), 0).astype(np.uint8)
    return HeatLayer(Image.fromarray(cells), size)
