"""Exact nearest neighbours by cosine among many vectors, held in blocks."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

BLOCK_ROWS = 32_768
"""Of 512 numbers 64 MiB: enough for BLAS, and little to allocate when one more is full."""
UNIT_ROUNDOFF = 2.0**-24
"""Of float32 (IEEE 754)."""
RECHECKED_AT_ONCE = 4096
"""Rows that are looked at again in float64, 16 MiB of 512 numbers: no more where a million are alike."""

LENGTHS = 1e-12, 1e12
"""Of vectors that can be compared: their squares and products are then neither lost nor too large in float32."""

Floats = NDArray[np.float32]


def comparable(vectors: Floats) -> NDArray[np.bool_]:
    """Which vectors ``(n, dimensions)`` have a direction: ``(n,)``. One of zeros has none, nor one that is not finite."""
    lengths = np.linalg.norm(vectors.astype(np.float64), axis=1)
    return np.asarray((lengths >= LENGTHS[0]) & (lengths <= LENGTHS[1]), bool)


class VectorBlocks:
    """Vectors of one length. Rows are numbered as they came, from 0, and keep their number.

    Attributes
    ----------
    dimensions : numbers a vector
    rows : how many there are
    """

    def __init__(self, dimensions: int, block_rows: int = BLOCK_ROWS) -> None:
        self.dimensions, self.rows = dimensions, 0
        self._block_rows = block_rows
        self._blocks: list[Floats] = []
        self._norms: list[Floats] = []

    @property
    def bytes_held(self) -> int:
        return sum(block.nbytes for block in (*self._blocks, *self._norms))

    def append(self, vectors: Floats) -> None:
        """Add rows ``(n, dimensions)``, all of them ``comparable``."""
        at = 0
        while at < len(vectors):
            within = self.rows % self._block_rows
            if within == 0:
                self._blocks.append(np.empty((self._block_rows, self.dimensions), np.float32))
                self._norms.append(np.empty(self._block_rows, np.float32))
            part = vectors[at : at + self._block_rows - within]
            self._blocks[-1][within : within + len(part)] = part
            self._norms[-1][within : within + len(part)] = np.linalg.norm(part.astype(np.float64), axis=1)
            at += len(part)
            self.rows += len(part)

    def replace(self, row: int, vector: Floats) -> None:
        """Put another vector in a row's place."""
        block, within = divmod(row, self._block_rows)
        self._blocks[block][within] = vector
        self._norms[block][within] = np.linalg.norm(vector.astype(np.float64))

    def nearest(
        self, vector: Floats, count: int, among: NDArray[np.bool_] | None = None
    ) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """The rows with the smallest cosine distance, exactly those that a comparison of all in float64 gives.

        One pass in float32 finds all rows that can be among them: what rounding does to an inner product of ``d`` numbers is at
        most ``d u / (1 - d u)`` of the product of the lengths (Higham 2002, Accuracy and Stability of Numerical Algorithms,
        section 3.1), whatever the order of the sum. These rows alone are compared again in float64.

        Parameters
        ----------
        vector : (dimensions,), ``comparable``
        count : at most so many
        among : (rows,) bool, optional
            Which rows count.

        Returns
        -------
        rows : (n,) the nearest first; of rows equally near the one that came first
        distances : (n,) 1 minus the cosine, 0 to 2
        """
        count = min(count, self.rows if among is None else int(among.sum()))
        if count < 1:
            return np.empty(0, np.int64), np.empty(0, np.float64)
        asked = (vector / np.linalg.norm(vector.astype(np.float64))).astype(np.float32)
        cosine = np.empty(self.rows, np.float32)
        best = np.empty(0, np.float32)
        for number, block in enumerate(self._blocks):
            start = number * self._block_rows
            here = cosine[start : start + self._block_rows]
            np.matmul(block[: len(here)], asked, out=here)
            here /= self._norms[number][: len(here)]
            if among is not None:
                here[~among[start : start + len(here)]] = -np.inf
            # Few rows of a later block beat the best so far, and only they are sorted.
            best = np.concatenate([best, here if len(best) < count else here[here > best[0]]])
            best = np.partition(best, -count)[-count:] if len(best) > count else np.sort(best)
        least = float(best[0])
        candidates = np.flatnonzero(cosine >= least - 2 * self._rounding())
        exact = np.concatenate([
            self._exact(candidates[at : at + RECHECKED_AT_ONCE], vector)
            for at in range(0, len(candidates), RECHECKED_AT_ONCE)
        ])  # fmt: skip
        order = np.argsort(-exact, kind="stable")[:count]
        return candidates[order], np.clip(1 - exact[order], 0.0, 2.0)

    def rows_at(self, rows: NDArray[np.int64] | Sequence[int]) -> Floats:
        """Vectors of some rows ``(n, dimensions)``, as they came."""
        places = np.asarray(rows, np.int64)
        made = np.empty((len(places), self.dimensions), np.float32)
        block, within = np.divmod(places, self._block_rows)
        for number in np.unique(block):
            here = block == number
            made[here] = self._blocks[number][within[here]]
        return made

    def _exact(self, rows: NDArray[np.int64], vector: Floats) -> NDArray[np.float64]:
        """Cosines in float64."""
        held, asked = self.rows_at(rows).astype(np.float64), vector.astype(np.float64)
        # Not a matrix product: its sums depend on how many rows there are, and equal rows would not be equally near.
        inner = np.einsum("ij,j->i", held, asked)
        return np.asarray(inner / (np.sqrt(np.einsum("ij,ij->i", held, held)) * np.linalg.norm(asked)), np.float64)

    def _rounding(self) -> float:
        """How far a cosine of the pass in float32 can be off: the sum, and a few roundings of the lengths and the quotient."""
        sums = self.dimensions * UNIT_ROUNDOFF
        return sums / (1 - sums) + 8 * UNIT_ROUNDOFF
