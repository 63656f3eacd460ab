"""A group is on one side, every side has every class, and the same seed gives the same split."""

import numpy as np
import pytest
from numpy.typing import NDArray

from training.data.splits import LeakError, check_no_leak, grouped_split

TENTHS = (7, 1, 2)
Labelled = tuple[NDArray[np.str_], NDArray[np.str_]]


@pytest.fixture(scope="module")
def labelled() -> Labelled:
    """1,200 cases in about 240 groups of 1 to 9, each group of one class; a fifth of the groups positive."""
    rng = np.random.default_rng(3)
    sizes = rng.integers(1, 10, 240)
    groups = np.repeat([f"g{index:03d}" for index in range(240)], sizes)
    labels = np.repeat(np.where(rng.random(240) < 0.2, "yes", "no"), sizes)
    order = rng.permutation(len(groups))
    return labels[order], groups[order]


def test_no_group_stands_on_two_sides(labelled: Labelled) -> None:
    labels, groups = labelled
    assigned = grouped_split(labels, groups, tenths=TENTHS, seed=1)
    sides = {group: set(assigned[groups == group]) for group in np.unique(groups)}
    assert max(len(splits) for splits in sides.values()) == 1


def test_every_case_is_assigned_in_about_the_shares_asked_for(labelled: Labelled) -> None:
    labels, groups = labelled
    assigned = grouped_split(labels, groups, tenths=TENTHS, seed=1)
    shares = [float((assigned == split).mean()) for split in ("train", "validation", "test")]
    assert sum(shares) == pytest.approx(1.0)
    assert shares == pytest.approx([0.7, 0.1, 0.2], abs=0.05)


def test_every_side_has_each_class_in_proportion(labelled: Labelled) -> None:
    labels, groups = labelled
    assigned = grouped_split(labels, groups, tenths=TENTHS, seed=1)
    overall = (labels == "yes").mean()
    for split in ("train", "validation", "test"):
        assert (labels[assigned == split] == "yes").mean() == pytest.approx(overall, abs=0.08)


def test_the_seed_decides_the_split(labelled: Labelled) -> None:
    first, again, other = (grouped_split(*labelled, tenths=TENTHS, seed=seed) for seed in (1, 1, 2))
    assert (first == again).all()
    assert (first != other).any()


@pytest.mark.parametrize("tenths", [(7, 2, 2), (8, 0, 2), (5, 2, 2), (11, -2, 1)])
def test_shares_that_are_no_tenths_are_refused(labelled: Labelled, tenths: tuple[int, int, int]) -> None:
    with pytest.raises(ValueError, match="three positive tenths that sum to 10"):
        grouped_split(*labelled, tenths=tenths, seed=1)


def test_a_leak_is_refused_with_the_groups_that_leak() -> None:
    assigned = np.array(["train", "test", "train", "validation", "test"])
    with pytest.raises(LeakError, match=r"found a, c\."):
        check_no_leak(assigned, np.array(["a", "a", "c", "c", "d"]))


def test_groups_that_stay_on_their_side_are_no_leak() -> None:
    check_no_leak(np.array(["train", "train", "test"]), np.array(["a", "a", "b"]))
