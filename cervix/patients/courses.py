"""How each woman's risk came about, step by step, for a list of many: her course, and the step that moved it most."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cervix.bundle import ModelSession
from cervix.patients.encoding import features_of
from cervix.patients.history_scoring import task_risk, trajectories
from cervix.patients.sequences import Histories
from cervix.patients.visit_vocabulary import AGE, VISIT_COLUMNS
from cervix.patients.visit_words import finding_words, step_titles

Floats = NDArray[np.float32]
TESTS = ("cytology", "hpv_result", "dual_stain", "colposcopy", "via", "histology", "treatment")


@dataclass(frozen=True)
class Course:
    """One woman's risk of the first question.

    Attributes
    ----------
    risk : (steps,) in 0..1
        After each step of her history.
    step : int
        The one that changed it most.
    change : float
        That change, signed. The course starts from the risk when only her age at the first step is known.
    """

    risk: Floats
    step: int
    change: float


def courses(histories: Histories, women: NDArray[np.integer], session: ModelSession) -> list[Course]:
    """The courses of these women, in their order: two runs of the graph for all of them, or more where it does not
    answer after each step."""
    if not len(women):
        return []
    first = histories.padded(women)["features"][:, :1].copy()
    first[..., [feature.column != AGE for feature in features_of(session).encoding]] = np.nan
    nothing = session.run(
        {"features": first, "gap_years": np.full_like(first, np.nan), "lengths": np.ones(len(women), np.int32)},
        ["probabilities"],
    )["probabilities"]
    reference = task_risk(np.asarray(nothing, np.float32), session.model.class_ids, session.model.derived_tasks[0])
    found = []
    for position, risk in enumerate(trajectories(histories, women, session)):
        steps = np.diff(risk, prepend=reference[position])
        step = int(np.abs(steps).argmax())
        found.append(Course(risk, step, float(steps[step])))
    return found


def steps_in_words(
    followed: Sequence[Course], visits: pd.DataFrame, histories: Histories, women: NDArray[np.integer]
) -> list[str]:
    """The largest step of each course in words: by how many points the risk moved, on what, when.

    Parameters
    ----------
    visits : DataFrame
        ``VisitTable.frame``, from which ``histories`` were encoded.
    women : (courses,)
        Whose courses they are.
    """
    rows = histories.rows_of_steps(women, np.array([course.step for course in followed], np.int64))
    if not rows:
        return []
    told = visits.iloc[np.concatenate(rows)]
    course_of = np.repeat(np.arange(len(rows)), [len(own) for own in rows])
    found: list[dict[str, None]] = [{} for _ in rows]
    for name in TESTS:
        codes = told[name].astype(object).to_numpy()
        for row in np.flatnonzero(told[name].notna().to_numpy()):
            found[course_of[row]][f"{VISIT_COLUMNS[name].label} {codes[row]}"] = None
    return [
        f"{course.change * 100:+.1f} points: {', '.join(words) or 'no result'} ({title})"
        for course, words, title in zip(followed, found, step_titles(visits, rows), strict=True)
    ]


def last_findings(visits: pd.DataFrame, histories: Histories, women: NDArray[np.integer]) -> list[str]:
    """What was found at the last step of each of these women at which anything was, in short words; empty where nothing was.

    Parameters
    ----------
    visits : DataFrame
        ``VisitTable.frame``, from which ``histories`` were encoded.
    """
    found = []
    for woman in women:
        steps = np.arange(histories.lengths[woman])[::-1]
        rows = histories.rows_of_steps(np.full_like(steps, woman), steps)
        found.append(next(filter(None, (finding_words(visits.iloc[own]) for own in rows)), ""))
    return found
