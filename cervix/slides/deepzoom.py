"""A slide as a map: Web-Mercator tiles of its pixels and of its scores.

The world at zoom Z is 256 * 2**Z pixels wide. Z is chosen so that one world pixel is one level-0 pixel and the
slide fills at most half of the world, in whose middle it lies: the map then neither repeats it nor stretches it
beyond the latitudes that Mercator knows.
"""

import io
import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image, ImageChops

from cervix.slides.grid import TileLattice, lattice_around
from cervix.slides.rows import CAM_STEPS, Rows
from cervix.sources.slide import Slide

MAP_TILE_PX = 256
JPEG_QUALITY = 85
FAR_VIEW_PX = 2048
# Enlarged tiles beyond one map pixel a slide pixel: 8 times, enough to look at single nuclei.
OVERZOOM = 3
ALIGNED_ZOOMS = 5
# Probability in eleven steps from clear to the class's colour; opacity carries the value, so that it reads
# without telling colours apart.
OPACITY_RANGE = (40, 215)
CAM_SCALE_QUANTILE = 0.99
Pattern = Literal["plain", "lines", "dots"]
# Divides a map tile, so that a pattern goes on from one to the next.
PATTERN_PX = 8
PATTERN_GROUND = 130


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
    def origin_px(self) -> tuple[int, int]:
        """World pixel of the slide's upper left corner: about the middle, on a border of map tiles.

        Scanners write tiles of 256 px as maps do. With both on one grid, over five zooms, a map tile needs one of the
        slide's tiles and not parts of four.
        """
        step = MAP_TILE_PX * 2 ** max(0, min(ALIGNED_ZOOMS - 1, self.max_zoom - 3))
        across, down = ((self.world_px - edge) // 2 // step * step for edge in (self.width_l0_px, self.height_l0_px))
        return across, down

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


def tile_work_px(slide: Slide, z: int) -> float:
    """How many pixels of the slide's own levels a map tile of this zoom is drawn from, at most."""
    edge = float(WorldMap(slide.width_l0_px, slide.height_l0_px).world_px / 2**z)
    scale = slide.level_downsamples[slide.best_level(edge / MAP_TILE_PX)]
    return min(edge, slide.width_l0_px) * min(edge, slide.height_l0_px) / scale**2


def view_from_afar(slide: Slide) -> tuple[Image.Image, float]:
    """The whole slide, ``FAR_VIEW_PX`` on its longer side at most, and level-0 pixels per pixel of it."""
    longest = max(slide.width_l0_px, slide.height_l0_px)
    picture, _ = slide.overview(longest / FAR_VIEW_PX)
    picture.thumbnail((FAR_VIEW_PX, FAR_VIEW_PX), Image.Resampling.BOX)
    return picture, longest / max(picture.size)


def render_slide_tile(slide: Slide, z: int, x: int, y: int, view: tuple[Image.Image, float] | None = None) -> bytes | None:
    """A map tile of the slide as JPEG; None where it lies wholly outside.

    ``view`` is an overview of the slide, to draw from where reading the slide would be slow.
    """
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
    if view is None:
        part, _ = slide.read_reduced(int(x0), int(y0), x1 - x0, y1 - y0, per_px)
    else:
        picture, scale = view
        part = picture.crop((int(x0 / scale), int(y0 / scale), math.ceil(x1 / scale), math.ceil(y1 / scale)))
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
    """Scores as one value a cell, drawn in one colour.

    Attributes
    ----------
    opacity : (rows, columns) uint8
        0 where nothing was scored or nothing is to be shown.
    colour : (r, g, b)
    cell_l0_px : float
        Edge of a cell on level 0.
    lattice : TileLattice
        Where the cells begin, and where what was scored ends: cells of the last column and row are cut off there.
    version : str
        Changes with the values, so that a browser asks again.
    under : HeatLayer, optional
        Drawn beneath.
    pattern : str
        Of cells that must not be taken for a colour: lines or dots, on a ground of ``PATTERN_GROUND`` / 255 of the opacity.
    """

    opacity: NDArray[np.uint8]
    colour: tuple[int, int, int]
    cell_l0_px: float
    lattice: TileLattice
    version: str = ""
    under: "HeatLayer | None" = None
    pattern: Pattern = "plain"

    def render_tile(self, world: WorldMap, z: int, x: int, y: int) -> bytes:
        """A map tile of the layer as PNG: cells with sharp edges, or their mean where many share a pixel."""
        buffer = io.BytesIO()
        self._drawn(world, z, x, y).save(buffer, "PNG", compress_level=1)
        return buffer.getvalue()

    def _drawn(self, world: WorldMap, z: int, x: int, y: int) -> Image.Image:
        left, top, edge = world.region(z, x, y)
        left, top = left - self.lattice.left_l0_px, top - self.lattice.top_l0_px
        step = edge / MAP_TILE_PX / self.cell_l0_px
        factor = max(1, int(step))
        column, row = int(left // self.cell_l0_px), int(top // self.cell_l0_px)
        count = int(np.ceil(edge / self.cell_l0_px)) + factor + 1
        rows, columns = self.opacity.shape
        part = np.zeros((count, count), np.uint8)
        y0, y1, x0, x1 = max(row, 0), min(row + count, rows), max(column, 0), min(column + count, columns)
        if y0 < y1 and x0 < x1:
            part[y0 - row : y1 - row, x0 - column : x1 - column] = self.opacity[y0:y1, x0:x1]
        cells = Image.fromarray(part)
        if factor > 1:
            cells = cells.reduce(factor)
        scale = step / factor
        offset = (left / self.cell_l0_px - column) / factor, (top / self.cell_l0_px - row) / factor
        alpha = cells.transform(
            (MAP_TILE_PX, MAP_TILE_PX),
            Image.Transform.AFFINE,
            (scale, 0, offset[0], 0, scale, offset[1]),
            Image.Resampling.NEAREST,
        )
        right, bottom = (
            round((end - start) / edge * MAP_TILE_PX)
            for start, end in ((left, self.lattice.width_l0_px), (top, self.lattice.height_l0_px))
        )
        alpha.paste(0, (max(right, 0), 0, max(right, MAP_TILE_PX), MAP_TILE_PX))
        alpha.paste(0, (0, max(bottom, 0), MAP_TILE_PX, max(bottom, MAP_TILE_PX)))
        if self.pattern != "plain":
            alpha = ImageChops.multiply(alpha, _ink(self.pattern))
        tile = Image.new("RGBA", (MAP_TILE_PX, MAP_TILE_PX), self.colour)
        tile.putalpha(alpha)
        return Image.alpha_composite(self.under._drawn(world, z, x, y), tile) if self.under else tile


def _ink(pattern: Pattern) -> Image.Image:
    """A map tile of a pattern: 255 where it is drawn, ``PATTERN_GROUND`` between."""
    x, y = np.meshgrid(*(np.arange(MAP_TILE_PX) % PATTERN_PX,) * 2)
    drawn = (x + y) % PATTERN_PX < 2 if pattern == "lines" else np.maximum(x, y) < 3
    return Image.fromarray(np.where(drawn, 255, PATTERN_GROUND).astype(np.uint8))


def rgb_of(colour: str) -> tuple[int, int, int]:
    """``#rrggbb`` as three numbers."""
    red, green, blue = (int(colour[start : start + 2], 16) for start in (1, 3, 5))
    return red, green, blue


def lattice_of(tiles: pd.DataFrame) -> TileLattice:
    """The cells in which the tiles of a table lie."""
    return lattice_around(tiles["x_l0_px"].to_numpy(), tiles["y_l0_px"].to_numpy(), int(tiles["size_l0_px"].iloc[0]))


def value_grid(tiles: pd.DataFrame, value: NDArray[np.floating], lattice: TileLattice) -> NDArray[np.float32]:
    """A value of each tile (``(n,)``) in its cell: ``(rows, columns)`` float32, NaN where nothing was scored."""
    column, row = lattice.cells(tiles["x_l0_px"].to_numpy(), tiles["y_l0_px"].to_numpy())
    grid = np.full((lattice.rows, lattice.columns), np.nan, np.float32)
    grid[row, column] = value
    return grid


def heat_layer(tiles: pd.DataFrame, value: NDArray[np.floating], colour: str, version: str = "") -> HeatLayer:
    """Colour the scored cells by a value in 0..1 (``(n,)``, one a row of ``tiles``)."""
    low, high = OPACITY_RANGE
    lattice = lattice_of(tiles)
    steps = np.round(np.clip(np.nan_to_num(value_grid(tiles, value, lattice)), 0.0, 1.0) * 10) / 10
    opacity = np.where(steps > 0, low + steps * (high - low), 0).astype(np.uint8)
    return HeatLayer(opacity, rgb_of(colour), float(lattice.size_l0_px), lattice, version)


def cam_mosaic(tiles: pd.DataFrame, rows: Rows, class_index: int, colour: str, version: str = "") -> HeatLayer:
    """Grad-CAM of one class over the whole slide, each tile's map in its place, on one scale for all tiles.

    The scale ends at the 99th percentile of the tiles' own maxima, so that one extreme tile does not hide the rest. Of a tile
    moved in from the border the part is shown that no other holds.
    """
    lattice, size = lattice_of(tiles), int(tiles["size_l0_px"].iloc[0])
    x, y = tiles["x_l0_px"].to_numpy(), tiles["y_l0_px"].to_numpy()
    column, row = lattice.cells(x, y)
    cam, peak = rows["cam"][:, class_index], rows["cam_peak"][:, class_index]
    cells = cam.shape[1]
    # The place on a tile's map of each place in its cell; those past its end lie outside the slide.
    across, down = ((np.arange(cells) + 0.5 + shift[:, None] * cells / size).astype(int) for shift in lattice.moved_in(x, y))
    top = max(float(np.quantile(peak, CAM_SCALE_QUANTILE)), np.finfo(np.float32).tiny)
    share = np.clip(peak / top, 0.0, 1.0) * (OPACITY_RANGE[1] / CAM_STEPS)
    mosaic = np.zeros((lattice.rows, cells, lattice.columns, cells), np.uint8)
    for index in range(len(rows)):
        here = cam[index]
        if down[index, 0] or across[index, 0]:
            here = np.pad(here, ((0, cells), (0, cells)))[np.ix_(down[index], across[index])]
        mosaic[row[index], :, column[index], :] = here * share[index]
    return HeatLayer(mosaic.reshape(mosaic.shape[0] * cells, -1), rgb_of(colour), size / cells, lattice, version)
