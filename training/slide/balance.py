"""How much each tile counts, so that no laboratory, and no source image of many tiles, decides what a class is."""

import numpy as np
from numpy.typing import NDArray

FULL_CELL_GROUPS = 40
"""A laboratory with fewer source groups of a class than this counts less for it: it knows less of what varies."""


def tile_weights(
    target: NDArray[np.integer], laboratory: NDArray[np.str_], groups: NDArray[np.str_], hard: NDArray[np.bool_],
    hard_factor: float,
) -> NDArray[np.float64]:  # fmt: skip
    """Weights ``(n,)`` that sum to 1: classes alike, laboratories alike within a class, and groups nearly so within both.

    A group counts with the square root of its tiles. A cell of few groups counts with the square root of their share in
    ``FULL_CELL_GROUPS``.

    Parameters
    ----------
    target, laboratory, groups : (n,)
    hard : (n,) which tiles are hard negatives, and count ``hard_factor`` times within their cell and class
    """
    weights = np.zeros(len(target))
    for of_class in np.unique(target):
        for name in np.unique(laboratory[target == of_class]):
            cell = (target == of_class) & (laboratory == name)
            _, place, size = np.unique(groups[cell], return_inverse=True, return_counts=True)
            within = 1 / np.sqrt(size[place])
            weights[cell] = within / within.sum() * np.sqrt(min(1.0, len(size) / FULL_CELL_GROUPS))
        here = target == of_class
        weights[here & hard] *= hard_factor
        weights[here] /= weights[here].sum()
    return np.asarray(weights / weights.sum(), np.float64)
