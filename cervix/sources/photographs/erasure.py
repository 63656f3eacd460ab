"""What is to be overwritten in one file, and the overwriting."""

import io
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from PIL import Image

from cervix.sources.photographs.spans import Spans

BLOCK_BYTES = 1 << 20
# Pictures whose blank stand-in would be larger than this get a small one.
STAND_IN_PIXELS_AT_MOST = 20_000_000
# ITU-T T.81, B.2.2: a side has 16 bits; libjpeg stops a little earlier.
JPEG_SIDE_PX_AT_MOST = 65_500


@dataclass(frozen=True)
class Erasure:
    """Zeros over ``spans`` of ``file``, and what must stand there instead for OpenSlide to open the slide.

    Attributes
    ----------
    spans : array, (n, 2) int64
        Merged, within the file.
    instead : list of (int, bytes)
        Offset and content, written after the zeros; the content never leaves the stretch it stands for.
    ends_at : int, optional
        Where the file is cut off, behind every span; nowhere where it is not given.
    """

    file: Path
    spans: Spans
    instead: list[tuple[int, bytes]] = field(default_factory=list)
    ends_at: int | None = None

    def write(self) -> None:
        zeros = bytes(BLOCK_BYTES)
        with self.file.open("r+b", buffering=0) as stream:
            for start, end in self.spans.tolist():
                stream.seek(start)
                while start < end:
                    start += stream.write(zeros[: end - start])
            for offset, content in self.instead:
                stream.seek(offset)
                if stream.write(content) != len(content):
                    raise OSError("a write was cut short")
            if self.ends_at is not None:
                stream.truncate(self.ends_at)

    def is_written(self) -> bool:
        """Whether the file holds, byte for byte, what was to be written."""
        if self.ends_at is not None and self.file.stat().st_size > self.ends_at:
            return False
        with self.file.open("rb") as stream:
            for offset, content in self.instead:
                stream.seek(offset)
                if stream.read(len(content)) != content:
                    return False
            written = np.array(sorted((offset, offset + len(content)) for offset, content in self.instead), np.int64)
            for start, end in _without(self.spans, written.reshape(-1, 2)):
                stream.seek(start)
                while start < end:
                    block = stream.read(min(BLOCK_BYTES, end - start))
                    if not block or block.strip(b"\0"):
                        return False
                    start += len(block)
        return True


def _without(spans: Spans, holes: Spans) -> list[tuple[int, int]]:
    """Merged spans less holes, which are in order and do not overlap."""
    left, hole = [], 0
    for start, end in spans.tolist():
        while hole < len(holes) and holes[hole, 1] <= start:
            hole += 1
        at = hole
        while at < len(holes) and holes[at, 0] < end:
            left.append((start, int(holes[at, 0])))
            start = int(holes[at, 1])
            at += 1
        left.append((start, end))
    return [(start, end) for start, end in left if start < end]


def blank_jpeg(width_px: int, height_px: int, room_bytes: int) -> bytes:
    """A white JPEG of that size, a smaller one where there is no room for it, or none."""
    for size in ((width_px, height_px), (16, 16)):
        if 0 < size[0] * size[1] <= STAND_IN_PIXELS_AT_MOST and max(size) <= JPEG_SIDE_PX_AT_MOST:
            stream = io.BytesIO()
            Image.new("RGB", size, "white").save(stream, "JPEG", quality=30)
            if stream.tell() <= room_bytes:
                return stream.getvalue()
    return b""
