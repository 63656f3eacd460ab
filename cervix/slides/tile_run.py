"""Tiles of one slide through one session: read ahead, scored at a constant batch shape, kept as they come."""

import os
import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from threading import Event
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from cervix.bundle import Bundle, ModelSession
from cervix.bundle.sessions import CPU_PROVIDER
from cervix.errors import Cancelled, DeviceLost, TileNotReadable
from cervix.slides.grid import TileGrid
from cervix.slides.rows import (
    Rows,
    have_places,
    kept_dtype,
    mark_unread,
    outputs_of,
    places_of,
    row_dtype,
    rows_of,
    unread_rows,
    with_places,
)
from cervix.sources.damage import too_damaged, too_many_lost
from cervix.sources.slide import Slide

# A CPU spends its time in the model; a GPU waits for whoever decodes, so every core reads, up to a point.
READER_THREADS = max(2, min(8, os.cpu_count() or 2))
BATCHES_AHEAD = 4
PROGRESS_EVERY_S = 0.5
PAUSE_POLL_S = 0.1
Turn = Callable[[], AbstractContextManager[object]]


@dataclass(frozen=True)
class Controls:
    """What others have to say while a slide is scored.

    Attributes
    ----------
    keep : callable, optional
        Called with the rows of each batch as soon as they are known.
    cancel, pause : threading.Event, optional
        Set them from another thread to stop, or to hold, after the batch in hand.
    turn : callable
        Gives a context in which this score may use the device; others use it in between.
    """

    keep: Callable[[Rows], None] | None = None
    cancel: Event | None = None
    pause: Event | None = None
    turn: Turn = nullcontext


class _Batch(NamedTuple):
    """``pixels (batch, size, size, 3)`` uint8, of which the first ones are of ``places``; the rest is padding."""

    places: NDArray[np.int64]
    pixels: NDArray[np.uint8]
    unread: NDArray[np.bool_]
    seconds: float


