"""Every threshold of a question at once, so that a slider only looks up what was counted."""

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array

from cervix.errors import EvaluationError
from cervix.evaluation.metrics import (
    DRAWS_AT_ONCE,
    BinaryReport,
    Cells,
    IndependentGroups,
    call_figures,
    group_draws,
    percentile_interval,
)
from cervix.intervals import CONFIDENCE, Interval

# Fine where risks of a screening population lie, coarser above: in whole steps a person can name.
STEPS = (np.arange(0.0005, 0.01, 0.0005), np.arange(0.01, 0.1, 0.005), np.arange(0.1, 1, 0.01))
THRESHOLDS = np.unique(np.concatenate(STEPS).round(4))
Floats = NDArray[np.float64]


def thresholds_with(threshold: float) -> Floats:
    """The grid of thresholds, and the one the model was given among them: ``(t,)``, rising, in 0..1."""
    return np.union1d(THRESHOLDS, [threshold])


@dataclass(frozen=True)
class Sweep:
    """Counts of a binary question at rising thresholds, and the same in every bootstrap replicate over groups.

    Attributes
    ----------
    thresholds : (t,)
    true_positive, false_positive : (t,) cases with a score at or above the threshold
    groups : one ``IndependentGroups`` a threshold
    true_positive_draws, false_positive_draws : (t, replicates)
    positives, negatives : int
    positives_draws, negatives_draws : (replicates,)
    """

    thresholds: Floats
    true_positive: Floats
    false_positive: Floats
    groups: list[IndependentGroups]
    true_positive_draws: Floats
    false_positive_draws: Floats
    positives: int
    negatives: int
    positives_draws: Floats
    negatives_draws: Floats

    @property
    def prevalence(self) -> float:
        """Share of positive cases among those of the question."""
        return self.positives / (self.positives + self.negatives)

    def nearest(self, threshold: float) -> int:
        """Place of the threshold that lies nearest."""
        return int(np.abs(self.thresholds - threshold).argmin())

    def at(self, place: int, report: BinaryReport) -> BinaryReport:
        """A report of the same cases, with what depends on the threshold taken from a place of ``thresholds``."""
        hits, alarms = int(self.true_positive[place]), int(self.false_positive[place])
        counts = Cells(hits, alarms, self.positives - hits, self.negatives - alarms)
        metrics, bootstrap = call_figures(counts, self._draws(place), self.groups[place])
        return replace(
            report,
            threshold=float(self.thresholds[place]),
            **counts._asdict(),
            metrics=report.free_of_threshold(report.metrics) | metrics,
            bootstrap=report.free_of_threshold(report.bootstrap) | bootstrap,
        )

    def _draws(self, place: int) -> Cells:
        hits, alarms = self.true_positive_draws[place], self.false_positive_draws[place]
        return Cells(hits, alarms, self.positives_draws - hits, self.negatives_draws - alarms)

    def predictive_values(self, place: int, prevalence: float) -> tuple[Interval | None, Interval | None]:
        """Positive and negative predictive value where another share has the condition, by Bayes' rule.

        Holds only where sensitivity and specificity are the same. Bootstrap intervals over groups, of both together; none
        where nobody, or everybody, is called.

        Raises ``EvaluationError`` where the question has cases of one side only.
        """
        if not (self.positives and self.negatives):
            raise EvaluationError(
                "Predictive values need both classes", expected="cases with and without", found="only one of them"
            )
        hits = _share(self.true_positive[place : place + 1], np.array([self.positives]))
        alarms = _share(self.false_positive[place : place + 1], np.array([self.negatives]))
        hit_draws = _share(self.true_positive_draws[place], self.positives_draws)
        alarm_draws = _share(self.false_positive_draws[place], self.negatives_draws)
        return (
            _predictive(hits, alarms, hit_draws, alarm_draws, prevalence),
            _predictive(1 - alarms, 1 - hits, 1 - alarm_draws, 1 - hit_draws, 1 - prevalence),
        )

    @cached_property
    def net_benefit(self) -> tuple[Floats, Floats, Floats]:
        """Net benefit of calling by the model at every threshold, and the limits of its 95 % interval: three of ``(t,)``.

        True positives less false positives weighed by the odds of the threshold, a case (Vickers and Elkin 2006, Med Decis
        Making 26:565-574).
        """
        odds = (self.thresholds / (1 - self.thresholds))[:, None]
        total = self.positives_draws + self.negatives_draws
        draws = (self.true_positive_draws - odds * self.false_positive_draws) / total
        low, high = np.quantile(draws, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2], axis=1)
        value = (self.true_positive - odds[:, 0] * self.false_positive) / (self.positives + self.negatives)
        return value, low, high

    @property
    def net_benefit_of_all(self) -> Floats:
        """Net benefit of calling everybody, ``(t,)``; that of calling nobody is 0."""
        return self.prevalence - (1 - self.prevalence) * self.thresholds / (1 - self.thresholds)


