"""What the model said of each tile, as fixed-size rows: an array in memory and an append-only file on disk.

Tiles are scored in the grid's fixed order, so the number of whole rows in the file says exactly where to resume after a
crash. A tile that could not be read has its row too, without numbers, so that it is not tried again. A row is a few
hundred bytes; its Grad-CAM is kept in 256 steps of its own maximum, which a screen cannot tell from the float map.

Where a bundle has a slide head, a row holds the tile's embedding too, in half precision: 1 kB more for 512 numbers, 20 MB for
20,000 tiles, in memory and on disk. It stands in the row, so that no crash can leave a tile with one and without the other;
and the head reads what is kept, so that a resumed score answers as one that was never interrupted.
"""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cervix.bundle.manifest import Manifest, Model
from cervix.bundle.sessions import Arrays

ROW_OUTPUTS = ["probabilities", "novelty", "cam"]
EMBEDDING = "embedding"
LARGEST_HALF = float(np.finfo(np.float16).max)
CAM_STEPS = 255
PLACE = "place"
"""Of a row whose tile is not known by the row's number: which tile of the grid, from 0."""

Rows = NDArray[np.void]


def row_dtype(model: Model, *, embedding: bool = False) -> np.dtype[np.void]:
    """One tile: ``probabilities (classes,)``, ``novelty``, ``cam_peak (classes,)`` float32, ``cam (classes, h, w)`` uint8.

    With ``embedding (size,)`` float16 after them where it is asked for.
    """
    shapes = {spec.name: tuple(int(size) for size in spec.shape[1:]) for spec in model.outputs}
    classes, height, width = shapes["cam"]
    return np.dtype(
        [
            ("probabilities", "<f4", (classes,)),
            ("novelty", "<f4"),
            ("cam_peak", "<f4", (classes,)),
            ("cam", "u1", (classes, height, width)),
            *([(EMBEDDING, "<f2", shapes[EMBEDDING])] if embedding else []),
        ]
    )


def kept_dtype(manifest: Manifest) -> np.dtype[np.void]:
    """The rows that are kept of a slide scored by this bundle: with embeddings where it has a slide head."""
    return row_dtype(manifest.first_of("tile"), embedding=manifest.slide_head is not None)


def outputs_of(dtype: np.dtype[np.void]) -> list[str]:
    """What the tile model is asked for to fill such rows."""
    return [*ROW_OUTPUTS, EMBEDDING] if EMBEDDING in (dtype.names or ()) else ROW_OUTPUTS


def placed_dtype(dtype: np.dtype[np.void]) -> np.dtype[np.void]:
    """Such a row with the place of its tile in the grid before it."""
    return np.dtype([(PLACE, "<i4"), *((name, dtype[name]) for name in dtype.names or ())])


def with_places(rows: Rows, places: NDArray[np.integer]) -> Rows:
    """The same rows, each with the place of its tile: ``(n,)``."""
    placed = np.empty(len(rows), placed_dtype(rows.dtype))
    placed[PLACE] = places
    for name in rows.dtype.names or ():
        placed[name] = rows[name]
    return placed


def have_places(rows: Rows) -> bool:
    """Whether each row names its tile; else they are those of the first tiles of the grid."""
    return PLACE in (rows.dtype.names or ())


def places_of(rows: Rows) -> NDArray[np.int64]:
    """Which tiles of the grid the rows are of: ``(n,)``."""
    return np.asarray(rows[PLACE], np.int64) if have_places(rows) else np.arange(len(rows))


def mark_unread(rows: Rows, unread: NDArray[np.bool_]) -> None:
    """Turn some rows into those of tiles that could not be read: NaN in place of what the model would have said."""
    rows["probabilities"][unread] = np.nan
    rows["novelty"][unread] = np.nan
    rows["cam_peak"][unread] = 0.0
    rows["cam"][unread] = 0
    if EMBEDDING in (rows.dtype.names or ()):
        rows[EMBEDDING][unread] = 0.0


def unread_rows(rows: Rows) -> NDArray[np.bool_]:
    """Which rows are of tiles that could not be read: ``(n,)``."""
    return np.asarray(np.isnan(rows["novelty"]), np.bool_)


def rows_of(out: Arrays, count: int, dtype: np.dtype[np.void]) -> Rows:
    """The first ``count`` tiles of a batch that the model answered (the rest is padding): ``(count,)``."""
    rows = np.empty(count, dtype)
    rows["probabilities"] = out["probabilities"][:count]
    rows["novelty"] = out["novelty"][:count]
    cam = np.asarray(out["cam"][:count], np.float32)
    peak = cam.max(axis=(2, 3))
    rows["cam_peak"] = peak
    rows["cam"] = np.round(cam / np.maximum(peak, np.finfo(np.float32).tiny)[..., None, None] * CAM_STEPS)
    if EMBEDDING in (dtype.names or ()):
        rows[EMBEDDING] = np.clip(out[EMBEDDING][:count], -LARGEST_HALF, LARGEST_HALF)
    return rows


def read_rows(path: Path, dtype: np.dtype[np.void], at_most: int) -> Rows:
    """The whole rows of a file; a last row cut short by a crash is left out, a missing file has none."""
    if not path.is_file():
        return np.empty(0, dtype)
    count = min(path.stat().st_size // dtype.itemsize, at_most)
    return np.fromfile(path, dtype, count=count)
