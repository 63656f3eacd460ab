"""What a trainer says while it runs: one JSON object a line, written by the trainer and read here.

::

    {"event": "said", "elapsed_s": 3.1, "message": "from cervix-demonstration 0.5.1 (0123456789), recipe retrain, seed 1"}
    {"event": "progress", "stage": "slide", "done": 0.35, "message": "slide: fold 2"}
    {"event": "refused", "code": "labels-too-few", "message": "Too few labels …"}
    {"event": "candidate", "candidate": "cervix-demonstration 0.5.2 (0123456789)", "message": "candidate … in /srv/bundles/…"}

Programs go by ``event``, ``stage``, ``done``, ``total``, ``code`` and ``candidate``; ``message`` is for people. A line that is
no such object is text for people: a traceback, a warning of a library, the log of an earlier version.
"""

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

TAIL_BYTES = 256 << 10
LONGEST_LINE = 500
Event = Literal["said", "progress", "candidate", "refused"]
# Colours and cursor moves of a terminal, and whatever else would not print.
_ESCAPES = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]")
_UNPRINTABLE = re.compile(r"[^\S\n\t ]|[\x00-\x08\x0e-\x1f\x7f-\x9f]")


class LogLine(BaseModel):
    """One thing that a trainer says."""

    model_config = ConfigDict(frozen=True, allow_inf_nan=False)

    event: Event
    message: str = ""
    """For people; may have several lines."""
    elapsed_s: float | None = None
    """Since the trainer started."""
    stage: str = ""
    """Of ``progress``: ``parent`` or ``candidate`` while one is proved, else the id of the model that is retrained."""
    done: Annotated[float, Field(ge=0)] = 0.0
    total: Annotated[float, Field(gt=0)] = 1.0
    """Of ``progress``: how far the whole run is."""
    code: str = ""
    """Of ``refused``: one of ``cervix.errors.ERRORS``, or of the trainer's own."""
    candidate: str = ""
    """Of ``candidate``: name, version and short hash, as ``Bundle.label``."""

    @model_validator(mode="after")
    def _done_at_most(self) -> Self:
        if self.done > self.total:
            raise ValueError("more is done than there is")
        return self

    @property
    def share(self) -> float:
        """How far the run is, 0 to 1."""
        return self.done / self.total

    @property
    def text(self) -> str:
        """The line in words, as a terminal shows it."""
        if self.event == "progress":
            return f"progress {self.share:.2f} {self.message}"
        if self.event == "refused":
            return f"error: {self.message}"
        since = "" if self.event == "candidate" or self.elapsed_s is None else f"[{self.elapsed_s:6.0f} s] "
        return since + self.message

    def as_json(self) -> str:
        """The line as it stands in a log, without its end."""
        return self.model_dump_json(exclude_defaults=True)


@dataclass(frozen=True)
class TrainerLog:
    """The end of a trainer's log.

    Attributes
    ----------
    lines : tuple of LogLine
        The latest last.
    """

    lines: tuple[LogLine, ...]

    @property
    def words(self) -> list[str]:
        """What people read: all but progress, without control characters, long lines cut."""
        return [words for line in self.lines if line.event != "progress" for words in _printable(line.text)]

    @property
    def progress(self) -> LogLine | None:
        """The last progress that was told."""
        return self._last("progress")

    @property
    def refusal(self) -> LogLine | None:
        """Why the trainer refused, if it did."""
        return self._last("refused")

    @property
    def candidate(self) -> str:
        """Name, version and short hash of the candidate that it says it made; empty where it says none."""
        line = self._last("candidate")
        return line.candidate if line else ""

    def _last(self, event: Event) -> LogLine | None:
        return next((line for line in reversed(self.lines) if line.event == event), None)


def read_log(path: Path) -> TrainerLog:
    """The end of a log, whatever it holds; empty where there is none."""
    try:
        with path.open("rb") as stream:
            size = stream.seek(0, os.SEEK_END)
            stream.seek(max(0, size - TAIL_BYTES))
            lines = stream.read(TAIL_BYTES).decode(errors="replace").split("\n")
    except FileNotFoundError:
        return TrainerLog(())
    whole = lines[1:] if size > TAIL_BYTES and len(lines) > 1 else lines
    return TrainerLog(tuple(_parsed(line) for line in whole if line.strip()))


def _parsed(line: str) -> LogLine:
    try:
        return LogLine.model_validate_json(line)
    except ValidationError:
        return LogLine(event="said", message=line)


def _printable(text: str) -> list[str]:
    # A carriage return begins a line anew: bars of progress use it.
    lines = re.split(r"[\r\n]+", _ESCAPES.sub("", text))
    return [cleaned for line in lines if (cleaned := _UNPRINTABLE.sub("", line)[:LONGEST_LINE].rstrip())]
