"""What the model uses in many patients: one Shapley value a patient and input."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cervix.bundle import ModelSession
from cervix.patients.csv_text import OnProgress
from cervix.patients.explanation import explain_patient, value_words
from cervix.patients.history_explanation import explain_results
from cervix.patients.sequences import Histories
from cervix.patients.visit_vocabulary import CODE_COLUMNS, VISIT_COLUMNS
from cervix.patients.vocabulary import COLUMNS

SEED = 0
MOST_PATIENTS = 200


@dataclass(frozen=True)
class CohortExplanation:
    """Contributions to the risk of some patients of a table.

    Attributes
    ----------
    values : DataFrame (patients, inputs)
        Shapley value in risk, by the input's name; NaN where it is not known of a patient.
    found : DataFrame (patients, inputs)
        What was known: a number, or a code as its place in the list of codes.
    patients : int
        How many the table has that the model answers for.
    """

    values: pd.DataFrame
    found: pd.DataFrame
    patients: int

    @property
    def importance(self) -> pd.Series:
        """Mean absolute value of each input over these patients, 0 where it is not known; largest first."""
        return self.values.abs().fillna(0.0).mean().sort_values(ascending=False, kind="stable")


def drawn(answered: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Positions of at most ``MOST_PATIENTS`` of those the model answers for, drawn at random with a fixed seed."""
    positions = np.flatnonzero(answered)
    if len(positions) <= MOST_PATIENTS:
        return positions
    return np.sort(np.random.default_rng(SEED).choice(positions, MOST_PATIENTS, replace=False))


def explain_factors(
    frame: pd.DataFrame, answered: NDArray[np.bool_], session: ModelSession, *, on_progress: OnProgress | None = None
) -> CohortExplanation:
    """Shapley values of every known input of some rows of a ``PatientTable.frame``.

    Parameters
    ----------
    answered : (rows,) bool
        Not abstained.
    """
    chosen = drawn(answered)
    values, found = [], []
    for done, position in enumerate(chosen, start=1):
        table = explain_patient(frame.iloc[position], session).contributions.set_index("feature")
        values.append(table["contribution"])
        found.append(table["value"])
        if on_progress:
            on_progress(done, len(chosen))
    return _explanation(values, found, int(answered.sum()))


def explain_histories(
    visits: pd.DataFrame,
    histories: Histories,
    answered: NDArray[np.bool_],
    session: ModelSession,
    *,
    on_progress: OnProgress | None = None,
) -> CohortExplanation:
    """Shapley values of every kind of result, over all visits of a woman together.

    Parameters
    ----------
    visits : DataFrame
        ``VisitTable.frame``, from which ``histories`` were encoded.
    answered : (women,) bool
    """
    chosen = drawn(answered)
    task = session.model.derived_tasks[0].id
    values, found = [], []
    for done, woman in enumerate(chosen, start=1):
        own = visits.iloc[histories.row_first[woman] : histories.last_row[woman] + 1]
        values.append(explain_results(own, session, task))
        codes = own[[column.name for column in CODE_COLUMNS]].ffill().iloc[-1].dropna()
        found.append(pd.Series({name: VISIT_COLUMNS[str(name)].codes.index(code) for name, code in codes.items()}, dtype=float))
        if on_progress:
            on_progress(done, len(chosen))
    return _explanation(values, found, int(answered.sum()))


def _explanation(values: list[pd.Series], found: list[pd.Series], patients: int) -> CohortExplanation:
    table = pd.DataFrame([series.to_dict() for series in values], dtype=float)
    known = pd.DataFrame([series.to_dict() for series in found], dtype=float).reindex(columns=table.columns)
    return CohortExplanation(table, known.where(table.notna()), patients)


def label_of(name: str) -> str:
    """An input for charts."""
    return VISIT_COLUMNS[name].label if name in VISIT_COLUMNS else COLUMNS[name].label


def found_words(name: str, value: float) -> str:
    """What was found, in words."""
    return VISIT_COLUMNS[name].codes[int(value)] if name in VISIT_COLUMNS else value_words(name, value)
