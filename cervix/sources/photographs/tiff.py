"""Which bytes of a TIFF its pyramid needs.

Each directory (IFD) is judged as OpenSlide judges it, by the rules of the vendor's format and not by its place in the file
(openslide.org/formats). What is no level is no tissue that anybody will be shown.
"""

import re
import struct
import xml.etree.ElementTree as ET
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tifffile

from cervix.sources.photographs import no_slide, not_proved
from cervix.sources.photographs.erasure import Erasure, blank_jpeg
from cervix.sources.photographs.spans import Spans, merged, overlap, rest_of, spans_of

DIRECTORIES_AT_MOST = 4096
DESCRIPTION, STRIP_OFFSETS, STRIP_COUNTS, TILE_WIDTH = 270, 273, 279, 322
TILE_OFFSETS, TILE_COUNTS, XMP = 324, 325, 700
JPEG_OFFSET, JPEG_LENGTH = 513, 514
# Hamamatsu: magnification of a level; -1 is the photograph of the glass, -2 a map of it.
SOURCE_LENS = 65421
# Private tags that OpenSlide reads: ICC profile and Hamamatsu's. Others can hold thumbnails (Photoshop's, 34377) or lead to
# directories of their own (EXIF, GPS), and no level needs them.
PRIVATE_TAGS_FROM, ICC_PROFILE, HAMAMATSU_TAGS_FROM = 32768, 34675, 65400
# A compressed tile is hardly larger than its pixels; a count far above them leads into something else.
SPARE_TILE_BYTES = 64 << 10
# No picture hides in a gap this small, and slides of a million tiles have as many.
GAP_BYTES_AT_LEAST = 64
# How far the shape of a level may differ from that of the full resolution: rounding of its sides.
SHAPE_TOLERANCE = 0.02
SHAPE_TOLERANCE_PX = 2.0
LEICA = "{http://www.leica-microsystems.com/scn/2010/10/01}"
# Base64 of at least this length within a text is a picture (Philips, XMP), lines and their ends included.
BASE64_PICTURE_BYTES = 1024
BASE64_RUN = re.compile(rb"[A-Za-z0-9+/](?:[A-Za-z0-9+/=]|&#(?:10|13|xA|xD);|\s+(?=[A-Za-z0-9+/]{16}))+")
BASE64_CHARACTER = re.compile(rb"[A-Za-z0-9+/=]")


@dataclass(frozen=True)
class Directory:
    """One IFD: what it says of its image, and where it and its parts lie."""

    page: tifffile.TiffPage
    is_level: bool
    width_px: int
    height_px: int
    table: Spans
    values: Spans
    pixels: Spans


@dataclass(frozen=True)
class TiffContents:
    """What is in a TIFF.

    Attributes
    ----------
    needed : array, (n, 2) int64
        Merged spans of header, directories, their values and the pixels of the levels.
    level_sizes_px : list of (int, int)
        Width and height of each level's directory, in the order of the file, without reduced images below a directory.
    others : list of Directory
        Images that no level is made of.
    texts : list of (int, bytes)
        Offset and content of descriptions.
    """

    path: Path
    vendor: str | None
    size_bytes: int
    needed: Spans
    level_sizes_px: list[tuple[int, int]]
    others: list[Directory]
    texts: list[tuple[int, bytes]]

    def erasure(self) -> Erasure:
        """Zeros over all that is not needed; where Hamamatsu's photograph was stands a blank one, which OpenSlide asks for."""
        instead = [(offset, blanked) for offset, text in self.texts if (blanked := without_pictures(text)) != text]
        if self.vendor == "hamamatsu":
            instead += [
                (int(start), blank_jpeg(other.width_px, other.height_px, int(end - start)))
                for other in self.others
                for start, end in other.pixels[:1]
            ]
        gaps = rest_of(self.needed, self.size_bytes)
        gaps = gaps[gaps[:, 1] - gaps[:, 0] >= GAP_BYTES_AT_LEAST]
        return Erasure(self.path, merged(np.concatenate([gaps, *(other.pixels for other in self.others)])), instead)


