"""Whole-slide images that OpenSlide reads."""

from functools import partial
from pathlib import Path

import openslide

from cervix.errors import SlideNotReadable
from cervix.sources.colour import profile_of
from cervix.sources.damage import COPY_AGAIN, truncation
from cervix.sources.decoders import told_as_unreadable
from cervix.sources.dicom import DICOM
from cervix.sources.mirax import MIRAX
from cervix.sources.plane import FilePlane
from cervix.sources.readers.reader import OpenedSlide
from cervix.sources.scale import StatedScale
from cervix.sources.stated import Stated, further_pages, require_colour, stated, whole
from cervix.sources.tiff_header import TiffPage, is_tiff, page_of, read_pages

GENERIC_TIFF = "generic-tiff"
BOUNDS = (
    openslide.PROPERTY_NAME_BOUNDS_X, openslide.PROPERTY_NAME_BOUNDS_Y,
    openslide.PROPERTY_NAME_BOUNDS_WIDTH, openslide.PROPERTY_NAME_BOUNDS_HEIGHT,
)  # fmt: skip
# OpenSlide gives each handle a cache of 32 MB of its own; one for all of them is bounded whatever is open.
TILES_HELD_BYTES = 256 << 20
_tiles = openslide.OpenSlideCache(TILES_HELD_BYTES)


class OpenSlideFiles:
    """Scanner formats and tiled TIFF, through OpenSlide."""

    kinds = "a whole-slide image (SVS, NDPI, SCN, BIF, CZI, MRXS, DICOM, tiled TIFF)"
    suffixes = (".svs", ".tif", ".tiff", ".ndpi", ".scn", ".bif", ".svslide", ".czi", MIRAX, DICOM)
    plain = False

    def matches(self, path: Path) -> bool:
        return openslide.OpenSlide.detect_format(str(path)) is not None

    def open(self, path: Path) -> OpenedSlide:
        handle = self._handle(path)
        power = handle.properties.get(openslide.PROPERTY_NAME_OBJECTIVE_POWER)
        return OpenedSlide(
            handle,
            reopen=partial(self._handle, path),
            stated=stated_by_slide(handle, read_pages(path) if is_tiff(path) else []),
            vendor=handle.properties[openslide.PROPERTY_NAME_VENDOR],
            magnification=float(power) if power else None,
            broken_by=(openslide.OpenSlideError,),
        )

    def _handle(self, path: Path) -> openslide.OpenSlide:
        try:
            with told_as_unreadable("The slide cannot be opened", expected=self.kinds, action="Convert it, or copy it again."):
                handle = openslide.OpenSlide(str(path))
                handle.set_cache(_tiles)
        except SlideNotReadable as error:
            if not (cut := truncation(path)):
                raise
            raise SlideNotReadable(
                error.problem, expected=error.expected, found=error.found, action=f"{cut} {COPY_AGAIN}"
            ) from error
        return handle


def stated_by_slide(handle: openslide.AbstractSlide, pages: list[TiffPage]) -> Stated:
    """What a file that OpenSlide reads states.

    Parameters
    ----------
    pages
        Of a TIFF; empty otherwise.

    Raises
    ------
    SlideNotSuitable
        If its pixels are no colour image of 8 bits per channel: OpenSlide would show other pixels as glass, or not at all.
    """
    properties = handle.properties
    page = page_of(pages, *handle.dimensions)
    notices = []
    if page is not None:
        require_colour(page.not_colour)
    if page is not None and properties.get(openslide.PROPERTY_NAME_VENDOR) == GENERIC_TIFF:
        notices += _notices_of(page) + further_pages(pages, set(handle.level_dimensions))
        if page.smaller_levels and handle.level_count == 1:
            notices.append("The file's own smaller levels (SubIFDs) cannot be used here, so the overview is slow.")
    scales = _scanner_scale(handle)
    if page is not None:
        own = [scale for scale in page.scales if scale.source == "OME-XML"]  # the tags beside it are often left at a default
        scales = own + scales + [scale for scale in page.scales if scale not in own]
    icc = getattr(handle, "color_profile", None)
    return stated(scales, _plane(handle), profile_of(icc.tobytes() if icc is not None else None), notices)


def _notices_of(page: TiffPage) -> list[str]:
    notices = []
    if page.missing:
        notices.append(
            f"{page.missing:,} of {page.tiles:,} tiles are missing in the file; they are shown white and count as glass."
        )
    if page.orientation != 1:
        notices.append("The file says that it is rotated or mirrored; it is shown as stored, and coordinates follow that.")
    if page.photometric == 3:
        notices.append("The file's colours come from a palette.")
    return notices


def _scanner_scale(handle: openslide.AbstractSlide) -> list[StatedScale]:
    values = [handle.properties.get(name) for name in (openslide.PROPERTY_NAME_MPP_X, openslide.PROPERTY_NAME_MPP_Y)]
    try:
        sides = [float(value) for value in values if value]
    except ValueError:
        return []
    return [StatedScale(sides[0], sides[1], "")] if len(sides) == 2 else []


def _plane(handle: openslide.AbstractSlide) -> FilePlane:
    """The plane of a file with square pixels; the scanned part is all of it where the file does not name one that fits."""
    width, height = handle.dimensions
    given = [handle.properties.get(name, "") for name in BOUNDS]
    if all(value.isdigit() for value in given):
        x, y, across, down = map(int, given)
        if across and down and x + across <= width and y + down <= height:
            return FilePlane(bounds_x_px=x, bounds_y_px=y, bounds_width_px=across, bounds_height_px=down)
    return whole(width, height)
