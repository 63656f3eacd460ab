"""The risk ladder of ASCCP 2019, and whether it may be used with a model."""

from dataclasses import dataclass
from datetime import date

import numpy as np
import pandas as pd

from cervix.bundle.manifest import Model
from cervix.patients import hpv
from cervix.patients.codes import CODES
from cervix.patients.completeness import RESTS_ON
from cervix.patients.scoring import NO_ANSWER
from cervix.patients.sequences import TIME_YEARS
from cervix.patients.visit_vocabulary import AGE, VISIT_DATE
from cervix.patients.visits import DAYS_A_YEAR

SOURCE = "ASCCP risk-based management consensus guidelines 2019 (Perkins et al. 2020); US thresholds, other countries differ"
EXPEDITED_AGE = 25.0
IMMEDIATE_TASK, FIVE_YEAR_TASK = "cin3-3y", "cin3-5y"
# Of the shorter of the two questions: a later day is beyond the time of the risk.
HORIZON_YEARS = 3
# Results with which colposcopy is recommended at any risk (Perkins et al. 2020, section on thresholds and exceptions).
COLPOSCOPY_CYTOLOGY = CODES["cytology"].named(lambda code: code.calls_for_colposcopy)
HPV_TYPES = tuple(name for name in hpv.CHANNELS if any(code.calls_for_colposcopy for code in CODES[name].codes))


@dataclass(frozen=True)
class Rung:
    """A step of the ladder.

    Attributes
    ----------
    immediate_from, five_year_from : float
        Risk of CIN3+ from which it holds, 0..1.
    """

    action: str
    immediate_from: float
    five_year_from: float


COLPOSCOPY = Rung("Colposcopy", 0.04, 0.0)
LADDER = (
    Rung("Expedited treatment preferred", 0.60, 0.0),
    Rung("Expedited treatment or colposcopy", 0.25, 0.0),
    COLPOSCOPY,
    Rung("Return in 1 year", 0.0, 0.0055),
    Rung("Return in 3 years", 0.0, 0.0015),
    Rung("Return in 5 years", 0.0, 0.0),
)


@dataclass(frozen=True)
class Step:
    """What the ladder says of a woman, or why it says nothing.

    Attributes
    ----------
    action : str
        Empty where there is none.
    reason : str
        Why there is none, or what overrides the risk; empty otherwise.
    """

    action: str
    reason: str = ""

    @property
    def words(self) -> str:
        """For page and paper, with the caveat that goes with every step."""
        if not self.action:
            return f"No guideline step is shown: {self.reason}"
        why = f" ({self.reason})" if self.reason else ""
        return (
            f"At these risks the ladder says: {self.action}{why}. This is not advice: the model learned from simulated women, "
            f"and its risk of CIN3+ within 3 years is used in place of the immediate risk that the ladder needs. {SOURCE}."
        )


def rung_of(immediate: float, five_year: float, *, age: float | None = None, pregnant: bool | None = None) -> Rung:
    """The step for a risk of CIN3+ now and within five years, each 0..1.

    Expedited treatment is preferred only for women of 25 and older who are not pregnant; where either is not known to
    hold, the step below is given. Raises ``ValueError`` for a risk that is not a number, as for a woman without an answer.
    """
    if not (0 <= immediate <= 1 and 0 <= five_year <= 1):
        raise ValueError(f"a risk lies in 0..1, found {immediate} and {five_year}; there is no step without an answer")
    rungs = LADDER if age is not None and age >= EXPEDITED_AGE and pregnant is False else LADDER[1:]
    return next(rung for rung in rungs if immediate >= rung.immediate_from and five_year >= rung.five_year_from)


