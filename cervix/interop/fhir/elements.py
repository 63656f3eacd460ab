"""Elements of FHIR resources that others wrote, of which nothing is certain: neither that they are there nor their type."""

import re
from calendar import monthrange
from datetime import date
from typing import Any, Final

from cervix.interop.fhir.coding import Coding
from cervix.interop.fhir.resources import LOINC, SNOMED, Resource
from cervix.patients.csv_text import shown
from cervix.patients.visit_vocabulary import LONGEST_CELL

_KIND: Final = re.compile(r"\s*\([a-z ]+\)$")
_DAY: Final = re.compile(r"\d{4}-\d{2}-\d{2}(?=$|T)")


def objects(value: Any) -> list[Resource]:
    """The objects of a list; none where it is no list."""
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []


def object_of(value: Any) -> Resource:
    return value if isinstance(value, dict) else {}


def text_of(value: Any) -> str:
    return value if isinstance(value, str) else ""


def codings_of(concept: Resource) -> list[Coding]:
    return [(text_of(one.get("system")), text_of(one.get("code"))) for one in objects(concept.get("coding"))]


def codes_of(concept: Any) -> set[str]:
    """The codes of a status; its words where it has none. Before R4 it was a code alone."""
    if isinstance(concept, str):
        return {concept}
    codes = {code for _, code in codings_of(object_of(concept)) if code}
    return codes or set(words_of(object_of(concept)))


def words_of(concept: Resource) -> list[str]:
    """What a concept is called, without the kind that SNOMED CT ends its names with; its text first."""
    told = [text_of(concept.get("text")), *(text_of(one.get("display")) for one in objects(concept.get("coding")))]
    return list(dict.fromkeys(_KIND.sub("", words[:LONGEST_CELL].strip()) for words in told if words.strip()))


def named(concept: Resource) -> str:
    """A concept for people: its words, or its first code."""
    words = words_of(concept)
    coding = next(iter(codings_of(concept)), ("", ""))
    system = {LOINC: "LOINC", SNOMED: "SNOMED CT"}.get(coding[0], "")
    code = f"{system} {coding[1]}".strip()
    return shown(", ".join(filter(None, (code, words[0] if words else "")))) or "that is empty"


def day_of(told: str) -> date | None:
    found = _DAY.match(told)
    try:
        return date.fromisoformat(found[0]) if found else None
    except ValueError:
        return None


def span_of(told: str) -> tuple[date, date] | None:
    """First and last day of a date, which may be of a month or a year alone (https://hl7.org/fhir/R5/datatypes.html#dateTime)."""
    if day := day_of(told):
        return day, day
    parts = re.fullmatch(r"(\d{4})(?:-(0[1-9]|1[0-2]))?", told)
    if parts is None or parts[1] == "0000":
        return None
    year, last = int(parts[1]), int(parts[2] or 12)
    return date(year, int(parts[2] or 1), 1), date(year, last, monthrange(year, last)[1])


def plain_kind(kind: str) -> str:
    """The kind of a resource, as far as it can be one."""
    return kind if re.fullmatch(r"[A-Za-z]{1,40}", kind) else "other"
