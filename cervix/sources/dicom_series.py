"""What the files of a DICOM series say of their levels, and whether together they are one slide that can be read truly.

OpenSlide opens some series and shows other pixels than were scanned, without a word: colours of another kind than stated,
several focal planes or optical paths over one another, levels of two slides. Attributes are those of the VL Whole Slide
Microscopy Image (DICOM PS3.3 A.32.8 and C.8.12.4) and of the frames' tiling (C.7.6.17.3).
"""

import io
import itertools
import math
import mmap
import re
import struct
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from cervix.errors import SlideNotReadable, SlideNotSuitable
from cervix.sources.damage import COPY_AGAIN, UNREAD_SHARE_AT_MOST
from cervix.sources.decoders import told_as_unreadable
from cervix.sources.dicom import ELEMENTS_AT_MOST, UID_CHARACTERS_AT_MOST, WHOLE_SLIDE_IMAGE, dicom_head
from cervix.sources.dicom_elements import Element, Tag, Walk
from cervix.sources.stated import require_colour

# PS3.5 annex A: what OpenSlide 4.0.1 decodes; JPEG 2000 says its colours itself.
UNCOMPRESSED, JPEG_BASELINE = "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.4.50"
DECODED: Final = frozenset({UNCOMPRESSED, JPEG_BASELINE, "1.2.840.10008.1.2.4.90", "1.2.840.10008.1.2.4.91"})
SPARSE: Final = "TILED_SPARSE"
VOLUME: Final = "VOLUME"
"""Value 3 of Image Type of a level, unlike label and overview (PS3.3 C.8.12.4.1.1)."""
SHARED_GROUPS, PER_FRAME_GROUPS = (0x5200, 0x9229), (0x5200, 0x9230)
PIXEL_MEASURES, OPTICAL_PATHS = (0x0028, 0x9110), (0x0048, 0x0105)
PIXEL_SPACING, OPTICAL_PATH = (0x0028, 0x0030), (0x0048, 0x0106)
WORDS: Final[dict[Tag, str]] = {
    (0x0008, 0x0008): "image_type", (0x0008, 0x0016): "sop_class", (0x0008, 0x0018): "sop_instance",
    (0x0008, 0x0019): "pyramid", (0x0010, 0x0010): "patient_name", (0x0010, 0x0020): "patient_id",
    (0x0020, 0x000D): "study", (0x0020, 0x0052): "frame_of_reference", (0x0020, 0x9161): "concatenation",
    (0x0020, 0x9311): "tiling", (0x0028, 0x0004): "colours", (0x0028, 0x0008): "frames", (0x0040, 0x0512): "container",
}  # fmt: skip
NUMBERS: Final[dict[Tag, str]] = {
    (0x0020, 0x9163): "parts", (0x0028, 0x0002): "samples", (0x0028, 0x0006): "planes_apart", (0x0028, 0x0010): "tile_height",
    (0x0028, 0x0011): "tile_width", (0x0028, 0x0100): "bits", (0x0048, 0x0006): "width", (0x0048, 0x0007): "height",
    (0x0048, 0x0302): "optical_paths", (0x0048, 0x0303): "focal_planes",
}  # fmt: skip
WORD_BYTES_AT_MOST: Final = 1024
# PS3.5 table 6.2-1: of a code string. Longer ones are not repeated to anybody.
CODE_LETTERS_AT_MOST: Final = 16
# Column and row of a frame, (0048,021E) and (0048,021F) of its plane position, with and without their kind.
COLUMN_OF_FRAME = re.compile(rb"\x48\x00\x1e\x02(?:SL\x04\x00|\x04\x00\x00\x00)(.{4})", re.DOTALL)
ROW_OF_FRAME = re.compile(rb"\x48\x00\x1f\x02(?:SL\x04\x00|\x04\x00\x00\x00)(.{4})", re.DOTALL)
# The pixels of an encapsulated object, and the item with which the table of their offsets begins (PS3.5 A.4).
ENCAPSULATED = re.compile(rb"\xe0\x7f\x10\x00(?:O[BW]\x00\x00)?\xff\xff\xff\xff\xfe\xff\x00\xe0(.{4})", re.DOTALL)
LONG_OFFSETS = re.compile(rb"\xe0\x7f\x01\x00OV\x00\x00(.{4})", re.DOTALL)
ITEM_HEAD_BYTES, ELEMENT_HEAD_BYTES = 8, 12
# No JPEG and no JPEG 2000 is so short: its header alone is longer.
EMPTY_FRAME_BYTES: Final = 32
FRAME_HEAD_BYTES: Final = 64 << 10
FRAMES_LOOKED_AT: Final = 3
# Between levels sizes are rounded to a pixel and spacings are nominal; two places of a glass differ by more.
SAME_EXTENT_WITHIN: Final = 0.05
TRANSCODE: Final = "Have the archive send another transfer syntax, or convert it."
EXPORT_AGAIN: Final = "Export the slide from its archive again, alone."


