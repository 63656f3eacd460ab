"""Metrics of binary decisions, each with a 95 % interval that respects groups."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from cervix.errors import EvaluationError
from cervix.intervals import CONFIDENCE, Interval, wilson_interval

BOOTSTRAP_REPLICATES = 1000
BOOTSTRAP_SEED = 0
CALIBRATION_BINS = 10
CASES_AT_ONCE = 4096
"""How many cases' draws stand in memory as floating point at once: 16 MB."""
DRAWS_AT_ONCE = 100
"""How many draws are made or counted at once: a thousand of fifty thousand groups take 200 MB in floating point."""
Ranking = Literal["auroc", "average_precision"]
Counts = Any
"""One count, or an array of counts: what a figure of a decision is computed from."""
RANKINGS: tuple[Ranking, ...] = ("auroc", "average_precision")


class Cells(NamedTuple):
    """The four cells of a decision: numbers, or one array a cell, such as a replicate's or a threshold's."""

    true_positive: Counts
    false_positive: Counts
    false_negative: Counts
    true_negative: Counts


class IndependentGroups(NamedTuple):
    """Groups with at least one such case: what a proportion's width may count as independent."""

    all: int
    positive: int
    negative: int
    called: int
    spared: int


@dataclass(frozen=True)
class Metric:
    """A figure of a binary decision or ranking.

    Attributes
    ----------
    title : str
        For people.
    fraction : callable, optional
        Numerator and denominator from the cells of a decision, so that a replicate of it is a ratio of sums. None where no
        threshold changes the figure; ``binary_report`` then computes it from the scores.
    independent : str
        Of a proportion the field of ``IndependentGroups`` that its Wilson width rests on; empty where it is none.
    lower_is_better : bool
    """

    title: str
    fraction: Callable[[Cells], tuple[Counts, Counts]] | None = None
    independent: str = ""
    lower_is_better: bool = False


def _f1(of: Cells) -> tuple[Counts, Counts]:
    positive = of.true_positive + of.false_negative
    return 2 * of.true_positive, (positive > 0) * (of.true_positive + of.false_positive + positive)


METRICS: dict[str, Metric] = {
    "accuracy": Metric("Accuracy", lambda of: (of.true_positive + of.true_negative, sum(of)), "all"),
    "recall": Metric("Sensitivity (recall)", lambda of: (of.true_positive, of.true_positive + of.false_negative), "positive"),
    "specificity": Metric("Specificity", lambda of: (of.true_negative, of.true_negative + of.false_positive), "negative"),
    "precision": Metric("Precision (PPV)", lambda of: (of.true_positive, of.true_positive + of.false_positive), "called"),
    "negative_predictive_value": Metric(
        "Negative predictive value", lambda of: (of.true_negative, of.true_negative + of.false_negative), "spared"
    ),
    "f1": Metric("F1", _f1),
    # Altman and Bland 2004 (BMJ 329:168-169).
    "positive_likelihood_ratio": Metric(
        "Likelihood ratio of a call (LR+)",
        lambda of: (
            of.true_positive * (of.false_positive + of.true_negative),
            of.false_positive * (of.true_positive + of.false_negative),
        ),
    ),
    "negative_likelihood_ratio": Metric(
        "Likelihood ratio of no call (LR−)",
        lambda of: (
            of.false_negative * (of.false_positive + of.true_negative),
            of.true_negative * (of.true_positive + of.false_negative),
        ),
    ),
    "auroc": Metric("AUROC"),
    "average_precision": Metric("Average precision"),
    "brier": Metric("Brier score", lower_is_better=True),
    "ece": Metric("Calibration error (ECE)", lower_is_better=True),
}
"""Every metric by its id, in the order to show them: the one list that tables, pages, card and promotion rules go by."""


def metric_titles() -> dict[str, str]:
    """id -> title."""
    return {name: metric.title for name, metric in METRICS.items()}


def call_fractions(cells: Cells) -> dict[str, tuple[Counts, Counts]]:
    """Each figure of a decision as numerator and denominator."""
    return {name: metric.fraction(cells) for name, metric in METRICS.items() if metric.fraction}


