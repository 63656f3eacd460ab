"""Which faults of a slide are tried again, when, and what is said of them."""

import random
import re
from pathlib import Path
from typing import Final, Literal

from cervix.errors import (
    ArchiveRefused,
    BundleError,
    CervixError,
    DeviceLost,
    DownloadFailed,
    LostApart,
    SourceUnavailable,
    SourceVanished,
)

TRIED_AGAIN: Final = (
    ArchiveRefused,
    BundleError,
    DeviceLost,
    DownloadFailed,
    LostApart,
    SourceUnavailable,
    SourceVanished,
)
"""Faults of machines, disks and networks: another attempt may meet none. Every other error is of the slide itself, whose bytes
do not change, so nothing would come of a second look."""
FIRST_WAIT_S: Final = 15.0
LONGEST_WAIT_S: Final = 900.0
"""A store that restarts is back within a minute; one whose credentials a person must renew is asked four times an hour."""
SPREAD: Final = 0.5
"""Each wait is longer or shorter by up to this share, so that slides that failed together do not come back together."""


def ends(error: CervixError | OSError | MemoryError) -> Literal["refused", "failed"]:
    """How an attempt ended: ``refused`` where no other attempt would end otherwise."""
    return "refused" if isinstance(error, CervixError) and not isinstance(error, TRIED_AGAIN) else "failed"


def told(error: CervixError | OSError | MemoryError, path: Path) -> tuple[str, str]:
    """Code and sentence of an error, without the name of the file, which may be a patient's."""
    if isinstance(error, MemoryError):
        return LostApart.code, "There was not enough memory for this slide. Give the machine more, or fewer workers."
    if not isinstance(error, CervixError):
        error = SourceUnavailable(
            "A disk did not do what it was asked to",
            found=error.strerror or type(error).__name__,
            action="Look at the room on it and at who may write there.",
        )
    sentence = str(error)
    for name in (str(path), path.name):
        sentence = re.sub(rf"(?<!\w){re.escape(name)}(?!\w)", "the slide", sentence)
    return error.code, sentence


def back_off_s(attempts: int) -> float:
    """Seconds to wait after so many failed attempts (from 1): twice as long each time, up to ``LONGEST_WAIT_S``, and spread."""
    wait = min(LONGEST_WAIT_S, FIRST_WAIT_S * 2.0 ** (attempts - 1))
    return wait * random.uniform(1 - SPREAD, 1 + SPREAD)
