"""What a running trainer says, read from the end of its log."""

import os
import re
from dataclasses import dataclass
from pathlib import Path

TAIL_BYTES = 256 << 10
LONGEST_LINE = 500
ERROR_PREFIX = "error: "
_PROGRESS = re.compile(r"progress ([01]|[01]?\.\d+)(?: (.*))?")
_CANDIDATE = re.compile(r"candidate (.+ \S+ \([0-9a-f]+\)) in .+")
# Colours and cursor moves of a terminal, and whatever else would not print.
_ESCAPES = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]")
_UNPRINTABLE = re.compile(r"[^\S\n\t ]|[\x00-\x08\x0e-\x1f\x7f-\x9f]")


@dataclass(frozen=True)
class RetrainingProgress:
    """How far a run says it is.

    Attributes
    ----------
    share : float
        0 to 1.
    doing : str
        What it is doing, in its words.
    """

    share: float
    doing: str


def last_lines(path: Path) -> list[str]:
    """The last lines of a log without control characters, long ones cut; none where there is no log."""
    try:
        with path.open("rb") as stream:
            size = stream.seek(0, os.SEEK_END)
            stream.seek(max(0, size - TAIL_BYTES))
            text = stream.read(TAIL_BYTES).decode(errors="replace")
    except FileNotFoundError:
        return []
    # A carriage return begins a line anew: bars of progress use it.
    lines = re.split(r"[\r\n]+", _ESCAPES.sub("", text))
    whole = lines[1:] if size > TAIL_BYTES and len(lines) > 1 else lines
    return [cleaned for line in whole if (cleaned := _UNPRINTABLE.sub("", line)[:LONGEST_LINE].rstrip())]


def progress_in(lines: list[str]) -> RetrainingProgress | None:
    """The last progress that was told; None where none was."""
    for line in reversed(lines):
        if (told := _PROGRESS.fullmatch(line)) and 0 <= float(told[1]) <= 1:
            return RetrainingProgress(float(told[1]), (told[2] or "").strip())
    return None


def candidate_in(lines: list[str]) -> str:
    """Name, version and short hash of the candidate that a run says it made; empty where it says none."""
    return next((told[1] for line in reversed(lines) if (told := _CANDIDATE.fullmatch(line))), "")


def error_in(lines: list[str]) -> str:
    """The sentence with which a run refused; empty where it did not."""
    return next((line.removeprefix(ERROR_PREFIX) for line in reversed(lines) if line.startswith(ERROR_PREFIX)), "")


def without_progress(lines: list[str]) -> list[str]:
    """The lines that are for people."""
    return [line for line in lines if not _PROGRESS.fullmatch(line)]
