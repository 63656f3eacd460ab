"""How far cases that somebody brought lie from those the bundle was tested on."""

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import ks_2samp

from cervix.evaluation.comparison import decimal, percent
from cervix.evaluation.metrics import Interval, wilson_interval
from cervix.evaluation.questions import Question

INDEX_BINS = 10
# Customary limits of the population stability index (Siddiqi 2006, Credit Risk Scorecards, chapter 6).
SOME_SHIFT, LARGE_SHIFT = 0.1, 0.25
LEAST_SHARE = 1e-4


def stability_index(reference: NDArray[np.floating], own: NDArray[np.floating]) -> float:
    """Population stability index of one variable over ten quantile bins of the reference; 0 where nothing moved."""
    edges = np.unique(np.quantile(reference, np.linspace(0, 1, INDEX_BINS + 1)[1:-1]))
    counts = [np.bincount(np.searchsorted(edges, v, side="right"), minlength=len(edges) + 1) for v in (reference, own)]
    shares = [np.maximum(count / count.sum(), LEAST_SHARE) for count in counts]
    return float(np.sum((shares[1] - shares[0]) * np.log(shares[1] / shares[0])))


def drift_table(reference: Question, own: Question) -> pd.DataFrame:
    """One row a property: ``property, bundle's test set, your cases, how far`` in words and figures.

    Shares with Wilson intervals at the number of groups; distributions by their median, the stability index and the
    two-sample Kolmogorov-Smirnov test, which takes cases for independent.
    """
    sides = (reference, own)
    rows = [
        _row("Cases (independent groups)", [f"{len(s.scores.score):,} ({_groups(s):,})" for s in sides], ""),
        _shares("Share with the condition", [_share_positive(side) for side in sides]),
        _distribution("Score", reference.scores.score, own.scores.score),
    ]
    if all("novelty" in side.cases.frame for side in sides):
        rows.append(_distribution("Distance to the training tiles", *(s.cases.frame["novelty"].to_numpy(float) for s in sides)))
    if all(side.scores.has_both for side in sides):
        figures = [side.report().metrics for side in sides]
        for name, title in (("auroc", "AUROC"), ("ece", "Calibration error (ECE)")):
            rows.append(
                _row(title, [decimal(figure[name]) for figure in figures], _apart(*(figure[name] for figure in figures)))
            )
    return pd.DataFrame(rows)


def _row(title: str, values: list[str], far: str) -> dict[str, str]:
    return {"property": title, "bundle's test set": values[0], "your cases": values[1], "how far": far}


def _groups(side: Question) -> int:
    return len(np.unique(side.scores.groups))


def _share_positive(side: Question) -> Interval:
    positive = side.scores.positive
    return wilson_interval(int(positive.sum()), len(positive), effective_n=_groups(side))


def _shares(title: str, shares: list[Interval]) -> dict[str, str]:
    return _row(title, [percent(share) for share in shares], _apart(*shares))


def _apart(one: Interval, other: Interval) -> str:
    return "intervals apart" if one.low > other.high or other.low > one.high else "intervals overlap"


def _distribution(title: str, reference: NDArray[np.floating], own: NDArray[np.floating]) -> dict[str, str]:
    index = stability_index(reference, own)
    words = "little" if index < SOME_SHIFT else "some" if index < LARGE_SHIFT else "large"
    test = ks_2samp(reference, own)
    return _row(
        f"{title}, median",
        [f"{float(np.median(values)):.3f}" for values in (reference, own)],
        f"{words} shift: stability index {index:.2f}, Kolmogorov-Smirnov {test.statistic:.2f} (p {test.pvalue:.2g})",
    )
