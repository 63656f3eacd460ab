"""Why her: a woman's risk shared out over the steps of her history, and a step's share over what was found at it.

A step is what the model reads as one: an episode of a few rows, or a row (``sequences``).
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cervix.bundle import ModelSession
from cervix.bundle.sessions import Arrays
from cervix.patients.encoding import features_of
from cervix.patients.history_scoring import histories_of, task_risk
from cervix.patients.shapley import (
    EXACT_PLAYERS,
    Bools,
    Floats,
    all_coalitions,
    coalition_weights,
    exact_values,
    shapley_values,
)
from cervix.patients.visit_vocabulary import AGE, VISIT_COLUMNS
from cervix.patients.visit_words import codes_found

BATCH_COALITIONS = 4096
# Coalitions of other steps times those within a step: 2**15 sequences of 12 steps take about a second.
INSIDE_COALITIONS_AT_MOST = 1 << 15
SEED = 0


@dataclass(frozen=True)
class HistoryExplanation:
    """A woman's risk taken apart by step.

    Attributes
    ----------
    reference_risk : float
        The model's answer when only her ages and dates are known.
    risk : float
        Her score: ``reference_risk`` plus the sum of the contributions.
    contributions : (steps,) float64
        In order of time; 0 where nothing was found out at a step.
    rows : (steps,) arrays
        Which of her rows each step is made of.
    exact : bool
        Over all coalitions of steps, or by permutations.
    """

    reference_risk: float
    risk: float
    contributions: Floats
    rows: list[NDArray[np.int64]]
    exact: bool


class _History:
    """One woman's arrays, and the risk of the model when some of her results are hidden.

    A hidden result is one that was not measured: the time since each feature was last measured is counted again. Her ages
    and dates are always known.
    """

    def __init__(self, visits: pd.DataFrame, session: ModelSession, task_id: str) -> None:
        self.histories = histories_of(visits, session)
        self.features = self.histories.features
        self.time = self.histories.time_years
        self.columns = [feature.column for feature in features_of(session).encoding]
        self.always = np.array([column == AGE for column in self.columns])
        self.session = session
        self.task = next(task for task in session.model.derived_tasks if task.id == task_id)

    @property
    def rows(self) -> list[NDArray[np.int64]]:
        """Which of her rows each step is made of."""
        steps = np.arange(len(self.features))
        return self.histories.rows_of_steps(np.zeros_like(steps), steps)

    def told_at(self, step: int) -> list[str]:
        """Columns with a result at a step, in the model's order, each once."""
        known = ~np.isnan(self.features[step]) & ~self.always
        return list(dict.fromkeys(column for column, told in zip(self.columns, known, strict=True) if told))

    @property
    def telling(self) -> list[int]:
        """Steps at which anything was found out."""
        return [step for step in range(len(self.features)) if self.told_at(step)]

    def risk(self, shown: Bools) -> Floats:
        """Risk ``(m,)`` with only the results in ``shown (m, steps, features)`` known."""
        return np.concatenate(
            [self._risk(shown[start : start + BATCH_COALITIONS]) for start in range(0, len(shown), BATCH_COALITIONS)]
        )

    def _risk(self, shown: Bools) -> Floats:
        steps = len(self.features)
        features = np.where(shown | self.always, self.features, np.float32(np.nan))
        place = np.where(np.isnan(features), -1, np.arange(steps)[:, None])
        before = np.full_like(place, -1)
        before[:, 1:] = np.maximum.accumulate(place, axis=1)[:, :-1]
        gap = np.where(before >= 0, self.time[:, None] - self.time[np.maximum(before, 0)], np.nan)
        known, since = self.histories.reach.within(features, gap.astype(np.float32))
        arrays: Arrays = {"features": known, "gap_years": since, "lengths": np.full(len(shown), steps, np.int32)}
        out = self.session.run(arrays, ["probabilities"])["probabilities"]
        return np.asarray(task_risk(np.asarray(out, np.float32), self.session.model.class_ids, self.task), np.float64)


