"""Long work that a page starts and anybody may watch: it outlives reruns, page changes and closed tabs."""

import logging
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from threading import Event, Lock
from typing import Generic, Literal, TypeVar

from cervix.errors import Cancelled, CervixError

logger = logging.getLogger(__name__)

Progress = TypeVar("Progress")
Result = TypeVar("Result")
State = Literal["waiting", "running", "done", "failed", "cancelled"]
FINISHED_JOBS_KEPT = 50


@dataclass
class Job(Generic[Progress, Result]):
    """One piece of work. Its worker writes it; pages read it."""

    key: str
    state: State = "waiting"
    progress: Progress | None = None
    result: Result | None = None
    error: str = ""
    """One sentence for people; empty unless ``failed``."""
    cancel_requested: Event = field(default_factory=Event)
    created: float = field(default_factory=time.monotonic)
    lock: Lock = field(default_factory=Lock)
    """Held to leave the state ``waiting``, so that a job is either started or cancelled."""

    @property
    def active(self) -> bool:
        return self.state in ("waiting", "running")

    def cancel(self) -> None:
        """Stop at once while waiting; ask the worker to stop after the batch in hand while running."""
        self.cancel_requested.set()
        with self.lock:
            if self.state == "waiting":
                self.state = "cancelled"


class JobBoard(Generic[Progress, Result]):
    """Runs jobs one after the other: a second slide waits rather than halving the speed of the first."""

    def __init__(self) -> None:
        self._worker = ThreadPoolExecutor(1, thread_name_prefix="job")
        self._jobs: dict[str, Job[Progress, Result]] = {}
        self._lock = Lock()

    def submit(self, key: str, work: Callable[[Callable[[Progress], None], Event], Result]) -> Job[Progress, Result]:
        """Start ``work(report, cancel)``, or return the job of that key if it is still active.

        ``work`` calls ``report`` with its progress and stops with ``Cancelled`` once ``cancel`` is set.
        """
        with self._lock:
            running = self._jobs.get(key)
            if running is not None and running.active:
                return running
            # A job run again is the newest, not as old as its key.
            self._jobs.pop(key, None)
            job = self._jobs[key] = Job[Progress, Result](key)
            finished = [other for other in self._jobs.values() if not other.active]
            for old in finished[:-FINISHED_JOBS_KEPT]:
                del self._jobs[old.key]
        self._worker.submit(self._run, job, work)
        return job

    def get(self, key: str) -> Job[Progress, Result] | None:
        """The latest job of that key."""
        with self._lock:
            return self._jobs.get(key)

    def ahead_of(self, job: Job[Progress, Result]) -> int:
        """How many active jobs were submitted before this one."""
        with self._lock:
            return sum(other.active and other.created < job.created for other in self._jobs.values())

    def _run(self, job: Job[Progress, Result], work: Callable[[Callable[[Progress], None], Event], Result]) -> None:
        def report(progress: Progress) -> None:
            job.progress = progress

        with job.lock:
            if job.state != "waiting":
                return
            job.state = "running"
        try:
            job.result = work(report, job.cancel_requested)
            job.state = "done"
        except Cancelled:
            job.state = "cancelled"
        except CervixError as error:
            job.error, job.state = str(error), "failed"
        except Exception as error:
            logger.exception("job failed")
            job.error = f"Something unforeseen went wrong ({type(error).__name__}); the server's log has the details."
            job.state = "failed"
