"""Whether an answer about a woman rests on all that her file says, and the sentence that says so."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cervix.patients.vocabulary import PATIENT_ID

SET_ASIDE, CELLS, CONTRADICTIONS = "visits_set_aside", "cells_not_read", "contradictions"
LOSSES = (SET_ASIDE, CELLS, CONTRADICTIONS)
INCOMPLETE_NOTE = "Incomplete"
IN_FILE, USED, INCOMPLETE, RESTS_ON = "visits_in_file", "visits", "incomplete", "rests_on"


@dataclass(frozen=True)
class Completeness:
    """What of a woman's file an answer rests on.

    Attributes
    ----------
    visits_in_file, visits_used : int
        Rows of one day count as one visit. Of a table with one row a patient both are 1.
    cells_not_read : int
        Cells of columns that a model reads which hold something that could not be read, so that it counts as not known.
    contradictions : int
        Results or ages that contradict each other and therefore count as not known.
    """

    visits_in_file: int
    visits_used: int
    cells_not_read: int = 0
    contradictions: int = 0

    @property
    def sentence(self) -> str:
        """What the answer does not rest on, in words: ``rests on 1 of 2 visits; 1 cell could not be read``; else empty."""
        parts = []
        if self.visits_used < self.visits_in_file:
            parts.append(f"rests on {self.visits_used} of {self.visits_in_file} visits")
        if self.cells_not_read:
            parts.append(f"{self.cells_not_read} cell{'s' * (self.cells_not_read > 1)} could not be read")
        if self.contradictions:
            parts.append(f"{self.contradictions} contradiction{'s' * (self.contradictions > 1)} in her file")
        return "; ".join(parts)

    @property
    def note(self) -> str:
        """The sentence shown beside an answer: ``Incomplete: rests on 1 of 2 visits.``; empty where all was read."""
        return f"{INCOMPLETE_NOTE}: {self.sentence}." if self.sentence else ""


def completeness_of(scores: "Mapping[str, Any] | pd.Series") -> Completeness:
    """That of one row of ``score_visits`` or ``score_patients``; complete where the row does not say (a made-up visit)."""
    used = int(scores.get(USED, 1))
    return Completeness(int(scores.get(IN_FILE, used)), used, int(scores.get(CELLS, 0)), int(scores.get(CONTRADICTIONS, 0)))


def no_losses() -> pd.DataFrame:
    """The losses of a table without losses: no row, the columns of ``LOSSES``."""
    return pd.DataFrame({name: np.empty(0, np.int64) for name in LOSSES}, index=pd.Index([], dtype=object, name=PATIENT_ID))


def completeness_columns(losses: pd.DataFrame, keys: NDArray[Any], used: NDArray[np.integer]) -> pd.DataFrame:
    """The mark of every patient as columns of a score table and of its exports.

    Parameters
    ----------
    losses : DataFrame
        Index: patient (or line); the columns of ``LOSSES``; only those who lost something.
    keys : (n,)
        Of each patient, as in the index of ``losses``.
    used : (n,) int
        Visits that each answer rests on.

    Returns
    -------
    DataFrame (n,) with ``visits_in_file, cells_not_read, contradictions`` int, ``incomplete`` bool and ``rests_on``, the
    sentence of ``Completeness``, empty where nothing was lost.
    """
    lost = losses.reindex(keys).fillna(0).astype(np.int64).reset_index(drop=True)
    table = pd.DataFrame(
        {
            IN_FILE: used + lost[SET_ASIDE].to_numpy(),
            CELLS: lost[CELLS].to_numpy(),
            CONTRADICTIONS: lost[CONTRADICTIONS].to_numpy(),
            INCOMPLETE: lost.to_numpy().any(axis=1) if len(lost) else np.empty(0, bool),
        }
    )
    return table.assign(**{RESTS_ON: _sentences(table, used)})


def _sentences(table: pd.DataFrame, used: NDArray[np.integer]) -> NDArray[np.object_]:
    """That of each row; each kind of loss is put in words once."""
    if not len(table):
        return np.empty(0, object)
    counts = np.stack([table[IN_FILE], used, table[CELLS], table[CONTRADICTIONS]], axis=1).astype(np.int64)
    kinds, kind_of = np.unique(counts, axis=0, return_inverse=True)
    words = np.array([Completeness(*(int(count) for count in kind)).sentence for kind in kinds], object)
    return words[kind_of.reshape(-1)]
