"""Score a patient table with one of the risk-factor models."""

from collections.abc import Callable

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cervix.bundle import ModelSession
from cervix.patients.completeness import CELLS, CONTRADICTIONS, SET_ASIDE, completeness_columns
from cervix.patients.encoding import features_of
from cervix.patients.reading import PatientTable
from cervix.patients.vocabulary import OTHER_TESTS, PATIENT_ID

BATCH_ROWS = 8192
BIOPSY_TASK = "biopsy"
"""Of the shipped models; a model from elsewhere may be asked another question."""
NO_ANSWER = "no_answer"
TOO_LITTLE = "No answer: too little is known about this patient."


def feature_names(session: ModelSession) -> list[str]:
    """The model's input columns, in order."""
    return features_of(session).names


def feature_array(frame: pd.DataFrame, names: list[str]) -> NDArray[np.float32]:
    """Raw values ``(n, 1, features)`` with NaN where not known: one visit, nothing imputed or scaled."""
    return frame[names].to_numpy(np.float32)[:, None, :]


def score_patients(
    table: PatientTable, session: ModelSession, *, on_progress: Callable[[int, int], None] | None = None
) -> pd.DataFrame:
    """Score every readable row. Pure.

    Parameters
    ----------
    on_progress : callable, optional
        Called with (rows done, rows in all) after each batch.

    Returns
    -------
    DataFrame
        Index as the table's; ``patient_id`` where there is one, ``risk`` in 0..1, ``flagged`` (at or above the
        manifest's threshold), ``known_share`` of the inputs, ``abstained``. Where the model abstains, risk is NaN and
        ``no_answer`` says why: too few of the inputs known, or none of the other tests for a model that is asked for what
        they tell. Then ``visits_in_file, cells_not_read, contradictions, incomplete, rests_on`` (``completeness``) for the
        columns that this model reads.
    """
    names = feature_names(session)
    risk = np.empty(len(table.frame), np.float32)
    known_share = np.empty(len(table.frame), np.float32)
    for start in range(0, len(table.frame), BATCH_ROWS):
        rows = table.frame.iloc[start : start + BATCH_ROWS]
        out = session.run({"features": feature_array(rows, names)}, ["risk", "known_share"])
        done = start + len(rows)
        risk[start:done] = out["risk"]
        known_share[start:done] = out["known_share"]
        if on_progress:
            on_progress(done, len(table.frame))
    limit = session.model.abstention_limit("known_share")
    abstained = known_share < limit
    tests = [column.name for column in OTHER_TESTS if column.name in names]
    if tests:
        abstained |= table.frame[tests].isna().all(axis=1).to_numpy(bool)
    scores = pd.DataFrame(
        {
            "risk": np.where(abstained, np.float32(np.nan), risk),
            "flagged": ~abstained & (risk >= session.model.threshold(session.model.derived_tasks[0].id)),
            "known_share": known_share,
            "abstained": abstained,
            NO_ANSWER: np.where(abstained, TOO_LITTLE, ""),
        },
        index=table.frame.index,
    )
    marks = completeness_columns(_losses(table, names), table.frame.index.to_numpy(), np.ones(len(table.frame), np.int64))
    scores = pd.concat([scores, marks.set_index(scores.index)], axis=1)
    if PATIENT_ID in table.frame:
        scores.insert(0, PATIENT_ID, table.frame[PATIENT_ID])
    return scores


def _losses(table: PatientTable, names: list[str]) -> pd.DataFrame:
    """By line: how many cells of the columns that a model reads could not be read."""
    lines = np.concatenate([np.empty(0, np.int64), *(table.not_read[name] for name in names if name in table.not_read)])
    found, counts = np.unique(lines, return_counts=True)
    return pd.DataFrame({SET_ASIDE: 0, CELLS: counts, CONTRADICTIONS: 0}, index=pd.Index(found))
