"""Whole-slide images that OpenSlide reads."""

from collections.abc import Mapping
from pathlib import Path

import openslide
from PIL import Image

from cervix.errors import SlideNotReadable
from cervix.sources.colour import profile_of
from cervix.sources.damage import COPY_AGAIN, truncation
from cervix.sources.decoders import told_as_unreadable
from cervix.sources.dicom import DICOM, dicom_head, series_of
from cervix.sources.dicom_series import SPARSE, levels_of, levels_with_cut_frames, levels_with_other_colours
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
        levels = levels_of(series_of(path)) if dicom_head(path) is not None else []
        in_ybr, cut = levels_with_other_colours(levels), levels_with_cut_frames(levels)
        power = handle.properties.get(openslide.PROPERTY_NAME_OBJECTIVE_POWER)
        return OpenedSlide(
            _InTrueColours(handle, in_ybr) if in_ybr else handle,
            reopen=lambda: _InTrueColours(self._handle(path), in_ybr) if in_ybr else self._handle(path),
            stated=stated_by_slide(
                handle, read_pages(path) if is_tiff(path) else [], levels_in_ybr=len(in_ybr), levels_cut=len(cut)
            ),
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


class _InTrueColours:
    """A DICOM slide some levels of which hold YBR that OpenSlide hands out as if it were RGB."""

    def __init__(self, handle: openslide.AbstractSlide, sizes_in_ybr: set[tuple[int, int]]) -> None:
        self._handle = handle
        self._in_ybr = [size in sizes_in_ybr for size in handle.level_dimensions]

    @property
    def dimensions(self) -> tuple[int, int]:
        return self._handle.dimensions

    @property
    def level_dimensions(self) -> tuple[tuple[int, int], ...]:
        return self._handle.level_dimensions

    @property
    def level_downsamples(self) -> tuple[float, ...]:
        return self._handle.level_downsamples

    @property
    def properties(self) -> Mapping[str, str]:
        return self._handle.properties

    def read_region(self, location: tuple[int, int], level: int, size: tuple[int, int]) -> Image.Image:
        region = self._handle.read_region(location, level, size)
        if not self._in_ybr[level]:
            return region
        *channels, opaque = region.split()
        return Image.merge("RGBA", (*Image.merge("YCbCr", channels).convert("RGB").split(), opaque))


def stated_by_slide(
    handle: openslide.AbstractSlide, pages: list[TiffPage], *, levels_in_ybr: int = 0, levels_cut: int = 0
) -> Stated:
    """What a file that OpenSlide reads states.

    Parameters
    ----------
    pages
        Of a TIFF; empty otherwise.
    levels_in_ybr
        How many levels of a DICOM slide say RGB and are not.
    levels_cut
        How many of its levels have frames that are cut at the edge.

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
    notices += _holes(properties)
    if levels_in_ybr:
        notices.append(
            f"{levels_in_ybr} of {handle.level_count} levels say RGB while their frames are YBR; they were read as YBR."
        )
    if levels_cut:
        notices.append(
            f"{levels_cut} of {handle.level_count} levels have frames at the edge that are smaller than the file states; they "
            "cannot be read, and a finer level is shown in their place."
        )
    scales = _scanner_scale(handle)
    if page is not None:
        own = [scale for scale in page.scales if scale.source == "OME-XML"]  # the tags beside it are often left at a default
        scales = own + scales + [scale for scale in page.scales if scale not in own]
    icc = getattr(handle, "color_profile", None)
    return stated(scales, _plane(handle), profile_of(icc.tobytes() if icc is not None else None), notices)


def _missing(missing: int, tiles: int) -> list[str]:
    said = f"{missing:,} of {tiles:,} tiles are missing in the file; they are shown white and count as glass."
    return [said] if missing > 0 else []


def _holes(properties: Mapping[str, str]) -> list[str]:
    """A notice of the frames that the finest level of a sparse DICOM slide leaves out, as it may (PS3.3 C.7.6.17.3)."""
    if properties.get("dicom.DimensionOrganizationType") != SPARSE or "dicom.ConcatenationUID" in properties:
        return []
    names = ("TotalPixelMatrixColumns", "Columns", "TotalPixelMatrixRows", "Rows", "NumberOfFrames")
    width, across, height, down, frames = (int(properties.get(f"dicom.{name}", "1")) for name in names)
    tiles = -(-width // across) * -(-height // down)
    return _missing(tiles - frames, tiles)


def _notices_of(page: TiffPage) -> list[str]:
    notices = _missing(page.missing, page.tiles)
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
