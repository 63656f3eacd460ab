"""Where a model was wrong: by class, by group, and the worst single cases."""

import numpy as np
import pandas as pd

from cervix.evaluation.questions import SUBGROUP_PREFIX, Question

MISTAKES_SHOWN = 24


def class_confusion(frame: pd.DataFrame, classes: list[str]) -> pd.DataFrame:
    """Counts of true class (rows) by most probable class (columns)."""
    predicted = frame[[f"p_{label}" for label in classes]].to_numpy().argmax(axis=1)
    counts = pd.crosstab(frame["label"], np.asarray(classes)[predicted])
    return counts.reindex(index=classes, columns=classes, fill_value=0)


def group_errors(frame: pd.DataFrame, classes: list[str]) -> pd.DataFrame:
    """Every group with a wrongly classed case, worst first: ``group, label, cases, wrong, called as``."""
    predicted = np.asarray(classes)[frame[[f"p_{label}" for label in classes]].to_numpy().argmax(axis=1)]
    cases = frame.assign(called=predicted, wrong=predicted != frame["label"])
    rows = [
        {
            "group": group,
            "label": members["label"].iloc[0],
            "cases": len(members),
            "wrong": int(members["wrong"].sum()),
            "called as": ", ".join(sorted(members.loc[members["wrong"], "called"].unique())),
        }
        for group, members in cases.groupby("group")
        if members["wrong"].any()
    ]
    table = pd.DataFrame(rows, columns=["group", "label", "cases", "wrong", "called as"])
    return table.sort_values(["wrong", "group"], ascending=[False, True], ignore_index=True)


def worst_mistakes(question: Question, most: int = MISTAKES_SHOWN) -> pd.DataFrame:
    """The cases called wrongly at the threshold, those farthest from it first.

    Returns
    -------
    DataFrame
        ``case, group, label, called`` (bool), ``score``, ``far`` (distance of the score from the threshold, as a share of the
        room on its side: 1 is as wrong as can be), and the ``by_…`` columns of the cases.
    """
    scores = question.scores
    frame = question.cases.frame
    rows = frame[question.rows].reset_index(drop=True)
    called = scores.score >= question.threshold
    room = np.where(called, 1 - question.threshold, question.threshold)
    far = np.abs(scores.score - question.threshold) / np.where(room > 0, room, 1)
    wrong = np.flatnonzero(called != scores.positive)
    worst = wrong[np.argsort(-far[wrong], kind="stable")][:most]
    described = [name for name in rows.columns.astype(str) if name.startswith(SUBGROUP_PREFIX)]
    listed = rows.loc[worst, ["case", "group", "label", *described]].reset_index(drop=True)
    listed.insert(3, "called", called[worst])
    listed.insert(4, "score", scores.score[worst])
    listed.insert(5, "far", far[worst])
    return listed
