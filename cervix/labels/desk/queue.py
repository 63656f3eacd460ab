"""Which cases to put before readers first: a ranking of what the store holds, by a strategy that sees no labels."""

from collections.abc import Collection

import numpy as np
import pandas as pd

from cervix.errors import LabelRefused
from cervix.labels.desk.acquisition import STRATEGIES, PoolView, with_controls

CONTROL_SHARE = 0.1
# Among how many times the cases wanted "diverse" chooses, as in the simulation of labelling.
CANDIDATES = 4


def offered(scores: pd.DataFrame) -> dict[str, str]:
    """The strategies that these scores allow: id -> title."""
    return {
        name: strategy.title
        for name, strategy in STRATEGIES.items()
        if not strategy.needs or (strategy.needs in scores and scores[strategy.needs].notna().all())
    }


def queue(scores: pd.DataFrame, settled: Collection[str], strategy: str, count: int, *, seed: int = 0) -> pd.DataFrame:
    """The next cases to read, most wanted first, every tenth of them a control drawn at random.

    Parameters
    ----------
    scores : DataFrame
        As ``LabelStore.scores``, of one model.
    settled : ids of the cases that need no reader any more
    strategy : str
        One of ``offered(scores)``.
    count : int
        The most to rank.
    seed : int
        Equal seeds give equal queues.

    Returns
    -------
    DataFrame
        ``case_id, control``.

    Raises
    ------
    LabelRefused
        If the scores lack what the strategy goes by.
    """
    if strategy not in (possible := offered(scores)):
        raise LabelRefused(
            "The scores lack what this strategy goes by", expected=f"one of {', '.join(possible)}", found=repr(strategy)
        )
    view = _view(scores, settled)
    if not len(view.open):
        return pd.DataFrame({"case_id": pd.Series(dtype=str), "control": pd.Series(dtype=bool)})
    rng = np.random.default_rng(seed)
    count = min(count, len(view.open))
    ranked = STRATEGIES[strategy].choose(view, count, rng)
    chosen, control = with_controls(ranked, view, count, CONTROL_SHARE, rng)
    return pd.DataFrame({"case_id": scores["case_id"].to_numpy()[chosen], "control": control})


def _view(scores: pd.DataFrame, settled: Collection[str]) -> PoolView:
    classes = sorted({name for row in scores["probabilities"] for name in row})
    probabilities = np.array([[row.get(name, 0.0) for name in classes] for row in scores["probabilities"]])
    done = scores["case_id"].isin(settled).to_numpy(bool)
    known = scores["embedding"].notna().all()
    return PoolView(
        probabilities=probabilities,
        passes=lambda: probabilities[None],
        state=np.stack(scores["embedding"].to_list()) if known and len(scores) else np.empty((len(scores), 0)),
        abnormal=np.zeros(len(scores), bool),
        labelled=np.flatnonzero(done),
        open=np.flatnonzero(~done),
        candidates=CANDIDATES,
        novelty=scores["novelty"].to_numpy(float),
        disagreement=scores["disagreement"].to_numpy(float),
    )
