"""What the labels of this installation have taught so far: how a small model learns from the first of them, then from more."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cervix.bundle import Bundle
from cervix.errors import EvaluationError
from cervix.evaluation.comparison import signed
from cervix.evaluation.metrics import group_draws, percentile_interval
from cervix.intervals import Interval, wilson_interval
from cervix.labels.insight.embedded import FOLDS, Fold, folds, small_model
from cervix.labels.store.cases import KINDS, PATIENT_LABELS, Kind

POINTS = 10
LABELS_NEEDED = 20
GROUPS_FOR_GAIN = 5
"""A bootstrap over fewer slides has too few different draws to give an interval."""


@dataclass(frozen=True)
class LearningCurve:
    """Balanced accuracy on all labelled cases, each judged by a model that saw neither it nor its slide.

    Attributes
    ----------
    labels : (points,) int, rising
        How many labels there were; a model of each part learned from those among them outside its part.
    scores : (points,) of Interval
        Mean over classes of the share found. Intervals as ``balanced_accuracy`` makes them.
    model : Interval or None
        The bundle's own answers to the same cases; None where it has none.
    gain : Interval or None
        The last score less ``model``, paired, by bootstrap over groups; None with fewer than ``GROUPS_FOR_GAIN`` of them.
    cases, groups : int
    classes : names, in their order
    whole_groups : bool
        False where slides had to be cut: their own tiles then stand on both sides, and every score looks too good.
    left_out : int
        Labels of classes that have fewer than ``FOLDS``.
    """

    labels: tuple[int, ...]
    scores: tuple[Interval, ...]
    model: Interval | None
    gain: Interval | None
    cases: int
    groups: int
    classes: tuple[str, ...]
    whole_groups: bool
    left_out: int

    @property
    def finding(self) -> str:
        """Whether the labels teach more than the bundle knows, as far as that can be said."""
        if self.model is None:
            return "The bundle has no answers to these cases, so there is nothing to compare the curve with."
        if self.gain is None:
            return f"{self.groups} independent groups are too few to say whether labels help: it takes {GROUPS_FOR_GAIN}."
        beside = f"{signed(self.gain)} beside the bundle's own answers"
        if self.gain.low > 0:
            return f"A small model trained on these labels does better on these cases than the bundle: {beside}."
        if self.gain.high < 0:
            return f"The bundle does better on these cases than a small model trained on these labels: {beside}."
        return f"No difference is shown between a small model trained on these labels and the bundle: {beside}."


def learning_curve(
    labelled: pd.DataFrame,
    embeddings: NDArray[np.floating],
    calls: NDArray[np.str_] | None = None,
    *,
    on_progress: Callable[[int, int], None] | None = None,
) -> LearningCurve:
    """Teach the small model of ``embedded.small_model`` with ever more of the labels, in their order, and test each time.

    Cross-validated: in each of at most five parts, whole slides or women, every prefix of the other parts' labels teaches a
    model that is tested on the part. All points are so of the same cases.

    Parameters
    ----------
    labelled : DataFrame (n,)
        ``label, group_id``, in the order in which the labels became what counts.
    embeddings : (n, dimensions)
    calls : (n,) of str, optional
        What the bundle itself makes of each case.
    on_progress : (done, total) -> None

    Raises
    ------
    EvaluationError
        If there are fewer than ``LABELS_NEEDED`` labels or two classes with ``FOLDS`` of them.
    """
    counts = labelled["label"].value_counts()
    kept = labelled["label"].isin(counts[counts >= FOLDS].index).to_numpy(bool)
    if (counts >= FOLDS).sum() < 2 or kept.sum() < LABELS_NEEDED:
        raise EvaluationError(
            "There are too few labels for a learning curve",
            expected=f"{LABELS_NEEDED}, and two classes with {FOLDS} each",
            found=", ".join(f"{count} {name}" for name, count in counts.items()) or "none",
        )
    names, label = np.unique(labelled["label"].to_numpy(str)[kept], return_inverse=True)
    groups = labelled["group_id"].to_numpy(str)[kept]
    given = np.asarray(embeddings, float)[kept]
    parts, whole = folds(label, groups)
    sizes = _sizes(parts, label)
    predicted = np.zeros((len(sizes), len(label)), np.int64)
    for at, size in enumerate(sizes):
        for taught, held in parts:
            first = taught[taught < size]
            predicted[at, held] = small_model().fit(given[first], label[first]).predict(given[held])
        if on_progress is not None:
            on_progress(at + 1, len(sizes))
    # Of one slide there is no other independent unit than the tile; the reader is told so.
    units = groups if len(np.unique(groups)) > 1 else np.arange(len(groups)).astype(str)
    by_model = None if calls is None else np.asarray(calls, str)[kept] == names[label]
    return LearningCurve(
        labels=tuple(sizes),
        scores=tuple(balanced_accuracy(row == label, label, units) for row in predicted),
        model=None if by_model is None else balanced_accuracy(by_model, label, units),
        gain=None if by_model is None else _gain(predicted[-1] == label, by_model, label, groups),
        cases=len(label),
        groups=len(np.unique(groups)),
        classes=tuple(str(name) for name in names),
        whole_groups=whole,
        left_out=int((~kept).sum()),
    )


def bundle_calls(bundle: Bundle, labelled: pd.DataFrame, kind: Kind) -> NDArray[np.str_] | None:
    """What the bundle's own model makes of labelled cases: a tile's most probable class, a woman's answer at its threshold.

    Parameters
    ----------
    labelled : DataFrame (n,)
        With ``probabilities``, as ``embedded_labels`` has them.

    Returns
    -------
    (n,) of class names, or None where the bundle has no such model or there is no case
    """
    if not bundle.manifest.of_kind(KINDS[kind].model_kind) or labelled.empty:
        return None
    if kind == "tile":
        return np.array([max(given, key=given.__getitem__) for given in labelled["probabilities"]])
    model = bundle.manifest.first_of(KINDS[kind].model_kind)
    no, yes = PATIENT_LABELS
    limit, positive = model.threshold(model.main_task.id), {yes, *model.main_task.positive}
    risk = [sum(value for name, value in given.items() if name in positive) for given in labelled["probabilities"]]
    return np.where(np.array(risk) >= limit, yes, no)


def balanced_accuracy(right: NDArray[np.bool_], label: NDArray[np.int64], groups: NDArray[np.str_]) -> Interval:
    """Mean over classes of the share called rightly, with its interval.

    Wilson's interval of each class, at the number of groups that have it, put together by the method of variance estimates
    recovery (Zou and Donner 2008, Stat Med 27:1693-1702). Unlike a bootstrap it does not shrink to a point at 1.

    Parameters
    ----------
    right : (n,), label : (n,) 0 to classes - 1, groups : (n,)
    """
    shares = [
        wilson_interval(int(right[of].sum()), int(of.sum()), effective_n=len(np.unique(groups[of])))
        for of in (label == number for number in np.unique(label))
    ]
    value, low, high = np.array(shares).T
    below, above = (float(np.sqrt(np.square(side - value).sum())) / len(shares) for side in (low, high))
    mean = float(value.mean())
    return Interval(mean, max(0.0, mean - below), min(1.0, mean + above))


def _sizes(parts: list[Fold], label: NDArray[np.int64]) -> list[int]:
    """Numbers of labels to teach with, evenly apart on a logarithmic scale, from where each part's model knows every class."""
    start = max(int(taught[label[taught] == number][0]) for taught, _ in parts for number in np.unique(label)) + 1
    start = max(start, len(np.unique(label)) * 2)
    return [int(size) for size in np.unique(np.geomspace(start, len(label), POINTS).round())]


def _gain(
    first: NDArray[np.bool_], second: NDArray[np.bool_], label: NDArray[np.int64], groups: NDArray[np.str_]
) -> Interval | None:
    """First less second in balanced accuracy, both seeing the same draws of groups; None with too few groups."""
    names, member_of = np.unique(groups, return_inverse=True)
    if len(names) < GROUPS_FOR_GAIN:
        return None
    drawn = group_draws(len(names)).T.astype(np.float32)
    numbers = np.unique(label)
    values, replicates = 0.0, np.zeros(len(drawn), np.float32)
    exists = np.ones(len(drawn), bool)
    for number in numbers:
        of = label == number
        lead = first.astype(np.float32) - second
        in_groups = np.bincount(member_of, weights=lead * of, minlength=len(names)).astype(np.float32)
        cases = drawn @ np.bincount(member_of, weights=of, minlength=len(names)).astype(np.float32)
        values += float(lead[of].mean()) / len(numbers)
        exists &= cases > 0
        replicates += (drawn @ in_groups) / np.maximum(cases, 1) / len(numbers)
    return percentile_interval(values, replicates, exists.astype(np.float32))
