"""A group is on one side, every side has every class, and the same seed gives the same split."""

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.preprocessing import StandardScaler

from training.data.splits import (
    NEAR_DUPLICATE_COSINE,
    GroupError,
    LeakError,
    check_groups,
    check_no_leak,
    check_no_near_duplicates,
    grouped_split,
)

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


def test_a_group_in_two_classes_is_named_with_both(labelled: Labelled) -> None:
    labels, groups = labelled
    mixed = labels.copy()
    member = np.flatnonzero(groups == "g017")[0]
    mixed[member] = "no" if labels[member] == "yes" else "yes"
    with pytest.raises(GroupError, match=r"more than one class.*found g017 in no and yes\."):
        grouped_split(mixed, groups, tenths=TENTHS, seed=1)
    assigned = grouped_split(mixed, groups, tenths=TENTHS, seed=1, mixed=True)
    assert len(set(assigned[groups == "g017"])) == 1


@pytest.mark.parametrize(("count", "refused"), [(9, True), (10, False)])
def test_a_class_needs_one_group_a_fold(labelled: Labelled, count: int, refused: bool) -> None:
    labels, groups = (np.append(column, np.repeat(more, 3)) for column, more in zip(labelled, rare_class(count), strict=True))
    if refused:
        with pytest.raises(GroupError, match=r"Class rare has too few groups.*at least 10 source images.*found 9"):
            grouped_split(labels, groups, tenths=TENTHS, seed=1)
    else:
        assigned = grouped_split(labels, groups, tenths=TENTHS, seed=1)
        assert set(assigned[labels == "rare"]) == {"train", "validation", "test"}


def rare_class(count: int) -> tuple[list[str], list[str]]:
    return ["rare"] * count, [f"r{index}" for index in range(count)]


def test_a_split_without_a_class_is_named_with_the_class() -> None:
    labels = np.array(["no", "yes", "no", "yes", "no"])
    assigned = np.array(["train", "train", "validation", "validation", "test"])
    with pytest.raises(GroupError, match=r"The test split has no group of a class.*found no yes"):
        check_groups(labels, assigned, np.array(list("abcde")))


def test_a_group_on_two_sides_is_a_leak_even_where_every_split_has_every_class() -> None:
    labels = np.array(["no", "yes"] * 3)
    assigned = np.repeat(["train", "validation", "test"], 2)
    check_groups(labels, assigned, np.array(list("abcdef")))
    with pytest.raises(LeakError, match=r"found a\."):
        check_groups(labels, assigned, np.array(list("abadef")))


class TestNearDuplicates:
    """60 embeddings whose channels differ in mean and spread by far more than the cases do."""

    ASSIGNED = np.repeat(["train", "validation", "test"], 20)
    PATHS = np.array([f"tile{index:02d}.jpeg" for index in range(60)])

    @pytest.fixture
    def embeddings(self) -> NDArray[np.float32]:
        rng = np.random.default_rng(4)
        return (rng.normal(size=(60, 64)) * rng.uniform(0.01, 1, 64) + rng.uniform(0, 50, 64)).astype(np.float32)

    @pytest.mark.parametrize(
        ("first", "second"), [(3, 25), (3, 45), (25, 45)], ids=["train-validation", "train-test", "validation-test"]
    )
    def test_a_slightly_changed_copy_on_another_side_is_a_leak_that_names_both(
        self, embeddings: NDArray[np.float32], first: int, second: int
    ) -> None:
        noise = np.random.default_rng(5).normal(size=64) * embeddings.std(axis=0) * 0.05
        embeddings[second] = embeddings[first] + noise
        with pytest.raises(LeakError) as caught:
            check_no_near_duplicates(embeddings, self.ASSIGNED, self.PATHS)
        assert f"tile{first:02d}.jpeg" in str(caught.value)
        assert f"tile{second:02d}.jpeg" in str(caught.value)

    @pytest.mark.parametrize("start", [0, 20, 40], ids=["train", "validation", "test"])
    def test_copies_inside_one_split_are_no_leak(self, embeddings: NDArray[np.float32], start: int) -> None:
        embeddings[start + 1] = embeddings[start]
        assert check_no_near_duplicates(embeddings, self.ASSIGNED, self.PATHS) < NEAR_DUPLICATE_COSINE

    def test_the_largest_cosine_between_splits_is_returned(self, embeddings: NDArray[np.float32]) -> None:
        standard = StandardScaler().fit_transform(embeddings.astype(np.float64))
        standard /= np.linalg.norm(standard, axis=1, keepdims=True)
        largest = max(
            float(standard[row] @ standard[column])
            for row in range(60)
            for column in range(row)
            if self.ASSIGNED[row] != self.ASSIGNED[column]
        )
        assert check_no_near_duplicates(embeddings, self.ASSIGNED, self.PATHS) == pytest.approx(largest, abs=1e-4)

    def test_what_all_tiles_have_in_common_makes_no_duplicates(self, embeddings: NDArray[np.float32]) -> None:
        plain = embeddings / np.linalg.norm(embeddings, axis=1, keepdims=True)
        assert (plain @ plain.T).min() > 0.99
        assert check_no_near_duplicates(embeddings, self.ASSIGNED, self.PATHS) < 0.7

    def test_a_channel_that_is_always_the_same_does_no_harm(self, embeddings: NDArray[np.float32]) -> None:
        embeddings[:, 7] = 0.0
        assert 0 < check_no_near_duplicates(embeddings, self.ASSIGNED, self.PATHS) < NEAR_DUPLICATE_COSINE