class TileRun:
    """The tiles of a grid, those that are known and those still to be scored.

    Parameters
    ----------
    finished : (k,) structured array, optional
        Rows of an interrupted run: of the first ``k`` tiles, or of any with the place of each (``with_places``).
    placed : bool
        Keep rows with their places, whatever ``finished`` has.
    embedding : bool
        Keep embeddings, whether the bundle has a slide head or not.

    Attributes
    ----------
    rows : (n,) structured array, in the order of the grid; only those of known tiles mean anything
    known : (n,) bool
    resumed : int
        Tiles that were known at the start.
    read_s, infer_s, post_s, held_s : float
        Where the seconds went; held is paused.
    """

    def __init__(
        self, slide: Slide, bundle: Bundle, grid: TileGrid, finished: Rows | None, controls: Controls,
        *, placed: bool = False, embedding: bool = False,
    ) -> None:  # fmt: skip
        self.slide, self.grid, self.controls = slide, grid, controls
        self.session, self._bundle = bundle.session_of("tile"), bundle
        dtype = row_dtype(self.session.model, embedding=True) if embedding else kept_dtype(bundle.manifest)
        self.rows = np.zeros(len(grid), dtype)
        self.known = np.zeros(len(grid), np.bool_)
        self.notices: list[str] = []
        self.read_s = self.infer_s = self.post_s = self.held_s = 0.0
        self._placed = placed or (finished is not None and have_places(finished))
        if finished is not None:
            finished = finished[: len(grid)]
            places = places_of(finished)
            self.rows[places] = finished[list(self.rows.dtype.names or ())]
            self.known[places] = True
        self.resumed = self.done
        self.started = self._last_report = time.perf_counter()

    @property
    def done(self) -> int:
        """How many tiles are known."""
        return int(self.known.sum())

    @property
    def elapsed_s(self) -> float:
        """Since the run began, pauses left out."""
        return time.perf_counter() - self.started - self.held_s

    @property
    def tiles_per_s(self) -> float:
        return (self.done - self.resumed) / self.elapsed_s if self.elapsed_s > 0 else 0.0

    def score(self, places: NDArray[np.integer], report: Callable[[], None]) -> None:
        """Score these tiles, none of which is known yet, in this order; ``report`` about twice a second and at the end.

        Raises
        ------
        SlideDamaged, Cancelled
            As ``score_slide``.
        """
        left = np.asarray(places, np.int64)
        while len(left):
            try:
                for batch in self._batches(left):
                    self._enter(batch)
                    left = left[len(batch.places) :]
                    now = time.perf_counter()
                    if now - self._last_report >= PROGRESS_EVERY_S or not len(left):
                        self._last_report = now
                        report()
                    self.post_s += time.perf_counter() - now
            except DeviceLost as lost:
                self.session = _replacement(self._bundle, self.session, lost)
                self.notices.append(f"{lost} The {len(left):,} tiles that remained were scored on {self.session.device_label}.")

    def _enter(self, batch: _Batch) -> None:
        self.read_s += batch.seconds
        self.held_s += self._hold()
        with self.controls.turn():
            before = time.perf_counter()
            out = self.session.run({"tiles": batch.pixels}, outputs_of(self.rows.dtype))
            now = time.perf_counter()
        self.infer_s += now - before
        made = rows_of(out, len(batch.places), self.rows.dtype)
        if batch.unread.any():
            mark_unread(made, batch.unread[: len(batch.places)])
        self.rows[batch.places], self.known[batch.places] = made, True
        if batch.unread.any():
            self._require_enough()
        if self.controls.keep:
            self.controls.keep(with_places(made, batch.places) if self._placed else made)
        self.post_s += time.perf_counter() - now

    def _require_enough(self) -> None:
        lost = int(unread_rows(self.rows[self.known]).sum())
        if too_many_lost(lost, len(self.grid)):
            raise too_damaged(self.slide.path, "tiles", f"{lost:,} of {self.done:,} looked at that cannot be read")

    def _stop_if_asked(self) -> None:
        if self.controls.cancel is not None and self.controls.cancel.is_set():
            raise Cancelled("Scoring was stopped")

    def _hold(self) -> float:
        """Wait while paused; the seconds waited."""
        before = time.perf_counter()
        while self.controls.pause is not None and self.controls.pause.is_set():
            self._stop_if_asked()
            time.sleep(PAUSE_POLL_S)
        return time.perf_counter() - before

    def _batches(self, places: NDArray[np.int64]) -> Iterator[_Batch]:
        """The tiles in this order, at most ``BATCHES_AHEAD`` batches in memory; the last is padded to the constant shape."""
        size, grid = self.session.batch_size, self.grid

        def read(some: NDArray[np.int64]) -> _Batch:
            before = time.perf_counter()
            unread = np.zeros(size, np.bool_)
            pixels = np.zeros((size, grid.size_px, grid.size_px, 3), np.uint8)
            for offset, place in enumerate(some):
                x, y = int(grid.x_l0_px[place]), int(grid.y_l0_px[place])
                try:
                    pixels[offset] = self.slide.read_tile(x, y, grid.level, grid.size_level_px, grid.size_px)
                except TileNotReadable:
                    unread[offset] = True
            return _Batch(some, pixels, unread, time.perf_counter() - before)

        parts = iter([places[start : start + size] for start in range(0, len(places), size)])
        queue: deque[Future[_Batch]] = deque()
        with ThreadPoolExecutor(READER_THREADS, thread_name_prefix="slide-reader") as readers:
            try:
                for some in parts:
                    queue.append(readers.submit(read, some))
                    if len(queue) == BATCHES_AHEAD:
                        break
                while queue:
                    self._stop_if_asked()
                    batch = queue.popleft().result()
                    following = next(parts, None)
                    if following is not None:
                        queue.append(readers.submit(read, following))
                    yield batch
            finally:
                for future in queue:
                    future.cancel()


def _replacement(bundle: Bundle, failed: ModelSession, lost: DeviceLost) -> ModelSession:
    """The same model on the CPU, proved again; a CPU that fails has no replacement."""
    if failed.provider == CPU_PROVIDER:
        raise lost
    return bundle.on_cpu().session_of("tile")
