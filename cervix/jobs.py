"""Long work that a page starts and anybody may watch: it outlives reruns, page changes and closed tabs."""

import logging
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from queue import SimpleQueue
from threading import Condition, Event, Lock, Thread
from typing import Generic, Literal, TypeVar

from cervix.errors import Cancelled, CervixError

logger = logging.getLogger(__name__)

Progress = TypeVar("Progress")
Result = TypeVar("Result")
State = Literal["waiting", "running", "done", "failed", "cancelled"]
# A finished score of 100,000 tiles holds 70 MB; one that is not held is read from disk again.
FINISHED_JOBS_KEPT = 12
JOBS_AT_ONCE = 24


class FairTurns:
    """One device for many: whoever waits is served in turn, owner by owner, one batch at a time.

    Somebody with ten slides gets the share of somebody with one. Running batches one after the other loses nothing:
    each already uses every core, or the whole GPU.
    """

    def __init__(self) -> None:
        self._changed = Condition()
        self._waiting: dict[str, deque[object]] = {}
        self._served: dict[str, int] = {}
        self._turns = 0
        self._busy = False

    @contextmanager
    def turn(self, owner: str) -> Iterator[None]:
        """Wait for this owner's turn, and hold the device while the block runs."""
        ticket = object()
        with self._changed:
            self._waiting.setdefault(owner, deque()).append(ticket)
            self._changed.wait_for(lambda: not self._busy and self._next() is ticket)
            self._waiting[owner].popleft()
            if not self._waiting[owner]:
                del self._waiting[owner]
            self._turns += 1
            self._served[owner] = self._turns
            self._busy = True
        try:
            yield
        finally:
            with self._changed:
                self._busy = False
                self._changed.notify_all()

    def _next(self) -> object:
        """The first ticket of the owner who was served longest ago."""
        return self._waiting[min(self._waiting, key=lambda owner: self._served.get(owner, 0))][0]


def _nothing() -> None:
    pass


@dataclass
class Job(Generic[Progress, Result]):
    """One piece of work. Its worker writes it; pages read it."""

    key: str
    state: State = "waiting"
    progress: Progress | None = None
    result: Result | None = None
    error: str = ""
    """One sentence for people; empty unless ``failed``."""
    code: str = ""
    """Of the error, for programs (``cervix.errors``); empty likewise."""
    cancel_requested: Event = field(default_factory=Event)
    pause_requested: Event = field(default_factory=Event)
    given_up: Callable[[], None] = _nothing
    """Called where the job is cancelled before its work began."""
    created: float = field(default_factory=time.monotonic)
    lock: Lock = field(default_factory=Lock)
    """Held to leave the state ``waiting``, so that a job is either started or cancelled."""

    @property
    def active(self) -> bool:
        return self.state in ("waiting", "running")

    @property
    def paused(self) -> bool:
        return self.active and self.pause_requested.is_set()

    def cancel(self) -> None:
        """Stop at once while waiting; ask the worker to stop after the batch in hand while running."""
        self.cancel_requested.set()
        with self.lock:
            waited = self.state == "waiting"
            if waited:
                self.state = "cancelled"
        if waited:
            self.given_up()


class JobBoard(Generic[Progress, Result]):
    """Runs jobs side by side, up to ``at_once``; the rest wait in the order they came.

    Workers are daemon threads: a server that is told to stop stops, and its jobs can resume from what they keep on disk.
    """

    def __init__(self, at_once: int = JOBS_AT_ONCE) -> None:
        self._at_once = at_once
        self._workers = 0
        self._queue: SimpleQueue[tuple[Job[Progress, Result], Callable[[Job[Progress, Result]], Result]]] = SimpleQueue()
        self._jobs: dict[str, Job[Progress, Result]] = {}
        self._lock = Lock()

    def submit(
        self, key: str, work: "Callable[[Job[Progress, Result]], Result]", given_up: Callable[[], None] = _nothing
    ) -> Job[Progress, Result]:
        """Start ``work(job)``, or return the job of that key if it is still active.

        ``work`` writes ``job.progress``, holds while ``job.pause_requested`` is set, stops with ``Cancelled`` once
        ``job.cancel_requested`` is set, and returns the result. ``given_up`` is called in place of it where the job is
        cancelled while it waits.
        """
        with self._lock:
            running = self._jobs.get(key)
            if running is not None and running.active:
                return running
            # A job run again is the newest, not as old as its key.
            self._jobs.pop(key, None)
            job = self._jobs[key] = Job[Progress, Result](key, given_up=given_up)
            finished = [other for other in self._jobs.values() if not other.active]
            for old in finished[:-FINISHED_JOBS_KEPT]:
                del self._jobs[old.key]
            if self._workers < self._at_once:
                self._workers += 1
                Thread(target=self._work, name="job", daemon=True).start()
        self._queue.put((job, work))
        return job

    def get(self, key: str) -> Job[Progress, Result] | None:
        """The latest job of that key."""
        with self._lock:
            return self._jobs.get(key)

    def active_jobs(self) -> list[Job[Progress, Result]]:
        """The jobs that wait or run."""
        with self._lock:
            return [job for job in self._jobs.values() if job.active]

    def ahead_of(self, job: Job[Progress, Result]) -> int:
        """How many active jobs were submitted before this one."""
        with self._lock:
            return sum(other.active and other.created < job.created for other in self._jobs.values())

    def _work(self) -> None:
        while True:
            self._run(*self._queue.get())

    def _run(self, job: Job[Progress, Result], work: "Callable[[Job[Progress, Result]], Result]") -> None:
        with job.lock:
            if job.state != "waiting":
                return
            job.state = "running"
        try:
            job.result = work(job)
            job.state = "done"
        except Cancelled:
            job.state = "cancelled"
        except CervixError as error:
            job.error, job.code, job.state = str(error), error.code, "failed"
        except Exception as error:
            logger.exception("job failed")
            job.error = f"Something unexpected went wrong ({type(error).__name__}); the server's log has the details."
            job.code, job.state = CervixError.code, "failed"
