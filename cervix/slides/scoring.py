"""Score a slide: readers, a bounded queue, one session at a constant batch shape."""

import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from threading import Event

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from cervix.bundle import Bundle
from cervix.errors import Cancelled
from cervix.provenance import Provenance, provenance_of
from cervix.slides.decision import SlideAnswer, decide
from cervix.slides.grid import TileGrid, lay_grid
from cervix.slides.reading import Slide
from cervix.slides.tissue import find_tissue

READER_THREADS = 2
BATCHES_AHEAD = 4
PROGRESS_EVERY_S = 0.5


class Timings(BaseModel):
    """Where the seconds went. Reading overlaps inference, so the parts may exceed ``total_s``."""

    model_config = ConfigDict(frozen=True)

    tissue_s: float
    read_s: float
    infer_s: float
    total_s: float
    tiles_per_s: float


class SlideSummary(BaseModel):
    """Everything about a scored slide but its tiles."""

    model_config = ConfigDict(frozen=True)

    answer: SlideAnswer
    slide_sha256: str
    width_l0_px: int
    height_l0_px: int
    spacing_um_px: float
    spacing_source: str
    requested_spacing_um_px: float
    effective_spacing_um_px: float
    size_l0_px: int
    level: int
    size_level_px: int
    tissue_area_mm2: float
    notices: list[str]
    timings: Timings
    precision: str
    provenance: Provenance


@dataclass(frozen=True)
class SlideScore:
    """A scored slide.

    Attributes
    ----------
    tiles : DataFrame
        One row a tile: ``x_l0_px, y_l0_px, size_l0_px, tissue_fraction, p_<class>…, novelty``.
    summary : SlideSummary
    """

    tiles: pd.DataFrame
    summary: SlideSummary

    def export_table(self) -> pd.DataFrame:
        """The tile table with its provenance in every row."""
        return self.summary.provenance.stamp(self.tiles)


@dataclass(frozen=True)
class ScoreProgress:
    """How far a running score is: the tiles so far already answer for the whole slide."""

    done: int
    total: int
    elapsed_s: float
    tiles: pd.DataFrame
    answer: SlideAnswer

    @property
    def tiles_per_s(self) -> float:
        return self.done / self.elapsed_s if self.elapsed_s > 0 else 0.0

    @property
    def eta_s(self) -> float:
        return (self.total - self.done) / self.tiles_per_s if self.tiles_per_s else float("inf")