def explain_history(visits: pd.DataFrame, session: ModelSession, task_id: str) -> HistoryExplanation:
    """Shapley values of the steps of a woman's history for one question of the model.

    Parameters
    ----------
    visits : DataFrame
        Her rows of ``VisitTable.frame``.
    task_id : str
        One of the manifest's derived tasks.
    """
    history = _History(visits, session, task_id)
    telling = history.telling

    def risk_of(coalitions: Bools) -> Floats:
        shown = np.zeros((len(coalitions), *history.features.shape), bool)
        shown[:, telling] = coalitions[:, :, None]
        return history.risk(shown)

    values, reference, risk = shapley_values(risk_of, len(telling))
    contributions = np.zeros(len(history.features))
    contributions[telling] = values
    return HistoryExplanation(reference, risk, contributions, history.rows, len(telling) <= EXACT_PLAYERS)


def explain_step(visits: pd.DataFrame, session: ModelSession, task_id: str, step: int) -> pd.DataFrame:
    """One step's share, shared out over what was found at it (Owen 1977: Shapley among steps, then within one).

    Returns
    -------
    DataFrame
        One row a kind of result: ``column, label, found, contribution``, largest first; ``found`` names the different codes
        of an episode. The contributions add up to the step's own in ``explain_history`` where that is exact; with too many
        coalitions those of other steps are sampled.
    """
    history = _History(visits, session, task_id)
    told = history.told_at(step)
    others = [other for other in history.telling if other != step]
    own = visits.iloc[history.rows[step]]
    around, weights = _coalitions_around(len(others), INSIDE_COALITIONS_AT_MOST >> len(told))
    inside = all_coalitions(len(told))
    shown = np.zeros((len(inside), len(around), *history.features.shape), bool)
    shown[:, :, others] = around[None, :, :, None]
    for index, column in enumerate(told):
        for feature, name in enumerate(history.columns):
            if name == column:
                shown[:, :, step, feature] = inside[:, None, index]
    risks = history.risk(shown.reshape(-1, *history.features.shape)).reshape(len(inside), len(around))
    values = exact_values(risks, len(told)) @ weights
    table = pd.DataFrame(
        {
            "column": told,
            "label": [VISIT_COLUMNS[column].label for column in told],
            "found": [codes_found(own[column]) for column in told],
            "contribution": values,
        }
    )
    return table.sort_values("contribution", key=abs, ascending=False, kind="stable").reset_index(drop=True)


def explain_results(visits: pd.DataFrame, session: ModelSession, task_id: str) -> pd.Series:
    """Shapley values of the kinds of result, each over all steps at which it is known: exact, by column of the table.

    They add up to the same difference as those of ``explain_history``, shared out another way.
    """
    history = _History(visits, session, task_id)
    told = list(dict.fromkeys(column for step in history.telling for column in history.told_at(step)))

    def risk_of(coalitions: Bools) -> Floats:
        shown = np.zeros((len(coalitions), *history.features.shape), bool)
        for index, column in enumerate(told):
            shown[:, :, [name == column for name in history.columns]] = coalitions[:, index, None, None]
        return history.risk(shown)

    return pd.Series(shapley_values(risk_of, len(told))[0], index=told, dtype=np.float64)


def _coalitions_around(players: int, at_most: int) -> tuple[Bools, NDArray[np.float64]]:
    """Coalitions of the other steps and their weights, which add up to one; sampled where there are too many."""
    if 1 << players <= at_most:
        coalitions = all_coalitions(players)
        return coalitions, coalition_weights(players + 1)[coalitions.sum(axis=1)]
    rng = np.random.default_rng(SEED)
    sizes = rng.integers(0, players + 1, at_most)
    order = rng.random((at_most, players)).argsort(axis=1)
    return order < sizes[:, None], np.full(at_most, 1.0 / at_most)