def contents_of(path: Path, vendor: str | None) -> TiffContents:
    """Read every directory and tell levels from other images.

    Parameters
    ----------
    vendor : str or None
        As OpenSlide detects it; None for a TIFF that is opened as a plain picture, whose first page is then all there is.

    Raises
    ------
    UploadRefused
        A directory leads out of the file or into another image, or cannot be told.
    """
    size = path.stat().st_size
    with tifffile.TiffFile(path) as file:
        pages: list[tifffile.TiffPage] = []
        for page in file.pages:
            if len(pages) == DIRECTORIES_AT_MOST:
                raise not_proved(f"more than {DIRECTORIES_AT_MOST:,} images in one file")
            assert isinstance(page, tifffile.TiffPage)
            pages.append(page)
        if not pages:
            raise no_slide("a TIFF whose directory cannot be read, as when a copy was cut short")
        chosen = _levels_among(pages, vendor)
        directories = []
        for page, is_level in zip(pages, chosen, strict=True):
            directories.append(_directory(file, page, is_level, size))
            directories += [_directory(file, inner, is_level and _same_shape(inner, page), size) for inner in _below(page)]
        header = 16 if file.is_bigtiff else 8
        stream = file.filehandle
        texts = []
        for directory in directories:
            for tag in directory.page.tags:
                if tag.code in (DESCRIPTION, XMP) and tag.valuebytecount > header:
                    stream.seek(tag.valueoffset)
                    texts.append((tag.valueoffset, stream.read(tag.valuebytecount)))
    sizes = [(int(page.imagewidth), int(page.imagelength)) for page, is_level in zip(pages, chosen, strict=True) if is_level]
    others = [directory for directory in directories if not directory.is_level]
    needed = [spans_of([(0, header)]), *(spans for one in directories for spans in (one.table, one.values))]
    needed += [directory.pixels for directory in directories if directory.is_level]
    kept = np.clip(np.concatenate(needed), 0, size)
    contents = TiffContents(path, vendor, size, merged(kept), sizes, others, texts)
    lost = merged(np.concatenate([other.pixels for other in others])) if others else spans_of([])
    if overlap(lost, contents.needed):
        raise not_proved("an image that lies across others")
    return contents


def _below(page: tifffile.TiffPage) -> list[tifffile.TiffPage]:
    """Reduced images of a page, in directories of its own (TIFF Technical Note 1)."""
    return [inner for inner in page.pages or () if isinstance(inner, tifffile.TiffPage)]


def _levels_among(pages: list[tifffile.TiffPage], vendor: str | None) -> list[bool]:
    tiled = [TILE_WIDTH in page.tags for page in pages]
    reduced = [number == 0 or bool(page.subfiletype & 1) for number, page in enumerate(pages)]
    if vendor is None:
        return [number == 0 for number in range(len(pages))]
    if vendor == "hamamatsu":
        return [_lens_of(page) > 0 for page in pages]
    if vendor == "leica":
        levels = _leica_levels(pages[0].description)
        return [number in levels for number in range(len(pages))]
    if vendor == "ventana":
        return [is_tiled and "level=" in page.description for is_tiled, page in zip(tiled, pages, strict=True)]
    if vendor in ("aperio", "trestle"):
        chosen = tiled
    else:
        chosen = [is_tiled and is_reduced for is_tiled, is_reduced in zip(tiled, reduced, strict=True)]
    padded = vendor in ("philips", "trestle")
    for page, is_level in zip(pages, chosen, strict=True):
        if is_level and not _same_shape(page, pages[0], padded=padded):
            raise not_proved("a level of another shape than the slide")
    return chosen


def _lens_of(page: tifffile.TiffPage) -> float:
    tag = page.tags.get(SOURCE_LENS)
    return float(tag.value) if tag is not None else 0.0


def _leica_levels(description: str) -> set[int]:
    """Directories of the images of tissue: all but those whose view is the whole glass."""
    collection = ET.fromstring(description).find(f"{LEICA}collection")
    if collection is None:
        raise not_proved("no list of its images")
    glass = (collection.attrib["sizeX"], collection.attrib["sizeY"])
    levels: set[int] = set()
    photographs: set[int] = set()
    for image in collection.iterfind(f"{LEICA}image"):
        view = image.find(f"{LEICA}view")
        if view is None:
            raise not_proved("an image without a place on the glass")
        place = tuple(view.attrib[name] for name in ("sizeX", "sizeY", "offsetX", "offsetY"))
        ours = photographs if place == (*glass, "0", "0") else levels
        ours.update(int(dimension.attrib["ifd"]) for dimension in image.iterfind(f"{LEICA}pixels/{LEICA}dimension"))
    if levels & photographs:
        raise not_proved("an image that is called both tissue and glass")
    return levels


