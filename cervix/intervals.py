"""A figure with the limits of its 95 % interval, and the interval of a proportion."""

from typing import NamedTuple

import numpy as np
from scipy.special import ndtri

CONFIDENCE = 0.95


class Interval(NamedTuple):
    """A figure with the limits of its 95 % interval."""

    value: float
    low: float
    high: float


def wilson_interval(
    successes: float, n: float, *, effective_n: float | None = None, confidence: float = CONFIDENCE
) -> Interval:
    """Wilson's score interval of a proportion (Wilson 1927, J Am Stat Assoc 22:209-212).

    Parameters
    ----------
    successes, n : float
        ``0 <= successes <= n``, ``n > 0``.
    effective_n : float, optional
        Sample size to use for the width where cases come in groups: the number of independent groups, which
        treats copies within a group as one case and so errs towards a wide interval.
    confidence : float
        In 0 to 1; anything but 95 % is for comparing two limits, and never shown as an interval.
    """
    share = successes / n
    size = n if effective_n is None else effective_n
    z = float(ndtri(0.5 + confidence / 2))
    centre = (share + z**2 / (2 * size)) / (1 + z**2 / size)
    half = z / (1 + z**2 / size) * np.sqrt(share * (1 - share) / size + z**2 / (4 * size**2))
    return Interval(share, max(0.0, float(centre - half)), min(1.0, float(centre + half)))
