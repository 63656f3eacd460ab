"""Slides and pictures that say more than they hold, made by hand; and two honest ones that look like them."""

import io
import struct
import zlib
from pathlib import Path

import numpy as np
import tifffile
from PIL import Image

LONG, SHORT, LONG8 = 4, 3, 16
CODES = {LONG: "I", SHORT: "H", LONG8: "Q"}
Tags = dict[int, tuple[int, list[int]]]


def tiff(directories: list[Tags], *, loop: bool = False, padding: int = 0) -> bytes:
    """A BigTIFF of directories alone: tag -> type and values. ``loop``: the last one leads back to the first."""
    content = bytearray(struct.pack("<2sHHHQ", b"II", 43, 8, 0, 0)) + bytes(padding)
    link = 8
    first = 0
    for number, tags in enumerate(directories):
        entries = []
        for tag, (kind, values) in sorted(tags.items()):
            packed = struct.pack(f"<{len(values)}{CODES[kind]}", *values)
            if len(packed) > 8:
                entries.append(struct.pack("<HHQQ", tag, kind, len(values), len(content)))
                content += packed
            else:
                entries.append(struct.pack("<HHQ", tag, kind, len(values)) + packed.ljust(8, b"\0"))
        content[link : link + 8] = struct.pack("<Q", len(content))
        first = first if number else len(content)
        content += struct.pack("<Q", len(entries)) + b"".join(entries)
        link = len(content)
        content += bytes(8)
    if loop:
        content[link : link + 8] = struct.pack("<Q", first)
    return bytes(content)


def directory(width: int, height: int, tile: int, offsets: list[int], counts: list[int]) -> Tags:
    """The tags of a tiled RGB image without compression."""
    return {
        256: (LONG8, [width]), 257: (LONG8, [height]), 258: (SHORT, [8, 8, 8]), 259: (SHORT, [1]), 262: (SHORT, [2]),
        277: (SHORT, [3]), 284: (SHORT, [1]), 322: (LONG, [tile]), 323: (LONG, [tile]), 324: (LONG8, offsets),
        325: (LONG8, counts),
    }  # fmt: skip


def png_of(width: int, height: int) -> bytes:
    """A PNG whose header says any size, with one row's worth of data."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(300))) + chunk(b"IEND", b"")


def jpeg_of(width: int, height: int) -> bytes:
    """A JPEG of 16 x 16 px whose frame header says another size."""
    buffer = io.BytesIO()
    Image.new("RGB", (16, 16), "pink").save(buffer, "JPEG")
    content = bytearray(buffer.getvalue())
    frame = content.index(b"\xff\xc0")
    content[frame + 5 : frame + 9] = struct.pack(">HH", height, width)
    return bytes(content)


def write_sparse_pyramid(path: Path) -> None:
    """An honest pyramid of 20,000 px square of which only one tile in a hundred was scanned."""
    tile = np.random.default_rng(0).integers(0, 255, (256, 256, 3), np.uint8)
    packed = zlib.compress(tile.tobytes(), 1)
    with tifffile.TiffWriter(path, bigtiff=True) as writer:
        for side in (20_000, 5_000, 1_250):
            across = -(-side // 256)
            writer.write(
                (packed if number % 100 == 0 else b"" for number in range(across * across)),
                shape=(side, side, 3), dtype=np.uint8, tile=(256, 256), photometric="rgb", compression="zlib",
                subfiletype=int(side < 20_000), metadata=None,
            )  # fmt: skip


def write_gigapixels(path: Path, *, pyramid: bool) -> None:
    """A real slide of 100,000 px square: every tile is there, each with bytes of its own."""
    buffer = io.BytesIO()
    Image.new("RGB", (1024, 1024), (230, 200, 220)).save(buffer, "JPEG", quality=30)
    with tifffile.TiffWriter(path, bigtiff=True) as writer:
        for side in (100_000, 25_000, 6_250) if pyramid else (100_000,):
            writer.write(
                (buffer.getvalue() for _ in range((-(-side // 1024)) ** 2)),
                shape=(side, side, 3), dtype=np.uint8, tile=(1024, 1024), photometric="ycbcr", compression="jpeg",
                subsampling=(2, 2), subfiletype=int(side < 100_000), metadata=None,
            )  # fmt: skip
