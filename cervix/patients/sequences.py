"""Visits as arrays: what a history model reads, in training and in scoring alike."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cervix.bundle.manifest import FeatureEncoding
from cervix.errors import BundleError
from cervix.patients.vocabulary import PATIENT_ID

Floats = NDArray[np.float32]
Ints = NDArray[np.int32]

TIME_YEARS = "time_years"
MOST_VISITS = 60


@dataclass(frozen=True)
class Histories:
    """Every woman's visits, one row a visit, the rows of a woman together and in order of time.

    Attributes
    ----------
    patient_ids : (women,) str
    first : (women,) position of each woman's first row
    lengths : (women,) number of her visits, 1..60
    features : (rows, F) raw values, NaN where not measured
    gap_years : (rows, F) years since the feature was last measured before this visit, NaN where never
    """

    patient_ids: NDArray[np.object_]
    first: NDArray[np.int64]
    lengths: Ints
    features: Floats
    gap_years: Floats

    def __len__(self) -> int:
        return len(self.lengths)

    @property
    def last(self) -> NDArray[np.int64]:
        """Position of each woman's last row ``(women,)``."""
        return np.asarray(self.first + self.lengths - 1, np.int64)

    def prefixes(self, rows: NDArray[np.integer]) -> "Histories":
        """The histories up to each of these rows, as if the visit there had been the last; the arrays are shared."""
        woman = np.searchsorted(self.first, rows, side="right") - 1
        lengths = (rows - self.first[woman] + 1).astype(np.int32)
        return Histories(self.patient_ids[woman], self.first[woman], lengths, self.features, self.gap_years)

    def rows_of(self, women: NDArray[np.integer]) -> NDArray[np.int64]:
        """The rows of all visits of these women, one after the other."""
        rows, inside = self.grid(women)
        return rows[inside]

    def grid(self, women: NDArray[np.integer]) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """Row of each visit ``(n, V)``, V the most visits of one of them, and whether there is such a visit."""
        steps = np.arange(self.lengths[women].max(initial=1))
        inside = steps < self.lengths[women][:, None]
        return np.where(inside, self.first[women][:, None] + steps, 0), inside

    def padded(self, women: NDArray[np.integer]) -> dict[str, NDArray[Any]]:
        """The arrays a history graph takes, for these women, padded on the right to the longest of them.

        Returns
        -------
        ``features`` and ``gap_years (n, V, F)``, NaN beyond a woman's last visit; ``lengths (n,)`` int32.
        """
        rows, inside = self.grid(women)
        outside = ~inside[..., None]
        return {
            "features": np.where(outside, np.float32(np.nan), self.features[rows]),
            "gap_years": np.where(outside, np.float32(np.nan), self.gap_years[rows]),
            "lengths": self.lengths[women],
        }

    def batches(self, size: int, women: NDArray[np.integer]) -> Iterator[NDArray[np.int64]]:
        """Positions within ``women`` in batches of about equal length, so that little is padded."""
        order = np.argsort(self.lengths[women], kind="stable")
        for start in range(0, len(order), size):
            yield order[start : start + size]


def encode(visits: pd.DataFrame, features: Sequence[FeatureEncoding]) -> Histories:
    """Turn a visit table into arrays. Nothing is imputed or scaled: the graph does that.

    Parameters
    ----------
    visits : DataFrame
        ``VisitTable.frame``: a woman's rows together and in order; ``patient_id, time_years, age`` and codes.
    features : sequence of FeatureEncoding
        The manifest's ``features.encoding``: what each number is made from, in order.

    Raises
    ------
    BundleError
        If the table knows a code that the declaration does not.
    """
    values = np.stack([_values(visits[feature.column], feature) for feature in features], axis=1)
    ids = visits[PATIENT_ID].to_numpy(object)
    starts = np.append(True, ids[1:] != ids[:-1]) if len(ids) else np.empty(0, bool)
    first = np.flatnonzero(starts)
    lengths = np.diff(np.append(first, len(ids)))
    return histories_of_rows(ids[first], lengths, values, visits[TIME_YEARS].to_numpy(np.float64))


def histories_of_rows(
    patient_ids: NDArray[np.object_], lengths: NDArray[np.integer], features: Floats, time_years: NDArray[np.float64]
) -> Histories:
    """Histories from raw values ``(rows, F)``, a woman's rows together and in order of time ``(rows,)``."""
    first = np.asarray(np.cumsum(lengths) - lengths, np.int64)
    gaps = _gaps(features, time_years, np.repeat(first, lengths))
    return Histories(patient_ids, first, lengths.astype(np.int32), features, gaps)


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
    """Years from the last visit before this one, of the same woman, at which each feature was measured ``(rows, F)``."""
    rows = np.arange(len(features))[:, None]
    latest = np.maximum.accumulate(np.where(np.isnan(features), -1, rows), axis=0)
    before = np.vstack([np.full((1, features.shape[1]), -1), latest[:-1]])[: len(features)]
    gap = time[:, None] - time[np.maximum(before, 0)]
    return np.where(before >= own_first[:, None], gap, np.nan).astype(np.float32)
