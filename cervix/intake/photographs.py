"""No photograph of a label, and no name in a DICOM header, stays in a slide that was uploaded."""

from pathlib import Path
from typing import Final

from cervix.errors import CervixError, SlideNotSuitable, UploadRefused
from cervix.sources.apart import Limits, run_apart
from cervix.sources.identity import files_of
from cervix.sources.photographs import not_proved

# Decisions and proof take well under a second; writing zeros over gigabytes that no level needs takes the rest.
SECONDS_AT_MOST: Final = 60.0
# The answer of the process apart is a file too.
ANSWER_BYTES_AT_MOST: Final = 64 << 10


def erase_photographs(path: Path) -> int:
    """Overwrite every picture in a slide's files that is no part of its levels, and names in DICOM headers; returns how many
    bytes that were.

    Runs in a process of its own that cannot make a file larger. Levels keep every byte.

    Parameters
    ----------
    path : Path
        The file that opens the slide; its other files are found as OpenSlide finds them.

    Raises
    ------
    UploadRefused
        It cannot be proved that no photograph or name is left, or that the levels are as they were. The files must then be
        deleted: something of them may have been overwritten.
    SlideNotSuitable
        A DICOM series of several patients, studies or slides, which could not be told apart afterwards.
    """
    largest = max(file.stat().st_size for file in files_of(path))
    try:
        erased = run_apart(
            "cervix.sources.photographs.erasing:erase",
            {"path": str(path)},
            Limits(seconds=SECONDS_AT_MOST, file_bytes=max(largest, ANSWER_BYTES_AT_MOST)),
            subject="slide",
        )
    except (UploadRefused, SlideNotSuitable):
        raise
    except CervixError as error:
        raise not_proved(error.found.replace("no answer", "content that is not understood")) from error
    return int(erased)
