"""How far cases that somebody brought lie from those the bundle was tested on, and whether that is more than chance."""

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cervix.evaluation.chance import CASES_DRAWN, Chance, Draws, chance_of, draws_like
from cervix.evaluation.comparison import decimal, percent
from cervix.evaluation.metrics import CALIBRATION_BINS, METRICS
from cervix.evaluation.questions import Question, TaskScores
from cervix.intervals import Interval, wilson_interval

INDEX_BINS = 10
# Customary limits of the population stability index (Siddiqi 2006, Credit Risk Scorecards, chapter 6).
SOME_SHIFT, LARGE_SHIFT = 0.1, 0.25
# What an empty bin counts as: its share cannot be told from less than half a case.
EMPTY_BIN_CASES = 0.5
# A difference in a share, an AUROC or a calibration error that would matter: where chance reaches it, nothing is told.
MATTERS = 0.1
REFERENCE_SEED, NEGATIVE_SEED = 1, 2
TOO_FEW = "too few cases to tell"
Floats = NDArray[np.float64]


def stability_index(reference: NDArray[np.floating], own: NDArray[np.floating]) -> float:
    """Population stability index of one variable over ten quantile bins of the reference; 0 where nothing moved."""
    edges = _edges(reference)
    counts = [_counts(np.searchsorted(edges, values, side="right")[None], len(edges) + 1) for values in (reference, own)]
    return float(_index(*counts)[0])


def stability_by_chance(
    reference: NDArray[np.floating], own: NDArray[np.floating], groups: NDArray[np.str_], reference_groups: NDArray[np.str_]
) -> Chance:
    """Whether the stability index is larger than that of as many cases of the reference itself.

    The reference is resampled too, as it is a sample itself: with a small one, chance explains more.

    Parameters
    ----------
    reference, reference_groups : (m,)
    own, groups : (n,)
    """
    edges = _edges(reference)
    bin_of = np.searchsorted(edges, reference, side="right")
    bins = len(edges) + 1
    if len(reference) > CASES_DRAWN:
        again = _counts(bin_of[None], bins)
    else:
        again = _counts(bin_of[draws_like(reference_groups, reference_groups, seed=REFERENCE_SEED)], bins)
    drawn = _counts(bin_of[draws_like(groups, reference_groups)], bins)
    return chance_of(stability_index(reference, own), _index(again, drawn))


def _edges(reference: NDArray[np.floating]) -> NDArray[np.floating]:
    return np.unique(np.quantile(reference, np.linspace(0, 1, INDEX_BINS + 1)[1:-1]))


def _counts(bin_of: NDArray[np.integer], bins: int) -> Floats:
    """Cases in each bin, ``(draws, bins)`` of ``bin_of (draws, n)``."""
    return np.stack([(bin_of == place).sum(axis=1) for place in range(bins)], axis=1).astype(np.float64)


def _index(reference: Floats, own: Floats) -> Floats:
    shares = [np.maximum(counts, EMPTY_BIN_CASES) / counts.sum(axis=1, keepdims=True) for counts in (reference, own)]
    return np.asarray(((shares[1] - shares[0]) * np.log(shares[1] / shares[0])).sum(axis=1))


def drift_table(reference: Question, own: Question) -> pd.DataFrame:
    """One row a property: ``property, bundle's test set, your cases, how far`` in words and figures.

    Shares with Wilson intervals at the number of groups; distributions by their median and the stability index. A property is
    called different only where it lies farther than nineteen in twenty draws of as many cases from the test set itself
    (``chance``); where such draws reach a shift that matters, it says that there are too few cases. Each property has its own
    twentieth of false alarms.
    """
    sides = (reference.scores, own.scores)
    drawn = draws_like(own.scores.groups, reference.scores.groups)
    rows = [
        _row("Cases (independent groups)", [f"{len(side.score):,} ({_groups(side):,})" for side in sides], ""),
        _share(*sides, drawn),
        _distribution("Score", reference.scores.score, own.scores.score, sides),
    ]
    if all("novelty" in side.cases.frame for side in (reference, own)):
        rows.append(_distribution("Distance to the training tiles", *_novelties(reference, own), sides))
    if all(side.has_both for side in sides):
        figures = [side.report().metrics for side in (reference, own)]
        for name in ("auroc", "ece"):
            tested, brought = (figure[name] for figure in figures)
            if name == "auroc":
                by_chance = _auroc_by_chance(*sides, brought.value - tested.value)
            else:
                by_chance = _ece_by_chance(sides[0], drawn, tested.value, brought.value)
            rows.append(_row(METRICS[name].title, [decimal(tested), decimal(brought)], _apart(tested, brought, by_chance)))
    return pd.DataFrame(rows)