@dataclass(frozen=True)
class Level:
    """A file of the series as its header describes it; ``0`` and empty where it does not.

    Attributes
    ----------
    width, height : int
        Of the total pixel matrix.
    spacing_mm : tuple of float
        Between rows and between columns.
    header_end : int
        Where the groups of single frames, or the pixels, begin in the file, or a little before.
    """

    file: Path
    transfer_syntax: str
    words: dict[str, str]
    numbers: dict[str, int]
    spacing_mm: tuple[float, ...]
    header_end: int

    @property
    def is_level(self) -> bool:
        """Whether it shows tissue (third value of the image type)."""
        kinds = self.words.get("image_type", "").split("\\")
        return len(kinds) > 2 and kinds[2] == VOLUME

    @property
    def size_px(self) -> tuple[int, int]:
        """Width and height of the level."""
        return self.numbers.get("width", 0), self.numbers.get("height", 0)

    @property
    def frames(self) -> int:
        """How many frames it states; one where it states none."""
        stated = self.words.get("frames", "1")
        # Of an integer string there are 12 letters (PS3.5 table 6.2-1).
        return int(stated) if re.fullmatch(r"[0-9]{1,12}", stated) else 0

    @property
    def frames_needed(self) -> int:
        """How many tiles cover the level once."""
        (width, height), across, down = self.size_px, self.numbers.get("tile_width", 0), self.numbers.get("tile_height", 0)
        return math.ceil(width / across) * math.ceil(height / down) if across and down else 0


def levels_of(files: Iterable[Path]) -> list[Level]:
    """What each file says; a damaged one, and one that is no DICOM, is left out."""
    return [level for file in files if dicom_head(file) is not None and (level := _level_of(file)) is not None]


def levels_with_other_colours(levels: list[Level]) -> set[tuple[int, int]]:
    """Sizes of the levels that say RGB while their JPEG frames are YBR, as some converters write smaller levels.

    OpenSlide takes the header's word.
    """
    found = [level for level in levels if level.is_level and level.transfer_syntax == JPEG_BASELINE]
    return {level.size_px for level in found if level.words.get("colours") == "RGB" and _colours_of_frames(level) == {"YBR"}}


def levels_with_cut_frames(levels: list[Level]) -> set[tuple[int, int]]:
    """Sizes of the levels whose last frame is smaller than all frames are said to be, as some converters cut it at the edge.

    All frames of an image have one size (DICOM PS3.3 C.7.6.3.1); OpenSlide reads no other.
    """
    return {
        level.size_px
        for level in levels
        if level.is_level
        and level.transfer_syntax != UNCOMPRESSED
        and any(
            _size_of_frame(head) not in (None, (level.numbers.get("tile_width"), level.numbers.get("tile_height")))
            for head in _heads_of_frames(level)[-1:]
        )
    }


def require_one_subject(members: list[Level]) -> None:
    """Refuse files of several patients, studies or slides: ``SlideNotSuitable``, which names none of them.

    To be asked before names are blanked, after which all are alike.
    """
    _require_one(members, "patient", ("patient_id", "patient_name"))
    _require_one(members, "study", ("study",))
    levels = [member for member in members if member.is_level]
    for what, names in (("frame of reference", ("frame_of_reference",)), ("slide", ("container",)), ("pyramid", ("pyramid",))):
        _require_one(levels, what, names)


