"""The devices of this machine: one process each, so that a slide that ends a process ends no run."""

import multiprocessing
import os
import sys
from collections import deque
from collections.abc import Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from typing import Any, Final

from cervix.archive.engines import local_process
from cervix.archive.engines.engine import WorkerSeen
from cervix.archive.work import Outcome, Station, Work
from cervix.bundle.loading import read_manifest
from cervix.bundle.sessions import cuda_devices
from cervix.errors import DeviceLost, LostApart

STARTS_AT_MOST: Final = 3
"""A process that ends this often in a row before it has opened its session will not do it the next time either."""
LOST: Final = LostApart(
    "The process that scored this slide ended",
    expected="an answer",
    found="a process that the system or the slide ended",
    action="Look at the machine's memory; where other slides are scored, the slide is at fault.",
)


@dataclass
class _Lane:
    """One device: its process, the slide in hand, and the one that is made ready beside it."""

    name: str
    threads: int | None
    cuda: str | None
    device: str = ""
    starts: int = 0
    in_hand: Work | None = None
    then: Work | None = None
    pool: ProcessPoolExecutor = field(init=False)
    way: Connection = field(init=False)
    """To the process: a word that it shall stop; closed, it ends at once, as it does when this process dies."""
    opened: Future[str] = field(init=False)
    scored: Future[Outcome] | None = None

    def start(self, station: Station) -> None:
        """Start a process, and have it open its session."""
        self.starts += 1
        self.device = ""
        theirs, self.way = multiprocessing.Pipe(duplex=False)
        context = multiprocessing.get_context("spawn" if sys.platform == "win32" else "forkserver")
        # The server of forks imports what every worker needs, once.
        if sys.platform != "win32":
            context.set_forkserver_preload([local_process.__name__])
        self.pool = ProcessPoolExecutor(1, mp_context=context, initializer=local_process.begin, initargs=(theirs,))
        try:
            self.opened = self.pool.submit(local_process.open_worker, station, self.name, self.threads, self.cuda)
        except (EOFError, ConnectionError):
            # The server of forks itself was ended; the next start has another one.
            self.opened = Future()
            self.opened.set_exception(BrokenProcessPool())

    @property
    def waited_for(self) -> "Future[str] | Future[Outcome] | None":
        """What this lane is at: opening, a slide, or nothing."""
        return self.opened if not self.device else self.scored


