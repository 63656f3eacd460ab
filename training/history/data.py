"""The simulated cohort as training data: sequences, outcomes that may be known in part, and a split by woman."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cervix.patients.encoding import encoding_named
from cervix.patients.sequences import TIME_YEARS, Histories, encode
from cervix.patients.visits import read_visits
from training.data.cohort.files import LATENT_FILE, VISITS_FILE
from training.data.cohort.screening import HIGH_GRADE_HISTOLOGY
from training.data.splits import require_events
from training.shared.stages import array_digest

HORIZONS = (3.0, 5.0)
CLASSES = ("none", "cin2-5y", "cin2-3y", "cin2-3y-cin3-5y", "cin3-3y")
"""Disjoint courses after the last visit, so that no two answers can contradict each other: no CIN2+ within 5 years; CIN2+
after 3 years and within 5; CIN2+ within 3 years without CIN3+ within 5, with CIN3+ after 3 and within 5, and with CIN3+
within 3. In this cohort CIN2 takes more than 2 years to become CIN3, so the course "both between 3 and 5 years" is empty
and has no class."""
EARLY = ("cin2-3y", "cin2-3y-cin3-5y", "cin3-3y")
"""CIN2+ within the first horizon: the event that is counted in training."""
SPLITS = ("train", "validation", "calibration", "test")
# The header of a table is its line 1.
FIRST_LINE = 2
Bools = NDArray[np.bool_]


@dataclass(frozen=True)
class Outcomes:
    """What is known about the course after each visit.

    Attributes
    ----------
    label : (visits,) index into ``CLASSES`` of the true course
    possible : (visits, classes) the courses that agree with what was observed before loss to follow-up
    complete : (visits,) whether she was followed for the longest horizon, event or not; only these are evaluated, because
        being lost has nothing to do with disease in this cohort, while leaving out the lost without an event would
    """

    label: NDArray[np.int64]
    possible: Bools
    complete: Bools

    def among(self, courses: Sequence[str]) -> Bools:
        """Whether the true course is one of these, ``(visits,)``."""
        return np.isin(self.label, [CLASSES.index(name) for name in courses])


@dataclass(frozen=True)
class HistoryData:
    """Sequences, outcomes after every visit, and a split by woman.

    Attributes
    ----------
    usable : (visits,) whether one may predict from there: no known disease left untreated, a cervix
    latent : DataFrame
        The truth at and after each visit, in the order of the visits, and what was read there: ``histology``, ``time_years``.
    split : (women,)
    """

    histories: Histories
    outcomes: Outcomes
    usable: Bools
    latent: pd.DataFrame
    split: NDArray[np.str_]

    def women(self, split: str) -> NDArray[np.int64]:
        """Positions of the women in a split."""
        return np.flatnonzero(self.split == split)

    def index_visits(self, women: NDArray[np.int64]) -> NDArray[np.int64]:
        """The row of each woman's last visit, at which the prediction is made."""
        return self.histories.last[women]

    def digest(self) -> str:
        """Digest of everything that a model learns from."""
        return array_digest(self.histories.features, self.outcomes.possible, self.split)

    def evaluated(self, split: str) -> NDArray[np.int64]:
        """The women in a split who were followed for the longest horizon."""
        women = self.women(split)
        return women[self.outcomes.complete[self.index_visits(women)]]


def load_history_data(folder: Path, names: list[str], shares: dict[str, float], seed: int) -> HistoryData:
    """Read the files of a cohort with the same reader as the app.

    Parameters
    ----------
    folder : Path
        What ``python -m training data cohort`` wrote.
    shares : split -> share of the women, summing to 1

    Raises
    ------
    PatientFileError
        If the visit table is not one.
    EventError
        If the training split has only one outcome or fewer than 50 events within 3 years.
    """
    visits = read_visits(folder / VISITS_FILE).frame
    histories = encode(visits, encoding_named(names), episode_days=None)
    latent = pd.read_csv(folder / LATENT_FILE).iloc[visits.index - FIRST_LINE].reset_index(drop=True)
    latent[TIME_YEARS] = visits[TIME_YEARS].to_numpy(np.float64)
    latent["histology"] = visits["histology"].astype(object).fillna("").to_numpy()
    outcomes = outcomes_of(*(latent[name].to_numpy() for name in ("years_to_cin2", "years_to_cin3", "observed_years")))
    untreated = visits["histology"].isin(HIGH_GRADE_HISTOLOGY) & visits["treatment"].isna()
    usable = ~(untreated | (visits["treatment"] == "hysterectomy")).to_numpy()
    order = np.random.default_rng(seed).permutation(len(histories))
    ends = np.round(np.cumsum([shares[name] for name in SPLITS]) * len(histories)).astype(int)
    split = np.empty(len(histories), "<U11")
    for name, start, end in zip(SPLITS, [0, *ends[:-1]], ends, strict=True):
        split[order[start:end]] = name
    data = HistoryData(histories, outcomes, usable, latent, split)
    require_events(outcomes.among(EARLY)[data.index_visits(data.women("train"))])
    return data


def outcomes_of(to_cin2: NDArray[np.float64], to_cin3: NDArray[np.float64], observed: NDArray[np.float64]) -> Outcomes:
    """Outcomes from years to CIN2+, to CIN3+ (``inf``: never) and years of observation, all ``(visits,)``."""
    label = _course(to_cin2, to_cin3)
    # Several courses agree with the observation: no further lesion, or the next grade at any later time.
    possible = np.zeros((len(label), len(CLASSES)), bool)
    seen2 = np.where(to_cin2 <= observed, to_cin2, np.inf)
    seen3 = np.where(to_cin3 <= observed, to_cin3, np.inf)
    moments = (*HORIZONS, np.inf)
    for later2 in moments:
        for later3 in moments:
            time2 = np.where(np.isfinite(seen2), seen2, np.where(observed < later2, later2, np.inf))
            time3 = np.where(np.isfinite(seen3), seen3, np.where(observed < later3, later3, np.inf))
            possible[np.arange(len(label)), _course(np.minimum(time2, time3), time3)] = True
    return Outcomes(label, possible, observed >= max(HORIZONS))


def _course(to_cin2: NDArray[np.float64], to_cin3: NDArray[np.float64]) -> NDArray[np.int64]:
    early, late = HORIZONS
    course = np.select(
        [to_cin3 <= early, (to_cin2 <= early) & (to_cin3 <= late), to_cin2 <= early, to_cin2 <= late],
        [CLASSES.index(name) for name in ("cin3-3y", "cin2-3y-cin3-5y", "cin2-3y", "cin2-5y")],
        CLASSES.index("none"),
    )
    return np.asarray(course, np.int64)