def require_one_slide(files: list[Path]) -> None:
    """Refuse a series whose pixels would be shown wrongly, or that is no single slide.

    Parameters
    ----------
    files
        Of one series.

    Raises
    ------
    SlideNotReadable
        Frames or parts are missing, or a header is damaged.
    SlideNotSuitable
        It is no brightfield slide in colour, or of several patients, slides, places, planes or paths.
    """
    members = levels_of(files)
    if len(members) < len(files):
        raise SlideNotReadable(
            "A file of the DICOM series cannot be read",
            expected=f"{len(files)} files with a whole header",
            found=f"{len(members)}",
            action=COPY_AGAIN,
        )
    require_one_subject(members)
    others = [member for member in members if member.words.get("sop_class") != WHOLE_SLIDE_IMAGE]
    if others:
        raise SlideNotSuitable(
            "The DICOM series holds other objects than the images of a slide",
            expected="VL Whole Slide Microscopy Images alone",
            found=f"{len(others)} of {len(members)} files of another kind",
            action=EXPORT_AGAIN,
        )
    # A file may lie there twice, under two names.
    levels = list({member.words.get("sop_instance"): member for member in members if member.is_level}.values())
    for level in levels:
        _require_one_plane(level)
        _require_decodable(level)
    wholes = _joined(levels)
    _require_different_sizes(wholes)
    _require_one_extent(levels)
    for parts in wholes:
        _require_every_frame(parts)


def _level_of(file: Path) -> Level | None:
    words: dict[str, str] = {}
    numbers: dict[str, int] = {}
    spacing: tuple[float, ...] = ()
    paths = 0
    with file.open("rb") as stream:
        walk = Walk(stream, elements_at_most=ELEMENTS_AT_MOST)
        end = 0
        try:
            for element in walk.elements():
                if not element.within and element.tag >= PER_FRAME_GROUPS:
                    end = element.at - ELEMENT_HEAD_BYTES
                    break
                if not element.within and element.tag in WORDS and element.length <= WORD_BYTES_AT_MOST:
                    words[WORDS[element.tag]] = walk.text(element)
                elif not element.within and element.tag in NUMBERS:
                    numbers[NUMBERS[element.tag]] = walk.number(element)
                elif element.within == (SHARED_GROUPS, PIXEL_MEASURES) and element.tag == PIXEL_SPACING:
                    spacing = _spacing(walk, element)
                paths += element.within == (OPTICAL_PATHS,) and element.tag == OPTICAL_PATH
        except (EOFError, ValueError):
            return None
    if not end:
        return None
    numbers["optical_paths"] = max(paths, numbers.get("optical_paths", 1))
    return Level(file, walk.transfer_syntax, words, numbers, spacing, end)


def _spacing(walk: Walk, element: Element) -> tuple[float, ...]:
    if element.length > WORD_BYTES_AT_MOST:
        return ()
    return tuple(float(side) for side in walk.text(element).split("\\") if side)


def _require_one(members: list[Level], what: str, names: tuple[str, ...]) -> None:
    """Refuse values that differ; which they are is never said."""
    values = {tuple(member.words.get(name, "").rstrip("^ ") for name in names) for member in members}
    if len(values) > 1:
        raise SlideNotSuitable(
            f"The DICOM series holds files of more than one {what}",
            expected=f"one {what}",
            found=f"{len(values)}",
            action=EXPORT_AGAIN,
        )


def _require_decodable(level: Level) -> None:
    """Refuse another compression, and pixels of another kind than 8-bit colour."""
    colours = level.words.get("colours", "none stated")[:CODE_LETTERS_AT_MOST]
    if not level.frames_needed:
        raise SlideNotReadable(
            "A level of the DICOM slide does not state its size",
            expected="sizes of its total pixel matrix and of its frames",
            found="none, or 0",
            action=EXPORT_AGAIN,
        )
    if level.transfer_syntax not in DECODED:
        raise SlideNotSuitable(
            "The frames of the DICOM slide are stored in a way that cannot be read",
            expected="JPEG baseline, JPEG 2000, or no compression with explicit little-endian encoding",
            found=f"transfer syntax {level.transfer_syntax[:UID_CHARACTERS_AT_MOST] or 'not stated'}",
            action=TRANSCODE,
        )
    if level.numbers.get("planes_apart"):
        raise SlideNotSuitable(
            "The frames of the DICOM slide are stored in a way that cannot be read",
            expected="the three colours of a pixel side by side (planar configuration 0)",
            found="each colour apart",
            action=TRANSCODE,
        )
    if level.numbers.get("samples") != 3 or colours.startswith(("MONOCHROME", "PALETTE")):
        require_colour(f"photometric interpretation {colours}")
    if level.numbers.get("bits") != 8:
        require_colour(f"{level.numbers.get('bits', 0)} bits per channel")
    if level.transfer_syntax != JPEG_BASELINE:
        return
    of_frames = _colours_of_frames(level)
    stated = "RGB" if colours == "RGB" else "YBR" if colours.startswith("YBR") else colours
    if len(of_frames) > 1 or (of_frames == {"RGB"} and stated != "RGB"):
        raise SlideNotSuitable(
            "The DICOM slide states other colours than its frames have, and would be shown in wrong ones",
            expected=f"JPEG frames of photometric interpretation {colours}",
            found=" and ".join(sorted(of_frames)),
            action="Correct Photometric Interpretation (0028,0004), or convert it again.",
        )


