"""The risk ladder of ASCCP 2019, and whether a model may be put on it."""

from dataclasses import dataclass

from cervix.bundle.manifest import Model

SOURCE = "ASCCP risk-based management consensus guidelines 2019 (Perkins et al. 2020); US thresholds, other countries differ"
EXPEDITED_AGE = 25.0
IMMEDIATE_TASK, FIVE_YEAR_TASK = "cin3-3y", "cin3-5y"


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


LADDER = (
    Rung("Expedited treatment preferred", 0.60, 0.0),
    Rung("Expedited treatment or colposcopy", 0.25, 0.0),
    Rung("Colposcopy", 0.04, 0.0),
    Rung("Return in 1 year", 0.0, 0.0055),
    Rung("Return in 3 years", 0.0, 0.0015),
    Rung("Return in 5 years", 0.0, 0.0),
)


def rung_of(immediate: float, five_year: float, *, age: float | None = None, pregnant: bool | None = None) -> Rung:
    """The step for a risk of CIN3+ now and within five years, each 0..1.

    Expedited treatment is preferred only for women of 25 and older who are not pregnant; where either is not known to
    hold, the step below is given.
    """
    rungs = LADDER if age is not None and age >= EXPEDITED_AGE and pregnant is False else LADDER[1:]
    return next(rung for rung in rungs if immediate >= rung.immediate_from and five_year >= rung.five_year_from)


def why_no_ladder(model: Model) -> str:
    """Why no guideline action may be shown for a model; empty where one may.

    It must declare CIN3+ within 3 and 5 years, and its calibration must have passed its test for both.
    """
    declared = {task.id for task in model.derived_tasks}
    missing = [task for task in (IMMEDIATE_TASK, FIVE_YEAR_TASK) if task not in declared]
    if missing:
        return "No guideline action is shown: the model's outcome is not CIN3+ within a stated time."
    failed = [task for task in (IMMEDIATE_TASK, FIVE_YEAR_TASK) if not model.calibration.passed(task)]
    if failed:
        return f"No guideline action is shown: the calibration did not pass its test for {', '.join(failed)}."
    return ""
