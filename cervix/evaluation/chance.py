"""How far a few cases of the reference itself are from it by chance; without that, a distance has no meaning.

As many cases, in groups of the same sizes, are drawn from the reference again and again, and each time the same distance is
computed. The share of draws that lie as far is the p-value (Davison and Hinkley 1997, Bootstrap Methods, chapter 4; counting
the cases themselves as one draw keeps it valid: Phipson and Smyth 2010, Stat Appl Genet Mol Biol 9:39).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

DRAWS = 999
DRAW_SEED = 0
# Of more cases the chance is smaller than any limit in use, and drawing more would only take time.
CASES_DRAWN = 2_000
FALSE_ALARMS = 0.05
"""How often cases of the reference itself may be called different."""

Draws = NDArray[np.int64]
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Chance:
    """A distance beside those of draws from the reference.

    Attributes
    ----------
    p_value : float
        Share of draws that lie as far or farther, the cases themselves counted as one.
    limit : float
        The distance that one draw in twenty exceeds.
    """

    p_value: float
    limit: float

    @property
    def beyond(self) -> bool:
        """Whether the distance is larger than chance explains."""
        return self.p_value <= FALSE_ALARMS


def chance_of(distance: float, drawn: Floats) -> Chance:
    """A distance beside the ``drawn (draws,)``; NaN, where a draw has none, is left out."""
    known = drawn[~np.isnan(drawn)]
    reached = int((known >= distance - 1e-12).sum())
    limit = float(np.quantile(known, 1 - FALSE_ALARMS)) if len(known) else np.inf
    return Chance((1 + reached) / (1 + len(known)), limit)


def draws_like(groups: NDArray[np.str_], reference_groups: NDArray[np.str_], *, seed: int = DRAW_SEED) -> Draws:
    """Draw cases of the reference in groups of the sizes that ``groups`` have.

    Each group's cases come, with replacement, from one group of the reference, which is as likely as it is large: so every
    case is equally likely, and cases of one group are as alike as those of the reference are.

    Parameters
    ----------
    groups : (n,), reference_groups : (m,)

    Returns
    -------
    (draws, n) positions in the reference; of more than 2,000 cases, (draws, 2000)
    """
    rng = np.random.default_rng(seed)
    sizes = np.unique(groups, return_counts=True)[1]
    sizes = np.diff(np.minimum(np.append(0, np.cumsum(sizes)), CASES_DRAWN))
    sizes = sizes[sizes > 0]
    member_of = np.unique(reference_groups, return_inverse=True)[1]
    by_group = np.argsort(member_of, kind="stable")
    in_group = np.bincount(member_of)
    starts = np.cumsum(in_group) - in_group
    chosen = np.repeat(member_of[rng.integers(len(member_of), size=(DRAWS, len(sizes)))], sizes, axis=1)
    within = (rng.random(chosen.shape) * in_group[chosen]).astype(np.int64)
    return np.asarray(by_group[starts[chosen] + within], np.int64)