def sweep(positive: NDArray[np.bool_], score: Floats, groups: NDArray[np.str_], thresholds: Floats) -> Sweep:
    """Count at every threshold, in the cases and in 1,000 replicates that draw whole groups.

    Parameters
    ----------
    positive, score, groups : (n,)
        As those of ``binary_report``.
    thresholds : (t,) rising, within 0..1 and below 1
    """
    unique, member_of = np.unique(groups, return_inverse=True)
    count = len(thresholds)
    # Bin k holds what is called at thresholds[k - 1] and not at thresholds[k].
    bin_of = np.searchsorted(thresholds, score, side="right")
    shape = (count + 1, len(unique))
    of_side = {
        side: coo_array((np.ones(int(mask.sum()), np.float32), (bin_of[mask], member_of[mask])), shape).tocsr()
        for side, mask in (("positive", positive), ("negative", ~positive))
    }
    drawn: dict[str, list[Floats]] = {"positive": [], "negative": []}
    draws = group_draws(len(unique))
    for start in range(0, draws.shape[1], DRAWS_AT_ONCE):
        weights = draws[:, start : start + DRAWS_AT_ONCE].astype(np.float32)
        for side, matrix in of_side.items():
            drawn[side].append(_at_or_above(matrix @ weights))
    hits, alarms = (np.hstack(drawn[side]) for side in ("positive", "negative"))
    true_positive, false_positive = (
        _at_or_above(np.bincount(bin_of[mask], minlength=count + 1).astype(np.float64)) for mask in (positive, ~positive)
    )
    highest, lowest = np.full(len(unique), -1), np.full(len(unique), count + 1)
    np.maximum.at(highest, member_of, bin_of)
    np.minimum.at(lowest, member_of, bin_of)
    with_positive, with_negative = (len(np.unique(member_of[mask])) for mask in (positive, ~positive))
    places = np.arange(count)[:, None]
    groups_called, groups_spared = (highest > places).sum(axis=1), (lowest <= places).sum(axis=1)
    return Sweep(
        thresholds=thresholds,
        true_positive=true_positive[1:],
        false_positive=false_positive[1:],
        groups=[
            IndependentGroups(len(unique), with_positive, with_negative, int(called), int(spared))
            for called, spared in zip(groups_called, groups_spared, strict=True)
        ],
        true_positive_draws=hits[1:],
        false_positive_draws=alarms[1:],
        positives=int(positive.sum()),
        negatives=int((~positive).sum()),
        positives_draws=hits[0],
        negatives_draws=alarms[0],
    )


def _at_or_above(counts: NDArray[np.floating]) -> Floats:
    """Cumulative from the highest bin down, along the first axis."""
    return np.cumsum(counts[::-1], axis=0, dtype=np.float64)[::-1]


def _share(part: Floats, whole: Floats) -> Floats:
    return np.divide(part, whole, out=np.full_like(part, np.nan), where=whole > 0)


def _predictive(right: Floats, wrong: Floats, right_draws: Floats, wrong_draws: Floats, share: float) -> Interval | None:
    """Predictive value of a call: its class has this share, and both classes are called so at these rates."""
    called = right * share + wrong * (1 - share)
    if not called[0] > 0:
        return None
    called_draws = right_draws * share + wrong_draws * (1 - share)
    return percentile_interval(float(right[0] * share / called[0]), right_draws * share, called_draws)
