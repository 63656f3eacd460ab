"""Which records of a MIRAX slide are pictures beside the tissue.

``Slidedat.ini`` names them, ``Index.dat`` says where they lie in the data files (openslide.org/formats/mirax). The ``.mrxs``
file itself is a picture of the glass that no reader of slides needs.
"""

import io
import struct
from configparser import RawConfigParser
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError

from cervix.outside_names import inside
from cervix.sources.photographs import not_proved
from cervix.sources.photographs.erasure import Erasure, blank_jpeg
from cervix.sources.photographs.spans import Spans, merged, overlap, spans_of

SLIDEDAT = "Slidedat.ini"
VERSION_BYTES = 5
# First word of a record that holds nothing: "01.0", the beginning of the version.
EMPTY_RECORD = 0x302E3130
PICTURE_MAGIC = (b"\xff\xd8\xff", b"\x89PNG", b"BM", b"II*\0", b"MM\0*")
# Pictures whatever they begin with: label, preview and photographs of the glass.
PICTURE_LEVELS = {f"ScanDataLayer_{name}" for name in ("SlideBarcode", "SlideThumbnail", "SlidePreview", "WholeSlide")}
RECORDS_AT_MOST = 10_000
PICTURE_BYTES_AT_MOST = 64 << 20
# Counts and pointers of a page come before its entries; a tile's entry is its number, offset, length and file.
PAGE_HEAD_BYTES, TILE_WORDS, OTHER_ENTRY_BYTES = 8, 4, 20


@dataclass(frozen=True)
class MiraxContents:
    """What is to be overwritten in a MIRAX slide, and the files in its folder that are none of its own."""

    erasures: list[Erasure]
    unlisted: list[Path]


def contents_of(slide: Path) -> MiraxContents:
    """Find every picture that is no tile.

    Raises
    ------
    UploadRefused
        A record leads out of its file, into the tiles, or cannot be told.
    """
    folder = slide.with_suffix("")
    told = RawConfigParser(strict=False, interpolation=None)
    told.optionxform = str  # type: ignore[assignment, method-assign]
    told.read_string((folder / SLIDEDAT).read_text("utf-8-sig", errors="replace"))
    index_path = inside(folder, told["HIERARCHICAL"]["INDEXFILE"])
    files = [inside(folder, told["DATAFILE"][f"FILE_{number}"]) for number in range(told.getint("DATAFILE", "FILE_COUNT"))]
    index = _Index(index_path.read_bytes(), VERSION_BYTES + len(told["GENERAL"]["SLIDE_ID"]))
    tiles = index.tiles(sum(told.getint("HIERARCHICAL", f"HIER_{layer}_COUNT") for layer in range(_count(told, "HIER"))))
    pictures: list[list[tuple[int, int]]] = [[] for _ in files]
    for number, name in enumerate(_record_names(told)):
        for offset, length, file in index.others(number):
            if not 0 <= file < len(files) or offset < 0 or length < 0 or offset + length > files[file].stat().st_size:
                raise not_proved("a record that is said to lie outside its file")
            if name in PICTURE_LEVELS or _head(files[file], offset, length).startswith(PICTURE_MAGIC):
                pictures[file].append((offset, length))
    erasures = [Erasure(slide, spans_of([(0, slide.stat().st_size)]))]
    for number, (file_path, found) in enumerate(zip(files, pictures, strict=True)):
        spans = merged(spans_of(found))
        if overlap(spans, merged(tiles[tiles[:, 2] == number][:, :2])):
            raise not_proved("a picture that lies across tiles")
        if found:
            erasures.append(
                Erasure(file_path, spans, [(offset, _stand_in(file_path, offset, length)) for offset, length in found])
            )
    named = {folder / SLIDEDAT, index_path, *files}
    return MiraxContents(erasures, [path for path in folder.rglob("*") if path.is_file() and path not in named])


def _count(told: RawConfigParser, kind: str) -> int:
    count = told.getint("HIERARCHICAL", f"{kind}_COUNT")
    if not 0 <= count <= RECORDS_AT_MOST:
        raise not_proved("more layers than a slide has")
    return count


def _record_names(told: RawConfigParser) -> list[str]:
    """Names of the records beside the tiles, in the order of their numbers."""
    names: list[str] = []
    for layer in range(_count(told, "NONHIER")):
        count = told.getint("HIERARCHICAL", f"NONHIER_{layer}_COUNT")
        if not 0 <= count <= RECORDS_AT_MOST - len(names):
            raise not_proved("more layers than a slide has")
        names += [told["HIERARCHICAL"][f"NONHIER_{layer}_VAL_{number}"] for number in range(count)]
    return names


class _Index:
    """``Index.dat``: two tables of pointers to lists of pages."""

    def __init__(self, content: bytes, root: int) -> None:
        self._content = content
        self._root = root

    def _words(self, at: int, count: int) -> tuple[int, ...]:
        if at < 0:
            raise not_proved("an index that leads out of itself")
        return struct.unpack_from(f"<{count}i", self._content, at)

    def _pages(self, table: int, record: int) -> list[tuple[int, int]]:
        """Number of entries and place of the first of each page of a record."""
        (first,) = self._words(table + 4 * record, 1)
        start, page = self._words(first, 2)
        if start == EMPTY_RECORD:
            return []
        pages: list[tuple[int, int]] = []
        while page:
            count, following = self._words(page, 2)
            if start != 0 or count < 0 or len(pages) > len(self._content) // PAGE_HEAD_BYTES:
                raise not_proved("an index that leads out of itself")
            pages.append((count, page + PAGE_HEAD_BYTES))
            page = following
        return pages

    def tiles(self, records: int) -> Spans:
        """``(n, 3)``: first byte, byte behind the last, and file of every tile of every layer."""
        (table,) = self._words(self._root, 1)
        found = [np.zeros((0, TILE_WORDS), np.int64)]
        for record in range(min(records, RECORDS_AT_MOST)):
            for count, at in self._pages(table, record):
                entries = np.frombuffer(self._content, "<i4", TILE_WORDS * count, at).reshape(-1, TILE_WORDS)
                found.append(entries.astype(np.int64))
        entries = np.concatenate(found)
        return np.column_stack([entries[:, 1], entries[:, 1] + entries[:, 2], entries[:, 3]])

    def others(self, record: int) -> list[tuple[int, int, int]]:
        """Offset, length and file of what a record beside the tiles consists of."""
        (table,) = self._words(self._root + 4, 1)
        return [
            self._words(at + OTHER_ENTRY_BYTES * entry + 8, 3)  # type: ignore[misc]
            for count, at in self._pages(table, record)
            for entry in range(count)
        ]


def _head(file: Path, offset: int, length: int) -> bytes:
    with file.open("rb") as stream:
        stream.seek(offset)
        return stream.read(min(length, 8))


def _stand_in(file: Path, offset: int, length: int) -> bytes:
    """A blank picture of the same size: OpenSlide opens no slide whose pictures it cannot."""
    with file.open("rb") as stream:
        stream.seek(offset)
        content = stream.read(min(length, PICTURE_BYTES_AT_MOST))
    try:
        with Image.open(io.BytesIO(content)) as picture:
            return blank_jpeg(*picture.size, length)
    except (UnidentifiedImageError, OSError, Image.DecompressionBombError):
        return blank_jpeg(0, 0, length)
