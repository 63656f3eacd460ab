"""Score a slide: readers, a bounded queue, one session at a constant batch shape."""

import os
import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from threading import Event

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from cervix.bundle import Bundle, ModelSession
from cervix.bundle.sessions import CPU_PROVIDER
from cervix.errors import Cancelled, DeviceLost, TileNotReadable
from cervix.provenance import Provenance, provenance_of
from cervix.slides.decision import SlideAnswer, decide
from cervix.slides.grid import TileGrid, TileLattice, lay_grid
from cervix.slides.rows import ROW_OUTPUTS, Rows, mark_unread, row_dtype, rows_of, unread_rows
from cervix.slides.tissue import TissueMask, find_tissue, whole_area
from cervix.sources.damage import too_damaged, too_many_lost, what_is_wrong
from cervix.sources.plane import FilePlane
from cervix.sources.slide import Slide

# A CPU spends its time in the model; a GPU waits for whoever decodes, so every core reads, up to a point.
READER_THREADS = max(2, min(8, os.cpu_count() or 2))
BATCHES_AHEAD = 4
PROGRESS_EVERY_S = 0.5
PAUSE_POLL_S = 0.1


class Timings(BaseModel):
    """Where the seconds went. Reading overlaps inference, so the parts may exceed ``total_s``."""

    model_config = ConfigDict(frozen=True)

    tissue_s: float
    """Finding tissue and laying the grid; 0 where that had been done before the score began."""
    read_s: float
    infer_s: float
    post_s: float
    """Keeping rows, running the decision, building tables."""
    total_s: float
    tiles_per_s: float
    resumed_tiles: int = 0
    """Tiles that an earlier, interrupted run had scored; the speed is of the rest."""


class SlideSummary(BaseModel):
    """Everything about a scored slide but its tiles."""

    model_config = ConfigDict(frozen=True)

    answer: SlideAnswer
    slide_sha256: str
    width_l0_px: int
    height_l0_px: int
    plane: FilePlane
    """How level-0 pixels lie on the file's own, and the part of it that was scanned."""
    spacing_um_px: float
    spacing_source: str
    requested_spacing_um_px: float
    effective_spacing_um_px: float
    size_l0_px: int
    level: int
    size_level_px: int
    tissue_area_mm2: float
    everywhere: bool
    """Scored without regard to tissue, because the user asked for it."""
    notices: list[str]
    timings: Timings
    precision: str
    provenance: Provenance

    @property
    def lattice(self) -> TileLattice:
        """The cells of all the slide's tiles, scored or not."""
        return TileLattice(*self.plane.bounds_l0_px, self.size_l0_px)


@dataclass(frozen=True)
class SlideScore:
    """A scored slide.

    Attributes
    ----------
    tiles : DataFrame
        One row a tile: ``x_l0_px, y_l0_px, size_l0_px, tissue_fraction, p_<class>…, novelty``, the last ones NaN where the
        tile could not be read. This is what the model answered, shown or not;
        ``cervix.slides.decision.answered_tiles`` says what may be shown.
    summary : SlideSummary
    rows : (n,) structured array
        The same tiles as the model answered, with their Grad-CAM (``cervix.slides.rows``).
    """

    tiles: pd.DataFrame
    summary: SlideSummary
    rows: Rows

    @property
    def held_bytes(self) -> int:
        """About what it takes in memory."""
        return int(self.tiles.memory_usage().sum()) + self.rows.nbytes


@dataclass(frozen=True)
class ScoreProgress:
    """How far a running score is: the tiles so far already answer for the whole slide."""

    done: int
    total: int
    resumed: int
    elapsed_s: float
    """Since this run began, pauses left out."""
    read_s: float
    infer_s: float
    post_s: float
    tiles: pd.DataFrame
    answer: SlideAnswer

    @property
    def tiles_per_s(self) -> float:
        return (self.done - self.resumed) / self.elapsed_s if self.elapsed_s > 0 else 0.0

    @property
    def eta_s(self) -> float:
        return (self.total - self.done) / self.tiles_per_s if self.tiles_per_s else float("inf")


@dataclass(frozen=True)
class SlidePlan:
    """What scoring will do, known before it starts."""

    tissue: TissueMask
    grid: TileGrid
    everywhere: bool
    seconds: float
    """What making the plan took."""


