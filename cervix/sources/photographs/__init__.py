"""The photographs of label and glass that scanners keep beside the tissue: erased from an upload, and proved gone.

Everything in a file that no level of the pyramid needs is overwritten, whatever it is called; see ADR 0019.
"""

from pathlib import Path
from typing import Final

from cervix.errors import CervixError, UploadRefused
from cervix.slides.identity import files_of
from cervix.sources.apart import Limits, run_apart

# Decisions and proof take well under a second; writing zeros over gigabytes that no level needs takes the rest.
SECONDS_AT_MOST: Final = 60.0


def erase_photographs(path: Path) -> int:
    """Overwrite every picture in a slide's files that is no part of its levels; returns how many bytes that were.

    Runs in a process of its own that cannot make a file larger. Levels keep every byte.

    Parameters
    ----------
    path : Path
        The file that opens the slide; its other files are found as OpenSlide finds them.

    Raises
    ------
    UploadRefused
        It cannot be proved that no photograph is left, or that the levels are as they were. The files must then be deleted:
        something of them may have been overwritten.
    """
    largest = max(file.stat().st_size for file in files_of(path))
    try:
        erased = run_apart(
            "cervix.sources.photographs.erasing:erase",
            {"path": str(path)},
            Limits(seconds=SECONDS_AT_MOST, file_bytes=largest),
            subject="slide",
        )
    except UploadRefused:
        raise
    except CervixError as error:
        raise not_proved(error.found.replace("no answer", "content that is not understood")) from error
    return int(erased)


def not_proved(found: str) -> UploadRefused:
    """The refusal of a slide of which it cannot be shown that no photograph of its label is left."""
    return UploadRefused(
        "This slide may hold a photograph of its label, with a name, that cannot be removed for certain",
        expected="a slide whose levels can be told from its other images",
        found=found,
        action="Remove label and macro image with the scanner's software, or copy the slide again if it is damaged.",
    )


def no_slide(found: str) -> UploadRefused:
    """The refusal of a file that nothing can open."""
    return UploadRefused(
        "This is not a slide that can be read",
        expected="a slide of a known format",
        found=found,
        action="Copy it again from its source.",
    )
