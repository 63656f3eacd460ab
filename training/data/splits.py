"""Splits that keep a group whole: no source image, patient or duplicate row on two sides."""

import numpy as np
from numpy.typing import NDArray
from sklearn.model_selection import StratifiedGroupKFold

from cervix.errors import CervixError

SPLITS = ("train", "validation", "test")


# Two saved copies of one picture have at least this cosine; different source images at hand stay below 0.85.
NEAR_DUPLICATE_COSINE = 0.9
FOLDS = 10
FEWEST_EVENTS = 50


class LeakError(CervixError, ValueError, code="split-leaks"):
    """Raised when a group, or nearly the same picture, is on two sides of a split."""


class EventError(CervixError, ValueError, code="split-lacks-events"):
    """Raised when there are too few outcomes to learn from, or only one kind."""


class GroupError(CervixError, ValueError, code="split-groups-unfit"):
    """Raised when the groups of a data set cannot be split: one is in two classes, or a class has too few."""


def grouped_split(
    labels: NDArray[np.str_], groups: NDArray[np.str_], *, tenths: tuple[int, int, int], seed: int, mixed: bool = False
) -> NDArray[np.str_]:
    """Assign whole groups to train, validation and test, stratified by class.

    Parameters
    ----------
    labels, groups : (n,) arrays
        Class and group of each case.
    tenths : (train, validation, test)
        Share of the groups in tenths; sums to 10.
    mixed : bool
        Whether a group may hold several classes, as women with equal inputs may have different outcomes.

    Returns
    -------
    (n,) array of ``"train" | "validation" | "test"``

    Raises
    ------
    GroupError
        If a group has two classes without ``mixed``, or a class has too few groups for every split to get one.
    LeakError
        If a group ends up on two sides. This can only happen if the fold generator is wrong.
    """
    check_group_classes(labels, groups, mixed=mixed)
    if sum(tenths) != FOLDS or min(tenths) < 1:
        raise ValueError(f"expected three positive tenths that sum to 10, found {tenths}")
    folds = StratifiedGroupKFold(n_splits=FOLDS, shuffle=True, random_state=seed)
    order = [split for split, count in zip(SPLITS, tenths, strict=True) for _ in range(count)]
    assigned = np.empty(len(labels), dtype="<U10")
    for split, (_, members) in zip(order, folds.split(labels, labels, groups), strict=True):
        assigned[members] = split
    check_groups(labels, assigned, groups)
    return assigned


def check_group_classes(labels: NDArray[np.str_], groups: NDArray[np.str_], *, mixed: bool = False) -> None:
    """Raise ``GroupError`` if a group has two classes without ``mixed``, or a class has fewer than ten groups, one a fold."""
    classes_of: dict[str, set[str]] = {}
    for label, group in zip(labels, groups, strict=True):
        classes_of.setdefault(str(group), set()).add(str(label))
    of_two = sorted(group for group, classes in classes_of.items() if len(classes) > 1)
    if of_two and not mixed:
        raise GroupError(
            "A group holds more than one class",
            expected="every source image or patient in one class",
            found=", ".join(f"{group} in {' and '.join(sorted(classes_of[group]))}" for group in of_two[:3]),
            action="Correct the labels or the groups in the index.",
        )
    for label in np.unique(labels):
        count = len(np.unique(groups[labels == label]))
        if count < FOLDS:
            raise GroupError(
                f"Class {label} has too few groups to be split",
                expected=f"at least {FOLDS} source images or patients",
                found=str(count),
                action="Add tiles of other source images or patients, or leave the class out of the recipe.",
            )


def require_events(positive: NDArray[np.bool_]) -> None:
    """Raise ``EventError`` if a table has only one outcome or fewer than 50 events."""
    events = int(positive.sum())
    if events in (0, len(positive)):
        raise EventError(
            "There is only one outcome, so there is nothing to learn",
            expected="cases with the event and cases without",
            found=f"{events:,} events among {len(positive):,} cases",
            action="Check the outcome column, or add cases.",
        )
    if events < FEWEST_EVENTS:
        raise EventError(
            "There are too few events to learn from",
            expected=f"at least {FEWEST_EVENTS}",
            found=f"{events:,} among {len(positive):,} cases",
            action="Add cases with the event; a model fitted on fewer would mostly show chance.",
        )


def check_groups(labels: NDArray[np.str_], assigned: NDArray[np.str_], groups: NDArray[np.str_]) -> None:
    """Raise ``LeakError`` for a shared group, ``GroupError`` if a split has no group of a class."""
    check_no_leak(assigned, groups)
    for split in SPLITS:
        if missing := sorted(set(labels) - set(labels[assigned == split])):
            raise GroupError(f"The {split} split has no group of a class", expected="each class", found=f"no {missing[0]}")


def check_no_near_duplicates(embeddings: NDArray[np.floating], assigned: NDArray[np.str_], paths: NDArray[np.str_]) -> float:
    """Raise ``LeakError`` if two tiles of different splits are nearly the same picture.

    Compares the cosine of embeddings standardised per channel. This finds copies, also recompressed or mirrored ones. A copy
    that was rotated by another angle or cropped differently can stay below the limit; that is why groups are split first.

    Parameters
    ----------
    embeddings : (n, features)

    Returns
    -------
    The largest cosine between tiles of different splits.
    """
    standard = (embeddings - embeddings.mean(axis=0)) / np.maximum(embeddings.std(axis=0), 1e-6)
    standard = standard / np.maximum(np.linalg.norm(standard, axis=1, keepdims=True), 1e-6)
    largest = -1.0
    for split in SPLITS[1:]:
        here, there = np.flatnonzero(assigned == split), np.flatnonzero(assigned != split)
        cosine = standard[here] @ standard[there].T
        largest = max(largest, float(cosine.max()))
        row, column = np.unravel_index(int(cosine.argmax()), cosine.shape)
        if largest >= NEAR_DUPLICATE_COSINE:
            raise LeakError(
                "Nearly the same picture is on two sides of the split",
                expected=f"cosine of embeddings below {NEAR_DUPLICATE_COSINE}",
                found=f"{cosine[row, column]:.3f} between {paths[here[row]]} and {paths[there[column]]}",
                action="Put both into one group of the index.",
            )
    return largest


def check_no_leak(assigned: NDArray[np.str_], groups: NDArray[np.str_]) -> None:
    """Raise ``LeakError`` naming the first groups that are in more than one split."""
    sides: dict[str, set[str]] = {}
    for split, group in zip(assigned, groups, strict=True):
        sides.setdefault(str(group), set()).add(str(split))
    shared = sorted(group for group, splits in sides.items() if len(splits) > 1)
    if shared:
        raise LeakError(
            "Groups are on two sides of the split",
            expected="each group in one split",
            found=", ".join(shared[:5]),
        )