def call_figures(
    counts: Cells, replicates: Cells, groups: IndependentGroups
) -> tuple[dict[str, Interval], dict[str, Interval]]:
    """Every figure of a decision, twice: as ``BinaryReport.metrics`` and as ``.bootstrap`` have it.

    A figure whose denominator is empty is absent.

    Parameters
    ----------
    counts : Cells of int
    replicates : Cells of (replicates,)
    """
    drawn = call_fractions(replicates)
    metrics: dict[str, Interval] = {}
    bootstrap: dict[str, Interval] = {}
    for name, (numerator, denominator) in call_fractions(counts).items():
        if denominator > 0:
            bootstrap[name] = metrics[name] = percentile_interval(numerator / denominator, *drawn[name])
            if independent := METRICS[name].independent:
                metrics[name] = wilson_interval(numerator, denominator, effective_n=getattr(groups, independent))
    return metrics, bootstrap


@dataclass(frozen=True)
class BinaryReport:
    """Counts and metrics of one binary task at one threshold.

    Attributes
    ----------
    n, positives, groups : int
    true_positive, false_positive, false_negative, true_negative : int
    metrics : name -> Interval
        Those of ``call_fractions`` and ``auroc, average_precision, brier, ece``, proportions with Wilson's interval at the
        number of groups, a perfect AUROC with that of the smaller class, the others with a bootstrap interval. A metric
        with an empty denominator is absent.
    bootstrap : name -> Interval
        The same figures, all with bootstrap intervals over groups.
    """

    threshold: float
    n: int
    positives: int
    groups: int
    true_positive: int
    false_positive: int
    false_negative: int
    true_negative: int
    metrics: dict[str, Interval]
    bootstrap: dict[str, Interval]

    @property
    def counts(self) -> Cells:
        """The four cells."""
        return Cells(self.true_positive, self.false_positive, self.false_negative, self.true_negative)

    def free_of_threshold(self, figures: dict[str, Interval]) -> dict[str, Interval]:
        """Those of the figures that are the same at every threshold."""
        return {name: figure for name, figure in figures.items() if METRICS[name].fraction is None}


def binary_report(
    positive: NDArray[np.bool_], score: NDArray[np.floating], groups: NDArray[np.str_], threshold: float
) -> BinaryReport:
    """Evaluate scores at a threshold.

    Proportions get Wilson intervals at the number of groups, because a bootstrap of figures near 0 or 1 is too narrow, and a
    perfect AUROC the Wilson interval of the smaller class; the rest get percentile bootstrap intervals over groups (1,000
    replicates, seed 0). ``bootstrap`` holds the latter for every metric.

    Parameters
    ----------
    positive : (n,) truth
    score : (n,) probability of the positive class, 0..1
    groups : (n,) independent unit of each case (source image, duplicate rows)

    Raises
    ------
    EvaluationError
        Without any case.
    """
    if len(positive) == 0:
        raise EvaluationError("There is nothing to evaluate", expected="at least one labelled case", found="none")
    called = score >= threshold
    masks = Cells(positive & called, ~positive & called, positive & ~called, ~positive & ~called)
    counts = Cells(*(int(mask.sum()) for mask in masks))
    unique, member_of = np.unique(groups, return_inverse=True)
    weights = _group_weights(member_of)
    in_cells = Cells(*_sums(weights, np.stack(masks)))
    among = IndependentGroups(
        len(unique), *(len(np.unique(member_of[mask])) for mask in (positive, ~positive, called, ~called))
    )
    metrics, bootstrap = call_figures(counts, in_cells, among)
    bootstrap |= {name: _interval(*figure) for name, figure in _free_of_threshold(positive, score, weights).items()}
    if "auroc" in bootstrap:
        metrics["auroc"] = _with_width(bootstrap["auroc"], among.positive, among.negative)
    return BinaryReport(
        threshold=threshold,
        n=len(positive),
        positives=int(positive.sum()),
        groups=len(unique),
        true_positive=counts.true_positive,
        false_positive=counts.false_positive,
        false_negative=counts.false_negative,
        true_negative=counts.true_negative,
        metrics=bootstrap | metrics,
        bootstrap=bootstrap,
    )


