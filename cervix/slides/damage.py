"""A slide that cannot be read everywhere: how much damage is accepted, and how it is reported."""

from pathlib import Path

import numpy as np
from tifffile import TiffFile, TiffFileError

from cervix.errors import CervixError, SlideDamaged
from cervix.sources.apart import Limits, run_apart
from cervix.sources.tiff_header import is_tiff

# Of what a slide shows, or of its tiles, at most so much may be unreadable. A tenth of the tiles less widens the interval of
# the share of cancerous ones by a twentieth (the root of 1 / 0.9); more is a broken copy and not a scratch.
UNREAD_SHARE_AT_MOST = 0.1
# One damaged tile never costs a slide, however small: the file's tiles of 256 px touch 2 or 3 of ours in each direction.
TOUCHED_BY_ONE = 9
LIMITS = Limits(memory_bytes=2 << 30, seconds=30.0)
DAMAGED = "The file is damaged."
COPY_AGAIN = "Copy it again from its source."


def too_many_lost(lost: int, planned: int) -> bool:
    """Whether so many of the tiles planned cannot be read that no answer may rest on the rest."""
    return lost == planned or lost > max(UNREAD_SHARE_AT_MOST * planned, TOUCHED_BY_ONE)


def too_damaged(path: Path, what: str, found: str) -> SlideDamaged:
    """The error for a slide of which too much ``what`` cannot be read."""
    return SlideDamaged(
        "The slide opened but too much of it cannot be read",
        expected=f"at least {1 - UNREAD_SHARE_AT_MOST:.0%} of its {what}",
        found=found,
        action=f"{what_is_wrong(path)} {COPY_AGAIN}",
    )


def what_is_wrong(path: Path) -> str:
    """Why places of a slide cannot be read, in a sentence: a copy that ends early is told from damage."""
    return truncation(path) or DAMAGED


def truncation(path: Path) -> str:
    """That a TIFF ends before the tiles that it declares, in a sentence; empty where it does not or nobody can tell."""
    try:
        if not is_tiff(path):
            return ""
        lost, declared = run_apart("cervix.slides.damage:tiles_beyond_end", {"path": str(path)}, LIMITS, subject="slide")
    except (CervixError, OSError):
        return ""
    return f"The copy ends early: {lost:,} of {declared:,} tiles that the file declares cannot be read." if lost else ""


def tiles_beyond_end(path: str) -> tuple[int, int]:
    """How many of the tiles (or strips) of a TIFF end after the end of its file, and how many it declares, on all levels."""
    size = Path(path).stat().st_size
    lost = declared = 0
    try:
        with TiffFile(path) as tiff:
            for page in tiff.pages:
                ends = np.asarray(page.dataoffsets, np.int64) + np.asarray(page.databytecounts, np.int64)
                lost += int((ends > size).sum())
                declared += len(ends)
    except TiffFileError as error:
        raise CervixError("The directory of the file cannot be read", found=str(error)) from error
    return lost, declared
