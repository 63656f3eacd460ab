"""An engine whose workers, nodes and time are made up, for the real driver and the real ledger to run on."""

import heapq
import itertools
import time
from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from threading import Event

from cervix.archive.engines.engine import WorkerSeen
from cervix.archive.work import Outcome, Work

PLACES_A_WORKER = 3
"""As the engine of Ray has them: in hand, fetched beside it, waiting."""
NOTICED_AFTER_S = 15.0
"""Until Ray takes a silent node for lost: five health checks, three seconds apart."""
OPENS_S = 10.0
"""From a node that is back to its workers scoring: Ray, imports, the session."""


class VirtualClock:
    """Seconds since 1970 that pass when somebody says so."""

    def __init__(self) -> None:
        self.now = 1.8e9

    def __call__(self) -> float:
        return self.now


class VirtualStop(Event):
    """A driver that waits makes the virtual time pass, and nobody wait."""

    def __init__(self, clock: VirtualClock) -> None:
        super().__init__()
        self._clock = clock

    def wait(self, timeout: float | None = None) -> bool:
        self._clock.now += timeout or 0.0
        return self.is_set()


@dataclass(eq=False)
class _Worker:
    node: int
    name: str
    up_since: float
    up: bool = True
    gone_since: float = 0.0
    work: Work | None = None
    began: float = 0.0
    turn: int = 0
    """Counts what it began: an end that was foreseen for an earlier one does not come."""


@dataclass
class Watched:
    """What happened to workers and slides, in seconds of virtual time."""

    busy_s: float = 0.0
    """Scoring, what was lost included."""
    useful_s: float = 0.0
    """Scoring slides to their end."""
    up_s: float = 0.0
    losses: int = 0
    lost_slides: int = 0
    ends: Counter[int] = field(default_factory=Counter)
    """By place of the slide: how often it was scored to its end."""


class SimulatedEngine:
    """The workers of ``nodes`` nodes.

    Parameters
    ----------
    seconds_of : callable
        From the place of a slide: how long one worker has it, and whether it can be scored at all.
    lost_every_s, gone_s : float
        One node after the other is lost, so often and for so long.
    counts_driver : bool
        Let the seconds that the driver takes between two calls pass in the virtual time, too.
    """

    def __init__(
        self,
        nodes: int,
        workers_a_node: int,
        seconds_of: Callable[[int], tuple[float, bool]],
        clock: VirtualClock,
        *,
        lost_every_s: float,
        gone_s: float,
        counts_driver: bool = False,
    ) -> None:
        self._clock, self._seconds_of, self._gone_s = clock, seconds_of, gone_s
        self._lost_every_s, self._counts_driver = lost_every_s, counts_driver
        self._workers = [
            _Worker(node, f"node-{node} {n}", clock.now) for node in range(nodes) for n in range(1, workers_a_node + 1)
        ]
        self._waiting: deque[Work] = deque()
        self._ended: list[Outcome] = []
        self._order = itertools.count()
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._began = clock.now
        self.watched = Watched()
        self.driver_s = 0.0
        """Seconds of processor that driver and ledger took: on a shared machine a clock would count others' too."""
        self._returned: float | None = None
        for turn in range(1, 10_000):
            self._at(self._began + turn * lost_every_s, lambda node=turn % nodes: self._lose(node))

    @property
    def places(self) -> int:
        held = len(self._waiting) + sum(worker.work is not None for worker in self._workers)
        return max(PLACES_A_WORKER * sum(worker.up for worker in self._workers), held)

    def give(self, work: Work) -> None:
        self._waiting.append(work)
        self._hand_out()

    def take(self, timeout_s: float) -> Sequence[Outcome]:
        self._count_driver()
        until = self._clock.now + timeout_s
        while self._events and self._events[0][0] <= until and not self._ended:
            self._clock.now = max(self._clock.now, self._events[0][0])
            while self._events and self._events[0][0] <= self._clock.now:
                heapq.heappop(self._events)[2]()
        if not self._ended:
            self._clock.now = until
        ended, self._ended = self._ended, []
        self._returned = time.process_time()
        return ended

    def workers(self) -> Sequence[WorkerSeen]:
        return [WorkerSeen(worker.name, "CPU", worker.work and worker.work.place) for worker in self._workers if worker.up]

    def close(self, *, at_once: bool = False) -> None:
        del at_once
        for worker in self._workers:
            self.watched.up_s += (self._clock.now if worker.up else worker.gone_since) - worker.up_since

    def _count_driver(self) -> None:
        if self._returned is not None:
            took_s = time.process_time() - self._returned
            self.driver_s += took_s
            self._clock.now += took_s if self._counts_driver else 0.0

    def _at(self, when: float, what: Callable[[], None]) -> None:
        heapq.heappush(self._events, (when, next(self._order), what))

    def _hand_out(self) -> None:
        for worker in self._workers:
            if not self._waiting:
                return
            if worker.up and worker.work is None:
                worker.work, worker.began = self._waiting.popleft(), self._clock.now
                worker.turn += 1
                seconds, _ = self._seconds_of(worker.work.place)
                self._at(self._clock.now + seconds, lambda worker=worker, turn=worker.turn: self._end(worker, turn))

    def _end(self, worker: _Worker, turn: int) -> None:
        if worker.turn != turn or worker.work is None:
            return
        work, worker.work = worker.work, None
        seconds, good = self._seconds_of(work.place)
        self.watched.busy_s += seconds
        self.watched.useful_s += seconds
        self.watched.ends[work.place] += 1
        ended = ("done", "") if good else ("refused", "slide-not-readable")
        sha256 = f"{work.place:064x}"
        self._ended.append(
            Outcome(work.place, work.attempt, *ended, slide_sha256=sha256, seconds=seconds, worker=worker.name)  # type: ignore[arg-type]
        )
        self._hand_out()

    def _lose(self, node: int) -> None:
        lost = []
        for worker in self._workers:
            if worker.node == node and worker.up:
                worker.up, worker.gone_since = False, self._clock.now
                worker.turn += 1
                if worker.work:
                    self.watched.busy_s += self._clock.now - worker.began
                    lost.append(Outcome(worker.work.place, worker.work.attempt, "lost", "lost-apart", worker=worker.name))
        self.watched.losses += 1
        self.watched.lost_slides += len(lost)
        gone = [worker for worker in self._workers if worker.node == node]
        self._at(self._clock.now + NOTICED_AFTER_S, lambda: self._notice(gone, lost))
        self._at(self._clock.now + self._gone_s + OPENS_S, lambda: self._come_back(gone))

    def _notice(self, gone: list[_Worker], lost: list[Outcome]) -> None:
        for worker in gone:
            worker.work = None
        self._ended += lost

    def _come_back(self, gone: list[_Worker]) -> None:
        for worker in gone:
            self.watched.up_s += worker.gone_since - worker.up_since
            worker.up, worker.up_since = True, self._clock.now
        self._hand_out()