def _require_one_plane(level: Level) -> None:
    for name, what in (("focal_planes", "focal planes"), ("optical_paths", "optical paths (channels)")):
        if level.numbers.get(name, 1) > 1:
            raise _several(f"{level.numbers[name]} {what}")


def _several(found: str) -> SlideNotSuitable:
    return SlideNotSuitable(
        "The DICOM slide shows each place more than once",
        expected="one focal plane and one optical path",
        found=found,
        action="Export one plane, or one merged from all, as a series of its own.",
    )


def _joined(levels: list[Level]) -> list[list[Level]]:
    """The files of each level: one, or the parts of a concatenation (PS3.3 C.7.6.16.1), all of which must be there."""
    parts: dict[str, list[Level]] = {}
    for level in levels:
        parts.setdefault(level.words.get("concatenation") or level.words.get("sop_instance", ""), []).append(level)
    for members in parts.values():
        wanted = members[0].numbers.get("parts", len(members))
        if len(members) != wanted:
            raise SlideNotReadable(
                "Parts of a level of the DICOM series are missing (concatenation)",
                expected=f"{wanted} files",
                found=f"{len(members)}",
                action="Add the other files of the series.",
            )
    return list(parts.values())


def _require_different_sizes(wholes: list[list[Level]]) -> None:
    sizes = [parts[0].size_px for parts in wholes]
    for size in sizes:
        if sizes.count(size) > 1:
            raise _several(f"{sizes.count(size)} images of {size[0]:,} × {size[1]:,} px in one series")


def _require_one_extent(levels: list[Level]) -> None:
    """Refuse levels that show places of different size on the glass, where they state their spacing."""
    stated = [level for level in levels if len(level.spacing_mm) == 2]
    for side in (0, 1):
        extents = [level.size_px[side] * level.spacing_mm[1 - side] for level in stated]
        slack = max((level.spacing_mm[1 - side] for level in stated), default=0.0)
        if extents and max(extents) - min(extents) > SAME_EXTENT_WITHIN * max(extents) + slack:
            raise SlideNotSuitable(
                "The levels of the DICOM series show different parts of the glass",
                expected="one part at several scales",
                found=f"{min(extents):.4g} and {max(extents):.4g} mm",
                action=EXPORT_AGAIN,
            )


def _require_every_frame(parts: list[Level]) -> None:
    """Refuse a level whose frames do not cover it; a hole of a sparse one is legal, and shown white."""
    first, stated = parts[0], sum(part.frames for part in parts)
    size = f"{first.size_px[0]:,} × {first.size_px[1]:,} px"
    if first.words.get("tiling") == SPARSE:
        places = [place for part in parts for place in _places_of_frames(part)]
        if len(set(places)) < len(places):
            raise _several(f"{len(places):,} frames at {len(set(places)):,} places")
    elif stated != first.frames_needed:
        raise SlideNotReadable(
            "The DICOM slide does not have the frames that its size needs",
            expected=f"{first.frames_needed:,} for {size}",
            found=f"{stated:,}",
            action=COPY_AGAIN,
        )
    for part in parts:
        offsets, end = _frame_offsets(part)
        lengths = np.diff(np.r_[offsets[offsets < end], end]) - ITEM_HEAD_BYTES
        whole = int((lengths >= EMPTY_FRAME_BYTES).sum())
        if len(offsets) != part.frames or part.frames - whole > UNREAD_SHARE_AT_MOST * part.frames:
            raise SlideNotReadable(
                "Frames of the DICOM slide are missing, empty or beyond the end of the file",
                expected=f"{part.frames:,} for {size}",
                found=f"{whole:,}",
                action=COPY_AGAIN,
            )


