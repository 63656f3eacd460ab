"""Nearest neighbours are exactly those of a comparison of everything with everything."""

import numpy as np
import pytest
from numpy.typing import NDArray

from cervix.labels.similar.vectors import VectorBlocks, comparable

DIMENSIONS = 24


def blocks_of(vectors: NDArray[np.float32]) -> VectorBlocks:
    """In blocks of 64 rows, brought in odd portions."""
    made = VectorBlocks(vectors.shape[1], block_rows=64)
    for at in range(0, len(vectors), 37):
        made.append(vectors[at : at + 37])
    return made


def brute_force(vectors: NDArray[np.float32], asked: NDArray[np.float32], count: int) -> tuple[list[int], list[float]]:
    """All in float64, one row after the other."""
    exact, length = asked.astype(np.float64), float(np.linalg.norm(asked.astype(np.float64)))
    distances = [
        1 - float((row * exact).sum()) / (float(np.sqrt((row * row).sum())) * length) for row in vectors.astype(np.float64)
    ]
    order = np.argsort(distances, kind="stable")[:count]
    return order.tolist(), [distances[row] for row in order]


def made_vectors(rows: int, kind: str) -> NDArray[np.float32]:
    rng = np.random.default_rng(len(kind))
    if kind == "of very different lengths":
        return (rng.normal(size=(rows, DIMENSIONS)) * 10.0 ** rng.uniform(-5, 5, (rows, 1))).astype(np.float32)
    if kind == "closer together than float32 can tell":
        return (1 + 1e-4 * rng.normal(size=(rows, DIMENSIONS))).astype(np.float32)
    return np.maximum(rng.normal(size=(rows, DIMENSIONS)), 0).astype(np.float32)


@pytest.mark.parametrize("kind", ["like embeddings", "of very different lengths", "closer together than float32 can tell"])
@pytest.mark.parametrize("rows", [1, 64, 1000])
def test_the_nearest_are_those_of_brute_force_in_float64(kind: str, rows: int) -> None:
    vectors = made_vectors(rows + 3, kind)
    blocks = blocks_of(vectors[:rows])
    for asked in vectors[rows:]:
        expected, far = brute_force(vectors[:rows], asked, 12)
        found, distances = blocks.nearest(asked, 12)
        assert found.tolist() == expected
        np.testing.assert_allclose(distances, far, rtol=0, atol=1e-14)


def test_float32_alone_would_have_put_them_in_another_order() -> None:
    vectors = made_vectors(1001, "closer together than float32 can tell")
    asked = vectors[-1]
    single = vectors[:-1] @ asked / (np.linalg.norm(vectors[:-1], axis=1) * np.linalg.norm(asked))
    assert np.argsort(-single, kind="stable")[:12].tolist() != brute_force(vectors[:-1], asked, 12)[0]


def test_of_equal_vectors_the_one_that_came_first_comes_first() -> None:
    row = made_vectors(1, "like embeddings")
    found, distances = blocks_of(np.repeat(row, 200, axis=0)).nearest(row[0], 5)
    assert found.tolist() == [0, 1, 2, 3, 4]
    np.testing.assert_allclose(distances, 0, atol=1e-12)


def test_only_rows_that_count_are_found_and_fewer_than_asked_for_are_all() -> None:
    vectors = made_vectors(300, "like embeddings")
    among = np.zeros(300, bool)
    among[[7, 70, 270]] = True
    found, _ = blocks_of(vectors).nearest(vectors[0], 12, among)
    assert sorted(found.tolist()) == [7, 70, 270]
    assert not len(blocks_of(vectors).nearest(vectors[0], 12, np.zeros(300, bool))[0])
    assert not len(VectorBlocks(DIMENSIONS).nearest(vectors[0], 12)[0])


def test_a_replaced_vector_is_found_where_it_now_lies() -> None:
    vectors = made_vectors(100, "like embeddings")
    blocks = blocks_of(vectors[:99])
    blocks.replace(80, vectors[99])
    found, distances = blocks.nearest(vectors[99], 1)
    assert found.tolist() == [80]
    assert distances[0] == pytest.approx(0, abs=1e-12)


def test_what_has_no_direction_is_told_apart() -> None:
    odd = np.ones((5, 3), np.float32)
    odd[1], odd[2, 0], odd[3, 1], odd[4] = 0, np.nan, np.inf, 1e30
    assert comparable(odd).tolist() == [True, False, False, False, False]
