"""Splits that keep a group whole: no source image, patient or duplicate row on two sides."""

import numpy as np
from numpy.typing import NDArray
from sklearn.model_selection import StratifiedGroupKFold

from cervix.errors import CervixError

SPLITS = ("train", "validation", "test")


class LeakError(CervixError, ValueError):
    """Raised when a group stands on two sides of a split."""


def grouped_split(
    labels: NDArray[np.str_], groups: NDArray[np.str_], *, tenths: tuple[int, int, int], seed: int
) -> NDArray[np.str_]:
    """Assign whole groups to train, validation and test, each class in proportion.

    Parameters
    ----------
    labels, groups : (n,) arrays
        Class and group of each case.
    tenths : (train, validation, test)
        Share of the groups in tenths; sums to 10.

    Returns
    -------
    (n,) array of ``"train" | "validation" | "test"``

    Raises
    ------
    LeakError
        If a group ends on two sides (it cannot, unless the fold generator is wrong; checked all the same).
    """
    if sum(tenths) != 10 or min(tenths) < 1:
        raise ValueError(f"expected three positive tenths that sum to 10, found {tenths}")
    folds = StratifiedGroupKFold(n_splits=10, shuffle=True, random_state=seed)
    order = [split for split, count in zip(SPLITS, tenths, strict=True) for _ in range(count)]
    assigned = np.empty(len(labels), dtype="<U10")
    for split, (_, members) in zip(order, folds.split(labels, labels, groups), strict=True):
        assigned[members] = split
    check_no_leak(assigned, groups)
    return assigned


def check_no_leak(assigned: NDArray[np.str_], groups: NDArray[np.str_]) -> None:
    """Raise ``LeakError`` naming the first groups that stand in more than one split."""
    sides: dict[str, set[str]] = {}
    for split, group in zip(assigned, groups, strict=True):
        sides.setdefault(str(group), set()).add(str(split))
    shared = sorted(group for group, splits in sides.items() if len(splits) > 1)
    if shared:
        raise LeakError(
            "Groups stand on two sides of the split",
            expected="each group in one split",
            found=", ".join(shared[:5]),
        )
