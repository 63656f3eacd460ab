"""Is a drawn tile a copy of a training tile? The smallest pixel distance to any of them, however turned or mirrored."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cervix.slides.drawn.look import Look, looks
from training.slide.drawn.tiles import drawn_tiles
from training.slide.rehearsal import orientations

AT_ONCE = 128
HELD_OUT_OF_A_CLASS = 40
"""So many held-out tiles of each class are enough for a median, and cost half a minute."""
FIELDS_OF_A_TISSUE = 5


def nearest_distances(tiles: NDArray[np.uint8], training: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Root mean square difference, in grey levels 0..255, from each tile to the training tile most like it: ``(n,)``.

    Each tile is compared in all eight positions.

    Parameters
    ----------
    tiles, training : (n, size, size, 3), (m, size, size, 3)
    """
    laid = np.concatenate([*orientations(tiles)]).reshape(8 * len(tiles), -1).astype(np.float32) - 128
    laid_squares = np.einsum("ij,ij->i", laid, laid, dtype=np.float64)
    smallest = np.full(len(laid), np.inf)
    for first in range(0, len(training), AT_ONCE):
        others = training[first : first + AT_ONCE].reshape(-1, laid.shape[1]).astype(np.float32) - 128
        squares = laid_squares[:, None] + np.einsum("ij,ij->i", others, others, dtype=np.float64) - 2.0 * (laid @ others.T)
        smallest = np.minimum(smallest, squares.min(axis=1))
    mean_square = np.maximum(smallest.reshape(8, len(tiles)).min(axis=0), 0) / laid.shape[1]
    return np.asarray(np.sqrt(mean_square), np.float64)


def copies_table(
    training: NDArray[np.uint8], held_out: NDArray[np.uint8], held_out_labels: NDArray[np.str_], seed: int,
    settings: Mapping[str, Look] | None = None,
) -> pd.DataFrame:  # fmt: skip
    """Distances of drawn tiles to the training tiles, beside those of real tiles that training did not see.

    Drawn tiles that lie farther away than real ones are no copies. The measure sees pixels: it would not find a training tile
    that was scaled, shifted or recoloured.

    Parameters
    ----------
    training, held_out : (n, size, size, 3), (m, size, size, 3)
    held_out_labels : (m,)

    Returns
    -------
    DataFrame
        ``what, smallest, median, n``; distances in grey levels.
    """
    rng = np.random.default_rng(seed)
    queries: dict[str, NDArray[np.uint8]] = {}
    for label in np.unique(held_out_labels):
        here = np.flatnonzero(held_out_labels == label)
        queries[f"real, held out: {label}"] = held_out[rng.permutation(here)[:HELD_OUT_OF_A_CLASS]]
    for tissue, look in (settings or looks()).items():
        fields = [drawn_tiles(tissue, look, seed + number, training.shape[1]) for number in range(FIELDS_OF_A_TISSUE)]
        queries[f"drawn: {tissue.replace('-', ' ')}"] = np.concatenate(fields)
    rows = []
    for what, tiles in queries.items():
        distances = nearest_distances(tiles, training)
        smallest, median = round(float(distances.min()), 1), round(float(np.median(distances)), 1)
        rows.append({"what": what, "smallest": smallest, "median": median, "n": len(tiles)})
    return pd.DataFrame(rows)
