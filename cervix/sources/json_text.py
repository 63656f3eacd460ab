"""JSON that somebody brought: bounded before it is parsed, and without what JSON does not have."""

import json
import re
from pathlib import Path
from typing import Any, Final, NoReturn

from cervix.errors import PatientFileError

MOST_BYTES: Final = 64 << 20
MOST_PARTS: Final = 2_000_000
"""Objects, arrays and members together. Of few bytes each, they are what makes parsed JSON many times larger than its text."""
DEEPEST: Final = 64
_START: Final = (b"{", b"[")
_MARK: Final = b"\xef\xbb\xbf"
_SURROGATE: Final = re.compile(rb"\\u[dD][89a-fA-F]")


def is_json(content: bytes) -> bool:
    """Whether a file begins as a JSON object or array does; no table begins so."""
    return content[:1024].removeprefix(_MARK).lstrip().startswith(_START)


def read_json(source: Path | bytes, *, most_bytes: int = MOST_BYTES) -> Any:
    """The value of a JSON text (RFC 8259) in UTF-8.

    Raises ``PatientFileError`` where it cannot be opened, is too large or nested deeper than ``DEEPEST``, is no JSON, names
    a member twice, or holds half of a character. The message holds nothing of the text.
    """
    content = _content(source, most_bytes)
    if sum(content.count(mark) for mark in (b"{", b"[", b",")) > MOST_PARTS:
        raise PatientFileError("The JSON has too many parts to be opened", expected=f"at most {MOST_PARTS:,}", found="more")
    try:
        text = content.removeprefix(_MARK).decode("utf-8")
        value = json.loads(text, object_pairs_hook=_members, parse_constant=_no_number)
    except UnicodeDecodeError as error:
        raise PatientFileError("The JSON is not UTF-8", expected="UTF-8", found=f"another byte at {error.start:,}") from error
    except RecursionError as error:
        raise _too_deep() from error
    except json.JSONDecodeError as error:
        found = f"{error.msg} in line {error.lineno:,}, column {error.colno:,}"
        raise PatientFileError("This is not JSON to its end", expected="one JSON value", found=found) from error
    except _NotJsonError as error:
        raise PatientFileError("This is not JSON as FHIR wants it", expected=error.expected, found=error.found) from error
    except ValueError as error:
        # Python refuses whole numbers of thousands of digits.
        raise PatientFileError("The JSON holds a number that cannot be read", expected="numbers of a few digits") from error
    if _depth(value) > DEEPEST:
        raise _too_deep()
    if _SURROGATE.search(content) and _is_half(value):
        raise PatientFileError("This is not JSON as FHIR wants it", expected="whole characters", found="half of one")
    return value


class _NotJsonError(Exception):
    def __init__(self, expected: str, found: str) -> None:
        super().__init__(found)
        self.expected, self.found = expected, found


def _content(source: Path | bytes, most_bytes: int) -> bytes:
    try:
        size = len(source) if isinstance(source, bytes) else source.stat().st_size
        if size > most_bytes:
            raise PatientFileError(
                "The JSON is too large to be opened",
                expected=f"at most {most_bytes >> 20} MB",
                found=f"{size / (1 << 20):,.1f} MB",
            )
        return source if isinstance(source, bytes) else source.read_bytes()
    except OSError as error:
        raise PatientFileError(
            "The file cannot be opened", expected="a JSON file", found=error.strerror or "no file"
        ) from error


def _members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise _NotJsonError("each member of an object once", "one that is named twice")
    return members


def _no_number(_: str) -> NoReturn:
    raise _NotJsonError("numbers", "NaN or an infinite number")


def _too_deep() -> PatientFileError:
    return PatientFileError("The JSON is nested too deeply", expected=f"at most {DEEPEST} levels", found="more")


def _is_half(value: Any) -> bool:
    """Whether a text in it has half of a pair of surrogates, which nothing can write again (RFC 8259, section 8.2)."""
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return True
    return False


def _depth(value: Any) -> int:
    """How many objects and arrays stand in one another; counted level by level, so that nothing recurses."""
    depth, level = 0, [value]
    while level:
        inner: list[Any] = []
        for one in level:
            if isinstance(one, dict):
                inner += [part for part in one.values() if isinstance(part, dict | list)]
            elif isinstance(one, list):
                inner += [part for part in one if isinstance(part, dict | list)]
        depth, level = depth + 1, inner
        if depth > DEEPEST:
            break
    return depth