class LocalEngine:
    """Scores on this machine: one worker with all cores, or one for each GPU.

    Parameters
    ----------
    station : Station
    workers : int, optional
        So many workers on the CPU, each with its share of the cores.
    """

    def __init__(self, station: Station, *, workers: int | None = None) -> None:
        self._station = station
        self._queue: deque[Work] = deque()
        self._ended: list[Outcome] = []
        self._closed = False
        self._lanes = [
            _Lane(f"this machine {number}", threads, cuda)
            for number, (threads, cuda) in enumerate(_devices(station, workers), 1)
        ]
        for lane in self._lanes:
            lane.start(station)

    @property
    def places(self) -> int:
        """Two for each device: the slide in hand, and the one that is fetched beside it."""
        return 2 * len(self._lanes)

    def give(self, work: Work) -> None:
        """Hand over one slide."""
        self._queue.append(work)

    def take(self, timeout_s: float) -> Sequence[Outcome]:
        """What has ended since the last call.

        Raises
        ------
        BundleError
            Where a worker cannot open the run's bundle.
        DeviceLost
            Where a worker cannot even be started.
        """
        if self._closed:
            ended, self._ended = self._ended, []
            return ended
        # Not before whoever drives had the time to give more: the next slide is named with the one that begins.
        self._hand_out()
        futures: list[Future[Any]] = [lane.waited_for for lane in self._lanes if lane.waited_for is not None]
        if futures:
            wait(futures, timeout=timeout_s, return_when=FIRST_COMPLETED)
        return [outcome for lane in self._lanes if (outcome := self._look_at(lane)) is not None]

    def workers(self) -> Sequence[WorkerSeen]:
        """One for each device."""
        return [WorkerSeen(lane.name, lane.device, lane.in_hand.place if lane.in_hand else None) for lane in self._lanes]

    def close(self, *, at_once: bool = False) -> None:
        """Let go of every worker, after the batch that it is at or ``at_once``."""
        for lane in self._lanes:
            if not at_once and not self._closed and lane.scored is not None:
                local_process.tell_to_stop(lane.way)
        for lane in self._lanes:
            if not at_once and not self._closed and lane.scored is not None:
                wait([lane.scored])
                if (outcome := self._look_at(lane, replace=False)) is not None:
                    self._ended.append(outcome)
            lane.way.close()
            lane.pool.shutdown(wait=False, cancel_futures=True)
        self._closed = True

    def _hand_out(self) -> None:
        for lane in self._lanes:
            if not lane.device or lane.in_hand is not None:
                continue
            work = lane.then or (self._queue.popleft() if self._queue else self._from_another())
            if work is None:
                return
            lane.in_hand, lane.then = work, self._next_beside(work)
            try:
                lane.scored = lane.pool.submit(local_process.score, lane.in_hand, lane.then)
            except BrokenProcessPool:  # it ended between two slides
                self._queue.extendleft(reversed([one for one in (lane.in_hand, lane.then) if one is not None]))
                lane.in_hand = lane.then = None
                self._replace(lane)

    def _next_beside(self, work: Work) -> Work | None:
        """What is made ready beside a slide; nothing where either failed before: one of them may end the process."""
        if work.attempt > 1 or not self._queue or self._queue[0].attempt > 1:
            return None
        return self._queue.popleft()

    def _from_another(self) -> Work | None:
        """A slide that another lane only made ready: near the end of a run nobody stands idle beside one that waits."""
        for lane in self._lanes:
            if lane.then is not None:
                work, lane.then = lane.then, None
                return work
        return None

    def _look_at(self, lane: _Lane, *, replace: bool = True) -> Outcome | None:
        """The outcome of a lane that has one; a process that is gone is replaced."""
        if not lane.device:
            if lane.opened.done():
                self._see_opened(lane)
            return None
        if lane.scored is None or not lane.scored.done():
            return None
        work, future = lane.in_hand, lane.scored
        assert work is not None
        lane.in_hand = lane.scored = None
        try:
            return future.result()
        except BrokenProcessPool:
            if lane.then is not None:
                self._queue.appendleft(lane.then)
                lane.then = None
            if replace:
                self._replace(lane)
            return Outcome(work.place, work.attempt, "lost", LOST.code, str(LOST), worker=lane.name)

    def _see_opened(self, lane: _Lane) -> None:
        try:
            lane.device = lane.opened.result()
            lane.starts = 0
        except BrokenProcessPool as error:
            if lane.starts >= STARTS_AT_MOST:
                raise DeviceLost(
                    "A process for scoring cannot be started on this machine",
                    found=f"{lane.starts} that ended before they had opened the bundle",
                    action="Look at the machine's memory, or take fewer workers.",
                ) from error
            self._replace(lane)

    def _replace(self, lane: _Lane) -> None:
        lane.way.close()
        lane.pool.shutdown(wait=False)
        lane.start(self._station)


def _devices(station: Station, workers: int | None) -> list[tuple[int | None, str | None]]:
    """Threads and CUDA device of each worker; None where all cores, or no GPU."""
    manifest, _ = read_manifest(station.bundle_root)
    if station.device != "cpu" and any(variant.runs_on == "cuda" for variant in manifest.first_of("tile").variants):
        gpus = cuda_devices()
        if gpus:
            return [(None, gpu) for gpu in gpus]
    if workers is None or workers == 1:
        return [(None, None)]
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return [(max(1, cores // workers), None)] * workers
