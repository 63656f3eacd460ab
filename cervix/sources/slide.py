"""An open slide, read in level-0 coordinates."""

import itertools
import math
from contextlib import suppress
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from cervix.errors import SlideNotReadable, SlideNotSuitable, SlideScaleUnknown, TileNotReadable
from cervix.sources.colour import Profile
from cervix.sources.decoders import on_white, said
from cervix.sources.handles import SlideFile
from cervix.sources.plane import FilePlane
from cervix.sources.scale import PLAUSIBLE_SPACING_UM_PX

# A 10x objective gives about 1 µm per pixel on common scanners, so spacing is about 10 / magnification.
SPACING_TIMES_MAGNIFICATION = 10.0
BLOCK_ROWS, BLOCK_COLUMNS = 1024, 8192
# Where a file does not state the size of its tiles, the most usual one.
STORED_TILE_PX = 256
UNREAD_RGB = (160, 160, 160)
# An overview goes round single damaged tiles. Each costs two handles, so it gives up where there is no end of them.
HOLES_LOOKED_AROUND = (16, 2_000)
HOLES_SHARE = 0.1
# Of a finer level, in place of a lost piece: 50 MB of pixels.
FINER_PX_AT_MOST = 4096 * 4096
Box = tuple[int, int, int, int]
"""Left, top, right and bottom in level-0 pixels."""