def auroc_interval(positive: NDArray[np.bool_], score: NDArray[np.floating], groups: NDArray[np.str_]) -> Interval:
    """Area under the ROC curve with its bootstrap interval over groups; needs both classes."""
    if positive.all() or not positive.any():
        raise EvaluationError("AUROC needs both classes", expected="cases with and without", found="only one of them")
    sides = (len(np.unique(groups[of])) for of in (positive, ~positive))
    return _with_width(ranking_interval("auroc", positive, score, groups), *sides)


def _with_width(auroc: Interval, positives: int, negatives: int) -> Interval:
    """An AUROC whose interval is not the point that the bootstrap makes of a perfect order.

    The variance of an AUROC is at most A (1 - A) / min(m, n) (van Dantzig 1951; Birnbaum and Klose 1957, Ann Math Stat
    28:933-945): that of a proportion of as many cases as the smaller class has. So Wilson's interval of that many bounds it.

    Parameters
    ----------
    positives, negatives : int
        Independent groups with such a case.
    """
    if auroc.value not in (0.0, 1.0):
        return auroc
    fewer = min(positives, negatives)
    return wilson_interval(auroc.value * fewer, fewer)


def bootstrap_mean(values: NDArray[np.floating], groups: NDArray[np.str_]) -> Interval:
    """Mean of ``values (n,)`` with its bootstrap interval over groups."""
    weights = _group_weights(groups)
    return percentile_interval(float(values.mean()), _sums(weights, values), _drawn(weights))


def bootstrap_ratio(numerator: NDArray[np.generic], denominator: NDArray[np.generic], groups: NDArray[np.str_]) -> Interval:
    """Sum of one ``(n,)`` over the sum of another, with its bootstrap interval over groups."""
    weights = _group_weights(groups)
    value = float(numerator.sum() / denominator.sum())
    return percentile_interval(value, _sums(weights, numerator), _sums(weights, denominator))


def ranking_interval(
    metric: Ranking,
    positive: NDArray[np.bool_],
    scores: NDArray[np.floating],
    groups: NDArray[np.str_],
    *,
    rival: NDArray[np.floating] | None = None,
) -> Interval:
    """A figure of ranking, its mean over repeats, or its gain over a rival's on the same cases.

    All repeats, and the rival, see the same draws of groups.

    Parameters
    ----------
    scores, rival : (n,), or (repeats, n) of repeated cross-validation
    """
    weights = _group_weights(groups)
    value, draws = 0.0, np.zeros(weights.shape[1], np.float32)
    for sign, given in ((1, scores), (-1, rival)):
        if given is not None:
            repeats = np.atleast_2d(given)
            value += sign * float(np.mean([_of_ranking(metric, positive, score) for score in repeats]))
            draws += sign * np.mean([_ranking_replicates(positive, score, weights)[metric] for score in repeats], axis=0)
    return _interval(value, draws)


def _of_ranking(metric: Ranking, positive: NDArray[np.bool_], score: NDArray[np.floating]) -> float:
    """The figure of ``(n,)`` cases, without its interval."""
    from sklearn.metrics import average_precision_score, roc_auc_score  # slow to import, and most processes rank nothing

    return float((roc_auc_score if metric == "auroc" else average_precision_score)(positive, score))


def paired_differences(
    positive: NDArray[np.bool_],
    scores: tuple[NDArray[np.floating], NDArray[np.floating]],
    thresholds: tuple[float, float],
    groups: NDArray[np.str_],
) -> dict[str, Interval]:
    """Second less first of two sets of scores of the same cases, each figure with its bootstrap interval over groups.

    Both see the same draws, so what the cases have in common falls away. Each is called at its own threshold.

    Parameters
    ----------
    positive : (n,) truth
    scores : two of (n,)
    groups : (n,)

    Returns
    -------
    name -> Interval
        Of ``recall, specificity`` and those that no threshold changes, where both sides have the figure.
    """
    weights = _group_weights(groups)
    first, second = (
        _free_of_threshold(positive, score, weights) | _calls(positive, score >= threshold, weights)
        for score, threshold in zip(scores, thresholds, strict=True)
    )
    return {name: _interval(second[name][0] - first[name][0], second[name][1] - first[name][1]) for name in first}


