"""What an archive answers in the DICOM JSON model (DICOM PS3.18 annex F), whatever it holds."""

import json
from typing import Any, Final

from cervix.sources.dicom import UID, UID_CHARACTERS_AT_MOST
from cervix.sources.downloads import undocumented

ARCHIVE: Final = "The archive"
"""What sentences call it."""


def parsed(answer: bytes) -> Any:
    """JSON, or ``DownloadFailed`` for whatever is none, or so deep that it cannot be read."""
    try:
        return json.loads(answer)
    except (ValueError, RecursionError) as error:
        found = "a web page" if answer.lstrip()[:1] == b"<" else "something else"
        raise undocumented(ARCHIVE, "JSON", found) from error


def values(answer: object, tag: str) -> list[Any]:
    """The values of an attribute; none where it is missing, or not as the DICOM JSON model has it."""
    attribute = answer.get(tag) if isinstance(answer, dict) else None
    values = attribute.get("Value") if isinstance(attribute, dict) else None
    return values if isinstance(values, list) else []


def text(answer: object, tag: str) -> str:
    """The first value; empty where it is no text."""
    first = next(iter(values(answer, tag)), None)
    return first.strip() if isinstance(first, str) else ""


def number(answer: object, tag: str) -> int | None:
    """A whole number that is not negative; archives write some as text."""
    found = str(next(iter(values(answer, tag)), "")).strip()
    return int(found) if found.isascii() and found.isdecimal() and len(found) <= 12 else None


def uid(text: str) -> str:
    """A UID, which may then stand in an address; ``DownloadFailed`` for anything else."""
    if not UID.fullmatch(text) or len(text) > UID_CHARACTERS_AT_MOST:
        raise undocumented(ARCHIVE, "a UID of digits and points", "other characters, or none")
    return text
