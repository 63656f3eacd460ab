"""Lay a regular grid of tiles over tissue, in an order whose every prefix covers the whole slide."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cervix.bundle.manifest import TileInput
from cervix.errors import NoTissue, SlideNotSuitable
from cervix.slides.reading import Slide
from cervix.slides.tissue import TissueMask

# A tile counts as tissue from a quarter of its area: alveolar lung and loose stroma are half air.
MINIMUM_TISSUE_FRACTION = 0.25
# Within 5 % the model's spacing and the level's are the same: reading pixels as they are beats resampling.
NATIVE_TOLERANCE = 0.05


@dataclass(frozen=True)
class TileGrid:
    """Tiles to score, in scoring order.

    Attributes
    ----------
    x_l0_px, y_l0_px : (n,) int64
        Level-0 corner of each tile.
    tissue_fraction : (n,) float64
    size_l0_px : int
        Edge of a tile on level 0; also the stride of the grid.
    size_px : int
        Edge of a tile as the model sees it.
    level, size_level_px : int
        The pyramid level tiles are read from, and their edge there.
    requested_spacing_um_px, effective_spacing_um_px : float
    """

    x_l0_px: NDArray[np.int64]
    y_l0_px: NDArray[np.int64]
    tissue_fraction: NDArray[np.float64]
    size_l0_px: int
    size_px: int
    level: int
    size_level_px: int
    requested_spacing_um_px: float
    effective_spacing_um_px: float

    def __len__(self) -> int:
        return len(self.x_l0_px)


def lay_grid(slide: Slide, tissue: TissueMask, tiles: TileInput) -> TileGrid:
    """Lay the grid at the model's physical scale and keep tiles that hold tissue.

    Raises
    ------
    SlideScaleUnknown
        If the slide's spacing is not known.
    SlideNotSuitable
        If the image is smaller than one tile, or no tile holds enough tissue.
    """
    spacing = slide.known_spacing_um_px
    size_l0_px = round(tiles.size_px * tiles.spacing_um_px / spacing)
    if abs(size_l0_px / tiles.size_px - 1.0) <= NATIVE_TOLERANCE:
        size_l0_px = tiles.size_px
    if min(slide.width_l0_px, slide.height_l0_px) < size_l0_px:
        raise SlideNotSuitable(
            "The image is smaller than one tile",
            expected=f"at least {size_l0_px} × {size_l0_px} px ({size_l0_px * spacing:.0f} µm) at {spacing:g} µm per pixel",
            found=f"{slide.width_l0_px:,} × {slide.height_l0_px:,} px",
        )
    level = slide.best_level(size_l0_px / tiles.size_px * (1 + NATIVE_TOLERANCE))
    columns, rows = np.meshgrid(
        np.arange(0, slide.width_l0_px - size_l0_px + 1, size_l0_px),
        np.arange(0, slide.height_l0_px - size_l0_px + 1, size_l0_px),
    )
    x, y = columns.ravel(), rows.ravel()
    fraction = tissue.fraction_in(x, y, size_l0_px)
    keep = np.flatnonzero(fraction >= MINIMUM_TISSUE_FRACTION)
    if len(keep) == 0:
        raise NoTissue(
            "No tissue was found",
            expected=f"at least one tile with {MINIMUM_TISSUE_FRACTION:.0%} stained tissue",
            found=f"{len(x):,} tiles of glass",
            action="Check that this is an H&E slide and that its scale is right.",
        )
    keep = keep[sweep_order(x[keep] // size_l0_px, y[keep] // size_l0_px)]
    return TileGrid(
        x_l0_px=x[keep],
        y_l0_px=y[keep],
        tissue_fraction=fraction[keep],
        size_l0_px=size_l0_px,
        size_px=tiles.size_px,
        level=level,
        size_level_px=max(1, round(size_l0_px / slide.level_downsamples[level])),
        requested_spacing_um_px=tiles.spacing_um_px,
        effective_spacing_um_px=spacing * size_l0_px / tiles.size_px,
    )


def sweep_order(column: NDArray[np.integer], row: NDArray[np.integer]) -> NDArray[np.int64]:
    """An order of grid cells in which every prefix is spread evenly over all of them: ``(n,)`` indices.

    Cells are ranked along a Morton curve, so that near ranks are near places, and ranks are visited in
    bit-reversed (van der Corput, base 2) order, whose discrepancy is low.
    """
    along_curve = np.lexsort((row, column, _interleave_bits(column, row)))
    count = len(along_curve)
    bits = max(1, int(count - 1).bit_length())
    ranks = np.arange(1 << bits, dtype=np.int64)
    reversed_ranks = np.zeros_like(ranks)
    for bit in range(bits):
        reversed_ranks |= ((ranks >> bit) & 1) << (bits - 1 - bit)
    return np.asarray(along_curve[reversed_ranks[reversed_ranks < count]], np.int64)


def _interleave_bits(column: NDArray[np.integer], row: NDArray[np.integer]) -> NDArray[np.int64]:
    code = np.zeros(len(column), np.int64)
    for bit in range(24):
        code |= ((column.astype(np.int64) >> bit) & 1) << (2 * bit)
        code |= ((row.astype(np.int64) >> bit) & 1) << (2 * bit + 1)
    return code
