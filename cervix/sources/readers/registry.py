"""The sources of slides. A new one is a file beside this one, and a line here."""

from pathlib import Path

from cervix.sources.readers.openslide_files import OpenSlideFiles
from cervix.sources.readers.pictures import PlainPictures
from cervix.sources.readers.reader import SlideReader

READERS: list[SlideReader] = [
    OpenSlideFiles(),
    PlainPictures(),
]
"""In the order in which they are asked."""


def reader_of(path: Path) -> SlideReader | None:
    """The reader that opens a file; None where there is none."""
    return next((reader for reader in READERS if reader.matches(path)), None)


def readable() -> str:
    """Every kind of slide that can be read, in words."""
    return " or ".join(reader.kinds for reader in READERS)


def slide_suffixes() -> tuple[str, ...]:
    """How names of slides end that are no plain pictures."""
    return tuple(suffix for reader in READERS if not reader.plain for suffix in reader.suffixes)


def picture_suffixes() -> tuple[str, ...]:
    """How names of plain pictures end, those left out that name slides too."""
    return tuple(suffix for reader in READERS if reader.plain for suffix in reader.suffixes)
