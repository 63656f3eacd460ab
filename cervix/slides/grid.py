"""Lay a regular grid of tiles over tissue, in an order whose every prefix covers the whole slide."""

import hashlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cervix.bundle.manifest import TileInput
from cervix.errors import NoTissue, SlideNotSuitable
from cervix.slides.tissue import TissueMask
from cervix.sources.slide import SPACING_TIMES_MAGNIFICATION, Slide

# A tile counts as tissue from a quarter of its area: alveolar lung and loose stroma are half air.
MINIMUM_TISSUE_FRACTION = 0.25
# Within 5 % the model's spacing and the level's are the same: reading pixels as they are beats resampling.
NATIVE_TOLERANCE = 0.05


@dataclass(frozen=True)
class TileLattice:
    """Cells as large as a tile that cover a rectangle of level 0 to its last pixel.

    Cells of the last column and row may reach beyond it. Their tiles are moved in to end at the border, so that they hold
    scanned pixels only; what they share with the tile before them belongs to the cell of that one.
    """

    left_l0_px: int
    top_l0_px: int
    width_l0_px: int
    height_l0_px: int
    size_l0_px: int

    @property
    def columns(self) -> int:
        return -(-self.width_l0_px // self.size_l0_px)

    @property
    def rows(self) -> int:
        return -(-self.height_l0_px // self.size_l0_px)

    def corners(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Level-0 corners of all tiles, row by row: ``(n,)`` each."""
        x = np.minimum(self.left_l0_px + np.arange(self.columns) * self.size_l0_px, self.right_l0_px - self.size_l0_px)
        y = np.minimum(self.top_l0_px + np.arange(self.rows) * self.size_l0_px, self.bottom_l0_px - self.size_l0_px)
        across, down = np.meshgrid(x, y)
        return across.ravel(), down.ravel()

    @property
    def right_l0_px(self) -> int:
        return self.left_l0_px + self.width_l0_px

    @property
    def bottom_l0_px(self) -> int:
        return self.top_l0_px + self.height_l0_px

    def cells(self, x_l0_px: NDArray[np.integer], y_l0_px: NDArray[np.integer]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Column and row of tiles by their corners: ``(n,)`` each."""
        column, row = -((self.left_l0_px - x_l0_px) // self.size_l0_px), -((self.top_l0_px - y_l0_px) // self.size_l0_px)
        return np.asarray(column, np.int64), np.asarray(row, np.int64)

    def moved_in(
        self, x_l0_px: NDArray[np.integer], y_l0_px: NDArray[np.integer]
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """How many pixels a tile lies left of, and above, its cell: ``(n,)`` each, 0 but at the border."""
        column, row = self.cells(x_l0_px, y_l0_px)
        return (
            self.left_l0_px + column * self.size_l0_px - np.asarray(x_l0_px, np.int64),
            self.top_l0_px + row * self.size_l0_px - np.asarray(y_l0_px, np.int64),
        )


def lattice_around(x_l0_px: NDArray[np.integer], y_l0_px: NDArray[np.integer], size_l0_px: int) -> TileLattice:
    """A lattice on which tiles with these corners lie, as small as it can be.

    Of a part of a slide's tiles it may be another than the slide's, but each tile lies in its place on it.
    """
    left, top = int(x_l0_px.min()) % size_l0_px, int(y_l0_px.min()) % size_l0_px
    right, bottom = int(x_l0_px.max()) + size_l0_px, int(y_l0_px.max()) + size_l0_px
    return TileLattice(left, top, right - left, bottom - top, size_l0_px)


@dataclass(frozen=True)
class TileGrid:
    """Tiles to score, in scoring order.

    Attributes
    ----------
    x_l0_px, y_l0_px : (n,) int64
        Level-0 corner of each tile.
    tissue_fraction : (n,) float64
        Tissue in the part of a tile that no tile before it holds, as a share of its whole area: over all tiles it adds up.
        Only a tile moved in from the right or lower border shares a part of it.
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

    @property
    def sha256(self) -> str:
        """A hash of the tiles in their order: rows scored in one order are of no use to another."""
        places = np.column_stack([self.x_l0_px, self.y_l0_px]).astype("<i8").tobytes()
        return hashlib.sha256(f"{self.size_l0_px} {self.level} {self.size_level_px} ".encode() + places).hexdigest()


def is_too_coarse(slide: Slide, tiles: TileInput) -> bool:
    """Whether a slide would have to be enlarged more than the model allows; ``SlideScaleUnknown`` without a scale."""
    return slide.coarser_side_um_px > tiles.coarsest_um_px


def lay_grid(slide: Slide, tissue: TissueMask, tiles: TileInput) -> TileGrid:
    """Lay the grid at the model's physical scale over the scanned part, and keep tiles that hold tissue.

    The last column and row end at the border (``TileLattice``). A tile that was moved in there is kept for any tissue that
    lies in no tile before it.

    Raises
    ------
    SlideScaleUnknown
        If the slide's spacing is not known.
    SlideNotSuitable
        If the image is too coarse for the model or smaller than one tile, or no tile holds enough tissue.
    """
    if is_too_coarse(slide, tiles):
        objective = f"{SPACING_TIMES_MAGNIFICATION / tiles.spacing_um_px:.0f}x"
        raise SlideNotSuitable(
            "The picture is too coarse for the model",
            expected=f"at most {tiles.coarsest_um_px:.4g} µm per pixel (the model reads {tiles.spacing_um_px:g})",
            found=f"{slide.coarser_side_um_px:.4g} µm",
            action=(
                "Enlarging makes up no detail, and answers on enlarged pictures are wrong. "
                f"Use a {objective} scan, or a photograph taken through a {objective} objective."
            ),
        )
    spacing = slide.known_spacing_um_px
    size_l0_px = round(tiles.size_px * tiles.spacing_um_px / spacing)
    if abs(size_l0_px / tiles.size_px - 1.0) <= NATIVE_TOLERANCE:
        size_l0_px = tiles.size_px
    lattice = TileLattice(*slide.plane.bounds_l0_px, size_l0_px)
    if min(lattice.width_l0_px, lattice.height_l0_px) < size_l0_px:
        raise SlideNotSuitable(
            "The image is smaller than one tile",
            expected=f"at least {size_l0_px} × {size_l0_px} px ({size_l0_px * spacing:.0f} µm) at {spacing:g} µm per pixel",
            found=f"{lattice.width_l0_px:,} × {lattice.height_l0_px:,} px",
        )
    level = slide.best_level(size_l0_px / tiles.size_px * (1 + NATIVE_TOLERANCE))
    x, y = lattice.corners()
    shared_x, shared_y = lattice.moved_in(x, y)
    own_width, own_height = size_l0_px - shared_x, size_l0_px - shared_y
    fraction = tissue.fraction_in(x, y, size_l0_px)
    own = tissue.fraction_in(x + shared_x, y + shared_y, own_width, own_height) * (own_width * own_height / size_l0_px**2)
    # Where a tile was moved in, its own part is narrow, and what the border cuts off of a piece of tissue is little.
    moved = (shared_x > 0) | (shared_y > 0)
    keep = np.flatnonzero(np.where(moved, own > 0, fraction >= MINIMUM_TISSUE_FRACTION))
    if len(keep) == 0:
        raise NoTissue(
            "No tissue was found",
            expected=f"at least one tile with {MINIMUM_TISSUE_FRACTION:.0%} stained tissue",
            found=f"{len(x):,} tiles of glass",
            action="Check that this is an H&E slide and that its scale is right.",
        )
    keep = keep[sweep_order(*lattice.cells(x[keep], y[keep]))]
    return TileGrid(
        x_l0_px=x[keep],
        y_l0_px=y[keep],
        tissue_fraction=own[keep],
        size_l0_px=size_l0_px,
        size_px=tiles.size_px,
        level=level,
        size_level_px=max(1, round(size_l0_px / slide.level_downsamples[level])),
        requested_spacing_um_px=tiles.spacing_um_px,
        effective_spacing_um_px=spacing * size_l0_px / tiles.size_px,
    )


def sweep_order(column: NDArray[np.integer], row: NDArray[np.integer], *, scrambled_by: int | None = None) -> NDArray[np.int64]:
    """An order of grid cells in which every prefix is spread evenly over all of them: ``(n,)`` indices.

    Cells are ranked along a Morton curve, so that near ranks are near places, and ranks are visited in
    bit-reversed (van der Corput, base 2) order, whose discrepancy is low.

    Parameters
    ----------
    scrambled_by : int, optional
        A seed. Each half of each stretch of the curve is then as likely as the other to come first (nested scrambling; Owen
        1995, Monte Carlo and Quasi-Monte Carlo Methods in Scientific Computing, pp. 299-317): the order is as even as before,
        and no pattern in the tissue can agree with it. Without a seed the same half comes first everywhere.
    """
    along_curve = np.lexsort((row, column, _interleave_bits(column, row)))
    count = len(along_curve)
    bits = max(1, int(count - 1).bit_length())
    random = None if scrambled_by is None else np.random.default_rng(scrambled_by)
    places = np.arange(1 << bits, dtype=np.int64)
    ranks = np.zeros_like(places)
    for bit in range(bits):
        digit = (places >> bit) & 1
        if random is not None:
            digit ^= random.integers(0, 2, 1 << bit)[ranks]
        ranks = ranks << 1 | digit
    return np.asarray(along_curve[ranks[ranks < count]], np.int64)


def _interleave_bits(column: NDArray[np.integer], row: NDArray[np.integer]) -> NDArray[np.int64]:
    code = np.zeros(len(column), np.int64)
    for bit in range(24):
        code |= ((column.astype(np.int64) >> bit) & 1) << (2 * bit)
        code |= ((row.astype(np.int64) >> bit) & 1) << (2 * bit + 1)
    return code