def _row(title: str, values: list[str], far: str) -> dict[str, str]:
    return {"property": title, "bundle's test set": values[0], "your cases": values[1], "how far": far}


def _groups(side: TaskScores) -> int:
    return len(np.unique(side.groups))


def _novelties(reference: Question, own: Question) -> tuple[Floats, Floats]:
    """Of the cases that the question is about."""
    first, second = (side.cases.frame["novelty"].to_numpy(float)[side.rows] for side in (reference, own))
    return first, second


def _share(reference: TaskScores, own: TaskScores, drawn: Draws) -> dict[str, str]:
    tested, brought = (
        wilson_interval(int(side.positive.sum()), len(side.positive), effective_n=_groups(side)) for side in (reference, own)
    )
    far = np.abs(reference.positive[drawn].mean(axis=1) - tested.value)
    by_chance = chance_of(abs(brought.value - tested.value), far)
    return _row("Share with the condition", [percent(tested), percent(brought)], _apart(tested, brought, by_chance))


def _apart(one: Interval, other: Interval, by_chance: Chance) -> str:
    overlap = one.low <= other.high and other.low <= one.high
    if not by_chance.beyond and (by_chance.limit >= MATTERS or not overlap):
        return f"{TOO_FEW} (p {by_chance.p_value:.2g})"
    return "intervals overlap" if overlap else "intervals apart"


def _distribution(
    title: str, reference: NDArray[np.floating], own: NDArray[np.floating], sides: tuple[TaskScores, TaskScores]
) -> dict[str, str]:
    index = stability_index(reference, own)
    by_chance = stability_by_chance(reference, own, sides[1].groups, sides[0].groups)
    medians = [f"{float(np.median(values)):.3f}" for values in (reference, own)]
    return _row(f"{title}, median", medians, shift_in_words(index, by_chance))


def shift_in_words(index: float, by_chance: Chance) -> str:
    """Little, some or a large shift by the customary limits; or too few cases, where chance alone reaches them."""
    told = f"stability index {index:.2f}"
    if not by_chance.beyond and by_chance.limit >= SOME_SHIFT:
        return f"{TOO_FEW}: {told}; as many cases from the test set itself reach {by_chance.limit:.2f}"
    words = "little" if index < SOME_SHIFT else "some" if index < LARGE_SHIFT else "large"
    return f"{words} shift: {told} (p {by_chance.p_value:.2g})"


def _auroc_by_chance(reference: TaskScores, own: TaskScores, difference: float) -> Chance:
    """Draws have as many with and without the condition as the cases have: a sample may be rich in cases on purpose."""
    from scipy.stats import rankdata  # slow to import

    parts = []
    for of_class, seed in ((True, REFERENCE_SEED), (False, NEGATIVE_SEED)):
        among, brought = reference.positive == of_class, own.positive == of_class
        at = draws_like(own.groups[brought], reference.groups[among], seed=seed)
        parts.append(reference.score[among][at])
    with_it, without = parts[0].shape[1], parts[1].shape[1]
    ranks = rankdata(np.concatenate(parts, axis=1), axis=1)[:, :with_it].sum(axis=1)
    drawn = (ranks - with_it * (with_it + 1) / 2) / (with_it * without)
    return chance_of(abs(difference), np.abs(drawn - reference.auroc_value()))


def _ece_by_chance(reference: TaskScores, drawn: Draws, of_reference: float, of_own: float) -> Chance:
    """A calibration error is larger the fewer cases there are: that of draws is, too."""
    bin_of = np.minimum((reference.score * CALIBRATION_BINS).astype(int), CALIBRATION_BINS - 1)[drawn]
    gap = (reference.positive - reference.score)[drawn]
    sums = [np.abs(np.where(bin_of == place, gap, 0.0).sum(axis=1)) for place in range(CALIBRATION_BINS)]
    return chance_of(abs(of_own - of_reference), np.abs(np.sum(sums, axis=0) / drawn.shape[1] - of_reference))
