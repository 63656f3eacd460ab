"""Days from texts as laboratories and spreadsheets write them. An order of day and month is proved by the column or said,
never guessed."""

import re
from dataclasses import dataclass
from datetime import date
from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cervix.patients.questions import DateOrder
from cervix.patients.words import MONTHS

Bools = NDArray[np.bool_]
EARLIEST_DATE: Final = pd.Timestamp("1900-01-01")
# Day 0 of spreadsheets, counted so that days after February 1900 are right (ECMA-376, part 1, 18.17.4.1).
SPREADSHEET_START: Final = pd.Timestamp("1899-12-30")
EARLIEST_SERIAL: Final = 20_000
ACCEPTED: Final = (
    "a date as 2024-05-31, 20240531, 31 May 2024, 31.05.2024, 31/05/2024 or 05/31/2024 (where other dates in the column show "
    "which comes first, or a person says it), or a spreadsheet's day number"
)
_TIME = r"(?:[T ]+\d{1,2}[:.]\d{2}(?:[:.]\d{2}(?:[.,]\d+)?)?\s*(?:[ap]\.?m\.?)?\s*(?:Z|UTC|Uhr|[+-]\d{2}:?\d{2})?)?"
_YEAR_FIRST = re.compile(rf"(\d{{4}})([-/.])(\d{{1,2}})\2(\d{{1,2}}){_TIME}", re.IGNORECASE)
_YEAR_LAST = re.compile(rf"(\d{{1,2}})([-/.])(\d{{1,2}})\2(\d{{4}}){_TIME}", re.IGNORECASE)
_COMPACT = re.compile(r"((?:19|20)\d{2})(\d{2})(\d{2})(?:\.0+)?")
_SERIAL = re.compile(r"(\d{5})(?:\.\d+)?")
_DAY_NAMED = re.compile(rf"(\d{{1,2}})[-. ]*([^\W\d_]{{3,}})[-., ]*(\d{{4}}){_TIME}", re.IGNORECASE)
_MONTH_NAMED = re.compile(rf"([^\W\d_]{{3,}})[. ]*(\d{{1,2}})(?:st|nd|rd|th)?[, ]+(\d{{4}}){_TIME}", re.IGNORECASE)


@dataclass(frozen=True)
class DaysRead:
    """A column's distinct texts as days.

    Attributes
    ----------
    days : Series (n,) of datetime64, NaT where a text is no day or could be two
    open : (n,) bool
        Texts that could be two days, as neither the column nor a person said which.
    notices : list of str
    """

    days: pd.Series
    open: Bools
    notices: list[str]


def days_of(texts: pd.Series, order: DateOrder | None) -> DaysRead:
    """Read distinct texts, index 0..n-1. Texts of one separator prove their order together."""
    days: list[date | None] = [None] * len(texts)
    open_ = np.zeros(len(texts), bool)
    notices: list[str] = []
    two_ways: dict[str, list[tuple[int, int, int, int]]] = {}
    serials = 0
    for place, text in enumerate(texts):
        if found := _YEAR_LAST.fullmatch(text):
            first, mark, second, year = found.groups()
            two_ways.setdefault(mark, []).append((place, int(first), int(second), int(year)))
        elif found := _SERIAL.fullmatch(text):
            number = int(found[1])
            if number >= EARLIEST_SERIAL:
                days[place] = (SPREADSHEET_START + pd.Timedelta(number, "D")).date()
                serials += 1
        else:
            days[place] = _said_in_full(text)
    if serials:
        notices.append("Day numbers of a spreadsheet read as dates (counted from 1900).")
    for mark, members in two_ways.items():
        _read_in_order(mark, members, order, days, open_, notices)
    return DaysRead(pd.to_datetime(pd.Series(days, dtype=object), errors="coerce"), open_, notices)


def _said_in_full(text: str) -> date | None:
    if found := _YEAR_FIRST.fullmatch(text):
        return _day(int(found[1]), int(found[3]), int(found[4]))
    if found := _COMPACT.fullmatch(text):
        return _day(int(found[1]), int(found[2]), int(found[3]))
    if found := _DAY_NAMED.fullmatch(text):
        return _day(int(found[3]), _month(found[2]), int(found[1]))
    if found := _MONTH_NAMED.fullmatch(text):
        return _day(int(found[3]), _month(found[1]), int(found[2]))
    return None


def _read_in_order(
    mark: str,
    members: list[tuple[int, int, int, int]],
    said: DateOrder | None,
    days: list[date | None],
    open_: Bools,
    notices: list[str],
) -> None:
    """Fill in the dates of one separator, such as 03/04/2020."""
    day_first = any(first > 12 and _day(year, second, first) for _, first, second, year in members)
    month_first = any(second > 12 and _day(year, first, second) for _, first, second, year in members)
    order: DateOrder | None = said
    if day_first != month_first:
        order = "dmy" if day_first else "mdy"
        notices.append(
            f"Dates with {mark} read with the {'day' if day_first else 'month'} first, as other dates in the column show."
        )
    elif day_first and month_first:
        order = None
        notices.append(f"Dates with {mark} are in both orders: dates that can be read two ways are not read.")
    elif said:
        notices.append(f"Dates with {mark} read with the {'day' if said == 'dmy' else 'month'} first, as chosen.")
    for place, first, second, year in members:
        if first == second or first > 12 or second > 12:
            day = _day(year, second, first) or _day(year, first, second)
            fits = order is None or first == second or (first > 12) == (order == "dmy")
            days[place] = day if fits else None
        elif order is None:
            open_[place] = _day(year, second, first) is not None
        else:
            days[place] = _day(year, second, first) if order == "dmy" else _day(year, first, second)


def _month(name: str) -> int:
    folded = name.casefold().replace("é", "e").replace("û", "u").replace("ä", "a")
    starts = [start for start in MONTHS if folded.startswith(start)]
    return MONTHS[max(starts, key=len)] if starts else 0


def _day(year: int, month: int, day: int) -> date | None:
    try:
        return date(year, month, day)
    except ValueError:
        return None
