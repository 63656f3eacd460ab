"""Metrics of binary decisions, each with a 95 % interval that respects groups."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm
from sklearn.metrics import roc_auc_score

from cervix.errors import EvaluationError

CONFIDENCE = 0.95
BOOTSTRAP_REPLICATES = 1000
BOOTSTRAP_SEED = 0


class Interval(NamedTuple):
    """A figure with the limits of its 95 % interval."""

    value: float
    low: float
    high: float


def wilson_interval(successes: float, n: float, *, effective_n: float | None = None) -> Interval:
    """Wilson's score interval of a proportion (Wilson 1927, J Am Stat Assoc 22:209-212).

    Parameters
    ----------
    successes, n : float
        ``0 <= successes <= n``, ``n > 0``.
    effective_n : float, optional
        Sample size to use for the width where cases come in groups: the number of independent groups, which
        treats copies within a group as one case and so errs towards a wide interval.
    """
    share = successes / n
    size = n if effective_n is None else effective_n
    z = float(norm.ppf(0.5 + CONFIDENCE / 2))
    centre = (share + z**2 / (2 * size)) / (1 + z**2 / size)
    half = z / (1 + z**2 / size) * np.sqrt(share * (1 - share) / size + z**2 / (4 * size**2))
    return Interval(share, max(0.0, float(centre - half)), min(1.0, float(centre + half)))


@dataclass(frozen=True)
class BinaryReport:
    """Counts and metrics of one binary task at one threshold.

    Attributes
    ----------
    n, positives, groups : int
    true_positive, false_positive, false_negative, true_negative : int
    metrics : name -> Interval
        ``accuracy, precision, recall, specificity, f1, auroc``. A metric with an empty denominator is absent.
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


def binary_report(
    positive: NDArray[np.bool_], score: NDArray[np.floating], groups: NDArray[np.str_], threshold: float
) -> BinaryReport:
    """Evaluate scores at a threshold.

    Proportions get Wilson intervals at the number of groups; F1 and AUROC get percentile bootstrap intervals
    over groups (1,000 replicates, seed 0).

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
    cells = {
        "tp": positive & called,
        "fp": ~positive & called,
        "fn": positive & ~called,
        "tn": ~positive & ~called,
    }
    counts = {name: int(mask.sum()) for name, mask in cells.items()}
    metrics: dict[str, Interval] = {}
    for name, right, among in (
        ("accuracy", positive == called, np.ones_like(positive)),
        ("precision", positive, called),
        ("recall", called, positive),
        ("specificity", ~called, ~positive),
    ):
        if among.any():
            metrics[name] = wilson_interval(
                int((right & among).sum()), int(among.sum()), effective_n=len(np.unique(groups[among]))
            )
    weights = _group_weights(groups)
    if positive.any():
        tp, fp, fn = (weights[:, cells[name]].sum(axis=1) for name in ("tp", "fp", "fn"))
        f1 = 2 * counts["tp"] / (2 * counts["tp"] + counts["fp"] + counts["fn"])
        metrics["f1"] = _percentile(f1, 2 * tp, 2 * tp + fp + fn)
        if not positive.all():
            metrics["auroc"] = _auroc(positive, score, weights)
    return BinaryReport(
        threshold=threshold,
        n=len(positive),
        positives=int(positive.sum()),
        groups=len(np.unique(groups)),
        true_positive=counts["tp"],
        false_positive=counts["fp"],
        false_negative=counts["fn"],
        true_negative=counts["tn"],
        metrics=metrics,
    )


def auroc_interval(positive: NDArray[np.bool_], score: NDArray[np.floating], groups: NDArray[np.str_]) -> Interval:
    """Area under the ROC curve with its bootstrap interval over groups; needs both classes."""
    if positive.all() or not positive.any():
        raise EvaluationError("AUROC needs both classes", expected="cases with and without", found="only one of them")
    return _auroc(positive, score, _group_weights(groups))


def _group_weights(groups: NDArray[np.str_]) -> NDArray[np.float32]:
    """How often each case is drawn in each replicate: ``(replicates, n)``."""
    unique, member_of = np.unique(groups, return_inverse=True)
    rng = np.random.default_rng(BOOTSTRAP_SEED)
    draws = rng.multinomial(len(unique), np.full(len(unique), 1 / len(unique)), size=BOOTSTRAP_REPLICATES)
    return draws.astype(np.float32)[:, member_of]


def _auroc(positive: NDArray[np.bool_], score: NDArray[np.floating], weights: NDArray[np.float32]) -> Interval:
    """Weighted Mann-Whitney statistic of every replicate in one matrix product."""
    above, below = score[positive], score[~positive]
    wins = (above[:, None] > below).astype(np.float32) + 0.5 * (above[:, None] == below).astype(np.float32)
    of_positive, of_negative = weights[:, positive], weights[:, ~positive]
    won = ((of_positive @ wins) * of_negative).sum(axis=1)
    return _percentile(float(roc_auc_score(positive, score)), won, of_positive.sum(axis=1) * of_negative.sum(axis=1))


def _percentile(value: float, numerator: NDArray[np.floating], denominator: NDArray[np.floating]) -> Interval:
    """Percentile interval over the replicates in which the figure exists."""
    exists = denominator > 0
    replicates = numerator[exists] / denominator[exists]
    low, high = np.quantile(replicates, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return Interval(value, float(low), float(high))
