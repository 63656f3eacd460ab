"""The risk ladder of ASCCP 2019: its rungs, and whether a model may stand on it."""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from cervix.bundle import Model

PERKINS: Final = "Perkins et al. 2020, J Low Genit Tract Dis 24:102-131"
SOURCE = f"ASCCP risk-based management consensus guidelines 2019 ({PERKINS}); US thresholds, other countries differ"
EXPEDITED_AGE = 25.0
FIVE_YEAR_TASK = "cin3-5y"
# The ladder asks for CIN3+ at once. A model that does not declare it is asked for CIN3+ within 3 years, which is more.
AT_ONCE_TASK, STAND_IN_TASK = "cin3-0y", "cin3-3y"


@dataclass(frozen=True)
class Rung:
    """A step of the ladder.

    Attributes
    ----------
    immediate_from, five_year_from : float
        Risk of CIN3+ from which it holds, 0..1 (Perkins et al. 2020, section E.1 to E.3).
    management : str
        The same in the words of the published tables.
    """

    action: str
    immediate_from: float
    five_year_from: float
    management: str


COLPOSCOPY = Rung("Colposcopy", 0.04, 0.0, "Colposcopy")
ONE_YEAR = Rung("Return in 1 year", 0.0, 0.0055, "1-year follow-up")
THREE_YEARS = Rung("Return in 3 years", 0.0, 0.0015, "3-year follow-up")
LADDER = (
    Rung("Expedited treatment preferred", 0.60, 0.0, "Treatment"),
    Rung("Expedited treatment or colposcopy", 0.25, 0.0, "Colposcopy/Treatment"),
    COLPOSCOPY,
    ONE_YEAR,
    THREE_YEARS,
    Rung("Return in 5 years", 0.0, 0.0, "5-year follow-up"),
)
STEPS: Final = {rung.management: rung for rung in LADDER}
"""Management of the published tables -> the step."""


def rung_of(immediate: float, five_year: float, *, age: float | None = None, pregnant: bool | None = None) -> Rung:
    """The step for a risk of CIN3+ now and within five years, each 0..1.

    Expedited treatment is preferred only for women of 25 and older who are not pregnant; where either is not known to
    hold, the step below is given. Raises ``ValueError`` for a risk that is not a number, as for a woman without an answer.
    """
    if not (0 <= immediate <= 1 and 0 <= five_year <= 1):
        raise ValueError(f"a risk lies in 0..1, found {immediate} and {five_year}; there is no step without an answer")
    rung = next(rung for rung in LADDER if immediate >= rung.immediate_from and five_year >= rung.five_year_from)
    return allowed(rung, age=age, pregnant=pregnant)


def rungs_of(immediate: NDArray[np.float64], five_year: NDArray[np.float64]) -> NDArray[np.int64]:
    """Place in ``LADDER`` of the step for each pair of risks ``(n,)``, as ``rung_of`` has it at no age; -1 where one is NaN."""
    holds = [(immediate >= rung.immediate_from) & (five_year >= rung.five_year_from) for rung in LADDER]
    return np.where(np.isnan(immediate) | np.isnan(five_year), -1, np.argmax(holds, axis=0))


def allowed(rung: Rung, *, age: float | None, pregnant: bool | None) -> Rung:
    """The step; the one below where expedited treatment is preferred and she is not known to be 25 and not pregnant."""
    known_to_fit = age is not None and age >= EXPEDITED_AGE and pregnant is False
    return LADDER[1] if rung is LADDER[0] and not known_to_fit else rung


def sooner(one: Rung, other: Rung) -> Rung:
    """The one that waits less."""
    return one if LADDER.index(one) <= LADDER.index(other) else other


def immediate_task(model: Model) -> str:
    """The question that is asked for the risk at once."""
    declared = {task.id for task in model.derived_tasks}
    return AT_ONCE_TASK if AT_ONCE_TASK in declared else STAND_IN_TASK


def why_no_ladder(model: Model) -> str:
    """Why no guideline action may be shown for a model's risks; empty where one may.

    It must declare CIN3+ at once (or, for want of it, within 3 years) and within 5, and its calibration must have passed its
    test for both.
    """
    asked = (immediate_task(model), FIVE_YEAR_TASK)
    declared = {task.id for task in model.derived_tasks}
    if missing := [task for task in asked if task not in declared]:
        if len(missing) == len(asked):
            return "the model's outcome is not CIN3+ within a stated time."
        return "the model does not answer CIN3+ both at once (or within 3 years) and within 5 years."
    if failed := [task for task in asked if not model.calibration.passed(task)]:
        return f"the calibration did not pass its test for {', '.join(failed)}."
    return ""