def _free_of_threshold(
    positive: NDArray[np.bool_], score: NDArray[np.floating], weights: NDArray[np.uint8]
) -> dict[str, tuple[float, NDArray[np.float32]]]:
    """Each figure that no threshold changes, where it exists, in the cases and in every replicate."""
    figures: dict[str, tuple[float, NDArray[np.float32]]] = {}
    if positive.any():
        replicates = _ranking_replicates(positive, score, weights)
        for metric in RANKINGS:
            if metric != "auroc" or not positive.all():
                figures[metric] = (_of_ranking(metric, positive, score), replicates[metric])
    drawn = _drawn(weights)
    error, excess = np.square(score - positive), positive - score
    gap = np.sum([np.abs(_sums(weights[of], excess[of])) for of in _bins(score)], axis=0)
    figures["brier"] = (float(error.mean()), _ratio(_sums(weights, error), drawn))
    figures["ece"] = (expected_calibration_error(positive, score), _ratio(gap, drawn))
    return figures


def _calls(
    positive: NDArray[np.bool_], called: NDArray[np.bool_], weights: NDArray[np.uint8]
) -> dict[str, tuple[float, NDArray[np.float32]]]:
    """Sensitivity and specificity, where there are such cases, in the cases and in every replicate."""
    return {
        name: (float(right[of].mean()), _ratio(_sums(weights, right & of), _sums(weights, of)))
        for name, right, of in (("recall", called, positive), ("specificity", ~called, ~positive))
        if of.any()
    }


def _group_weights(groups: NDArray[np.generic]) -> NDArray[np.uint8]:
    """How often each case is drawn in each replicate: ``(n, replicates)``."""
    unique, member_of = np.unique(groups, return_inverse=True)
    drawn: NDArray[np.uint8] = group_draws(len(unique))[member_of]
    return drawn


def _sums(weights: NDArray[np.uint8], values: NDArray[np.generic]) -> NDArray[np.float32]:
    """Sums of ``values (n,)`` or ``(k, n)`` in each replicate: ``(replicates,)`` or ``(k, replicates)``."""
    sums = np.zeros((*values.shape[:-1], weights.shape[1]), np.float32)
    for start in range(0, len(weights), CASES_AT_ONCE):
        part = slice(start, start + CASES_AT_ONCE)
        sums += values[..., part].astype(np.float32) @ weights[part].astype(np.float32)
    return sums


