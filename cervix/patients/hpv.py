"""HPV results: lists of types, and what channels, list and overall result say together. Nothing is averaged."""

import re
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from cervix.patients.visit_vocabulary import VISIT_COLUMNS, folded
from cervix.patients.words import HIGH_RISK, LOW_RISK, OTHER_HIGH_RISK, POSSIBLY_HIGH_RISK, TYPE_GROUPS

Codes = NDArray[np.int64]
Bools = NDArray[np.bool_]
HPV_ANY, HPV_16, HPV_18, HPV_OTHER = "hpv_result", "hpv_16", "hpv_18", "hpv_other_hr"
CHANNELS: Final = (HPV_16, HPV_18, HPV_OTHER)
RESULTS: Final = (HPV_ANY, *CHANNELS)
POSITIVE, NEGATIVE, UNKNOWN = 0, 1, -1
INVALID = VISIT_COLUMNS[HPV_ANY].codes.index("invalid")
ACCEPTED: Final = f"high-risk types such as 16 31, of {' '.join(HIGH_RISK)}, or negative"
# A list in which no type was found; elsewhere the word says nothing.
NONE: Final = "none"
_OTHER = {folded(words) for words in OTHER_HIGH_RISK}
_GROUPS = {name: set(types) for name, types in TYPE_GROUPS.items()}


@dataclass(frozen=True)
class TypesFound:
    """What a list of types says: each of ``hpv_result, hpv_16, hpv_18, hpv_other_hr`` 0 positive, 1 negative, -1 not said."""

    codes: dict[str, int]
    low_risk: frozenset[str] = frozenset()
    possibly_high_risk: frozenset[str] = frozenset()


def types_found(text: str) -> TypesFound | None:
    """Read a cell such as ``16 31``, ``16/18``, ``HPV 33 and 58``, ``not detected``, ``12 other hr``; else None."""
    plain = re.sub(r"hpv|vph|genotypes?|types?|typ(?:en)?\b|[\[\](){}]", " ", text.casefold())
    result = VISIT_COLUMNS[HPV_ANY].code_of(text) or VISIT_COLUMNS[HPV_ANY].code_of(plain)
    if result == "negative" or folded(plain) == NONE:
        return TypesFound(dict.fromkeys(RESULTS, NEGATIVE))
    if result == "positive":
        return TypesFound({HPV_ANY: POSITIVE} | dict.fromkeys(CHANNELS, UNKNOWN))
    if folded(plain) in _OTHER:
        return TypesFound({HPV_ANY: POSITIVE, HPV_16: UNKNOWN, HPV_18: UNKNOWN, HPV_OTHER: POSITIVE})
    parts = [part.removesuffix(".0").strip("-_.#") for part in re.split(r"[\s,;/|+&]+|\band\b|\bund\b|\bet\b|\by\b", plain)]
    types: set[str] = set()
    for part in filter(None, parts):
        types |= _GROUPS.get(part, {part})
    known = set(HIGH_RISK) | set(LOW_RISK) | set(POSSIBLY_HIGH_RISK)
    if not types or not types <= known:
        return None
    found = {
        HPV_16: {"16"}, HPV_18: {"18"}, HPV_OTHER: set(HIGH_RISK) - {"16", "18"}, HPV_ANY: set(HIGH_RISK),
    }  # fmt: skip
    return TypesFound(
        {name: POSITIVE if types & among else NEGATIVE for name, among in found.items()},
        frozenset(types & set(LOW_RISK)),
        frozenset(types & set(POSSIBLY_HIGH_RISK)),
    )


_LIST = r"((?:hpv[\s-]*)?\d{2}(?:(?:\s*(?:[,;/+&]|\band\b)\s*|\s+)(?:hpv[\s-]*)?\d{2})*)"
_NAMED = re.compile(rf"(.+?)[\s(\[:]+{_LIST}[\s)\]]*|{_LIST}[\s:]*([^\d\s].*)", re.IGNORECASE)


def types_named(text: str) -> dict[str, int] | None:
    """What a positive result says that names its types, as ``Pos (16)`` or ``HPV 16 positive`` do; None where it names none.

    Types that it does not name are not said to be negative.
    """
    found = _NAMED.fullmatch(text.strip())
    if found is None:
        return None
    word, types = found[1] or found[4], found[2] or found[3]
    if VISIT_COLUMNS[HPV_ANY].code_of(word) != "positive":
        return None
    listed = types_found(types)
    if listed is None or listed.codes[HPV_ANY] != POSITIVE:
        return None
    return {name: code if code == POSITIVE else UNKNOWN for name, code in listed.codes.items()}


@dataclass(frozen=True)
class Joined:
    """The four results of each visit, made one.

    Attributes
    ----------
    codes : column -> (n,) code, -1 where not known
    joined : int
        Visits whose overall result was joined from its parts.
    against : column that is contradicted -> (n,) bool
    """

    codes: dict[str, Codes]
    joined: int
    against: dict[str, Bools]


def joined(own: dict[str, Codes], listed: dict[str, Codes]) -> Joined:
    """Join overall result, channels and a list of types.

    Any positive part is positive; all three negative is negative. Where two contradict each other none is kept, except that
    a positive part stands beside a test that is ``invalid`` as a whole: that says nothing against it.
    """
    codes = {name: own[name].copy() for name in RESULTS}
    rows = len(codes[HPV_ANY])
    against = {name: np.zeros(rows, bool) for name in RESULTS}
    for name in RESULTS:
        told = listed[name] != UNKNOWN
        against[name] |= told & (codes[name] != UNKNOWN) & (codes[name] != listed[name])
        codes[name] = np.where(told & (codes[name] == UNKNOWN), listed[name], codes[name])
    channels = np.stack([codes[name] for name in CHANNELS])
    some = (channels == POSITIVE).any(axis=0)
    none = (channels == NEGATIVE).all(axis=0)
    overall = codes[HPV_ANY]
    invalid = (overall == INVALID) & some
    against[HPV_ANY] |= ((overall == NEGATIVE) & some) | ((overall == POSITIVE) & none) | invalid
    unsaid = overall == UNKNOWN
    codes[HPV_ANY] = np.where((unsaid | invalid) & some, POSITIVE, np.where(unsaid & none, NEGATIVE, overall))
    broken = np.any([against[name] for name in RESULTS], axis=0) & ~(
        invalid & ~np.any([against[name] for name in CHANNELS], axis=0)
    )
    for name in RESULTS:
        codes[name] = np.where(broken, UNKNOWN, codes[name])
    return Joined(codes, int((unsaid & (some | none) & ~broken).sum()), against)
