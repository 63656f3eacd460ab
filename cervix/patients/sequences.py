"""Visits as arrays: what a history model reads, in training and in scoring alike.

A model reads steps. A step is an episode, the rows of a woman within 90 days, so that a test, its triage and its biopsy are one
step however many rows they were written on; or, for a model that was taught so, a single row.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cervix.bundle.manifest import FeatureEncoding
from cervix.errors import BundleError
from cervix.patients.visit_vocabulary import AGE
from cervix.patients.vocabulary import PATIENT_ID
from cervix.patients.words import ANSWERS

Floats = NDArray[np.float32]
Ints = NDArray[np.int32]
Bools = NDArray[np.bool_]

TIME_YEARS = "time_years"
DAYS_A_YEAR = 365.25
MOST_VISITS = 60
EPISODE_DAYS = 90
"""An episode takes in what was found up to so many days after its first row. Set by judgement: a positive screening test, its
colposcopy and the treatment mostly fall within three months, two rounds of screening or of surveillance never."""


@dataclass(frozen=True)
class Reach:
    """How far the histories that a model learned from reach; infinite where its manifest does not say.

    Attributes
    ----------
    low, high : (F,) lowest and highest value
    gap_years : (F,) longest time from one measurement to the next
    """

    low: Floats
    high: Floats
    gap_years: Floats

    @classmethod
    def of(cls, features: Sequence[FeatureEncoding]) -> "Reach":
        """That of a manifest's ``features.encoding``."""
        low, high = np.array([feature.trained_on or (-np.inf, np.inf) for feature in features], np.float32).T
        longest = [np.inf if feature.longest_gap_years is None else feature.longest_gap_years for feature in features]
        return cls(low, high, np.array(longest, np.float32))

    @classmethod
    def everywhere(cls, count: int) -> "Reach":
        """That of so many features without a limit."""
        far = np.full(count, np.inf, np.float32)
        return cls(-far, far, far)

    def within(self, features: Floats, gap_years: Floats) -> tuple[Floats, Floats]:
        """The nearest values and gaps ``(…, F)`` that the model was taught; NaN stays NaN."""
        return np.clip(features, self.low, self.high), np.minimum(gap_years, self.gap_years)


