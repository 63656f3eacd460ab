"""Held-out predictions of a bundle, asked as binary questions."""

from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cervix.bundle import Bundle, Model
from cervix.bundle.manifest import DerivedTask, EvaluationTable
from cervix.errors import EvaluationError
from cervix.evaluation.metrics import BinaryReport, Interval, auroc_interval, binary_report, wilson_interval


@dataclass(frozen=True)
class TaskScores:
    """The cases of one binary task.

    Attributes
    ----------
    positive : (n,) bool truth
    score : (n,) in 0..1
    groups : (n,)
    """

    positive: NDArray[np.bool_]
    score: NDArray[np.float64]
    groups: NDArray[np.str_]

    def auroc(self) -> Interval:
        return auroc_interval(self.positive, self.score, self.groups)

    def report(self, threshold: float) -> BinaryReport:
        return binary_report(self.positive, self.score, self.groups, threshold)


def load_predictions(bundle: Bundle, model: Model) -> pd.DataFrame:
    """The held-out predictions of a model: ``case, group, label, p_<class>…`` and baseline columns."""
    frame = pd.read_parquet(bundle.root / model.evaluation.predictions)
    needed = ["case", "group", "label", *(f"p_{label}" for label in model.classes)]
    if missing := [name for name in needed if name not in frame]:
        raise EvaluationError(
            f"{model.evaluation.predictions} lacks columns",
            expected=", ".join(needed),
            found=f"no {', '.join(missing)}",
        )
    return frame


def task_scores(frame: pd.DataFrame, task: DerivedTask, *, baseline: str = "") -> TaskScores:
    """Reduce class probabilities to one binary task.

    Cases of other classes are left out; the score is P(positive) / (P(positive) + P(negative)).

    Parameters
    ----------
    baseline : str
        Id of a baseline whose columns to use instead of the model's own; its score of the task where it has one.
    """
    prefix = f"{baseline}__p_" if baseline else "p_"
    rows = frame[frame["label"].isin(task.positive + task.negative)]
    positive = rows["label"].isin(task.positive).to_numpy(bool)
    groups = rows["group"].to_numpy(dtype=str)
    if (own := f"{baseline}__{task.id}") in rows:
        return TaskScores(positive, rows[own].to_numpy(np.float64), groups)
    positive_mass = rows[[prefix + label for label in task.positive]].sum(axis=1).to_numpy(np.float64)
    negative_mass = rows[[prefix + label for label in task.negative]].sum(axis=1).to_numpy(np.float64)
    total = positive_mass + negative_mass
    return TaskScores(
        positive=positive,
        score=np.divide(positive_mass, total, out=np.full(len(rows), 0.5), where=total > 0),
        groups=groups,
    )


@dataclass(frozen=True, eq=False)
class HeldOut:
    """One question to a bundle's held-out predictions; equal if bundle, model, question, baseline and threshold are.

    Attributes
    ----------
    baseline : str
        Id of a baseline; empty for the model itself.
    """

    bundle: Bundle
    model: Model
    task: DerivedTask
    threshold: float
    baseline: str = ""

    @property
    def _asked(self) -> tuple[str, str, str, str, float, str]:
        return (
            str(self.bundle.root), self.bundle.sha256, self.model.id, self.task.id, self.threshold, self.baseline
        )  # fmt: skip

    def __eq__(self, other: object) -> bool:
        return isinstance(other, HeldOut) and self._asked == other._asked

    def __hash__(self) -> int:
        return hash(self._asked)

    def operating_point(self) -> tuple[Interval, Interval]:
        """Sensitivity and specificity at the threshold with Wilson 95 % intervals: quick enough for a slider."""
        scores = _scores(self.bundle_and_question)
        called = scores.score >= self.threshold
        positives, negatives = int(scores.positive.sum()), int((~scores.positive).sum())
        return (
            wilson_interval(int((called & scores.positive).sum()), positives),
            wilson_interval(int((~called & ~scores.positive).sum()), negatives),
        )

    def share_among_alike(self, risks: NDArray[np.floating], bins: int) -> list[Interval]:
        """How many held-out cases with a score of the same quantile had the outcome, for each risk: Wilson 95 % intervals.

        Not an interval of the one risk: it says what came of cases the model scored alike.
        """
        scores = _scores(self.bundle_and_question)
        edges = np.quantile(scores.score, np.linspace(0, 1, bins + 1)[1:-1])
        bin_of = np.searchsorted(edges, scores.score, side="right")
        shares = [
            wilson_interval(int(scores.positive[bin_of == index].sum()), int((bin_of == index).sum())) for index in range(bins)
        ]
        return [shares[index] for index in np.searchsorted(edges, risks, side="right")]

    @property
    def bundle_and_question(self) -> "HeldOut":
        """The same question without a threshold, under which its scores are kept."""
        return replace(self, threshold=0.0)

    def report(self) -> BinaryReport:
        """Every figure, computed once per process: a thousand draws of fifty thousand women take a second."""
        return _report(self)


@lru_cache(maxsize=256)
def _report(asked: HeldOut) -> BinaryReport:
    return _scores(asked.bundle_and_question).report(asked.threshold)


@lru_cache(maxsize=16)
def _scores(asked: HeldOut) -> TaskScores:
    return task_scores(load_predictions(asked.bundle, asked.model), asked.task, baseline=asked.baseline)


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


def load_table(bundle: Bundle, table: EvaluationTable) -> pd.DataFrame:
    """A table that training put into the bundle, every cell as text."""
    return pd.read_csv(bundle.root / table.file, dtype=str, keep_default_na=False)