def plan_slide(slide: Slide, bundle: Bundle, *, everywhere: bool = False) -> SlidePlan:
    """Find tissue and lay the grid of the bundle's slide model over it.

    Parameters
    ----------
    everywhere : bool
        Take the whole scanned area for tissue: for a slide on which none was found, knowingly.

    Raises
    ------
    SlideScaleUnknown, SlideNotSuitable, SlideNotReadable
    """
    tiles = bundle.session_of("tile").model.tiles
    if tiles is None:
        raise ValueError("the slide model declares no tiles")
    started = time.perf_counter()
    tissue = whole_area(slide) if everywhere else find_tissue(slide)
    grid = lay_grid(slide, tissue, tiles)
    return SlidePlan(tissue, grid, everywhere, time.perf_counter() - started)


def score_slide(
    slide: Slide,
    bundle: Bundle,
    *,
    plan: SlidePlan | None = None,
    finished: Rows | None = None,
    keep: Callable[[Rows], None] | None = None,
    on_progress: Callable[[ScoreProgress], None] | None = None,
    cancel: Event | None = None,
    pause: Event | None = None,
    turn: Callable[[], AbstractContextManager[object]] = nullcontext,
) -> SlideScore:
    """Score every tissue tile of a slide with the bundle's slide model. Pure: no files, no global state.

    A GPU that fails on the way is replaced by the CPU for the tiles that remain, and the summary says so. A tile that cannot
    be read is left out and counted.

    Parameters
    ----------
    slide : Slide
        With a known spacing.
    bundle : Bundle
    plan : SlidePlan, optional
        Made by ``plan_slide`` for this slide and bundle; made here where it is missing.
    finished : (k,) structured array, optional
        Rows of the first ``k`` tiles from an interrupted run; scoring resumes after them.
    keep : callable, optional
        Called with the rows of each batch as soon as they are known.
    on_progress : callable, optional
        Called from this thread about twice a second, and after the last tile.
    cancel, pause : threading.Event, optional
        Set them from another thread to stop, or to hold, after the batch in hand.
    turn : callable, optional
        Gives a context in which this score may use the device; others use it in between.

    Raises
    ------
    SlideScaleUnknown, SlideNotSuitable, SlideNotReadable
    SlideDamaged
        As soon as too many of the tiles cannot be read (``cervix.sources.damage.too_many_lost``).
    Cancelled
        When ``cancel`` was set.
    """
    started = time.perf_counter()
    planned_before = plan is not None
    plan = plan or plan_slide(slide, bundle)
    grid, session = plan.grid, bundle.session_of("tile")
    model = session.model
    rows = np.empty(len(grid), row_dtype(model))
    resumed = done = 0 if finished is None else min(len(finished), len(grid))
    if finished is not None:
        rows[:done] = finished[:done]
    notices = list(slide.notices)
    read_s = infer_s = post_s = held_s = 0.0
    scoring_started = last_report = time.perf_counter()

    def report(now: float) -> None:
        if on_progress:
            tiles = _tile_table(grid, model.class_ids, rows[:done])
            answer = decide(rows["probabilities"][:done], rows["novelty"][:done], model)
            elapsed_s = now - scoring_started - held_s
            on_progress(ScoreProgress(done, len(grid), resumed, elapsed_s, read_s, infer_s, post_s, tiles, answer))

    while done < len(grid):
        try:
            for first, batch, unread, seconds in _read_batches(slide, grid, session.batch_size, done, cancel):
                read_s += seconds
                held_s += _hold(pause, cancel)
                count = min(session.batch_size, len(grid) - first)
                with turn():
                    before = time.perf_counter()
                    out = session.run({"tiles": batch}, ROW_OUTPUTS)
                    now = time.perf_counter()
                infer_s += now - before
                rows[first : first + count] = rows_of(out, count, rows.dtype)
                done = first + count
                if unread.any():
                    mark_unread(rows[first:done], unread[:count])
                    _require_enough(slide, rows[:done], len(grid))
                if keep:
                    keep(rows[first:done])
                if now - last_report >= PROGRESS_EVERY_S or done == len(grid):
                    last_report = now
                    report(now)
                post_s += time.perf_counter() - now
        except DeviceLost as lost:
            session = _replacement(bundle, lost)
            notices.append(f"{lost} The {len(grid) - done:,} tiles that remained were scored on {session.device_label}.")
    scoring_s = time.perf_counter() - scoring_started - held_s
    probabilities, novelty = rows["probabilities"], rows["novelty"]
    if unread_rows(rows).any():
        notices.append(f"{what_is_wrong(slide.path)} Tiles that cannot be read were left out of the answer.")
    summary = SlideSummary(
        answer=decide(probabilities, novelty, model),
        slide_sha256=slide.sha256,
        width_l0_px=slide.width_l0_px,
        height_l0_px=slide.height_l0_px,
        plane=slide.plane,
        spacing_um_px=slide.known_spacing_um_px,
        spacing_source=slide.spacing_source,
        requested_spacing_um_px=grid.requested_spacing_um_px,
        effective_spacing_um_px=grid.effective_spacing_um_px,
        size_l0_px=grid.size_l0_px,
        level=grid.level,
        size_level_px=grid.size_level_px,
        tissue_area_mm2=plan.tissue.area_mm2(slide.known_spacing_um_px),
        everywhere=plan.everywhere,
        notices=notices,
        timings=Timings(
            tissue_s=0.0 if planned_before else plan.seconds,
            read_s=read_s,
            infer_s=infer_s,
            post_s=post_s,
            total_s=time.perf_counter() - started - held_s,
            tiles_per_s=(len(grid) - resumed) / scoring_s if scoring_s > 0 else 0.0,
            resumed_tiles=resumed,
        ),
        precision=bundle.session_of("tile").variant.precision,
        provenance=provenance_of(bundle, bundle.session_of("tile").model.id),
    )
    return SlideScore(_tile_table(grid, model.class_ids, rows), summary, rows)


