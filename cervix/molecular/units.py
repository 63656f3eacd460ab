"""What the numbers of a table are: reads per million, counts, shares, or logarithms."""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
MILLION: Final = 1e6
WHOLE_PROFILE: Final = 200
"""Markers from which on a table counts as a whole profile, whose sum says what its numbers are. TCGA's lung tables, without the
rare ones, have 228 and 245 and sum to 913,000 to 999,958 (bioc/RTCGA.miRNASeq@eb001afb); the cervical one has 1,046."""
NEAR: Final = 0.1
"""How far from a million, a hundred or one a sum may lie: rare markers that a table leaves out were up to 9 % there."""
HIGHEST_LOG: Final = 25.0
"""No logarithm of reads per million, to base 2 the highest at 19.9, lies above; the reference markers of every tumour do."""
ENOUGH_FOR_LOG: Final = 3
"""Measured reference markers of a row from which on its highest value tells whether they are logarithms."""
FEWEST_READS: Final = 1e5
"""Of a profile that is taken for one: shares of fewer are too coarse to be told apart."""

RPM, COUNTS, PER_CENT, SHARES, LOGS, UNCLEAR = "rpm", "counts", "per-cent", "shares", "logs", "unclear"


@dataclass(frozen=True)
class Units:
    """What each row is ``(n,)``, and what it is multiplied by to be reads per million; NaN where it cannot be."""

    kinds: NDArray[np.str_]
    factors: Floats


def units_of(profile: Floats, reference: Floats) -> Units:
    """Tell rows apart.

    Parameters
    ----------
    profile : (n, m) every microRNA of the table, NaN where not measured
    reference : (n, r) the reference markers among them, which every tumour has more than a hundred of per million
    """
    kinds = np.full(len(profile), RPM, dtype="<U8")
    factors = np.ones(len(profile))
    with np.errstate(invalid="ignore"):
        highest = np.where(np.isnan(profile), -np.inf, profile).max(axis=1, initial=-np.inf)
        sums = np.nansum(profile, axis=1)
    measured = (~np.isnan(reference)).sum(axis=1)
    whole = (~np.isnan(profile)).sum(axis=1) >= WHOLE_PROFILE
    integers = np.where(np.isnan(profile), 0.0, profile % 1 == 0).sum(axis=1) == (~np.isnan(profile)).sum(axis=1)
    for row in range(len(profile)):
        if whole[row]:
            kinds[row], factors[row] = _of_whole(float(sums[row]), float(highest[row]), integers=bool(integers[row]))
        elif measured[row] >= ENOUGH_FOR_LOG and highest[row] <= HIGHEST_LOG:
            kinds[row], factors[row] = LOGS, np.nan
    return Units(kinds, factors)


def _of_whole(total: float, highest: float, *, integers: bool) -> tuple[str, float]:
    for kind, expected in ((RPM, MILLION), (PER_CENT, 100.0), (SHARES, 1.0)):
        if abs(total - expected) <= NEAR * expected:
            return kind, MILLION / expected
    if integers and total >= FEWEST_READS:
        return COUNTS, MILLION / total
    return (LOGS, np.nan) if highest <= HIGHEST_LOG else (UNCLEAR, np.nan)
