"""Whether probabilities may be read as frequencies: a test, not a picture."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import ndtr

from cervix.evaluation.metrics import binary_report, bootstrap_ratio
from cervix.intervals import Interval, wilson_interval

RELIABILITY_BINS = 10


@dataclass(frozen=True)
class CalibrationFigures:
    """How well a set of probabilities fits what happened.

    Attributes
    ----------
    observed_expected : Interval
        Events over the sum of the probabilities; 1 is calibrated in the large.
    ece : Interval
        Expected calibration error over ten equal bins.
    spiegelhalter_z : float
        Standard normal if every probability is right (Spiegelhalter 1986, Stat Med 5:421-433).
    """

    n: int
    events: int
    observed_expected: Interval
    ece: Interval
    spiegelhalter_z: float

    @property
    def p_value(self) -> float:
        """Two-sided, of Spiegelhalter's z."""
        return float(2 * ndtr(-abs(self.spiegelhalter_z)))


def calibration_figures(
    positive: NDArray[np.bool_], score: NDArray[np.floating], groups: NDArray[np.str_]
) -> CalibrationFigures:
    """Calibration of probabilities ``(n,)`` against outcomes ``(n,)``, intervals by bootstrap over groups."""
    spread = np.sum((1 - 2 * score) ** 2 * score * (1 - score))
    z = float(np.sum((positive - score) * (1 - 2 * score)) / np.sqrt(spread)) if spread > 0 else 0.0
    return CalibrationFigures(
        n=len(positive),
        events=int(positive.sum()),
        observed_expected=bootstrap_ratio(positive, score, groups),
        ece=binary_report(positive, score, groups, 0.5).bootstrap["ece"],
        spiegelhalter_z=z,
    )


def reliability(positive: NDArray[np.bool_], score: NDArray[np.floating], groups: NDArray[np.str_]) -> pd.DataFrame:
    """What came of cases scored alike: ten bins with about the same number of cases each, equal scores together.

    Bins of equal width would put nearly every woman of a screening population into the first.

    Returns
    -------
    DataFrame
        One row a bin, by rising score: ``score`` (mean), ``observed`` share of positives with ``low`` and ``high`` of Wilson's
        95 % interval at the number of groups, ``n``, ``events``.
    """
    edges = np.unique(np.quantile(score, np.linspace(0, 1, RELIABILITY_BINS + 1)[1:-1]))
    bin_of = np.searchsorted(edges, score, side="right")
    rows = []
    for index in np.unique(bin_of):
        inside = bin_of == index
        events, n = int(positive[inside].sum()), int(inside.sum())
        observed = wilson_interval(events, n, effective_n=len(np.unique(groups[inside])))
        rows.append(
            {
                "score": float(score[inside].mean()),
                "observed": observed.value,
                "low": observed.low,
                "high": observed.high,
                "n": n,
                "events": events,
            }
        )
    return pd.DataFrame(rows)