def _drawn(weights: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Cases in each replicate: ``(replicates,)``."""
    return np.asarray(weights.sum(axis=0, dtype=np.uint32), np.float32)


def group_draws(count: int) -> NDArray[np.uint8]:
    """How often each of ``count`` groups is drawn in each replicate: ``(count, replicates)``, the same for every figure."""
    return _draws(count, BOOTSTRAP_REPLICATES)


@lru_cache(maxsize=8)
def _draws(count: int, replicates: int) -> NDArray[np.uint8]:
    rng = np.random.default_rng(BOOTSTRAP_SEED)
    drawn = np.empty((count, replicates), np.uint8)
    for start in range(0, replicates, DRAWS_AT_ONCE):
        part = drawn[:, start : start + DRAWS_AT_ONCE]
        some = [np.bincount(rng.integers(count, size=count), minlength=count) for _ in range(part.shape[1])]
        part[:] = np.array(some, np.uint8).T
    return drawn


def _ranking_replicates(
    positive: NDArray[np.bool_], score: NDArray[np.floating], weights: NDArray[np.uint8]
) -> dict[Ranking, NDArray[np.float32]]:
    """AUROC and average precision of every replicate; NaN where a replicate lacks a class.

    Cases are cut, by falling score, into runs that end where a positive's tie begins or ends: what is drawn within a run
    is all that either figure needs. AUROC is the weighted Mann-Whitney statistic, ties count half; average precision the
    mean over the positives of the precision at their score, ties sharing one.
    """
    order = np.argsort(-score, kind="stable")
    falling = score[order]
    begins = np.flatnonzero(np.append(True, np.diff(falling) != 0))
    ends = np.append(begins[1:], len(score))
    hits = np.flatnonzero(positive[order])
    tie = np.unique(np.searchsorted(begins, hits, side="right") - 1)
    cuts = np.unique(np.append(begins[tie], ends[tie][ends[tie] < len(score)]))
    cuts = np.append(0, cuts[cuts > 0])
    called = _run_sums(weights, order, cuts)
    with_hit, first_hit = np.unique(np.searchsorted(cuts, hits, side="right") - 1, return_index=True)
    found = np.zeros_like(called)
    found[with_hit] = _run_sums(weights, order[hits], first_hit)
    run = np.searchsorted(cuts, begins[tie], side="right") - 1
    called_until, found_until = np.cumsum(called, axis=0), np.cumsum(found, axis=0)
    missed_until = called_until - found_until
    of_tie, beside = found[run], called[run] - found[run]
    positives, negatives = found_until[-1], missed_until[-1]
    won = of_tie * (negatives - missed_until[run] + 0.5 * beside)
    precision = np.divide(found_until[run], called_until[run], out=np.zeros_like(of_tie), where=called_until[run] > 0)
    return {
        "auroc": _ratio(won.sum(axis=0), positives * negatives),
        "average_precision": _ratio((of_tie * precision).sum(axis=0), positives),
    }


def _run_sums(weights: NDArray[np.uint8], cases: NDArray[np.intp], begins: NDArray[np.intp]) -> NDArray[np.float32]:
    """What is drawn of each run of ``cases`` in each replicate: ``(runs, replicates)``.

    A sum a run: ``numpy.add.reduceat`` over the same rows takes ten times as long.
    """
    sums = np.empty((len(begins), weights.shape[1]), np.float32)
    for place, run in enumerate(np.split(cases, begins[1:])):
        sums[place] = weights[run].sum(axis=0, dtype=np.uint32)
    return sums


def expected_calibration_error(positive: NDArray[np.bool_], score: NDArray[np.floating]) -> float:
    """Mean gap between score and frequency over ten equal bins of the score, weighted by cases.

    Naeini et al. 2015 (AAAI 29:2901-2907); Guo et al. 2017 (arXiv:1706.04599). It is biased upwards in small samples.
    """
    excess = positive - score
    return float(sum(abs(excess[of].sum()) for of in _bins(score)) / len(score))


def _bins(score: NDArray[np.floating]) -> NDArray[np.bool_]:
    """Which of ten equal bins each score lies in: ``(bins, n)``."""
    bin_of = np.minimum((score * CALIBRATION_BINS).astype(int), CALIBRATION_BINS - 1)
    return np.asarray(bin_of[None] == np.arange(CALIBRATION_BINS)[:, None])


def percentile_interval(value: float, numerator: NDArray[np.floating], denominator: NDArray[np.floating]) -> Interval:
    """A ratio with its percentile interval over the replicates ``(replicates,)`` in which it exists."""
    return _interval(value, _ratio(numerator, denominator))


def _ratio(numerator: NDArray[np.floating], denominator: NDArray[np.floating]) -> NDArray[np.float32]:
    """One over the other in each replicate; NaN where the figure does not exist."""
    replicates = np.full(len(numerator), np.nan, np.float32)
    np.divide(numerator, denominator, out=replicates, where=denominator > 0, casting="same_kind")
    return replicates


def _interval(value: float, replicates: NDArray[np.floating]) -> Interval:
    """Percentile interval over the replicates in which the figure exists."""
    low, high = np.nanquantile(replicates, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return Interval(value, float(low), float(high))
