"""What a run asks of whatever scores its slides."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from cervix.archive.work import Outcome, Work


@dataclass(frozen=True)
class WorkerSeen:
    """One worker of an engine, as the page and the command line show it."""

    name: str
    """Machine and number: ``this machine 1``, ``10.0.0.7 2``."""
    device: str
    """``CPU, int8``; empty until it has opened its session."""
    slide: int | None
    """The place in the ledger of the slide in hand; None where it waits."""


class Engine(Protocol):
    """Scores slides somewhere else. A run gives it work while it has places free, and takes what is finished."""

    @property
    def places(self) -> int:
        """How many slides it may hold at once, those that wait for a device included."""

    def give(self, work: Work) -> None:
        """Hand over one slide. Never called with more than ``places`` in hand.

        The same place may come again as soon as its last outcome was taken.
        """

    def take(self, timeout_s: float) -> Sequence[Outcome]:
        """What has ended since the last call, in any order; waits up to ``timeout_s`` for the first.

        A slide whose worker died comes back ``lost``, and the worker has been replaced.
        """

    def workers(self) -> Sequence[WorkerSeen]:
        """The workers there are now."""

    def close(self, *, at_once: bool = False) -> None:
        """Let go of every worker. Slides in hand end after the batch they are at, ``at_once`` without waiting for it.

        What ended so is had by one more ``take``. Closing again does nothing.
        """