@dataclass(frozen=True)
class Histories:
    """Every woman's history in steps, the steps of a woman together and in order of time.

    Attributes
    ----------
    patient_ids : (women,) str
    first : (women,) position of each woman's first step
    lengths : (women,) number of her steps, 1..60
    features : (steps, F) raw values, NaN where not measured
    gap_years : (steps, F) years since the feature was last measured before this step, NaN where never
    time_years : (steps,) years from the woman's first row to the first row of the step
    row_of_step : (steps,) the last row of the table that is in the step
    reach : Reach
        What ``padded`` keeps within.
    """

    patient_ids: NDArray[np.object_]
    first: NDArray[np.int64]
    lengths: Ints
    features: Floats
    gap_years: Floats
    time_years: NDArray[np.float64]
    row_of_step: NDArray[np.int64]
    reach: Reach

    def __len__(self) -> int:
        return len(self.lengths)

    @property
    def last(self) -> NDArray[np.int64]:
        """Position of each woman's last step ``(women,)``."""
        return np.asarray(self.first + self.lengths - 1, np.int64)

    @property
    def row_first(self) -> NDArray[np.int64]:
        """Position of each woman's first row in the table ``(women,)``."""
        # Rows follow each other without a hole, so a step begins after the last row of the one before it.
        return np.where(self.first > 0, self.row_of_step[self.first - 1] + 1, 0).astype(np.int64)

    @property
    def last_row(self) -> NDArray[np.int64]:
        """Position of each woman's last row in the table ``(women,)``."""
        return self.row_of_step[self.last]

    @property
    def row_lengths(self) -> NDArray[np.int64]:
        """Number of each woman's rows ``(women,)``, 1..60."""
        return np.asarray(self.last_row - self.row_first + 1, np.int64)

    def rows_of_steps(self, women: NDArray[np.integer], steps: NDArray[np.integer]) -> list[NDArray[np.int64]]:
        """The rows of the table that are in one step, counted from 0, of each of these women."""
        at = self.first[women] + steps
        begin = np.where(at > 0, self.row_of_step[at - 1] + 1, 0)
        return [np.arange(low, high + 1) for low, high in zip(begin, self.row_of_step[at], strict=True)]

    def prefixes(self, steps: NDArray[np.integer]) -> "Histories":
        """The histories up to each of these steps, as if it had been the last; the arrays are shared."""
        woman = np.searchsorted(self.first, steps, side="right") - 1
        lengths = (steps - self.first[woman] + 1).astype(np.int32)
        return replace(self, patient_ids=self.patient_ids[woman], first=self.first[woman], lengths=lengths)

    def rows_of(self, women: NDArray[np.integer]) -> NDArray[np.int64]:
        """The steps of these women, one after the other, as positions in the arrays."""
        rows, inside = self.grid(women)
        return rows[inside]

    def grid(self, women: NDArray[np.integer]) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """Position of each step ``(n, V)``, V the most steps of one of them, and whether there is such a step."""
        steps = np.arange(self.lengths[women].max(initial=1))
        inside = steps < self.lengths[women][:, None]
        return np.where(inside, self.first[women][:, None] + steps, 0), inside

    def padded(self, women: NDArray[np.integer]) -> dict[str, NDArray[Any]]:
        """The arrays a history graph takes, for these women, padded on the right to the longest of them.

        What lies beyond the model's training is as the nearest that it was taught (``Reach``).

        Returns
        -------
        ``features`` and ``gap_years (n, V, F)``, NaN beyond a woman's last step; ``lengths (n,)`` int32.
        """
        rows, inside = self.grid(women)
        outside = ~inside[..., None]
        features, gap_years = self.reach.within(self.features[rows], self.gap_years[rows])
        return {
            "features": np.where(outside, np.float32(np.nan), features),
            "gap_years": np.where(outside, np.float32(np.nan), gap_years),
            "lengths": self.lengths[women],
        }

    def batches(self, size: int, women: NDArray[np.integer]) -> Iterator[NDArray[np.int64]]:
        """Positions within ``women`` in batches of about equal length, so that little is padded."""
        order = np.argsort(self.lengths[women], kind="stable")
        for start in range(0, len(order), size):
            yield order[start : start + size]


def encode(visits: pd.DataFrame, features: Sequence[FeatureEncoding], episode_days: int | None) -> Histories:
    """Turn a visit table into arrays. Nothing is imputed or scaled: the graph does that.

    Parameters
    ----------
    visits : DataFrame
        ``VisitTable.frame``: a woman's rows together and in order; ``patient_id, time_years, age`` and codes.
    features : sequence of FeatureEncoding
        The manifest's ``features.encoding``: what each number is made from, in order.
    episode_days : int, optional
        The manifest's ``features.episode_days``: rows up to so many days after the first of a step are in it. Of results the
        gravest that is known counts, of facts about the woman the latest, of her age the first. None: a row is a step.

    Raises
    ------
    BundleError
        If the table knows a code that the declaration does not.
    """
    values = np.stack([_values(visits[feature.column], feature) for feature in features], axis=1)
    time_years = visits[TIME_YEARS].to_numpy(np.float64)
    ids = visits[PATIENT_ID].to_numpy(object)
    starts = np.append(True, ids[1:] != ids[:-1]) if len(ids) else np.empty(0, bool)
    first = np.flatnonzero(starts)
    begin = np.arange(len(ids)) if episode_days is None else _episodes(first, time_years, episode_days)
    return histories_of_steps(
        ids[first],
        np.diff(np.append(np.searchsorted(begin, first), len(begin))),
        _joined(values, begin, [feature.column for feature in features]),
        time_years[begin],
        row_of_step=np.append(begin[1:], len(ids))[: len(begin)] - 1,
        reach=Reach.of(features),
    )


def histories_of_steps(
    patient_ids: NDArray[np.object_], lengths: NDArray[np.integer], features: Floats, time_years: NDArray[np.float64],
    *, row_of_step: NDArray[np.int64] | None = None, reach: Reach | None = None,
) -> Histories:  # fmt: skip
    """Histories from raw values ``(steps, F)``, a woman's steps together and in order of time ``(steps,)``.

    Without ``row_of_step`` each step is a row, without ``reach`` nothing is beyond the model's training.
    """
    first = np.asarray(np.cumsum(lengths) - lengths, np.int64)
    gaps = _gaps(features, time_years, np.repeat(first, lengths))
    rows = np.arange(len(features)) if row_of_step is None else row_of_step
    limits = reach or Reach.everywhere(features.shape[1])
    return Histories(patient_ids, first, lengths.astype(np.int32), features, gaps, time_years, rows, limits)


