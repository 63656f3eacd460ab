"""Women whose step is the same whatever else is different of them: of many women few histories are looked at closely."""

from datetime import date
from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cervix.bundle import Model
from cervix.patients.completeness import RESTS_ON
from cervix.patients.diagnosis import KNOWN, TREATED
from cervix.patients.guideline.course import Visit
from cervix.patients.guideline.ladder import EXPEDITED_AGE, FIVE_YEAR_TASK, immediate_task, rungs_of
from cervix.patients.guideline.published import AGES
from cervix.patients.guideline.rules import HORIZON_YEARS
from cervix.patients.scoring import NO_ANSWER
from cervix.patients.sequences import DAYS_A_YEAR, EPISODE_DAYS, TIME_YEARS
from cervix.patients.visit_vocabulary import AGE, VISIT_DATE

_CODES: Final = Visit._fields[3:]
_RESULTS: Final = 7
"""The first of them are results; the others are facts about the woman."""
Ints = NDArray[np.int64]
Key = tuple[Any, ...]


def keys_of(visits: pd.DataFrame, first: Ints, lengths: Ints, scores: pd.DataFrame, model: Model, today: date) -> list[Key]:
    """For each woman all that her step rests on; women of one key have one step.

    Codes of all visits and where episodes begin; of her last day, her age and her risks only what any rule tells apart.

    Parameters
    ----------
    visits : ``VisitTable.frame``
    first, lengths : (women,)
        Position of each woman's first row, and how many she has.
    scores : (women,) rows of ``score_visits``
    """
    rows = np.repeat(first - np.append(0, np.cumsum(lengths)[:-1]), lengths) + np.arange(lengths.sum())
    codes = np.stack([visits[name].cat.codes.to_numpy()[rows] for name in _CODES], axis=1).astype(np.int8)
    begin = np.cumsum(lengths) - lengths
    years = visits[TIME_YEARS].to_numpy(np.float64)[rows]
    starts = _starts(codes[:, :_RESULTS].max(axis=1) >= 0, years, begin, lengths)
    width = len(_CODES) + 1
    told = np.ascontiguousarray(np.column_stack([codes, starts.astype(np.int8)])).tobytes()
    of_women = zip(
        _days(visits[VISIT_DATE].to_numpy("datetime64[D]")[rows][begin + lengths - 1], today),
        _ages(visits[AGE].to_numpy(np.float64)[rows], years, begin, lengths),
        scores[NO_ANSWER].astype(object),
        (scores[KNOWN].to_numpy(object) != "").tolist(),
        (scores[TREATED].to_numpy(object) != "").tolist(),
        scores[RESTS_ON].astype(object),
        _rungs(scores, model),
        strict=True,
    )
    ends = ((begin + lengths) * width).tolist()
    return [(told[start * width : end], *own) for start, end, own in zip(begin.tolist(), ends, of_women, strict=True)]


def _starts(has_result: NDArray[np.bool_], years: NDArray[np.float64], begin: Ints, lengths: Ints) -> NDArray[np.bool_]:
    """Which rows begin an episode of results, as ``course`` cuts them."""
    starts = np.zeros(len(years), bool)
    since = np.full(len(begin), -np.inf)
    women = np.arange(len(begin))
    for step in range(int(lengths.max(initial=0))):
        women = women[lengths[women] > step]
        at = begin[women] + step
        new = has_result[at] & (np.round((years[at] - since[women]) * DAYS_A_YEAR) > EPISODE_DAYS)
        starts[at] = new
        since[women[new]] = years[at[new]]
    return starts


def _days(last: NDArray[np.datetime64], today: date) -> list[int]:
    """0 where her last day is near enough; else the day, which the reason names, or the least number where there is none."""
    ago = (np.datetime64(today) - last).astype(np.int64)
    near = ~np.isnat(last) & (ago <= HORIZON_YEARS * DAYS_A_YEAR)
    days: list[int] = np.where(near, 0, last.astype(np.int64)).tolist()
    return days


def _ages(age: NDArray[np.float64], years: NDArray[np.float64], begin: Ints, lengths: Ints) -> list[int]:
    """Completed years of the young; of others whether the published tables are of their age; -1 where not known."""
    rows = np.where(np.isnan(age), -1, np.arange(len(age)))
    latest = np.maximum.reduceat(rows, begin) if len(begin) else rows
    now = age[latest] + years[begin + lengths - 1] - years[latest]
    completed = np.nan_to_num(now, nan=-1.0).astype(np.int64)
    published = ((completed >= AGES[0]) & (completed <= AGES[1])).astype(np.int64) + 1000
    ages: list[int] = np.where(latest < 0, -1, np.where(now < EXPEDITED_AGE, completed, published)).tolist()
    return ages


def _rungs(scores: pd.DataFrame, model: Model) -> list[int]:
    """The rung of each woman's risks; -1 where she has none."""
    names = (immediate_task(model), FIVE_YEAR_TASK)
    if any(f"risk_{name}" not in scores for name in names):
        return [-1] * len(scores)
    treated = scores[TREATED].to_numpy(object) != ""
    risks = [np.where(treated, scores[f"after_treatment_{name}"], scores[f"risk_{name}"]).astype(np.float64) for name in names]
    rungs: list[int] = rungs_of(*risks).tolist()
    return rungs