def score_slide(
    slide: Slide,
    bundle: Bundle,
    *,
    on_progress: Callable[[ScoreProgress], None] | None = None,
    cancel: Event | None = None,
) -> SlideScore:
    """Score every tissue tile of a slide with the bundle's slide model. Pure: no files, no global state.

    Parameters
    ----------
    slide : Slide
        With a known spacing.
    bundle : Bundle
    on_progress : callable, optional
        Called from this thread about twice a second, and after the last tile.
    cancel : threading.Event, optional
        Set it from another thread to stop after the batch in hand.

    Raises
    ------
    SlideScaleUnknown, SlideNotSuitable, SlideNotReadable
    Cancelled
        When ``cancel`` was set.
    """
    session = bundle.session("slide")
    model = session.model
    if model.tiles is None:
        raise ValueError("the slide model declares no tiles")
    started = time.perf_counter()
    tissue = find_tissue(slide)
    grid = lay_grid(slide, tissue, model.tiles)
    tissue_s = time.perf_counter() - started

    probabilities = np.empty((len(grid), len(model.classes)), np.float32)
    novelty = np.empty(len(grid), np.float32)
    read_s = infer_s = 0.0
    scoring_started = last_report = time.perf_counter()
    for first, batch, seconds in _read_batches(slide, grid, session.batch_size, cancel):
        read_s += seconds
        count = min(session.batch_size, len(grid) - first)
        before = time.perf_counter()
        out = session.run({"tiles": batch}, ["probabilities", "novelty"])
        now = time.perf_counter()
        infer_s += now - before
        done = first + count
        probabilities[first:done] = out["probabilities"][:count]
        novelty[first:done] = out["novelty"][:count]
        if on_progress and (now - last_report >= PROGRESS_EVERY_S or done == len(grid)):
            last_report = now
            on_progress(
                ScoreProgress(
                    done,
                    len(grid),
                    now - scoring_started,
                    _tile_table(grid, model.classes, probabilities[:done], novelty[:done]),
                    decide(probabilities[:done], novelty[:done], model),
                )
            )
    scoring_s = time.perf_counter() - scoring_started
    summary = SlideSummary(
        answer=decide(probabilities, novelty, model),
        slide_sha256=slide.sha256,
        width_l0_px=slide.width_l0_px,
        height_l0_px=slide.height_l0_px,
        spacing_um_px=slide.known_spacing_um_px,
        spacing_source=slide.spacing_source,
        requested_spacing_um_px=grid.requested_spacing_um_px,
        effective_spacing_um_px=grid.effective_spacing_um_px,
        size_l0_px=grid.size_l0_px,
        level=grid.level,
        size_level_px=grid.size_level_px,
        tissue_area_mm2=tissue.area_mm2(slide.known_spacing_um_px),
        notices=slide.notices,
        timings=Timings(
            tissue_s=tissue_s,
            read_s=read_s,
            infer_s=infer_s,
            total_s=time.perf_counter() - started,
            tiles_per_s=len(grid) / scoring_s,
        ),
        precision=session.variant.precision,
        provenance=provenance_of(bundle, "slide"),
    )
    return SlideScore(_tile_table(grid, model.classes, probabilities, novelty), summary)


def _tile_table(
    grid: TileGrid, classes: list[str], probabilities: NDArray[np.float32], novelty: NDArray[np.float32]
) -> pd.DataFrame:
    count = len(novelty)
    table = pd.DataFrame(
        {
            "x_l0_px": grid.x_l0_px[:count],
            "y_l0_px": grid.y_l0_px[:count],
            "size_l0_px": grid.size_l0_px,
            "tissue_fraction": grid.tissue_fraction[:count],
        }
    )
    for index, label in enumerate(classes):
        table[f"p_{label}"] = probabilities[:, index]
    table["novelty"] = novelty
    return table


def _read_batches(
    slide: Slide, grid: TileGrid, batch_size: int, cancel: Event | None
) -> Iterator[tuple[int, NDArray[np.uint8], float]]:
    """Yield ``(first index, (batch, size, size, 3) uint8, seconds spent reading)`` in grid order.

    At most ``BATCHES_AHEAD`` batches are in memory. The last one is padded to the constant shape.
    """

    def read(first: int) -> tuple[NDArray[np.uint8], float]:
        before = time.perf_counter()
        batch = np.zeros((batch_size, grid.size_px, grid.size_px, 3), np.uint8)
        for offset in range(min(batch_size, len(grid) - first)):
            x, y = int(grid.x_l0_px[first + offset]), int(grid.y_l0_px[first + offset])
            batch[offset] = slide.read_tile(x, y, grid.level, grid.size_level_px, grid.size_px)
        return batch, time.perf_counter() - before

    starts = iter(range(0, len(grid), batch_size))
    queue: deque[tuple[int, Future[tuple[NDArray[np.uint8], float]]]] = deque()
    with ThreadPoolExecutor(READER_THREADS, thread_name_prefix="slide-reader") as readers:
        try:
            for first in starts:
                queue.append((first, readers.submit(read, first)))
                if len(queue) == BATCHES_AHEAD:
                    break
            while queue:
                if cancel is not None and cancel.is_set():
                    raise Cancelled("Scoring was stopped")
                first, future = queue.popleft()
                batch, seconds = future.result()
                following = next(starts, None)
                if following is not None:
                    queue.append((following, readers.submit(read, following)))
                yield first, batch, seconds
        finally:
            for _, future in queue:
                future.cancel()
