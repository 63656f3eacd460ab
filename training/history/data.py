"""The simulated cohort as training data: sequences, outcomes that may be known in part, and a split by woman."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cervix.patients.encoding import encoding_named
from cervix.patients.sequences import EPISODE_DAYS, TIME_YEARS, Histories, encode
from cervix.patients.visits import read_visits
from training.data.cohort.files import LATENT_FILE, TESTED_PREFIX, VISITS_FILE
from training.data.cohort.screening import HIGH_GRADE_HISTOLOGY
from training.data.splits import require_events
from training.shared.stages import array_digest

HORIZONS = (0.0, 1.0, 3.0, 5.0)
"""Years after the last visit; 0 is at once."""


def _named(cin2: float, cin3: float) -> str:
    return f"cin2-{cin2:g}y" if np.isinf(cin3) else f"cin2-{cin2:g}y-cin3-{cin3:g}y"


CLASSES = (
    "none",
    *(_named(cin2, cin3) for at, cin2 in enumerate(HORIZONS) for cin3 in (np.inf, *reversed(HORIZONS[at:]))),
)
"""Disjoint courses after the last visit, so that no two answers can contradict each other: the earliest horizon within which
CIN2+ is there, and that of CIN3+, which never comes before. ``cin2-1y-cin3-5y``: CIN2+ within 1 year, CIN3+ within 5, not 3."""
EARLY = tuple(name for name in CLASSES if name.split("-")[1:2] in (["0y"], ["1y"], ["3y"]))
"""CIN2+ within 3 years: the event that is counted in training."""
FOUND, TESTED = "found_", TESTED_PREFIX + "found_"
"""The outcome is disease as biopsies find it, which published risks report; the true one stands beside it in the cohort."""
WORK_UP = ("colposcopy", "histology", "treatment")
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
    split : (women,) empty for further screenings of women who are in no training
    tested : the same with only the tests of a visit known, before its colposcopy, biopsy and treatment
    worked_up : (visits,) whether there was more than tests
    weight : (women,) how much each counts in training; below 1 where rare histories were simulated more often
    again : (women,) whether she lives the course of another woman again
    """

    histories: Histories
    outcomes: Outcomes
    usable: Bools
    latent: pd.DataFrame
    split: NDArray[np.str_]
    tested: Outcomes
    worked_up: Bools
    weight: NDArray[np.float32]
    again: Bools

    def women(self, split: str) -> NDArray[np.int64]:
        """Positions of the women in a split."""
        return np.flatnonzero(self.split == split)

    def own_women(self, split: str) -> NDArray[np.int64]:
        """Positions of the women in a split who live no other woman's course again: as common as in the population."""
        women = self.women(split)
        return women[~self.again[women]]

    def index_visits(self, women: NDArray[np.int64]) -> NDArray[np.int64]:
        """The row of each woman's last visit, at which the prediction is made."""
        return self.histories.last[women]

    def with_tests_only(self, rows: NDArray[np.integer], names: list[str]) -> Histories:
        """The histories up to each of these visits, of which only the tests are known: no colposcopy, biopsy or treatment."""
        histories = self.histories.prefixes(rows)
        every = histories.rows_of(np.arange(len(rows)))
        features = self.histories.features[every]
        first = np.asarray(np.cumsum(histories.lengths) - histories.lengths, np.int64)
        hidden = [names.index(name) for name in WORK_UP if name in names]
        features[(first + histories.lengths - 1)[:, None], hidden] = np.nan
        return replace(
            histories, first=first, features=features, gap_years=self.histories.gap_years[every],
            time_years=self.histories.time_years[every], row_of_step=self.histories.row_of_step[every],
        )  # fmt: skip

    def digest(self) -> str:
        """Digest of everything that a model learns from."""
        return array_digest(
            self.histories.features, self.outcomes.possible, self.tested.possible, self.split.astype("U11"), self.weight
        )

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
    histories = encode(visits, encoding_named(names), EPISODE_DAYS)
    if len(histories.features) != len(visits):
        raise ValueError("in the cohort every row is an episode of its own")
    latent = pd.read_csv(folder / LATENT_FILE).iloc[visits.index - FIRST_LINE].reset_index(drop=True)
    latent[TIME_YEARS] = visits[TIME_YEARS].to_numpy(np.float64)
    latent["histology"] = visits["histology"].astype(object).fillna("").to_numpy()
    years = {name: latent[name].to_numpy(np.float64) for name in latent.columns if "years" in str(name)}
    after, tested = (
        outcomes_of(years[f"{kind}years_to_cin2"], years[f"{kind}years_to_cin3"], years["observed_years"])
        for kind in (FOUND, TESTED)
    )
    untreated = visits["histology"].isin(HIGH_GRADE_HISTOLOGY) & visits["treatment"].isna()
    usable = ~(untreated | (visits["treatment"] == "hysterectomy")).to_numpy()
    worked_up = visits[list(WORK_UP)].notna().any(axis=1).to_numpy()
    split = _split(latent.iloc[histories.last], shares, seed)
    weight, again = latent["weight"].to_numpy(np.float32)[histories.last], latent["turn"].to_numpy()[histories.last] > 0
    data = HistoryData(histories, after, usable, latent, split, tested, worked_up, weight, again)
    require_events(after.among(EARLY)[data.index_visits(data.women("train"))])
    return data


def _split(women: pd.DataFrame, shares: dict[str, float], seed: int) -> NDArray[np.str_]:
    """The split of each woman; whoever lives a course again is trained on, if its first woman is no woman of another split."""
    first = (women["turn"] == 0).to_numpy()
    order = np.random.default_rng(seed).permutation(np.flatnonzero(first))
    ends = np.round(np.cumsum([shares[name] for name in SPLITS]) * len(order)).astype(int)
    split = np.full(len(women), "", "<U11")
    for name, start, end in zip(SPLITS, [0, *ends[:-1]], ends, strict=True):
        split[order[start:end]] = name
    of_course = dict(zip(women["woman"][first], split[first], strict=True))
    again = np.flatnonzero(~first)
    trained = [of_course.get(course, SPLITS[0]) == SPLITS[0] for course in women["woman"].iloc[again]]
    split[again[np.array(trained, bool)]] = SPLITS[0]
    return split


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
    """Index into ``CLASSES`` by the earliest horizon within which each is there."""
    within2, within3 = (np.searchsorted(HORIZONS, years, side="left") for years in (np.minimum(to_cin2, to_cin3), to_cin3))
    return np.asarray(_INDEX[within2, within3], np.int64)


_ENDS = (*HORIZONS, np.inf)
_INDEX = np.array(
    [
        [-1 if cin3 < cin2 else CLASSES.index("none" if np.isinf(cin2) else _named(cin2, cin3)) for cin3 in _ENDS]
        for cin2 in _ENDS
    ]
)
