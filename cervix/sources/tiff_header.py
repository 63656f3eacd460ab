"""What the directory of a TIFF says before anything of its pixels is decoded."""

import logging
import struct
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import tifffile

from cervix.sources.scale import TIFF_RESOLUTION_UNIT_UM, StatedScale, imagej_scale, ome_scale, scale_of_density

logger = logging.getLogger(__name__)

TIFF_STARTS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
PAGES_LOOKED_AT = 64
BLACK_IS_ZERO, WHITE_IS_ZERO, RGB, PALETTE, MASK, CMYK, YCBCR = 1, 0, 2, 3, 4, 5, 6
COLOUR = (RGB, PALETTE, YCBCR)
NAMES = {
    WHITE_IS_ZERO: "greyscale", BLACK_IS_ZERO: "greyscale", RGB: "RGB", PALETTE: "a palette", MASK: "a mask", CMYK: "CMYK",
    YCBCR: "YCbCr", 8: "CIE L*a*b*", 9: "ICC L*a*b*", 10: "ITU L*a*b*", 32803: "the raw mosaic of a camera",
    32844: "logarithmic luminance", 32845: "logarithmic luminance and colour",
}  # fmt: skip
SIGNED, FLOATING_POINT = 2, 3
REDUCED, IS_MASK = 1, 4
# tifffile raises these on damaged directories; whoever opens the file says what is wrong with it.
UNREADABLE = (
    tifffile.TiffFileError, OSError, ValueError, TypeError, KeyError, IndexError, AttributeError, ArithmeticError, struct.error,
)  # fmt: skip


@dataclass(frozen=True)
class TiffPage:
    """One page of a TIFF.

    Attributes
    ----------
    bits : int
        Of a channel; the most, where channels differ.
    sample_format : int
        1 unsigned, 2 signed, 3 floating point.
    reduced : bool
        A smaller copy or a mask of another page, by its own statement.
    missing, tiles : int
        Tiles of which the file holds nothing, and all; (0, 0) of a page in strips.
    """

    width_px: int
    height_px: int
    photometric: int
    bits: int
    samples: int
    sample_format: int
    reduced: bool
    orientation: int
    smaller_levels: int
    missing: int
    tiles: int
    scales: list[StatedScale] = field(default_factory=list)

    @property
    def not_colour(self) -> str:
        """Why this is no colour image of 8 bits a channel, as found; empty where it is one."""
        name = NAMES.get(self.photometric, f"colours of kind {self.photometric}")
        if self.bits == 1:
            return "black and white, 1 bit per pixel"
        kind = {SIGNED: "signed ", FLOATING_POINT: "floating-point "}.get(self.sample_format, "")
        depth = f"{kind}{self.bits} bits per channel".replace("floating-point ", "floating point of ")
        few = self.photometric in (RGB, YCBCR) and self.samples < 3
        many = self.photometric in (RGB, YCBCR) and self.samples > 4
        if self.photometric in COLOUR and self.bits == 8 and not kind and not (few or many):
            return ""
        channels = f", {self.samples} channels" if few or many or (name == "greyscale" and self.samples > 2) else ""
        return f"{name}{channels}, {depth}"


def is_tiff(path: Path) -> bool:
    """Whether a file begins as a TIFF does."""
    with path.open("rb") as stream:
        return stream.read(4) in TIFF_STARTS


def read_pages(path: Path) -> list[TiffPage]:
    """The first pages of a TIFF, at most 64, without their pixels; none where the directory cannot be read."""
    pages: list[TiffPage] = []
    try:
        with tifffile.TiffFile(path) as opened:
            for index in range(PAGES_LOOKED_AT):
                try:
                    page = opened.pages[index]
                except IndexError:
                    break
                if isinstance(page, tifffile.TiffPage):
                    pages.append(_page(page))
    except UNREADABLE as error:
        logger.info("the directory of a TIFF cannot be read to its end: %s", type(error).__name__)
    return pages


def page_of(pages: list[TiffPage], width_px: int, height_px: int) -> TiffPage | None:
    """The first page of this size; None where none has it."""
    return next((page for page in pages if (page.width_px, page.height_px) == (width_px, height_px)), None)


def _page(page: tifffile.TiffPage) -> TiffPage:
    counts = np.asarray(page.databytecounts if page.is_tiled else (), np.int64)
    return TiffPage(
        width_px=page.imagewidth,
        height_px=page.imagelength,
        photometric=int(page.photometric),
        bits=int(np.max(page.bitspersample)),
        samples=page.samplesperpixel,
        sample_format=_first(page.sampleformat),
        reduced=bool(page.subfiletype & (REDUCED | IS_MASK)),
        orientation=_first(page.tags.valueof(274, 1)),
        smaller_levels=len(page.subifds or ()),
        missing=int((counts == 0).sum()),
        tiles=len(counts),
        scales=_scales(page),
    )


def _first(value: Any) -> int:
    """A number, or the first of several."""
    return int(np.ravel(value)[0])


def _scales(page: tifffile.TiffPage) -> list[StatedScale]:
    x, y = (_per_unit(page.tags.valueof(tag)) for tag in (282, 283))
    unit = _first(page.tags.valueof(296, 2))
    tags = scale_of_density(x, y, TIFF_RESOLUTION_UNIT_UM.get(unit), "TIFF resolution")
    if page.is_ome:
        return ome_scale(page.description, page.imagewidth, page.imagelength) + tags
    if page.is_imagej:
        return imagej_scale(page.description, x, y) + tags
    return tags


def _per_unit(value: object) -> float:
    """Pixels per unit of a resolution tag, a fraction; 0 where it says nothing."""
    if isinstance(value, tuple) and len(value) == 2 and value[1]:
        return float(value[0]) / float(value[1])
    return 0.0
