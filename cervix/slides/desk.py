"""Where slides are scored in the background: one queue, one device shared fairly, nothing lost in a crash."""

import logging
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from threading import Lock

import numpy as np

from cervix.bundle import Bundle
from cervix.errors import Cancelled, CervixError, SlideDamaged
from cervix.held import Held
from cervix.jobs import FairTurns, Job, JobBoard
from cervix.slides.results import (
    RowJournal,
    ScoreOrder,
    load_score,
    order_of,
    out_of_line,
    put_in_line,
    read_order,
    result_dir,
    save_score,
    score_mark,
    scored_alone,
    unfinished_orders,
    write_order,
)
from cervix.slides.rows import ROW_OUTPUTS, Rows
from cervix.slides.scoring import ScoreProgress, SlidePlan, SlideScore, plan_slide, score_slide
from cervix.sources.probe import open_outside
from cervix.sources.slide import Slide

logger = logging.getLogger(__name__)

SlideJob = Job[ScoreProgress, SlideScore]
RESUMED_OWNER = "resumed after a restart"
STOPPED_WITHIN_S, STOP_POLL_S = 20.0, 0.05
# A score of 50,000 tiles takes 31 MB.
SCORES_HELD_BYTES = 256 << 20


class ScoringDesk:
    """Background scores of one server.

    Parameters
    ----------
    results_dir : Path
        Where scores are kept, finished or half done.
    known_sha256 : callable
        The hash of a slide whose file does not carry it any more (an upload without its label image); None for others.
    """

    def __init__(self, results_dir: Path, known_sha256: Callable[[Path], str | None] = lambda _: None) -> None:
        self.results_dir = results_dir
        self._known_sha256 = known_sha256
        self._board: JobBoard[ScoreProgress, SlideScore] = JobBoard()
        self._turns = FairTurns()
        self._loaded: Held[SlideScore] = Held(SCORES_HELD_BYTES, lambda score: score.held_bytes)
        self._resumed: set[str] = set()
        self._lock = Lock()

    def start(self, slide: Slide, bundle: Bundle, plan: SlidePlan, owner: str) -> SlideJob:
        """Score a slide in the background, after what an earlier run of the same order left.

        ``owner`` is who waits for it; owners take turns at the device. Once this has returned, a server that is killed goes on
        with it when it is started again, though its turn had not come.
        """
        key = _key(slide.sha256, bundle.sha256, slide.known_spacing_um_px, plan.everywhere)
        folder, order = result_dir(self.results_dir, slide.sha256, bundle.sha256), order_of(slide, bundle, plan)
        try:
            put_in_line(folder, order)
        except OSError as error:
            logger.warning("a score that waits cannot be kept on disk: %s", error.strerror)
        return self._board.submit(key, partial(self._score, slide, bundle, plan, owner), partial(out_of_line, folder, order))

    def job(self, slide: Slide, bundle: Bundle, *, everywhere: bool = False) -> SlideJob | None:
        """The latest job of this slide at this scale, whoever started it."""
        return self._board.get(_key(slide.sha256, bundle.sha256, slide.known_spacing_um_px, everywhere))

    def job_of(self, slide_sha256: str, bundle_sha256: str, spacing_um_px: float, everywhere: bool) -> SlideJob | None:
        """The same for a slide that is not open here, as after a restart."""
        return self._board.get(_key(slide_sha256, bundle_sha256, spacing_um_px, everywhere))

    def score(self, slide: Slide, bundle: Bundle, *, everywhere: bool = False) -> SlideScore | None:
        """The finished score of this slide, from memory or from disk, where it is read once as long as it stays as it is."""
        job = self.job(slide, bundle, everywhere=everywhere)
        if job is not None and job.result is not None:
            return job.result
        return self._loaded_score(slide, bundle, everywhere=everywhere, triage=False)

    def triage(self, slide: Slide, bundle: Bundle, *, everywhere: bool = False) -> SlideScore | None:
        """The triage of this slide that an archive or the command line left; no full score."""
        return self._loaded_score(slide, bundle, everywhere=everywhere, triage=True)

    def _loaded_score(self, slide: Slide, bundle: Bundle, *, everywhere: bool, triage: bool) -> SlideScore | None:
        mark = score_mark(self.results_dir, slide, bundle, triage=triage)
        if mark is None:
            return None
        precision = bundle.session_of("tile").variant.precision
        key = (mark, slide.sha256, bundle.sha256, precision, slide.spacing_um_px, slide.plane, everywhere, triage)
        if (held := self._loaded.find(key)) is not None:
            return held
        score = load_score(self.results_dir, slide, bundle, everywhere=everywhere, triage=triage)
        return None if score is None else self._loaded.keep(key, score)

    def tiles_kept(self, slide: Slide, bundle: Bundle, plan: SlidePlan) -> int:
        """How many tiles an interrupted run of this order has left."""
        return len(self._journal(slide, bundle, plan).finished)

    def ahead_of(self, job: SlideJob) -> int:
        """How many jobs were submitted before this one and still wait or run."""
        return self._board.ahead_of(job)

    def slides_in_use(self) -> set[str]:
        """Hashes of slides that wait or are being scored."""
        return {job.key.split("-")[0] for job in self._board.active_jobs()}

    def stop(self, within_s: float = STOPPED_WITHIN_S) -> None:
        """Stop whatever waits or is scored, and wait until it has ended; a batch that runs is finished first."""
        jobs = self._board.active_jobs()
        for job in jobs:
            job.cancel()
        deadline = time.monotonic() + within_s
        while any(job.active for job in jobs) and time.monotonic() < deadline:
            time.sleep(STOP_POLL_S)

    def resume(self, bundle: Bundle) -> int:
        """Go on with what was running when the server ended, once a bundle and process; returns how many scores."""
        with self._lock:
            if bundle.sha256 in self._resumed:
                return 0
            self._resumed.add(bundle.sha256)
        orders = unfinished_orders(self.results_dir, bundle)
        for order in orders:
            key = _key(order.slide_sha256, bundle.sha256, order.spacing_um_px, order.everywhere)
            folder = result_dir(self.results_dir, order.slide_sha256, bundle.sha256)
            self._board.submit(key, partial(self._go_on, order, bundle), partial(out_of_line, folder, order))
        return len(orders)

    def _go_on(self, order: ScoreOrder, bundle: Bundle, job: SlideJob) -> SlideScore:
        folder = result_dir(self.results_dir, order.slide_sha256, bundle.sha256)
        try:
            slide = open_outside(order.path, sha256=self._known_sha256(order.path))
            if order.spacing_source == "user":
                slide = slide.with_spacing(order.spacing_um_px)
            plan = plan_slide(slide, bundle, everywhere=order.everywhere)
        except CervixError:
            out_of_line(folder, order)
            _stop_order(folder, order)
            raise
        return self._score(slide, bundle, plan, RESUMED_OWNER, job)

    def _score(self, slide: Slide, bundle: Bundle, plan: SlidePlan, owner: str, job: SlideJob) -> SlideScore:
        folder = result_dir(self.results_dir, slide.sha256, bundle.sha256)
        try:
            with scored_alone(folder, partial(_give_up_if_stopped, job)):
                return self._score_alone(slide, bundle, plan, owner, job)
        finally:
            out_of_line(folder, order_of(slide, bundle, plan))

    def _score_alone(self, slide: Slide, bundle: Bundle, plan: SlidePlan, owner: str, job: SlideJob) -> SlideScore:
        stored = load_score(self.results_dir, slide, bundle, everywhere=plan.everywhere)
        if stored is not None:
            return stored
        journal = self._journal(slide, bundle, plan)
        finished = journal.finished

        def run(keep: Callable[[Rows], None] | None) -> SlideScore:
            return score_slide(
                slide,
                bundle,
                plan=plan,
                finished=finished,
                keep=keep,
                on_progress=partial(setattr, job, "progress"),
                cancel=job.cancel_requested,
                pause=job.pause_requested,
                turn=partial(self._turns.turn, owner),
            )

        try:
            with journal.appending(finished) as append:
                score = run(_tolerant(append))
        except CervixError as error:
            # Stopped by a person, or by a slide that cannot be read: it waits until somebody asks again.
            if isinstance(error, SlideDamaged):
                journal.forget()
            _stop_order(journal.folder, journal.order)
            raise
        except OSError as error:
            logger.warning("a score cannot be kept on disk while it runs: %s", error.strerror)
            score = run(None)
        try:
            save_score(self.results_dir, score)
        except OSError as error:
            logger.warning("a finished score could not be kept on disk: %s", error.strerror)
        return score

    def _journal(self, slide: Slide, bundle: Bundle, plan: SlidePlan) -> RowJournal:
        folder = result_dir(self.results_dir, slide.sha256, bundle.sha256)
        return RowJournal(folder, order_of(slide, bundle, plan), bundle)


