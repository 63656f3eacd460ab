"""How the shipped model does source by source: what a mean over sources hides."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from cervix.bundle.manifest import DerivedTask, within_novelty
from cervix.evaluation.comparison import decimal, percent
from cervix.evaluation.questions import TaskScores, task_scores
from cervix.labels.insight.learning_curve import balanced_accuracy
from training.slide.checks.laboratories import FEWEST, share_of_groups
from training.slide.slide_level import Calling

RIVALS = {"colour": "by colour alone", "logistic": "by frozen features"}
NONE = "–"


def sources_table(
    predictions: pd.DataFrame, calling: Calling, tasks: Sequence[DerivedTask], thresholds: Mapping[str, float]
) -> pd.DataFrame:
    """One row a source, the one with most tiles accepted and wrong first.

    Parameters
    ----------
    predictions : ``group, label, novelty, by_source, p_<class>…`` and ``<rival>__p_<class>…`` of test tiles
    tasks : the first asks for carcinoma, the last for its type
    """
    roles = {item.id: item.role for item in calling.classes}
    asked, kind = tasks[0], tasks[-1]
    cancerous = task_scores(predictions, asked)
    known = within_novelty(
        predictions["novelty"].to_numpy(), predictions[[f"p_{name}" for name in roles]].to_numpy(), calling.novelty_limit
    )
    called = cancerous.score >= calling.called_at
    frame = predictions.assign(
        role=predictions["label"].map(roles), known=known, wrong=known & (called != cancerous.positive), called=known & called
    )
    rows = []
    for source, every in frame.groupby("by_source"):
        groups = every["group"].to_numpy(str)
        of_question = every[every["role"] != "other"]
        sides = of_question.groupby("role")["group"].nunique()
        own = task_scores(of_question, asked)
        typed = task_scores(every, kind)
        whole = task_scores(every, asked)
        other = (every["role"] == "other").to_numpy()
        rows.append(
            {
                "source": source,
                "AUROC, cancerous or benign": (decimal(own.auroc()) if len(sides) > 1 and sides.min() >= FEWEST else NONE),
                "balanced accuracy": _balanced(own, thresholds[asked.id]),
                **{
                    f"… {title}": _balanced(task_scores(of_question, asked, baseline=rival), thresholds[asked.id])
                    for rival, title in RIVALS.items()
                },
                f"{kind.title}: right": share_of_groups((typed.score >= thresholds[kind.id]) == typed.positive, typed.groups),
                "calibration error (ECE)": (
                    decimal(whole.report(thresholds[asked.id]).metrics["ece"]) if whole.has_both else NONE
                ),
                "accepted": share_of_groups(every["known"].to_numpy(), groups),
                "accepted and wrong": share_of_groups(every["wrong"].to_numpy(), groups),
                "other tissue accepted and called carcinoma": share_of_groups(every["called"].to_numpy()[other], groups[other]),
                "n": f"{len(every)} tiles, {len(np.unique(groups))} groups",
                "worst": float(every["wrong"].mean()),
            }
        )
    return pd.DataFrame(rows).sort_values("worst", ascending=False, kind="stable").drop(columns="worst").reset_index(drop=True)


def _balanced(scores: TaskScores, threshold: float) -> str:
    if not scores.has_both:
        return NONE
    right = (scores.score >= threshold) == scores.positive
    return percent(balanced_accuracy(right, scores.positive.astype(np.int64), scores.groups))