def _replacement(bundle: Bundle, lost: DeviceLost) -> ModelSession:
    """The same model on the CPU, proved again; a CPU that fails has no replacement."""
    if bundle.session_of("tile").provider == CPU_PROVIDER:
        raise lost
    return bundle.on_cpu().session_of("tile")


def _require_enough(slide: Slide, rows: Rows, planned: int) -> None:
    lost = int(unread_rows(rows).sum())
    if too_many_lost(lost, planned):
        raise too_damaged(slide.path, "tiles", f"{lost:,} of {len(rows):,} looked at that cannot be read")


def _hold(pause: Event | None, cancel: Event | None) -> float:
    """Wait while paused; the seconds waited."""
    before = time.perf_counter()
    while pause is not None and pause.is_set():
        if cancel is not None and cancel.is_set():
            raise Cancelled("Scoring was stopped")
        time.sleep(PAUSE_POLL_S)
    return time.perf_counter() - before


def _tile_table(grid: TileGrid, classes: list[str], rows: Rows) -> pd.DataFrame:
    count = len(rows)
    table = pd.DataFrame(
        {
            "x_l0_px": grid.x_l0_px[:count],
            "y_l0_px": grid.y_l0_px[:count],
            "size_l0_px": grid.size_l0_px,
            "tissue_fraction": grid.tissue_fraction[:count],
        }
    )
    for index, label in enumerate(classes):
        table[f"p_{label}"] = rows["probabilities"][:, index]
    table["novelty"] = rows["novelty"]
    return table


def _read_batches(
    slide: Slide, grid: TileGrid, batch_size: int, start: int, cancel: Event | None
) -> Iterator[tuple[int, NDArray[np.uint8], NDArray[np.bool_], float]]:
    """Yield first index, ``(batch, size, size, 3)`` uint8, ``(batch,)`` which could not be read, and seconds spent reading.

    In grid order from ``start``. At most ``BATCHES_AHEAD`` batches are in memory. The last one is padded to the constant shape.
    """

    def read(first: int) -> tuple[NDArray[np.uint8], NDArray[np.bool_], float]:
        before = time.perf_counter()
        unread = np.zeros(batch_size, np.bool_)
        batch = np.zeros((batch_size, grid.size_px, grid.size_px, 3), np.uint8)
        for offset in range(min(batch_size, len(grid) - first)):
            x, y = int(grid.x_l0_px[first + offset]), int(grid.y_l0_px[first + offset])
            try:
                batch[offset] = slide.read_tile(x, y, grid.level, grid.size_level_px, grid.size_px)
            except TileNotReadable:
                unread[offset] = True
        return batch, unread, time.perf_counter() - before

    starts = iter(range(start, len(grid), batch_size))
    queue: deque[tuple[int, Future[tuple[NDArray[np.uint8], NDArray[np.bool_], float]]]] = deque()
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
                batch, unread, seconds = future.result()
                following = next(starts, None)
                if following is not None:
                    queue.append((following, readers.submit(read, following)))
                yield first, batch, unread, seconds
        finally:
            for _, future in queue:
                future.cancel()
