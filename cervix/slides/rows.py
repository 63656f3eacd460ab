"""What the model said of each tile, as fixed-size rows: an array in memory and an append-only file on disk.

Tiles are scored in the grid's fixed order, so the number of whole rows in the file says exactly where to resume after a
crash. A tile that could not be read has its row too, without numbers, so that it is not tried again. A row is a few
hundred bytes; its Grad-CAM is kept in 256 steps of its own maximum, which a screen cannot tell from the float map.
"""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cervix.bundle.manifest import Model
from cervix.bundle.sessions import Arrays

ROW_OUTPUTS = ["probabilities", "novelty", "cam"]
CAM_STEPS = 255
PLACE = "place"
"""Of a row whose tile is not known by the row's number: which tile of the grid, from 0."""

Rows = NDArray[np.void]


def row_dtype(model: Model) -> np.dtype[np.void]:
    """One tile: ``probabilities (classes,)``, ``novelty``, ``cam_peak (classes,)`` float32, ``cam (classes, h, w)`` uint8."""
    cam = next(spec for spec in model.outputs if spec.name == "cam")
    classes, height, width = (int(size) for size in cam.shape[1:])
    return np.dtype(
        [
            ("probabilities", "<f4", (classes,)),
            ("novelty", "<f4"),
            ("cam_peak", "<f4", (classes,)),
            ("cam", "u1", (classes, height, width)),
        ]
    )


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
    return rows


def read_rows(path: Path, dtype: np.dtype[np.void], at_most: int) -> Rows:
    """The whole rows of a file; a last row cut short by a crash is left out, a missing file has none."""
    if not path.is_file():
        return np.empty(0, dtype)
    count = min(path.stat().st_size // dtype.itemsize, at_most)
    return np.fromfile(path, dtype, count=count)