def _key(slide_sha256: str, bundle_sha256: str, spacing_um_px: float, everywhere: bool) -> str:
    """One job per slide, scale and bundle, whoever asks."""
    return f"{slide_sha256}-{bundle_sha256}-{spacing_um_px}-{everywhere}"


def _stop_order(folder: Path, order: ScoreOrder) -> None:
    """Let an order wait until somebody asks for it again, where it is the one that the folder holds."""
    written = read_order(folder)
    if written is not None and written.same_work(order):
        write_order(folder, written.model_copy(update={"state": "stopped"}))


def _give_up_if_stopped(job: SlideJob) -> None:
    if job.cancel_requested.is_set():
        raise Cancelled("Scoring was stopped")


def _tolerant(append: Callable[[Rows], None]) -> Callable[[Rows], None]:
    """A full disk must not end a score: the rows stay in memory, and a crash would cost them."""
    broken = False

    def keep(rows: Rows) -> None:
        nonlocal broken
        if broken:
            return
        try:
            append(rows)
        except OSError as error:
            broken = True
            logger.warning("rows of a running score cannot be kept on disk: %s", error.strerror)

    return keep


def measured_tiles_per_s(bundle: Bundle) -> float:
    """How fast the bare session is here, from one batch of made-up tiles: for an estimate before scoring."""
    session = bundle.session_of("tile")
    tiles = session.model.tiles
    if tiles is None:
        raise ValueError("the slide model declares no tiles")
    batch = np.random.default_rng(0).integers(0, 256, (session.batch_size, tiles.size_px, tiles.size_px, 3), np.uint8)
    before = time.perf_counter()
    session.run({"tiles": batch}, ROW_OUTPUTS)
    return session.batch_size / (time.perf_counter() - before)
