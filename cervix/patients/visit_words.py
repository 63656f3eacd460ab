"""Visits in words: when they were and what was found, one by one or the rows of an episode together."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cervix.patients.visit_vocabulary import AGE, CODE_COLUMNS, VISIT_DATE

HPV, TYPED = "hpv_result", ("hpv_16", "hpv_18")
# Column -> what stands before its code; a cytology or histology speaks for itself.
SHORT = {
    "treatment": "",
    "histology": "",
    "cytology": "",
    HPV: "",
    **dict.fromkeys(TYPED, ""),
    "dual_stain": "dual stain ",
    "colposcopy": "colposcopy ",
    "via": "VIA ",
}


def visit_titles(visits: pd.DataFrame) -> list[str]:
    """Each visit by its day, or by her age where it has none."""
    days = visits[VISIT_DATE].dt.strftime("%Y-%m-%d")
    return [
        f"age {age:.0f}" if pd.isna(day) else str(day) for day, age in zip(days.to_numpy(), visits[AGE].to_numpy(), strict=True)
    ]


def step_titles(visits: pd.DataFrame, rows: Sequence[NDArray[np.int64]]) -> list[str]:
    """Each step by the first and the last of its visits: ``2020-01-07 to 2020-03-02``.

    Parameters
    ----------
    rows : sequence of (visits,)
        Which rows of ``visits`` each step is made of.
    """
    began = visit_titles(visits.iloc[[own[0] for own in rows]])
    ended = visit_titles(visits.iloc[[own[-1] for own in rows]])
    return [first if first == last else f"{first} to {last}" for first, last in zip(began, ended, strict=True)]


def codes_found(column: pd.Series) -> str:
    """The different codes that are known in some cells of a column, in order; empty where none is."""
    return " / ".join(dict.fromkeys(str(code) for code in column.dropna()))


def visit_words(visits: pd.DataFrame) -> str:
    """What was found at some visits together, in words; empty where nothing was."""
    told = ((column.label, codes_found(visits[column.name])) for column in CODE_COLUMNS)
    return ", ".join(f"{label} {codes}" for label, codes in told if codes)


def finding_words(visits: pd.DataFrame) -> str:
    """What was found at some visits together, as short as a clinician writes it: ``ASC-H, HPV16+``; empty where nothing was."""
    found = {name: codes for name in SHORT if (codes := codes_found(visits[name]))}
    types = [name.removeprefix("hpv_") for name in TYPED if found.pop(name, "") == "positive"]
    if types and found.get(HPV) == "positive":
        found[HPV] = f"HPV{'/'.join(types)}+"
    elif HPV in found:
        found[HPV] = f"HPV {found[HPV]}".replace("HPV positive", "HPV+").replace("HPV negative", "HPV-")
    return ", ".join(f"{SHORT[name]}{codes}" for name, codes in found.items())