def _same_shape(page: tifffile.TiffPage, whole: tifffile.TiffPage, *, padded: bool = False) -> bool:
    """Whether a page can be ``whole`` at a lower resolution, by its sides."""
    if not (page.imagewidth > 0 and page.imagelength > 0 and whole.imagelength > 0):
        return False
    expected = page.imagewidth * whole.imagelength / whole.imagewidth
    spare = page.tilelength + page.tilewidth * whole.imagelength / whole.imagewidth if padded else 0
    return bool(abs(page.imagelength - expected) <= max(SHAPE_TOLERANCE_PX, SHAPE_TOLERANCE * page.imagelength) + spare)


def _directory(file: tifffile.TiffFile, page: tifffile.TiffPage, is_level: bool, size_bytes: int) -> Directory:
    form, stream = file.tiff, file.filehandle
    stream.seek(page.offset)
    count = struct.unpack(form.tagnoformat, stream.read(form.tagnosize))[0]
    # Hamamatsu writes the upper halves of its values behind the table.
    table = form.tagnosize + count * form.tagsize + form.offsetsize + (4 * count if form.is_ndpi else 0)
    values = [
        (tag.valueoffset, tag.valuebytecount)
        for tag in page.tags
        if not page.offset <= tag.valueoffset < page.offset + table
        and (tag.code < PRIVATE_TAGS_FROM or tag.code == ICC_PROFILE or tag.code >= HAMAMATSU_TAGS_FROM)
    ]
    pixels = _pixels(page)
    if is_level:
        # libtiff reads no further than a tile says, and tiles of a file that was cut short lie behind its end.
        raw = _bytes_uncompressed(page)
        if len(pixels) and (pixels[:, 1] - pixels[:, 0]).max() > 2 * raw + SPARE_TILE_BYTES:
            raise not_proved("a tile that takes more room than its pixels")
    elif len(pixels) and (pixels.min() < 0 or pixels.max() > size_bytes):
        raise not_proved("an image that is said to lie outside the file")
    return Directory(
        page, is_level, int(page.imagewidth), int(page.imagelength), spans_of([(page.offset, table)]), spans_of(values), pixels
    )


def _pixels(page: tifffile.TiffPage) -> Spans:
    """Where the pixels of a page lie: ``(n, 2)``, one span a strip or tile."""
    found = [spans_of([])]
    for offsets, counts in ((TILE_OFFSETS, TILE_COUNTS), (STRIP_OFFSETS, STRIP_COUNTS), (JPEG_OFFSET, JPEG_LENGTH)):
        where, how_much = page.tags.get(offsets), page.tags.get(counts)
        if where is None:
            continue
        if how_much is None:
            raise not_proved("an image without its length")
        starts, lengths = (np.atleast_1d(np.array(tag.value, np.int64)) for tag in (where, how_much))
        if starts.shape != lengths.shape:
            raise not_proved("an image whose parts are not all described")
        if (starts < 0).any() or (lengths < 0).any() or (starts + lengths < starts).any():
            raise not_proved("an image that is said to lie outside the file")
        found.append(np.column_stack([starts, starts + lengths])[lengths > 0])
    return np.concatenate(found)


def _bytes_uncompressed(page: tifffile.TiffPage) -> int:
    """Bytes of the pixels of one tile or strip."""
    if TILE_WIDTH in page.tags:
        pixels = page.tilewidth * page.tilelength
    else:
        pixels = page.imagewidth * min(page.rowsperstrip or page.imagelength, page.imagelength)
    return int(pixels * page.samplesperpixel * max(1, page.bitspersample // 8))


def without_pictures(text: bytes) -> bytes:
    """A description whose pictures in base64 are overwritten; its length and everything else stay."""

    def blanked(run: re.Match[bytes]) -> bytes:
        return BASE64_CHARACTER.sub(b"A", run.group()) if len(run.group()) >= BASE64_PICTURE_BYTES else run.group()

    return BASE64_RUN.sub(blanked, text)
