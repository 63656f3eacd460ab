"""Score a slide: every tissue tile with the bundle's slide model, and one answer from all of them."""

import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from threading import Event

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from cervix.bundle import Bundle
from cervix.bundle.manifest import UNEVALUATED
from cervix.provenance import Provenance, provenance_of
from cervix.slides.decision import SlideAnswer, decide
from cervix.slides.grid import TileGrid, TileLattice, lay_grid
from cervix.slides.head import ATTENTION, HeadAnswer, ask_head, unasked
from cervix.slides.rows import Rows, unread_rows
from cervix.slides.tile_run import Controls, TileRun
from cervix.slides.tissue import TissueMask, find_tissue, whole_area
from cervix.sources.damage import what_is_wrong
from cervix.sources.plane import FilePlane
from cervix.sources.slide import Slide


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


class TriageSeen(BaseModel):
    """How much of a slide a triage saw (``cervix.slides.triage``)."""

    model_config = ConfigDict(frozen=True)

    seen_tiles: int
    """Scored, or tried and not readable: by the sweep over the whole slide and, further, around what it found."""
    planned_tiles: int
    """All tissue tiles of the slide."""
    swept_tiles: int
    """Those of the sweep, which the answer and its share rest on."""
    cancerous_tiles: int
    """Called cancerous, of all that were seen."""
    tissue_seen_mm2: float
    tissue_mm2: float
    """Of all tissue tiles."""
    error: float
    """The probability that all tiles would give another verdict is at most this, 0..1."""
    stopped: str
    """Why no more was scored, in a sentence."""

    @property
    def words(self) -> str:
        """How much was seen."""
        return (
            f"{self.seen_tiles:,} of {self.planned_tiles:,} tiles seen "
            f"({self.tissue_seen_mm2:.2f} of {self.tissue_mm2:.2f} mm² of tissue)"
        )


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
    triage: TriageSeen | None = None
    """None where every tile was scored, as of every score of versions before."""
    head: HeadAnswer | None = None
    """What the bundle's slide head says beside the answer; None where the bundle has none."""

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
        tile could not be read; and ``attention`` where a slide head was asked, NaN of tiles that it was not given. This is what
        the model answered, shown or not; ``cervix.slides.decision.answered_tiles`` says what may be shown.
    summary : SlideSummary
    rows : (n,) structured array
        The same tiles as the model answered, with their Grad-CAM (``cervix.slides.rows``); of a triage with their places.
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
    """How far a running score is: the tiles so far already answer for the whole slide.

    A triage ends before ``done`` comes to ``total`` where its answer is decided.
    """

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
        Rows of the first ``k`` tiles from an interrupted run, or of any tiles with their places, as a triage left them
        (``cervix.slides.rows.with_places``); the others are scored.
    keep : callable, optional
        Called with the rows of each batch as soon as they are known; with places where ``finished`` has them.
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
    started, planned_before = time.perf_counter(), plan is not None
    plan = plan or plan_slide(slide, bundle)
    run = TileRun(slide, bundle, plan.grid, finished, Controls(keep, cancel, pause, turn))
    run.score(np.flatnonzero(~run.known), lambda: report_progress(run, on_progress))
    return whole_score(run, plan, bundle, started, planned_before=planned_before)


def report_progress(
    run: TileRun, on_progress: Callable[[ScoreProgress], None] | None, counted: NDArray[np.integer] | None = None
) -> None:  # fmt: skip
    """Tell how far a run is, with what its known tiles answer, or those of them that count."""
    if on_progress is None:
        return
    known = np.flatnonzero(run.known)
    model, rows = run.session.model, run.rows[known]
    answering = rows if counted is None else run.rows[counted]
    on_progress(
        ScoreProgress(
            len(known), len(run.grid), run.resumed, run.elapsed_s, run.read_s, run.infer_s, run.post_s,
            tile_frame(run.grid, model.class_ids, rows, known),
            decide(answering["probabilities"], answering["novelty"], model),
        )
    )  # fmt: skip


def whole_score(run: TileRun, plan: SlidePlan, bundle: Bundle, started: float, *, planned_before: bool) -> SlideScore:
    """The score of a run that knows every tile."""
    model = run.session.model
    answer = decide(run.rows["probabilities"], run.rows["novelty"], model)
    tiles = tile_frame(plan.grid, model.class_ids, run.rows, np.arange(len(plan.grid)))
    head = None
    if bundle.manifest.slide_head is not None:
        before = time.perf_counter()
        with run.controls.turn():
            head, tiles[ATTENTION] = ask_head(bundle, tiles, run.rows, answer, run.slide.known_spacing_um_px)
        run.infer_s += time.perf_counter() - before
    summary = summary_of(run, plan, bundle, answer, started, planned_before=planned_before)
    return SlideScore(tiles, summary.model_copy(update={"head": head}), run.rows)


def summary_of(
    run: TileRun, plan: SlidePlan, bundle: Bundle, answer: SlideAnswer, started: float, *, planned_before: bool
) -> SlideSummary:
    """What there is to say of a run that has ended.

    Parameters
    ----------
    started : seconds of ``time.perf_counter``
    planned_before : bool
        Whether the plan was made before that.
    """
    slide, grid, tiles_per_s = run.slide, plan.grid, run.tiles_per_s
    notices = [*slide.notices, *run.notices, *([] if run.session.model.is_evaluated else [UNEVALUATED])]
    if unread_rows(run.rows[run.known]).any():
        notices.append(f"{what_is_wrong(slide.path)} Tiles that cannot be read were left out of the answer.")
    return SlideSummary(
        answer=answer,
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
            read_s=run.read_s,
            infer_s=run.infer_s,
            post_s=run.post_s,
            total_s=time.perf_counter() - started - run.held_s,
            tiles_per_s=tiles_per_s,
            resumed_tiles=run.resumed,
        ),
        precision=bundle.session_of("tile").variant.precision,
        provenance=provenance_of(bundle, bundle.session_of("tile").model.id),
        head=unasked(bundle.manifest, "A triage sees a part of the tiles, and a slide head is asked about all of them."),
    )


def tile_frame(grid: TileGrid, classes: list[str], rows: Rows, places: NDArray[np.integer]) -> pd.DataFrame:
    """``SlideScore.tiles`` of the tiles at these places of the grid: ``(n,)``, with a row each."""
    table = pd.DataFrame(
        {
            "x_l0_px": grid.x_l0_px[places],
            "y_l0_px": grid.y_l0_px[places],
            "size_l0_px": grid.size_l0_px,
            "tissue_fraction": grid.tissue_fraction[places],
        }
    )
    for index, label in enumerate(classes):
        table[f"p_{label}"] = rows["probabilities"][:, index]
    table["novelty"] = rows["novelty"]
    return table
