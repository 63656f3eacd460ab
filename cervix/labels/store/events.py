"""What a reader did with a case, judged once before it is kept."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal
from uuid import UUID, uuid4

from cervix.errors import LabelRefused
from cervix.people import NAME_AT_MOST, usable_name

Action = Literal["label", "unsure", "unusable", "skip", "adjudicate"]
RECORDED: tuple[Action, ...] = ("label", "unsure", "unusable", "skip", "adjudicate")
"""What ``record`` takes; an undo has a method of its own."""
COMMENT_AT_MOST = 4000


def new_key() -> str:
    """A key for one click, to be made before it and kept until it is confirmed."""
    return str(uuid4())


@dataclass(frozen=True)
class LabelEvent:
    """One thing that one reader did with one case.

    Attributes
    ----------
    action : str
        ``label`` (with a class), ``unsure``, ``unusable``, ``skip`` (none), or ``adjudicate``: the case is settled as this
        class, or without one as unusable.
    key : str
        A UUID made before the click. The same key is kept once, however often it is recorded.
    blinded : bool
        Whether the reader answered before the model's view was shown.
    seconds_taken : float or None
        From the case on screen to the answer.
    bundle_sha256, bundle_version, probabilities
        Which model there was at the time, and what it made of the case; empty and None where there was none.
    """

    case_id: str
    reader: str
    action: Action
    label: str | None = None
    key: str = field(default_factory=new_key)
    blinded: bool = True
    seconds_taken: float | None = None
    comment: str = ""
    bundle_sha256: str = ""
    bundle_version: str = ""
    probabilities: Mapping[str, float] | None = None


def checked_reader(reader: str) -> str:
    """The reader's name without blanks around it; ``LabelRefused`` where nothing is left, or too much."""
    name = usable_name(reader)
    if not name:
        raise LabelRefused(
            "The reader has no usable name",
            expected=f"1 to {NAME_AT_MOST} printable characters",
            found=f"{len(reader.strip())}",
        )
    return name


def checked_key(key: str) -> str:
    """The key as a UUID is written; ``LabelRefused`` where it is not a UUID."""
    try:
        return str(UUID(key))
    except ValueError:
        raise LabelRefused("The key of the event is not one", expected="a UUID") from None


def check_event(event: LabelEvent, classes: Sequence[str]) -> None:
    """Judge all of an event but its reader and key.

    Raises
    ------
    LabelRefused
        If the action, the label or a value is not one that can be kept.
    """
    if event.action not in RECORDED:
        raise LabelRefused("There is no such action", expected=", ".join(RECORDED), found=repr(event.action))
    if event.action == "label" and event.label is None:
        raise LabelRefused("A label needs a class", expected=", ".join(classes) or "a declared class", found="none")
    if event.action in ("unsure", "unusable", "skip") and event.label is not None:
        raise LabelRefused(f"{event.action.capitalize()} has no class", expected="none", found=repr(event.label))
    if event.label is not None and event.label not in classes:
        raise LabelRefused("There is no such class", expected=", ".join(classes) or "a declared class", found=repr(event.label))
    if event.seconds_taken is not None and not (math.isfinite(event.seconds_taken) and event.seconds_taken >= 0):
        raise LabelRefused("The time taken is not one", expected="seconds >= 0", found=f"{event.seconds_taken}")
    if len(event.comment) > COMMENT_AT_MOST or "\0" in event.comment:
        raise LabelRefused("The comment cannot be kept", expected=f"at most {COMMENT_AT_MOST:,} characters of text")
    for value in (event.probabilities or {}).values():
        if not 0 <= value <= 1:  # NaN is none either
            raise LabelRefused("A probability is not one", expected="0 to 1", found=f"{value}")
