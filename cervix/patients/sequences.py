"""Visits as arrays: what a history model reads, in training and in scoring alike."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cervix.patients.vocabulary import PATIENT_ID

Floats = NDArray[np.float32]
Ints = NDArray[np.int32]

AGE = "age"
TIME_YEARS = "time_years"
MOST_VISITS = 60


@dataclass(frozen=True)
class VisitFeature:
    """One number a visit.

    Attributes
    ----------
    name : str
        The input's name in manifests.
    label : str
        For charts.
    column : str
        The column of the visit table it is read from.
    grades : mapping, optional
        Code -> grade. A code without a grade (an unsatisfactory smear, an invalid test) measures nothing. None: the
        column is a number already.
    """

    name: str
    label: str
    column: str
    grades: Mapping[str, float] | None = None


_RESULT = {"negative": 0.0, "positive": 1.0}
_ANSWER = {"no": 0.0, "yes": 1.0}

VISIT_FEATURES: tuple[VisitFeature, ...] = (
    VisitFeature(AGE, "Age (years)", AGE),
    VisitFeature(
        "cytology_squamous", "Cytology, squamous grade", "cytology",
        {"NILM": 0, "AGC": 0, "AGC-FN": 0, "AIS": 0, "ADC": 0, "ASC-US": 1, "LSIL": 2, "ASC-H": 3, "HSIL": 4, "SCC": 5},
    ),
    VisitFeature(
        "cytology_glandular", "Cytology, glandular grade", "cytology",
        {"NILM": 0, "ASC-US": 0, "LSIL": 0, "ASC-H": 0, "HSIL": 0, "SCC": 0, "AGC": 1, "AGC-FN": 2, "AIS": 3, "ADC": 4},
    ),
    VisitFeature("hpv", "HPV test", "hpv_result", _RESULT),
    VisitFeature("hpv_16", "HPV 16", "hpv_16", _RESULT),
    VisitFeature("hpv_18", "HPV 18", "hpv_18", _RESULT),
    VisitFeature("hpv_other", "Other high-risk HPV", "hpv_other_hr", _RESULT),
    VisitFeature(
        "colposcopy", "Colposcopic impression", "colposcopy",
        {"normal": 0, "low-grade": 1, "high-grade": 2, "suspicious": 3},
    ),
    VisitFeature(
        "histology", "Histology grade", "histology",
        {"benign": 0, "CIN1": 1, "CIN2": 2, "CIN3": 3, "HSIL": 3, "AIS": 3, "SCC": 4, "ADC": 4, "adenosquamous": 4},
    ),
    VisitFeature(
        "treatment", "Treatment", "treatment",
        {"none": 0, "ablation": 1, "LEEP": 2, "cone": 3, "hysterectomy": 4},
    ),
    VisitFeature("smoker", "Smokes", "smoker", _ANSWER),
    VisitFeature("immunosuppressed", "Immunosuppressed", "immunosuppressed", _ANSWER),
    VisitFeature("hpv_vaccinated", "Vaccinated against HPV", "hpv_vaccinated", _ANSWER),
)  # fmt: skip
FEATURE_BY_NAME = {feature.name: feature for feature in VISIT_FEATURES}
"""Via, HIV and pregnancy are read from files and not here: the cohort the model learns from does not have them."""


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


def encode(visits: pd.DataFrame, names: Sequence[str]) -> Histories:
    """Turn a visit table into arrays. Nothing is imputed or scaled: the graph does that.

    Parameters
    ----------
    visits : DataFrame
        ``VisitTable.frame``: a woman's rows together and in order; ``patient_id, time_years, age`` and codes.
    names : sequence of str
        Which of ``VISIT_FEATURES``, in order: the manifest's ``features.names``.
    """
    chosen = [FEATURE_BY_NAME[name] for name in names]
    features = np.stack([_values(visits, feature) for feature in chosen], axis=1)
    ids = visits[PATIENT_ID].to_numpy(object)
    starts = np.append(True, ids[1:] != ids[:-1]) if len(ids) else np.empty(0, bool)
    first = np.flatnonzero(starts)
    lengths = np.diff(np.append(first, len(ids)))
    return histories_of_rows(ids[first], lengths, features, visits[TIME_YEARS].to_numpy(np.float64))


def histories_of_rows(
    patient_ids: NDArray[np.object_], lengths: NDArray[np.integer], features: Floats, time_years: NDArray[np.float64]
) -> Histories:
    """Histories from raw values ``(rows, F)``, a woman's rows together and in order of time ``(rows,)``."""
    first = np.asarray(np.cumsum(lengths) - lengths, np.int64)
    gaps = _gaps(features, time_years, np.repeat(first, lengths))
    return Histories(patient_ids, first, lengths.astype(np.int32), features, gaps)


def _values(visits: pd.DataFrame, feature: VisitFeature) -> Floats:
    column = visits[feature.column]
    if feature.grades is None:
        return column.to_numpy(np.float32)
    # The last place answers for "not known", whose category code is -1.
    table = [feature.grades.get(str(code), np.nan) for code in column.cat.categories]
    return np.array([*table, np.nan], np.float32)[column.cat.codes.to_numpy()]


def _gaps(features: Floats, time: NDArray[np.float64], own_first: NDArray[np.int64]) -> Floats:
    """Years from the last visit before this one, of the same woman, at which each feature was measured ``(rows, F)``."""
    rows = np.arange(len(features))[:, None]
    latest = np.maximum.accumulate(np.where(np.isnan(features), -1, rows), axis=0)
    before = np.vstack([np.full((1, features.shape[1]), -1), latest[:-1]])[: len(features)]
    gap = time[:, None] - time[np.maximum(before, 0)]
    return np.where(before >= own_first[:, None], gap, np.nan).astype(np.float32)
