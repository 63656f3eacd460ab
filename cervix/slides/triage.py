"""Triage: a slide is scored only until it is all but certain what all of its tiles would answer.

What is scored next, and when that is enough, says ``cervix.slides.sweep``; the tests are in ``cervix.slides.certainty``.
"""

import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from threading import Event

import numpy as np

from cervix.bundle import Bundle
from cervix.bundle.manifest import Model
from cervix.slides.decision import SlideAnswer, decide
from cervix.slides.grid import TileLattice
from cervix.slides.rows import Rows, with_places
from cervix.slides.scoring import (
    ScoreProgress,
    SlidePlan,
    SlideScore,
    TriageSeen,
    plan_slide,
    report_progress,
    summary_of,
    tile_frame,
    whole_score,
)
from cervix.slides.sweep import ERROR, Step, called, next_step, sweep_over
from cervix.slides.tile_run import Controls, TileRun
from cervix.sources.slide import Slide


def triage_slide(
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
    """Score a slide until its answer is decided. Pure, as ``score_slide``, whose parameters and errors these are.

    The rows that are kept have places. With them as ``finished``, ``triage_slide`` goes on where it stopped, and
    ``score_slide`` scores the rest; neither scores a tile twice.

    Returns
    -------
    SlideScore
        Of the tiles seen, in the order of the grid, with ``summary.triage``; or the full score, without it, where nothing was
        decided before the last tile.
    """
    started, planned_before = time.perf_counter(), plan is not None
    plan = plan or plan_slide(slide, bundle)
    run = TileRun(slide, bundle, plan.grid, finished, Controls(keep, cancel, pause, turn), placed=True)
    model, sweep = run.session.model, sweep_over(plan.grid, TileLattice(*slide.plane.bounds_l0_px, plan.grid.size_l0_px))

    def step() -> Step:
        return next_step(sweep, run.known, run.rows["probabilities"], run.rows["novelty"], model)

    while len((now := step()).places):
        # Once something is decided, what is scored lies around what was found, and would bias the answer.
        counted = sweep.order[: now.swept] if now.finding else None
        run.score(now.places, partial(report_progress, run, on_progress, counted))
    if now.finding is None or run.known.all():
        return whole_score(run, plan, bundle, started, planned_before=planned_before)
    swept = run.rows[sweep.order[: now.swept]]
    seen = _seen(run, now, plan, slide.known_spacing_um_px, model)
    answer = _marked(decide(swept["probabilities"], swept["novelty"], model), seen)
    summary = summary_of(run, plan, bundle, answer, started, planned_before=planned_before)
    places = np.flatnonzero(run.known)
    rows = with_places(run.rows[places], places)
    return SlideScore(tile_frame(plan.grid, model.class_ids, rows, places), summary.model_copy(update={"triage": seen}), rows)


def _seen(run: TileRun, step: Step, plan: SlidePlan, spacing_um_px: float, model: Model) -> TriageSeen:
    suspicion = called(run.rows["probabilities"], run.rows["novelty"], run.known, model)
    tile_mm2 = (plan.grid.size_l0_px * spacing_um_px / 1000) ** 2
    tissue = plan.grid.tissue_fraction * tile_mm2
    return TriageSeen(
        seen_tiles=run.done,
        planned_tiles=len(plan.grid),
        swept_tiles=step.swept,
        cancerous_tiles=int((suspicion > 0).sum()),
        tissue_seen_mm2=float(tissue[run.known].sum()),
        tissue_mm2=float(tissue.sum()),
        error=ERROR,
        stopped=(
            "Enough tiles are called cancerous for the slide to be called."
            if step.finding == "cancer"
            else "Some tiles are called cancerous, and too few for the slide to be called; tiles around them were seen too."
        ),
    )


def _marked(answer: SlideAnswer, seen: TriageSeen) -> SlideAnswer:
    """The answer of the sweep, which says that it is that of a triage."""
    beyond = seen.seen_tiles - seen.swept_tiles
    around = (
        f" With {beyond:,} more around tiles called cancerous, {seen.cancerous_tiles:,} are called so." if beyond > 0 else ""
    )
    said = (
        f" Triage: {seen.words}. {seen.stopped} The counts are of {seen.swept_tiles:,} tiles spread over the tissue.{around} "
        f"All tiles would give another verdict in at most {100 * seen.error:g} % of slides; the type of a carcinoma may "
        "differ, and foci that were not seen may be there."
    )
    return answer.model_copy(update={"headline": f"Triage: {answer.headline}", "reason": answer.reason + said})