def step_for(visits: pd.DataFrame, scores: pd.Series, model: Model, *, today: date | None = None) -> Step:
    """The step of the ladder for one woman, or why there is none.

    There is none where the ladder may not be used with the model, its answer is missing or rests on an incomplete history, its
    time has run out, or the guideline has rules of its own that are not implemented: under 25, pregnant, HIV or another
    immunosuppression, after treatment, after hysterectomy. A result that calls for colposcopy whatever the risk (cytology of
    ASC-H, AGC, HSIL or worse; HPV 16 or 18) never gives less than that (Perkins et al. 2020).

    Parameters
    ----------
    visits : her rows of ``VisitTable.frame``
    scores : her row of ``score_visits``
    today : date, optional
        The day on which it is asked.
    """
    if reason := why_no_ladder(model) or _why_not_her(visits, scores, today or date.today()):
        return Step("", reason)
    age = age_at_last_visit(visits)
    pregnant = _last(visits, "pregnant")
    immediate, five_year = (float(scores[f"risk_{task}"]) for task in (IMMEDIATE_TASK, FIVE_YEAR_TASK))
    rung = rung_of(immediate, five_year, age=age, pregnant=(pregnant == "yes") if pregnant else None)
    if LADDER.index(rung) > LADDER.index(COLPOSCOPY) and (found := _calls_for_colposcopy(visits)):
        return Step(COLPOSCOPY.action, f"{found} calls for colposcopy at any risk")
    return Step(rung.action)


def _why_not_her(visits: pd.DataFrame, scores: pd.Series, today: date) -> str:
    """Why a woman gets no step; empty where she may."""
    if scores.get(NO_ANSWER):
        return str(scores[NO_ANSWER])
    if scores.get(RESTS_ON):
        return f"the answer {_of_history(str(scores[RESTS_ON]))}. Correct the file first."
    last: date | None = visits[VISIT_DATE].to_numpy("datetime64[D]")[-1].item()
    if last is None:
        return "the date of her last visit is not known, so the time that the risk refers to may be over."
    if (today - last).days > HORIZON_YEARS * DAYS_A_YEAR:
        return (
            f"her last visit was on {last.isoformat()}, more than {HORIZON_YEARS} years ago. This was her risk in {last.year}."
        )
    age = age_at_last_visit(visits)
    if age is None:
        return f"her age is not known; below {EXPEDITED_AGE:g} the guideline has rules of its own."
    if age < EXPEDITED_AGE:
        return f"she was {int(age)} at her last visit; below {EXPEDITED_AGE:g} the guideline has rules of its own."
    if _last(visits, "pregnant") == "yes":
        return "she was pregnant at her last visit; for pregnancy the guideline has rules of its own."
    if (visits["hiv"] == "yes").any() or _last(visits[visits["immunosuppressed"].notna()], "immunosuppressed") == "yes":
        return "for women with HIV or another immunosuppression the guideline has rules of its own."
    return ""


def _of_history(rests_on: str) -> str:
    return rests_on if rests_on.startswith("rests on") else f"rests on an incomplete history ({rests_on})"


def age_at_last_visit(visits: pd.DataFrame) -> float | None:
    """In years: from the last visit that gives it and the time since; None where no visit does."""
    ages, years = visits[AGE].to_numpy(np.float64), visits[TIME_YEARS].to_numpy(np.float64)
    known = np.flatnonzero(~np.isnan(ages))
    return float(ages[known[-1]] + years[-1] - years[known[-1]]) if len(known) else None


def _last(visits: pd.DataFrame, column: str) -> str:
    """The code at the last of these visits; empty where it is not known or there is none."""
    codes = visits[column].astype(object).to_numpy()
    return str(codes[-1]) if len(codes) and isinstance(codes[-1], str) else ""


def _calls_for_colposcopy(visits: pd.DataFrame) -> str:
    """The result of the last visit that was a test and calls for colposcopy; empty where there is none."""
    tested = visits[visits[["cytology", *HPV_TYPES, "hpv_result"]].notna().any(axis=1)]
    cytology = _last(tested, "cytology")
    if cytology in COLPOSCOPY_CYTOLOGY:
        return cytology
    return next((f"HPV {name.removeprefix('hpv_')}" for name in HPV_TYPES if _last(tested, name) == "positive"), "")


def why_no_ladder(model: Model) -> str:
    """Why no guideline action may be shown for a model; empty where one may.

    It must declare CIN3+ within 3 and 5 years, and its calibration must have passed its test for both.
    """
    declared = {task.id for task in model.derived_tasks}
    missing = [task for task in (IMMEDIATE_TASK, FIVE_YEAR_TASK) if task not in declared]
    if missing:
        return "the model's outcome is not CIN3+ within a stated time."
    failed = [task for task in (IMMEDIATE_TASK, FIVE_YEAR_TASK) if not model.calibration.passed(task)]
    if failed:
        return f"the calibration did not pass its test for {', '.join(failed)}."
    return ""