def _episodes(first: NDArray[np.int64], time_years: NDArray[np.float64], episode_days: int) -> NDArray[np.int64]:
    """The first row of each episode, in order, from the first row of each woman."""
    if not len(first):
        return first
    # Dates are whole days; ages, of women without dates, whole years.
    days = np.rint(time_years * DAYS_A_YEAR).astype(np.int64)
    woman = np.repeat(np.arange(len(first)), np.diff(np.append(first, len(days))))
    # Women one after the other on one axis, too far apart for an episode to reach from one to the next.
    axis = days + woman * (int(days.max()) + episode_days + 1)
    after = np.searchsorted(axis, axis + episode_days, side="right")
    begins, found = first, [first]
    while len(begins := _within(after[begins], woman, woman[begins])):
        found.append(begins)
    return np.sort(np.concatenate(found))


def _within(rows: NDArray[np.int64], woman: NDArray[np.int64], of: NDArray[np.int64]) -> NDArray[np.int64]:
    """Those of the rows that are of these women: their next episodes."""
    inside = rows < len(woman)
    rows, of = rows[inside], of[inside]
    return np.asarray(rows[woman[rows] == of], np.int64)


def _joined(values: Floats, begin: NDArray[np.int64], columns: Sequence[str]) -> Floats:
    """The values of each episode ``(episodes, F)`` from those of its rows ``(rows, F)``."""
    sizes = np.diff(np.append(begin, len(values)))
    several = sizes > 1
    joined = values[begin]
    if several.any():
        # Most episodes are one row, which stands for itself.
        of_several = sizes[several]
        rows = np.repeat(several, sizes)
        joined[several] = _joined_rows(values[rows], np.cumsum(of_several) - of_several, columns)
    return joined


def _joined_rows(values: Floats, begin: NDArray[np.int64], columns: Sequence[str]) -> Floats:
    rows = np.arange(len(values))[:, None]
    known = ~np.isnan(values)
    gravest = np.fmax.reduceat(values, begin, axis=0)
    earliest = np.minimum.reduceat(np.where(known, rows, len(values)), begin, axis=0)
    latest = np.maximum.reduceat(np.where(known, rows, -1), begin, axis=0)
    # A place that no row has stands for "at none of the rows".
    padded = np.vstack([values, np.full((1, values.shape[1]), np.nan, np.float32)])
    at = np.arange(values.shape[1])
    is_age, is_hers = np.array([name == AGE for name in columns]), np.array([name in ANSWERS for name in columns])
    return np.where(is_age, padded[earliest, at], np.where(is_hers, padded[latest, at], gravest)).astype(np.float32)


def _values(column: pd.Series, feature: FeatureEncoding) -> Floats:
    if feature.kind != "code":
        return column.to_numpy(np.float32)
    codes = [str(code) for code in column.cat.categories]
    if untaught := [code for code in codes if code not in feature.grades]:
        raise BundleError(
            f"The model was not taught every code of {feature.column}",
            expected=", ".join(sorted(feature.grades)),
            found=f"also {', '.join(untaught)}",
            action="Use a bundle that was made with this version of the app.",
        )
    # The last place answers for "not known", whose category code is -1. A code without a grade measures nothing.
    grades = [feature.grades[code] for code in codes]
    table = np.array([np.nan if grade is None else grade for grade in (*grades, None)], np.float32)
    return table[column.cat.codes.to_numpy()]


def _gaps(features: Floats, time: NDArray[np.float64], own_first: NDArray[np.int64]) -> Floats:
    """Years from the last step before this one, of the same woman, at which each feature was measured ``(steps, F)``."""
    steps = np.arange(len(features), dtype=np.int32)[:, None]
    latest = np.maximum.accumulate(np.where(np.isnan(features), -1, steps), axis=0)
    before = np.vstack([np.full((1, features.shape[1]), -1, np.int32), latest[:-1]])[: len(features)]
    gap = time[:, None] - time[np.maximum(before, 0)]
    return np.where(before >= own_first[:, None], gap, np.nan).astype(np.float32)
