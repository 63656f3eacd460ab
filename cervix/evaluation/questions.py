"""Labelled cases with a model's scores, asked as binary questions."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pandas.api.types import is_numeric_dtype

from cervix.bundle.manifest import DerivedTask
from cervix.errors import EvaluationError
from cervix.evaluation.calibration import reliability
from cervix.evaluation.metrics import BinaryReport, auroc_interval, binary_report
from cervix.evaluation.sweep import Sweep, sweep, thresholds_with
from cervix.intervals import Interval, wilson_interval

SUBGROUP_PREFIX = "by_"
ANSWER_PREFIX = "is_"
YES, NO = "yes", "no"
Made = TypeVar("Made")
Floats = NDArray[np.float64]


@dataclass(eq=False)
class CaseSet:
    """Labelled cases that a model scored: a bundle's held-out predictions, or cases somebody brought.

    What was computed of them is kept here, and goes when they go.

    Attributes
    ----------
    source : str
        The file they are from.
    frame : DataFrame
        ``case, group, label, p_<class>…``; baselines as the manifest's ``Evaluation`` says; ``by_<name>`` the subgroup of
        each case; ``is_<task>`` yes, no or nothing, where outcomes were told that name no class. Rows whose scores are not
        known are set aside.
    classes : list of str
        Of the model, in its order.
    unanswered : int
        Rows without a score.

    Raises ``EvaluationError`` where a column is missing, or a score is not a number.
    """

    source: str
    frame: pd.DataFrame
    classes: list[str]
    unanswered: int = field(init=False)
    _made: dict[object, Any] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        needed = ["case", "group", "label", *(f"p_{label}" for label in self.classes)]
        if missing := [name for name in needed if name not in self.frame]:
            raise EvaluationError(f"{self.source} lacks columns", expected=", ".join(needed), found=f"no {', '.join(missing)}")
        if texts := [name for name in needed[3:] if not is_numeric_dtype(self.frame[name])]:
            raise EvaluationError(f"{self.source} holds scores that are not numbers", found=f"text in {', '.join(texts)}")
        answered = self.frame[needed[3:]].notna().all(axis=1)
        self.unanswered = int((~answered).sum())
        if self.unanswered:
            self.frame = self.frame[answered].reset_index(drop=True)

    def kept(self, key: object, make: Callable[[], Made]) -> Made:
        """What was made under a key before, or is made now."""
        if key not in self._made:
            self._made[key] = make()
        made: Made = self._made[key]
        return made

    def among(self, column: str, value: str) -> "CaseSet":
        """The cases of one subgroup."""
        return self.kept(
            ("among", column, value),
            lambda: CaseSet(self.source, self.frame[self.frame[column] == value].reset_index(drop=True), self.classes),
        )


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

    @property
    def has_both(self) -> bool:
        """Whether there are positive and negative cases."""
        return bool(self.positive.any() and not self.positive.all())

    def auroc_value(self) -> float:
        """Area under the ROC curve without its interval; needs both classes."""
        from sklearn.metrics import roc_auc_score  # see cervix.evaluation.metrics

        return float(roc_auc_score(self.positive, self.score))

    def auroc(self) -> Interval:
        return auroc_interval(self.positive, self.score, self.groups)

    def report(self, threshold: float) -> BinaryReport:
        return binary_report(self.positive, self.score, self.groups, threshold)


def told_answers(frame: pd.DataFrame, task: DerivedTask) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Which cases a question is about, and which of them have the condition: two of ``(n,)``."""
    if (own := f"{ANSWER_PREFIX}{task.id}") in frame:
        return frame[own].isin((YES, NO)).to_numpy(bool), (frame[own] == YES).to_numpy(bool)
    label = frame["label"]
    return label.isin(task.positive + task.negative).to_numpy(bool), label.isin(task.positive).to_numpy(bool)


def task_scores(frame: pd.DataFrame, task: DerivedTask, *, baseline: str = "") -> TaskScores:
    """Reduce class probabilities to one binary task.

    Cases of other classes are left out; the score is P(positive) / (P(positive) + P(negative)).

    Parameters
    ----------
    baseline : str
        Id of a baseline whose columns to use instead of the model's own; its score of the task where it has one.
    """
    prefix = f"{baseline}__p_" if baseline else "p_"
    asked, positive = told_answers(frame, task)
    rows, positive = frame[asked], positive[asked]
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
class Question:
    """One binary question to a set of cases, answered once and kept with them.

    Attributes
    ----------
    baseline : str
        Id of a baseline; empty for the model itself.
    """

    cases: CaseSet
    task: DerivedTask
    threshold: float
    baseline: str = ""

    def _kept(self, what: object, make: Callable[[], Made]) -> Made:
        return self.cases.kept((self.task.id, self.baseline, what), make)

    @property
    def scores(self) -> TaskScores:
        """Truth and score of every case that the question is about."""
        return self._kept("scores", lambda: task_scores(self.cases.frame, self.task, baseline=self.baseline))

    @property
    def rows(self) -> NDArray[np.bool_]:
        """Which cases of the frame the question is about: ``(n,)``."""
        return told_answers(self.cases.frame, self.task)[0]

    def report(self) -> BinaryReport:
        """Every figure at the threshold: a thousand draws of fifty thousand women take a second, once."""
        return self._kept(("report", self.threshold), lambda: self.scores.report(self.threshold))

    def sweep(self) -> Sweep:
        """Every threshold of the grid, and the question's own."""
        return self._kept(
            ("sweep", self.threshold),
            lambda: sweep(self.scores.positive, self.scores.score, self.scores.groups, thresholds_with(self.threshold)),
        )

    def at(self, place: int) -> BinaryReport:
        """Every figure at a threshold of the sweep."""
        return self.sweep().at(place, self.report())

    @property
    def roc(self) -> tuple[Floats, Floats]:
        """1 - specificity and sensitivity, the corners of the curve; needs both classes."""

        def corners() -> tuple[Floats, Floats]:
            from sklearn.metrics import roc_curve

            false_positive, true_positive, _ = roc_curve(self.scores.positive, self.scores.score)
            return false_positive, true_positive

        return self._kept("roc", corners)

    @property
    def precision_recall(self) -> tuple[Floats, Floats]:
        """Recall, falling, and precision, at the thresholds where recall changes; needs a positive case."""

        def corners() -> tuple[Floats, Floats]:
            from sklearn.metrics import precision_recall_curve

            precision, recall, _ = precision_recall_curve(self.scores.positive, self.scores.score, drop_intermediate=True)
            return recall, precision

        return self._kept("precision_recall", corners)

    def reliability(self) -> pd.DataFrame:
        """As ``calibration.reliability``."""
        return self._kept("reliability", lambda: reliability(self.scores.positive, self.scores.score, self.scores.groups))

    def operating_point(self) -> tuple[Interval, Interval]:
        """Sensitivity and specificity at the threshold with Wilson 95 % intervals: quick enough for a slider."""
        scores = self.scores
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
        scores = self.scores
        edges = np.quantile(scores.score, np.linspace(0, 1, bins + 1)[1:-1])
        bin_of = np.searchsorted(edges, scores.score, side="right")
        shares = [
            wilson_interval(int(scores.positive[bin_of == index].sum()), int((bin_of == index).sum())) for index in range(bins)
        ]
        return [shares[index] for index in np.searchsorted(edges, risks, side="right")]
