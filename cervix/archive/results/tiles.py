"""The tiles of every slide of a run as one Parquet dataset, partitioned by slide: ``tiles/slide=<SHA-256>/part.parquet``.

The columns are those of one slide's export (``cervix.slides.exports.tile_table``): recognised or not, read or not, provenance.
"""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd

from cervix.archive.results.kept import kept_score
from cervix.archive.results.reading import reading
from cervix.archive.runs import RunOrder
from cervix.bundle.manifest import Model
from cervix.files import replacing
from cervix.slides.exports import tile_table
from cervix.slides.results import DAMAGED, SUMMARY_NAME, TILES_NAME
from cervix.slides.rows import row_dtype
from cervix.slides.scoring import SlideScore, SlideSummary

TILES_DIR_NAME: Final = "tiles"
PART_NAME: Final = "part.parquet"


def write_tiles(
    out: Path, order: RunOrder, model: Model, into: Path, on_progress: Callable[[int, int], None] | None = None
) -> tuple[int, int]:
    """Write the part of every scored slide that has none yet, or a newer score; an interrupted call is gone on with.

    Parameters
    ----------
    out, into : Path
        Folder of the run; folder of the dataset.
    model : Model
        The tile model of the run's bundle.
    on_progress : (slides looked at, slides) -> None

    Returns
    -------
    tuple of int
        Parts written now, and slides whose files are gone.
    """
    with reading(out) as connection:
        scored = [
            (row["slide_sha256"], row["bundle_sha256"])
            for row in connection.execute(
                "SELECT DISTINCT slide_sha256, bundle_sha256 FROM slides WHERE state = 'done' ORDER BY slide_sha256"
            )
        ]
    written = gone = 0
    for place, (slide_sha256, bundle_sha256) in enumerate(scored, 1):
        folder = kept_score(order, slide_sha256, bundle_sha256)
        part = into / f"slide={slide_sha256}" / PART_NAME
        made_ns = _changed_ns(folder / SUMMARY_NAME)
        if not _is_current(part, made_ns):
            table = _tiles_of(folder, model)
            if table is None:
                gone += 1
            else:
                with replacing(part) as temporary:
                    table.to_parquet(temporary, index=False)
                    os.utime(temporary, ns=(made_ns, made_ns))
                written += 1
        if on_progress is not None:
            on_progress(place, len(scored))
    return written, gone


def _is_current(part: Path, made_ns: int) -> bool:
    """Whether a part is of the score with this time: one by another bundle may be older, and is another all the same."""
    # A part whose score is gone is the last of it.
    return part.is_file() and made_ns in (0, _changed_ns(part))


def _changed_ns(path: Path) -> int:
    """When a file was changed; 0 where it is gone."""
    return path.stat().st_mtime_ns if path.is_file() else 0


def _tiles_of(folder: Path, model: Model) -> pd.DataFrame | None:
    try:
        summary = SlideSummary.model_validate_json((folder / SUMMARY_NAME).read_bytes())
        tiles = pd.read_parquet(folder / TILES_NAME)
    except (OSError, *DAMAGED):
        return None
    # Grad-CAM, which rows hold, is in no table.
    return tile_table(SlideScore(tiles, summary, np.empty(0, row_dtype(model))), model)
