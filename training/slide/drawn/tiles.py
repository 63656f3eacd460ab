"""Drawn tissue as tiles of the model's size."""

import numpy as np
from numpy.typing import NDArray

from cervix.slides.drawn.look import Look
from cervix.slides.drawn.stains import as_seen
from cervix.slides.drawn.tissues import TISSUES

FIELD_TILES = (4, 2)
"""Rows and columns of tiles in a field: from the surface of the mucosa, where there is one, into the stroma."""


def drawn_tiles(tissue: str, look: Look, seed: int, size_px: int) -> NDArray[np.uint8]:
    """A field of one tissue, cut into tiles: ``(rows * columns, size, size, 3)`` uint8 RGB at 0.5 µm per pixel."""
    rows, columns = FIELD_TILES
    shape = (rows * size_px, columns * size_px)
    field = as_seen(TISSUES[tissue](np.random.default_rng(seed), look, np.ones(shape, np.bool_)))
    return np.asarray(
        field.reshape(rows, size_px, columns, size_px, 3).swapaxes(1, 2).reshape(rows * columns, size_px, size_px, 3)
    )
