"""Classes count alike, and laboratories within a class; a source image of many tiles decides nothing."""

import numpy as np
import pytest

from training.slide.balance import FULL_CELL_GROUPS, tile_weights


def weighed(cells: list[tuple[int, str, int, int]], *, hard: str = "", factor: float = 1.0) -> dict[tuple[int, str], float]:
    """Weight of each cell ``(class, laboratory, groups, tiles a group)``."""
    rows = [
        (of, lab, f"{lab}{of}-{group}") for of, lab, groups, tiles in cells for group in range(groups) for _ in range(tiles)
    ]
    target, laboratory, groups = (np.array(column) for column in zip(*rows, strict=True))
    weights = tile_weights(target, laboratory, groups, laboratory == hard, factor)
    assert weights.sum() == pytest.approx(1)
    return {(of, lab): float(weights[(target == of) & (laboratory == lab)].sum()) for of, lab, _, _ in cells}


def test_classes_and_laboratories_count_alike_however_many_tiles_they_have() -> None:
    found = weighed([(0, "A", 50, 9), (0, "B", 50, 1), (1, "A", 400, 1)])
    assert found == {(0, "A"): pytest.approx(0.25), (0, "B"): pytest.approx(0.25), (1, "A"): pytest.approx(0.5)}


def test_a_laboratory_with_few_groups_counts_less() -> None:
    found = weighed([(0, "A", FULL_CELL_GROUPS, 1), (0, "B", FULL_CELL_GROUPS // 4, 5)])
    assert found[0, "B"] / found[0, "A"] == pytest.approx(0.5)


def test_hard_negatives_count_more_within_their_class_and_take_nothing_from_others() -> None:
    found = weighed([(0, "A", 50, 1), (0, "B", 50, 1), (1, "A", 50, 1)], hard="B", factor=3.0)
    assert found == {(0, "A"): pytest.approx(0.125), (0, "B"): pytest.approx(0.375), (1, "A"): pytest.approx(0.5)}


def test_a_group_counts_with_the_root_of_its_tiles() -> None:
    target, laboratory = np.zeros(5, int), np.full(5, "A")
    weights = tile_weights(target, laboratory, np.array(["g", "g", "g", "g", "h"]), np.zeros(5, bool), 1.0)
    assert weights[:4].sum() / weights[4] == pytest.approx(2)