@dataclass(frozen=True)
class Slide:
    """An open slide.

    Attributes
    ----------
    sha256 : str
        Hash of the file, or of the set of files: the slide's identity everywhere (names can hold patient data).
    level_downsamples : tuple of float
        Level-0 pixels per pixel of each pyramid level, rising from 1.
    spacing_um_px : float or None
        Micrometres per level-0 pixel; None where neither the file nor the user says. Level-0 pixels are square: a file whose
        pixels are not is read resampled.
    spacing_source : str
        ``"user"``, or ``"file"`` with the part of it that says so where it is not the scanner's own statement, as in
        ``"file (OME-XML)"``; empty while unknown.
    plane : FilePlane
        How level-0 pixels lie on the file's own pixels, and which part was scanned.
    notices : list of str
        What a user should know about how the file was read.
    profile : Profile
        What turns the file's colours to sRGB.
    unusable_scale : str
        What the file states of its scale that was not used; empty where it states nothing.
    """

    path: Path
    sha256: str
    file: SlideFile
    width_l0_px: int
    height_l0_px: int
    level_downsamples: tuple[float, ...]
    spacing_um_px: float | None
    spacing_source: str
    vendor: str
    magnification: float | None
    plane: FilePlane
    notices: list[str] = field(default_factory=list)
    profile: Profile = field(default_factory=Profile)
    unusable_scale: str = ""

    @property
    def known_spacing_um_px(self) -> float:
        """The spacing; ``SlideScaleUnknown`` where it is not known. It is never guessed."""
        if self.spacing_um_px is None:
            raise SlideScaleUnknown(
                "The slide does not state its scale",
                expected="micrometres per pixel in the file",
                found=self.unusable_scale or "none",
                action="Give micrometres per pixel (0.25 is usual for a 40x scan, 0.5 for 20x).",
            )
        return self.spacing_um_px

    @property
    def coarser_side_um_px(self) -> float:
        """Micrometres per pixel of the file along the longer side of its pixels; ``SlideScaleUnknown`` as the spacing."""
        return self.known_spacing_um_px / min(self.plane.file_px_per_l0_px_x, self.plane.file_px_per_l0_px_y)

    @property
    def suggested_spacing_um_px(self) -> float:
        """A starting value to show when asking the user for the scale."""
        return SPACING_TIMES_MAGNIFICATION / (self.magnification or 20.0)

    def with_spacing(self, spacing_um_px: float) -> "Slide":
        """The same slide with the scale the user gave, for square pixels; ``SlideNotSuitable`` where it is not plausible."""
        low, high = PLAUSIBLE_SPACING_UM_PX
        if not low <= spacing_um_px <= high:
            raise SlideNotSuitable(
                "The scale given is not plausible for a microscope scan",
                expected=f"{low} to {high} µm per pixel",
                found=f"{spacing_um_px:g}",
            )
        told = replace(self, spacing_um_px=spacing_um_px, spacing_source="user")
        if self.plane.square:
            return told
        width, height = self.file.dimensions
        plane = self.plane.model_copy(update={"file_px_per_l0_px_x": 1.0, "file_px_per_l0_px_y": 1.0})
        notice = f"The scale given, {spacing_um_px:g} µm per pixel, was used for both sides, although the file states two."
        notices = [notice, *(other for other in self.notices if other != self.resampled)]
        return replace(told, plane=plane, width_l0_px=width, height_l0_px=height, notices=notices)

    @property
    def resampled(self) -> str:
        """The notice about pixels that are not square; empty where they are."""
        if self.plane.square or self.spacing_um_px is None:
            return ""
        across, down = (self.spacing_um_px / per for per in (self.plane.file_px_per_l0_px_x, self.plane.file_px_per_l0_px_y))
        return (
            f"The file's pixels are not square: {across:.4g} µm wide and {down:.4g} µm high. They were resampled to squares of "
            f"{self.spacing_um_px:.4g} µm, in which tables count; QuPath files are in the pixels of the file."
        )

    def read(
        self, x_l0_px: int, y_l0_px: int, level: int, width_px: int, height_px: int, *, shown_px: tuple[int, int] | None = None
    ) -> Image.Image:
        """Read a region in sRGB; its corner in level-0 pixels, its size in pixels of ``level``, resized to ``shown_px``.

        Outside the scanned area is white. Raises ``TileNotReadable`` where the file is damaged, ``SlideNotReadable`` where
        it is gone.
        """
        on_file = self.plane.region(x_l0_px, y_l0_px, self.level_downsamples[level], width_px, height_px)
        try:
            region = self.file.read_region(on_file.corner_file_px, level, on_file.size_px)
        except Exception as error:  # what a decoder raises on a damaged file is no contract of its own
            if not self.path.is_file():
                raise SlideNotReadable(
                    "The slide file is no longer where it was",
                    found="no file",
                    action="It was moved or deleted; add it again.",
                ) from error
            raise TileNotReadable(
                f"The slide opened but cannot be read at x {x_l0_px}, y {y_l0_px}",
                found=said(error),
                action="The file is damaged; copy it again from its source.",
            ) from error
        picture, shown_px = on_white(region), shown_px or (width_px, height_px)
        if shown_px != picture.size or not self.plane.square:
            picture = picture.resize(shown_px, Image.Resampling.BILINEAR, box=on_file.box)
        return self.profile.apply(picture)

    def read_tile(self, x_l0_px: int, y_l0_px: int, level: int, size_level_px: int, size_px: int) -> NDArray[np.uint8]:
        """Read a square of ``level`` as the model sees it: ``(size_px, size_px, 3)`` uint8 RGB."""
        return image_array(self.read(x_l0_px, y_l0_px, level, size_level_px, size_level_px, shown_px=(size_px, size_px)))

    def best_level(self, downsample: float) -> int:
        """The coarsest level that is still at least as fine as asked for (within 1 %)."""
        return max(index for index, value in enumerate(self.level_downsamples) if index == 0 or value <= downsample * 1.01)

    def stored_tile_px(self, level: int) -> tuple[int, int]:
        """Width and height of the tiles in which the file keeps a level; the usual one where it does not say."""
        stated = (self.file.properties.get(f"openslide.level[{level}].tile-{side}") for side in ("width", "height"))
        width, height = (int(value) if value and value.isdigit() and int(value) else STORED_TILE_PX for value in stated)
        return width, height

    def read_reduced(
        self,
        x_l0_px: int,
        y_l0_px: int,
        width_l0_px: float,
        height_l0_px: float,
        downsample: float,
        *,
        holes_l0_px: list[Box] | None = None,
    ) -> tuple[Image.Image, float]:
        """Read a rectangle at about ``downsample``, never coarser, and say which downsample it has.

        Read in blocks and reduced by whole factors, so that a slide without a pyramid costs little memory, however wide. What
        is damaged stays grey.

        Parameters
        ----------
        holes_l0_px : list, optional
            Gets left, top, right and bottom of each place that could not be read.

        Raises
        ------
        TileNotReadable
            Where damage has no end.
        SlideNotReadable
            Where the file is gone.
        """
        holes = [] if holes_l0_px is None else holes_l0_px
        level = self.best_level(downsample)
        scale = self.level_downsamples[level]
        width, height = max(1, round(width_l0_px / scale)), max(1, round(height_l0_px / scale))
        factor = max(1, int(downsample / scale * 1.01))
        rows, columns = (max(factor, edge // factor * factor) for edge in (BLOCK_ROWS, BLOCK_COLUMNS))
        canvas = Image.new("RGB", (-(-width // factor), -(-height // factor)), "white")
        for top, left in itertools.product(range(0, height, rows), range(0, width, columns)):
            corner = x_l0_px + round(left * scale), y_l0_px + round(top * scale)
            block = self._read_around(*corner, level, min(columns, width - left), min(rows, height - top), holes)
            canvas.paste(block.reduce(factor) if factor > 1 else block, (left // factor, top // factor))
        return canvas, scale * factor

    def _read_around(
        self, x_l0_px: int, y_l0_px: int, level: int, width_px: int, height_px: int, holes_l0_px: list[Box]
    ) -> Image.Image:
        """As ``read``; where that fails, piece by piece along the tiles of the file, so that one of them costs itself alone.

        What a finer level has of a lost piece is shown in its place, and is no hole.
        """
        try:
            return self.read(x_l0_px, y_l0_px, level, width_px, height_px)
        except TileNotReadable:
            canvas = Image.new("RGB", (width_px, height_px), UNREAD_RGB)
        scale = self.level_downsamples[level]
        across, down = self.stored_tile_px(level)
        in_level = self.width_l0_px * self.height_l0_px / scale**2 / (across * down)
        patience = min(max(HOLES_LOOKED_AROUND[0], int(in_level * HOLES_SHARE)), HOLES_LOOKED_AROUND[1])
        rows, columns = _pieces(round(y_l0_px / scale), height_px, down), _pieces(round(x_l0_px / scale), width_px, across)
        everything = width_px * scale >= self.width_l0_px and height_px * scale >= self.height_l0_px
        lost, borne = 0, len(rows) * len(columns) - (len(rows) * len(columns) > 1 or everything)
        for top, bottom in rows:
            for left, right in columns:
                corner = x_l0_px + round(left * scale), y_l0_px + round(top * scale)
                try:
                    canvas.paste(self._read_piece(*corner, level, right - left, bottom - top), (left, top))
                except TileNotReadable:
                    holes_l0_px.append(
                        (*corner, corner[0] + round((right - left) * scale), corner[1] + round((bottom - top) * scale))
                    )
                    lost += 1
                    # Nothing but damage is no picture, unless it is one piece of a larger one.
                    if len(holes_l0_px) > patience or lost > borne:
                        raise
        return canvas

    def _read_piece(self, x_l0_px: int, y_l0_px: int, level: int, width_px: int, height_px: int) -> Image.Image:
        """As ``read``; where that fails, what a finer level shows of it, or else without the border of a pixel, stretched over.

        Where a level is no whole factor smaller, a tile of the file begins between two pixels of level 0, and what is read from
        the nearest one lies a part of a pixel in the tile beside it.
        """
        try:
            return self.read(x_l0_px, y_l0_px, level, width_px, height_px)
        except TileNotReadable:
            scale = self.level_downsamples[level]
            if (finer := self._of_finer(x_l0_px, y_l0_px, level, width_px, height_px)) is not None:
                return finer
            if scale.is_integer() or min(width_px, height_px) <= 2:
                raise
        within = x_l0_px + round(scale), y_l0_px + round(scale)
        return self.read(*within, level, width_px - 2, height_px - 2, shown_px=(width_px, height_px))

    def _of_finer(self, x_l0_px: int, y_l0_px: int, level: int, width_px: int, height_px: int) -> Image.Image | None:
        """What the next finer level that can be read shows of a piece, as large; None where there is none."""
        for finer in reversed(range(level)):
            factor = self.level_downsamples[level] / self.level_downsamples[finer]
            size = math.ceil(width_px * factor), math.ceil(height_px * factor)
            if size[0] * size[1] > FINER_PX_AT_MOST:
                return None
            with suppress(TileNotReadable):
                return self.read(x_l0_px, y_l0_px, finer, *size, shown_px=(width_px, height_px))
        return None

    def overview(self, downsample: float, *, holes_l0_px: list[Box] | None = None) -> tuple[Image.Image, float]:
        """The whole slide at about ``downsample``, and level-0 pixels per pixel of it; damage as in ``read_reduced``."""
        return self.read_reduced(0, 0, self.width_l0_px, self.height_l0_px, max(1.0, downsample), holes_l0_px=holes_l0_px)


def _pieces(start: int, length: int, step: int) -> list[tuple[int, int]]:
    """``length`` pixels from ``start`` on, cut at the multiples of ``step``: first and end of each, counted from ``start``."""
    cuts = [0, *range(step - start % step, length, step), length]
    return list(pairwise(cuts))


def image_array(image: Image.Image) -> NDArray[np.uint8]:
    """``(height, width, 3)`` uint8 of an RGB image."""
    return np.asarray(image, np.uint8)
