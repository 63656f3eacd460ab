"""What scores slides: one session on one device, in a process of its own on some machine."""

import logging
import time
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from threading import Event
from typing import Final

from cervix.archive.answers import facts_of
from cervix.archive.claims import claimed
from cervix.archive.faults import ends, told
from cervix.archive.preparing import Ready, mark_if_there, readied
from cervix.archive.thumbnails import keep_thumbnail
from cervix.archive.work import Outcome, Station, Work
from cervix.bundle import Bundle
from cervix.bundle.active import same_bundle
from cervix.errors import Cancelled, CervixError, SlideDamaged, SlideNotReadable, SourceUnavailable, SourceVanished
from cervix.patients.golden import prove_bundle
from cervix.slides.results import RowJournal, load_score, order_of, result_dir, save_score, scored_alone
from cervix.slides.scoring import SlideScore, score_slide
from cervix.slides.triage import triage_slide

logger = logging.getLogger(__name__)
UNEXPECTED: Final = "Something unexpected went wrong ({}); the log of the worker has the details."


class Worker:
    """Scores one slide after the other.

    Parameters
    ----------
    station : Station
    name : str
        For people: machine and number.
    threads : int, optional
        Cores that its session may use; all of them without.

    Raises
    ------
    BundleError
        Where the run's bundle is another now, or does not prove itself here.
    """

    def __init__(self, station: Station, name: str, *, threads: int | None = None) -> None:
        self.station, self.name = station, name
        opened = prove_bundle(station.bundle_root, device=station.device, kind="tile", threads=threads)
        self._bundle: Bundle = same_bundle(opened, station.bundle_sha256)
        self._stop = Event()
        self._ahead = ThreadPoolExecutor(1, thread_name_prefix="slide-ahead")
        self._next: tuple[Work, ExitStack, Future[Ready]] | None = None

    @property
    def device(self) -> str:
        """Provider and precision: ``CPU, int8``."""
        return self._bundle.session_of("tile").device_label

    def stop(self) -> None:
        """End the slide in hand after its batch, its rows kept; for good. Called from another thread."""
        self._stop.set()

    def score(self, work: Work, *, then: Work | None = None) -> Outcome:
        """Score a slide, or say how that ended; errors come back as values.

        Rows are kept batch by batch: what an attempt before this one left is gone on with.

        Parameters
        ----------
        work : Work
        then : Work, optional
            What will probably be scored next: it is fetched, hashed and planned beside this one.
        """
        started = time.perf_counter()
        path = Path(work.locator)
        try:
            with ExitStack() as stack:
                ready = self._take(work, stack)
                if then is not None:
                    prepared = ExitStack()
                    self._next = (then, prepared, self._ahead.submit(self._ready, then, prepared))
                outcome = self._score(work, ready)
        except Cancelled:
            outcome = Outcome(work.place, work.attempt, "stopped")
        except (CervixError, OSError, MemoryError) as error:
            raised = _vanished(error, path)
            code, reason = told(raised, path)
            outcome = Outcome(work.place, work.attempt, ends(raised), code, reason)
        except Exception as error:
            logger.exception("a slide could not be scored")
            outcome = Outcome(work.place, work.attempt, "failed", CervixError.code, UNEXPECTED.format(type(error).__name__))
        seconds = time.perf_counter() - started
        return Outcome(**{**vars(outcome), "seconds": seconds, "worker": self.name})

    def close(self) -> None:
        """Let go of what was fetched ahead."""
        self._drop_next()
        self._ahead.shutdown()

    def _ready(self, work: Work, stack: ExitStack) -> Ready:
        return stack.enter_context(readied(work, self.station, self._bundle))

    def _take(self, work: Work, stack: ExitStack) -> Ready:
        """The slide, made ready before or now; ``stack`` keeps it at hand."""
        if self._next is not None and self._next[0] == work:
            _, prepared, future = self._next
            self._next = None
            stack.enter_context(prepared)
            return future.result()
        self._drop_next()
        return self._ready(work, stack)

    def _drop_next(self) -> None:
        if self._next is not None:
            _, prepared, future = self._next
            self._next = None
            future.exception()  # it ends first: what it holds is let go afterwards
            prepared.close()

    def _score(self, work: Work, ready: Ready) -> Outcome:
        folder = result_dir(self.station.results_dir, ready.slide.sha256, self._bundle.sha256)
        with claimed(folder, self.station.run, work) as owner:
            if owner is not None:
                return Outcome(work.place, work.attempt, "duplicate", slide_sha256=ready.slide.sha256, same_as=owner)
            # Of others than this run, such as a server whose page scores it: two that append would mix their rows.
            with scored_alone(folder, self._end_if_stopped):
                stored = self._stored(ready)
                score = stored or self._scored_now(ready, folder)
            keep_thumbnail(self.station.results_dir, ready.slide.sha256, ready.plan.tissue.overview)
        timings = score.summary.timings
        return Outcome(
            work.place,
            work.attempt,
            "done",
            slide_sha256=ready.slide.sha256,
            tiles=0 if stored else len(score.tiles) - timings.resumed_tiles,
            tiles_per_s=0.0 if stored else timings.tiles_per_s,
            answer=dict(
                facts_of(
                    score.summary,
                    scanner=ready.slide.vendor,
                    quality=ready.quality,
                    planned_tiles=len(ready.plan.grid),
                )
            ),
        )

    def _end_if_stopped(self) -> None:
        if self._stop.is_set():
            raise Cancelled("Scoring was stopped")

    def _stored(self, ready: Ready) -> SlideScore | None:
        """The score that is there already: the full one, or, where a triage is asked for, a triage."""
        for triage in (False, True) if self.station.triage else (False,):
            stored = load_score(
                self.station.results_dir, ready.slide, self._bundle, everywhere=self.station.everywhere, triage=triage
            )
            if stored is not None:
                return stored
        return None

    def _scored_now(self, ready: Ready, folder: Path) -> SlideScore:
        # Marked as stopped: a server that has the same results folder must not go on with it beside this worker.
        order = order_of(ready.slide, self._bundle, ready.plan).model_copy(update={"state": "stopped"})
        journal = RowJournal(folder, order, self._bundle, triage=self.station.triage)
        score_it = triage_slide if self.station.triage else score_slide
        finished = journal.finished
        try:
            with journal.appending(finished) as append:
                score = score_it(ready.slide, self._bundle, plan=ready.plan, finished=finished, keep=append, cancel=self._stop)
            ready.require_unchanged()
        except (SlideDamaged, SourceUnavailable):
            journal.forget()
            raise
        save_score(self.station.results_dir, score)
        return score


def _vanished(error: CervixError | OSError | MemoryError, path: Path) -> CervixError | OSError | MemoryError:
    """A slide that is gone in the middle is no damaged slide; only for slides that lie in a folder."""
    if path.is_absolute() and isinstance(error, SlideNotReadable) and mark_if_there(path) == ():
        return SourceVanished("The slide vanished while it was read", action="List the archive again.")
    return error
