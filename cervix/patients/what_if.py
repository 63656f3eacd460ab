"""A hypothetical visit, the last one otherwise or a further one: what the model would say after it."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cervix.errors import PatientFileError
from cervix.patients.hpv import CHANNELS as HPV_CHANNELS
from cervix.patients.hpv import HPV_ANY as HPV_RESULT
from cervix.patients.sequences import DAYS_A_YEAR, TIME_YEARS
from cervix.patients.visit_vocabulary import AGE, SLIDE, VISIT_COLUMNS, VISIT_DATE

LATEST_YEARS = 10.0


def with_next_visit(visits: pd.DataFrame, years_later: float, results: Mapping[str, str]) -> pd.DataFrame:
    """A woman's visits with a hypothetical one added.

    Parameters
    ----------
    visits : DataFrame
        Her rows of ``VisitTable.frame``.
    years_later : float
        After her last visit, above 0 and at most ``LATEST_YEARS``. A model of episodes reads what lies within the last one as
        part of it.
    results : mapping
        Column of the visit table -> code; a column that is not named was not examined.

    Raises
    ------
    PatientFileError
        If the time or a code is not one that a visit can have.
    """
    if not 0 < years_later <= LATEST_YEARS:
        raise PatientFileError(
            "The next visit is at an impossible time",
            expected=f"above 0 to {LATEST_YEARS:g} years",
            found=f"{years_later:g}",
        )
    _require_codes(results)
    last = visits.iloc[[-1]].copy()
    last.index = last.index + 1
    for column in VISIT_COLUMNS.values():
        codes = [results.get(column.name, None)]
        last[column.name] = pd.Categorical(codes, categories=visits[column.name].cat.categories)
    last[VISIT_DATE] = last[VISIT_DATE] + pd.to_timedelta(round(years_later * DAYS_A_YEAR), unit="D")
    last[AGE] = (last[AGE] + years_later).astype(np.float32)
    last[TIME_YEARS] = last[TIME_YEARS] + years_later
    last[SLIDE] = None
    return pd.concat([visits, last])


def last_results(visits: pd.DataFrame, rows: NDArray[np.int64]) -> dict[str, str]:
    """What was found in some rows of her visits, by column; of different codes the last."""
    own = visits.iloc[rows]
    return {name: str(own[name].dropna().iloc[-1]) for name in VISIT_COLUMNS if own[name].notna().any()}


def with_other_results(visits: pd.DataFrame, rows: NDArray[np.int64], changed: Mapping[str, str | None]) -> pd.DataFrame:
    """A woman's visits with some results of one step otherwise than they were; without changes as they are.

    Parameters
    ----------
    visits : DataFrame
        Her rows of ``VisitTable.frame``.
    rows : (n,)
        Which of them are that step.
    changed : mapping
        Column of the visit table -> code, or None for a test that was not done. With another overall result of the HPV test
        its types are not known.

    Raises
    ------
    PatientFileError
        If a code is not one that a visit can have.
    """
    _require_codes({name: code for name, code in changed.items() if code is not None})
    imagined = visits.copy()
    forgotten = HPV_CHANNELS if HPV_RESULT in changed else ()
    for name, code in (dict.fromkeys(forgotten) | dict(changed)).items():
        codes = visits[name].copy()
        told = [row for row in rows if pd.notna(codes.iloc[row])]
        codes.iloc[told] = None
        if code is not None:
            codes.iloc[told[-1] if told else int(rows[-1])] = code
        imagined[name] = codes
    return imagined


def _require_codes(results: Mapping[str, str]) -> None:
    for name, code in results.items():
        if name not in VISIT_COLUMNS or code not in VISIT_COLUMNS[name].codes:
            accepted = VISIT_COLUMNS[name].accepted if name in VISIT_COLUMNS else ", ".join(VISIT_COLUMNS)
            raise PatientFileError("The next visit has an unknown result", expected=accepted, found=f"{name} {code}")
