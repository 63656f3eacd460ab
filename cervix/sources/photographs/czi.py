"""Where the attachments of a CZI slide lie: label, preview of the glass, thumbnail, protocols. None of them is tissue.

ZEISS ZISRAW (CZI) File Format, design specification: a file is made of segments, each with a head of 32 bytes.
"""

import struct
from pathlib import Path
from typing import Any, BinaryIO

from cervix.sources.photographs import not_proved
from cervix.sources.photographs.erasure import Erasure
from cervix.sources.photographs.spans import merged, overlap, spans_of

SEGMENT_HEAD = struct.Struct("<16sqq")  # name, allocated and used bytes of what follows
SUBBLOCK_DIRECTORY_AT, ATTACHMENT_DIRECTORY_AT = 84, 104
DIRECTORY_HEAD_BYTES = 128
ATTACHMENTS_HEAD_BYTES = 256
ATTACHMENT_ENTRY = struct.Struct("<2s10sq108s")  # schema, reserved, place, and what names it
SUBBLOCK_ENTRY = struct.Struct(
    "<2siqiib5si"
)  # schema, pixel type, place, file part, compression, pyramid, reserved, dimensions
DIMENSION_BYTES = 20
ATTACHMENTS_AT_MOST = 10_000


def erasure_of(slide: Path) -> Erasure:
    """Zeros over every attachment and over the directory that names them.

    Raises
    ------
    UploadRefused
        An attachment leads out of the file or into the tissue, or cannot be told.
    """
    size = slide.stat().st_size
    with slide.open("rb") as stream:
        (subblocks_at,) = _unpacked(stream, struct.Struct("<q"), SUBBLOCK_DIRECTORY_AT)
        (attachments_at,) = _unpacked(stream, struct.Struct("<q"), ATTACHMENT_DIRECTORY_AT)
        _segment(stream, attachments_at, b"ZISRAWATTDIR", size)
        entries_at = attachments_at + SEGMENT_HEAD.size
        (count,) = _unpacked(stream, struct.Struct("<i"), entries_at)
        if not 0 <= count <= ATTACHMENTS_AT_MOST:
            raise not_proved("more attachments than a slide has")
        listed = ATTACHMENTS_HEAD_BYTES + count * ATTACHMENT_ENTRY.size
        if entries_at + listed > size:
            raise not_proved("an attachment that is said to lie outside the file")
        gone = [(entries_at, listed)]
        for number in range(count):
            at = entries_at + ATTACHMENTS_HEAD_BYTES + number * ATTACHMENT_ENTRY.size
            schema, _, place, _ = _unpacked(stream, ATTACHMENT_ENTRY, at)
            if schema != b"A1":
                raise not_proved("an attachment of an unknown kind")
            gone.append((place + SEGMENT_HEAD.size, _segment(stream, place, b"ZISRAWATTACH", size)))
        spans = merged(spans_of(gone))
        kept = [
            (place, SEGMENT_HEAD.size + _segment(stream, place, b"ZISRAWSUBBLOCK", size))
            for place in _subblocks(stream, subblocks_at, size)
        ]
    if overlap(spans, merged(spans_of(kept))):
        raise not_proved("an attachment that lies across the tissue")
    return Erasure(slide, spans)


def _unpacked(stream: BinaryIO, form: struct.Struct, at: int) -> tuple[Any, ...]:
    if at < 0:
        raise not_proved("a directory that is said to lie outside the file")
    stream.seek(at)
    return form.unpack(stream.read(form.size))


def _segment(stream: BinaryIO, at: int, name: bytes, size_bytes: int) -> int:
    """Bytes behind the head of a segment, which has that name and ends within the file."""
    found, allocated, used = _unpacked(stream, SEGMENT_HEAD, at)
    if found.rstrip(b"\0") != name:
        raise not_proved("a segment of another kind than its directory says")
    length = max(allocated, used)
    if min(allocated, used) < 0 or at + SEGMENT_HEAD.size + length > size_bytes:
        raise not_proved("a segment that is said to lie outside the file")
    return int(length)


def _subblocks(stream: BinaryIO, at: int, size_bytes: int) -> list[int]:
    """Where the pieces of tissue lie."""
    length = _segment(stream, at, b"ZISRAWDIRECTORY", size_bytes)
    stream.seek(at + SEGMENT_HEAD.size)
    content = stream.read(length)
    (count,) = struct.unpack_from("<i", content)
    places, cursor = [], DIRECTORY_HEAD_BYTES
    for _ in range(count):
        _, _, place, _, _, _, _, dimensions = SUBBLOCK_ENTRY.unpack_from(content, cursor)
        if dimensions < 0:
            raise not_proved("a directory that is not understood")
        places.append(place)
        cursor += SUBBLOCK_ENTRY.size + dimensions * DIMENSION_BYTES
    return places
