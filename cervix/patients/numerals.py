"""Numbers with a decimal comma or thousands: read where the column, or the range it can have, proves what a mark means."""

import re
from typing import Final

import pandas as pd

_GROUPED_SPACE: Final = re.compile(r"[+-]?\d{1,3}(?:[ \u00a0\u202f'’]\d{3})+(?:[.,]\d+)?")
# A comma or point before exactly three digits may part thousands; anywhere else it cannot.
_COMMA_DECIMAL: Final = re.compile(
    r"[+-]?(?:\d+,(?:\d{1,2}|\d{4,})|0,\d+|\d{4,},\d+|\d{1,3}(?:\.\d{3})+(?:,\d+)|\d{1,3}(?:\.\d{3}){2,})"
)
_POINT_DECIMAL: Final = re.compile(
    r"[+-]?(?:\d+\.(?:\d{1,2}|\d{4,})|0\.\d+|\d{4,}\.\d+|\d{1,3}(?:,\d{3})+(?:\.\d+)|\d{1,3}(?:,\d{3}){2,})"
)
_EITHER: Final = re.compile(r"[+-]?[1-9]\d{0,2}[.,]\d{3}")
COMMAS_READ: Final = "Decimal commas read as decimal points."
THOUSANDS_READ: Final = "Thousands separators were ignored."


def plain_numbers(texts: pd.Series, low: float, high: float) -> tuple[pd.Series, list[str]]:
    """A column's distinct texts as numbers are written in code; what proves nothing stays as it is.

    Parameters
    ----------
    texts : Series of str, index 0..n-1
    low, high : float
        What the column can hold. A text such as ``1,234``, where no other of the column proves what the comma is, is read
        where one of its two readings alone lies within.

    Returns
    -------
    texts, notices
    """
    if not texts.str.contains(r"[,'’\s]|\.\d{3}", regex=True).any():
        return texts, []
    comma = any(_COMMA_DECIMAL.fullmatch(text) for text in texts)
    point = any(_POINT_DECIMAL.fullmatch(text) for text in texts)
    plain: list[str] = []
    notices: set[str] = set()
    for text in texts:
        decimal = _decimal_mark(text, low, high, comma=comma, point=point)
        other = {",": ".", ".": ","}.get(decimal, "")
        if not decimal or (other in text and not _grouped(text, decimal, other)):
            plain.append(text)
            continue
        number = re.sub(r"[ \u00a0\u202f'’]", "", text.replace(other, "")).replace(decimal, ".")
        if decimal == "," and "," in text:
            notices.add(COMMAS_READ)
        if number.replace(".", "") != text.replace(decimal, ""):
            notices.add(THOUSANDS_READ)
        plain.append(number)
    return pd.Series(plain, index=texts.index, dtype="str"), sorted(notices)


def _decimal_mark(text: str, low: float, high: float, *, comma: bool, point: bool) -> str:
    """The mark before the decimals of a text; empty where it is not known or the text is no number with marks."""
    if _EITHER.fullmatch(text):
        if comma != point:
            return "," if comma else "."
        if comma and point:
            return ""
        mark = "," if "," in text else "."
        within = {
            decimal: low <= float(text.replace({",": ".", ".": ","}[decimal], "").replace(decimal, ".")) <= high
            for decimal in ",."
        }
        if within[","] != within["."]:
            return "," if within[","] else "."
        # A point alone is what decimals are written with everywhere in code.
        return "." if mark == "." and within["."] else ""
    if _COMMA_DECIMAL.fullmatch(text):
        return ","
    if _POINT_DECIMAL.fullmatch(text):
        return "."
    if _GROUPED_SPACE.fullmatch(text):
        return "," if "," in text else "."
    return ""


def _grouped(text: str, decimal: str, other: str) -> bool:
    """Whether the marks of thousands stand where thousands end."""
    whole = text.lstrip("+-").split(decimal)[0]
    return re.fullmatch(rf"\d{{1,3}}(?:{re.escape(other)}\d{{3}})+", whole) is not None