def _places_of_frames(level: Level) -> list[tuple[int, int]]:
    """Column and row of every frame of a sparse level, from 1."""
    with level.file.open("rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as content:
        pixels = ENCAPSULATED.search(content, level.header_end)
        end = pixels.start() if pixels else len(content)
        columns, rows = (
            [struct.unpack("<i", match[1])[0] for match in pattern.finditer(content, level.header_end, end)]
            for pattern in (COLUMN_OF_FRAME, ROW_OF_FRAME)
        )
    if not len(columns) == len(rows) == level.frames:
        raise SlideNotReadable(
            "The DICOM slide does not say where its frames lie",
            expected=f"{level.frames:,} places, as it is sparsely tiled",
            found=f"{min(len(columns), len(rows)):,}",
            action=COPY_AGAIN,
        )
    return list(zip(columns, rows, strict=True))


def _frame_offsets(level: Level) -> tuple[NDArray[np.int64], int]:
    """Where in the file each frame's item begins, as its tables say, and where the file ends; none where it has no pixels."""
    with level.file.open("rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as content:
        size = len(content)
        if level.transfer_syntax == UNCOMPRESSED:
            tile = 3 * level.numbers.get("tile_width", 0) * level.numbers.get("tile_height", 0)
            if tile * level.frames > size:
                return np.zeros(0, np.int64), size
            return size - tile * np.arange(level.frames, 0, -1, dtype=np.int64), size
        pixels = ENCAPSULATED.search(content, level.header_end)
        if pixels is None:
            return np.zeros(0, np.int64), size
        first = pixels.end() + struct.unpack("<I", pixels[1])[0]
        table, number = content[pixels.end() : first], "<u4"
        if not table and (long := LONG_OFFSETS.search(content, level.header_end, pixels.start())):
            table, number = content[long.end() : long.end() + struct.unpack("<I", long[1])[0]], "<u8"
        if table:
            form = np.dtype(number)
            stated = np.frombuffer(table, form, len(table) // form.itemsize)
            # What lies beyond the end of the file is no number of bytes within it.
            return np.minimum(stated, size).astype(np.int64) + first, size
        listed = []
        while first + ITEM_HEAD_BYTES <= size and content[first : first + 4] == b"\xfe\xff\x00\xe0":
            listed.append(first)
            first += ITEM_HEAD_BYTES + struct.unpack("<I", content[first + 4 : first + 8])[0]
        return np.array(listed, np.int64), size


def _heads_of_frames(level: Level) -> list[bytes]:
    """How some of its frames begin, the first and the last among them."""
    offsets, size = _frame_offsets(level)
    chosen = sorted({int(at) for at in np.linspace(0, len(offsets) - 1, FRAMES_LOOKED_AT)}) if len(offsets) else []
    with level.file.open("rb") as stream:
        heads = []
        for at in chosen:
            if offsets[at] < size:
                stream.seek(int(offsets[at]) + ITEM_HEAD_BYTES)
                heads.append(stream.read(FRAME_HEAD_BYTES))
    return heads


def _size_of_frame(frame: bytes) -> tuple[int, int] | None:
    """Width and height that a JPEG or JPEG 2000 states; None where it cannot be read, which is told where it is decoded."""
    try:
        with (
            told_as_unreadable("The frame cannot be read"),
            Image.open(io.BytesIO(frame), formats=["JPEG", "JPEG2000"]) as image,
        ):
            return image.size
    except SlideNotReadable:
        return None


def _colours_of_frames(level: Level) -> set[str]:
    """Of what colours the frames looked at say they are, RGB or YBR; empty where none says it."""
    return set(itertools.chain.from_iterable(map(_colours_of_jpeg, _heads_of_frames(level))))


def _colours_of_jpeg(frame: bytes) -> set[str]:
    """What a JPEG says of its colours: by Adobe's marker, by JFIF, by the names of its components, by their sampling.

    Nobody halves a channel of RGB. (ITU-T T.871; T.872, 6.5.3.)
    """
    try:
        with told_as_unreadable("The frame cannot be read"), Image.open(io.BytesIO(frame), formats=["JPEG"]) as image:
            components = [tuple(component) for component in getattr(image, "layer", ())]
            info = image.info
    except SlideNotReadable:  # counted as unreadable where it is decoded
        return set()
    if len(components) != 3:
        return set()
    if "adobe_transform" in info:
        return {"YBR" if info["adobe_transform"] == 1 else "RGB"}
    if "jfif" in info:
        return {"YBR"}
    if [component[0] for component in components] == list(b"RGB"):
        return {"RGB"}
    return {"YBR"} if len({component[1:3] for component in components}) > 1 else set()
