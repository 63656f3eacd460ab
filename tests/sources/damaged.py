"""Copies of a slide with a few flipped bits where a TIFF says what is where."""

from pathlib import Path

import numpy as np
import tifffile


def structure_of(path: Path) -> list[int]:
    """Every byte of header, directories and their values."""
    with tifffile.TiffFile(path) as file:
        size = file.tiff
        places = set(range(16 if file.is_bigtiff else 8))
        for page in file.pages:
            table = size.tagnosize + len(page.tags) * size.tagsize + size.offsetsize
            places.update(range(page.offset, page.offset + table))
            for tag in page.tags:
                # A table of JPEG, a profile of colours: longer values are drawn too often for what they matter.
                places.update(range(tag.valueoffset, tag.valueoffset + min(tag.valuebytecount, 400)))
    return sorted(places)


def photographs_in(path: Path) -> list[bytes]:
    """The stored bytes of every image that is not tiled: in the slides of these tests, all that are no level."""
    content = path.read_bytes()
    with tifffile.TiffFile(path) as file:
        return [
            content[offset : offset + count]
            for page in file.pages
            if not page.is_tiled
            for offset, count in zip(page.dataoffsets, page.databytecounts, strict=True)
            if count > 64
        ]


def damaged(content: bytes, places: list[int], random: np.random.Generator) -> bytes:
    """One to three bits are flipped."""
    copy = bytearray(content)
    for place in random.choice(places, size=random.integers(1, 4)):
        copy[place] ^= 1 << random.integers(8)
    return bytes(copy)
