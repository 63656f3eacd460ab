"""The few fields at the head of a DICOM file that say which slide it belongs to (DICOM PS3.5 and PS3.10)."""

import io
import re
import struct
import zlib
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import BinaryIO, Final

DICOM: Final = ".dcm"
PREAMBLE_BYTES: Final = 128
MAGIC: Final = b"DICM"
HEAD_BYTES: Final = PREAMBLE_BYTES + len(MAGIC)
# PS3.6: what is read; the last of them ends the reading, as elements stand in the order of their tags.
TRANSFER_SYNTAX, SOP_CLASS, INSTANCE, SERIES = (0x0002, 0x0010), (0x0008, 0x0016), (0x0008, 0x0018), (0x0020, 0x000E)
WANTED: Final = {TRANSFER_SYNTAX, SOP_CLASS, INSTANCE, SERIES}
IMPLICIT_LITTLE, DEFLATED, EXPLICIT_BIG = "1.2.840.10008.1.2", "1.2.840.10008.1.2.1.99", "1.2.840.10008.1.2.2"
WHOLE_SLIDE_IMAGE: Final = "1.2.840.10008.5.1.4.1.1.77.1.6"
# PS3.5 table 7.1-1: a length of four bytes behind two that are reserved.
LONG_LENGTH: Final = {b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT", b"UV"}
UNDEFINED: Final = 0xFFFFFFFF
ITEM, ITEM_END, SEQUENCE_END = (0xFFFE, 0xE000), (0xFFFE, 0xE00D), (0xFFFE, 0xE0DD)
# Far more than stands before a series in a real file; a file made to be endless is given up.
ELEMENTS_AT_MOST: Final = 20_000
VALUE_BYTES_AT_MOST: Final = 1024
INFLATED_BYTES_AT_MOST: Final = 4 << 20
UID = re.compile(r"[0-9]+(\.[0-9]+)*")


@dataclass(frozen=True)
class DicomHead:
    """What the head of a DICOM file says.

    Attributes
    ----------
    series_uid : str
        Series Instance UID; empty where it cannot be read.
    sop_class_uid : str
        What kind of object it is; empty where it cannot be read.
    instance_uid : str
        SOP Instance UID; empty where it cannot be read.
    """

    series_uid: str
    sop_class_uid: str
    instance_uid: str

    @property
    def is_of_a_slide(self) -> bool:
        """Whether it names a series and is a whole-slide image."""
        return bool(self.series_uid) and self.sop_class_uid == WHOLE_SLIDE_IMAGE


def dicom_head(path: Path) -> DicomHead | None:
    """The head of a DICOM file; None for any other file, by the mark at byte 128 and not by its name."""
    try:
        stat = path.stat()
        return _head_of(path, stat.st_size, stat.st_mtime_ns)
    except OSError:
        return None


@lru_cache(maxsize=20_000)
def _head_of(path: Path, size: int, changed_ns: int) -> DicomHead | None:
    del size, changed_ns  # parts of the key
    with path.open("rb") as stream:
        if stream.read(HEAD_BYTES)[PREAMBLE_BYTES:] != MAGIC:
            return None
        values: dict[tuple[int, int], bytes] = {}
        # What was read before the damage counts.
        with suppress(EOFError, ValueError, zlib.error):
            _read_elements(stream, values)
    uids = (_text(values.get(tag, b"")) for tag in (SERIES, SOP_CLASS, INSTANCE))
    return DicomHead(*(uid if UID.fullmatch(uid) else "" for uid in uids))


def _text(value: bytes) -> str:
    return value.decode("ascii", "replace").strip("\0 ")


def _read_elements(stream: BinaryIO, values: dict[tuple[int, int], bytes]) -> None:
    """Walk the elements up to the series, keeping those that are wanted."""
    meta = _Walk(stream, "<", explicit=True)
    while meta.peek()[0] == TRANSFER_SYNTAX[0]:
        meta.element(values)
    syntax = _text(values.get(TRANSFER_SYNTAX, b""))
    if syntax == DEFLATED:
        inflated = zlib.decompressobj(-zlib.MAX_WBITS).decompress(stream.read(INFLATED_BYTES_AT_MOST), INFLATED_BYTES_AT_MOST)
        stream = io.BytesIO(inflated)
    data = _Walk(stream, ">" if syntax == EXPLICIT_BIG else "<", explicit=syntax != IMPLICIT_LITTLE)
    while SERIES not in values and data.peek() <= SERIES:
        data.element(values)


class _Walk:
    """Elements of one encoding, one after the other; raises what damage raises."""

    def __init__(self, stream: BinaryIO, order: str, *, explicit: bool) -> None:
        self._stream, self._order, self._explicit = stream, order, explicit
        self._left = ELEMENTS_AT_MOST

    def peek(self) -> tuple[int, int]:
        at = self._stream.tell()
        tag = self._tag()
        self._stream.seek(at)
        return tag

    def element(self, values: dict[tuple[int, int], bytes]) -> None:
        tag, length = self._head()
        if length == UNDEFINED:
            self._skip_to_the_end_of_a_sequence()
        elif tag in WANTED and length <= VALUE_BYTES_AT_MOST:
            values[tag] = self._read(length)
        else:
            self._stream.seek(length, io.SEEK_CUR)

    def _skip_to_the_end_of_a_sequence(self) -> None:
        """Behind the delimiter of a sequence or item of undefined length, whatever is nested in it."""
        depth = 1
        while depth:
            tag, length = self._head()
            if tag in (ITEM_END, SEQUENCE_END):
                depth -= 1
            elif length == UNDEFINED:
                depth += 1
            elif tag != ITEM:  # an item of stated length is walked through: its elements count like any
                self._stream.seek(length, io.SEEK_CUR)

    def _head(self) -> tuple[tuple[int, int], int]:
        self._left -= 1
        if self._left < 0:
            raise ValueError("too many elements")
        tag = self._tag()
        if tag[0] == 0xFFFE or not self._explicit:
            return tag, self._number("I")
        kind = self._read(2)
        if kind not in LONG_LENGTH:
            return tag, self._number("H")
        self._read(2)
        return tag, self._number("I")

    def _tag(self) -> tuple[int, int]:
        return self._number("H"), self._number("H")

    def _number(self, kind: str) -> int:
        form = self._order + kind
        return int(struct.unpack(form, self._read(struct.calcsize(form)))[0])

    def _read(self, count: int) -> bytes:
        content = self._stream.read(count)
        if len(content) != count:
            raise EOFError
        return content
