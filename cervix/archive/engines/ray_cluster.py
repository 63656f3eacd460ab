"""Scores slides on a Ray cluster: an actor for each device, which Ray places, watches and ends."""

import logging
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any, Final

from cervix.archive.engines.engine import WorkerSeen
from cervix.archive.engines.ray_calls import Calls
from cervix.archive.engines.ray_crew import Crew, Hand
from cervix.archive.engines.ray_joining import join
from cervix.archive.engines.ray_room import Share
from cervix.archive.work import Outcome, Station, Work
from cervix.errors import CervixError, LostApart

ENDS_WITHIN_S: Final = 60.0
"""After a stop: a batch takes seconds on the slowest device."""
PLACES_A_WORKER: Final = 3
WAITS_S: Final = 2.0
"""How long a call is waited for before the nodes are looked at again."""

logger = logging.getLogger(__name__)


class RayEngine:
    """The engine of a cluster (``cervix.archive.engines.engine.Engine``). Used from one thread.

    Parameters
    ----------
    station : Station
        Its folders of bundle and results are the same on every node: shared storage.
    address : str
        ``host:port`` of the head node, or ``auto``.
    share : Share, optional
        What each worker asks of the cluster; by the nodes there are now without.

    Raises
    ------
    ArchiveRunRefused
        Where the cluster cannot be joined, or one of its nodes cannot do its part: other software, no access to the folder of
        results, a bundle that does not open there.
    """

    def __init__(self, station: Station, address: str, *, share: Share | None = None) -> None:
        self._waiting: deque[Work] = deque()
        self._in_hand: dict[Hand, Work] = {}
        self._fetched: dict[Hand, Work] = {}
        self._ended: list[Outcome] = []
        self._closed = False
        # The nodes have other working folders than this process.
        station = replace(
            station, **{name: getattr(station, name).absolute() for name in ("bundle_root", "results_dir", "cache_dir")}
        )
        station.results_dir.mkdir(parents=True, exist_ok=True)
        self._ray, self._leave = join(address)
        try:
            self._calls = Calls(self._ray)
            self._crew = Crew(self._ray, self._calls, station, share, self._in_hand.__contains__)
            self._crew.open_all()
        except BaseException:
            self._leave()
            raise

    @property
    def places(self) -> int:
        """For each worker the slide in hand, one fetched beside it, and one that waits. Never fewer than are held."""
        return max(PLACES_A_WORKER * len(self._crew.open), len(self._waiting) + len(self._in_hand) + len(self._fetched))

    def give(self, work: Work) -> None:
        """Hand over one slide."""
        self._waiting.append(work)
        self._hand_out()

    def take(self, timeout_s: float) -> Sequence[Outcome]:
        """What has ended since the last call; waits up to ``timeout_s`` for the first.

        Raises
        ------
        ArchiveRunRefused
            Where no worker is left and none can be opened any more.
        """
        until = time.monotonic() + timeout_s
        while not self._closed:
            self._crew.look_around()
            left_s = 0.0 if self._ended else max(0.0, until - time.monotonic())
            self._calls.settle(min(WAITS_S, left_s))
            self._hand_out()
            if not left_s:
                break
        ended, self._ended = self._ended, []
        return ended

    def workers(self) -> Sequence[WorkerSeen]:
        """The workers there are now, by name."""
        seen = []
        for hand in self._crew.open:
            work = self._in_hand.get(hand)
            seen.append(WorkerSeen(hand.name, hand.device, None if work is None else work.place))
        return sorted(seen, key=lambda one: one.name)

    def close(self, *, at_once: bool = False) -> None:
        """Let go of every worker. Slides in hand end after the batch they are at, ``at_once`` without waiting for it."""
        if self._closed:
            return
        self._closed = True
        unbegun = [*self._fetched.values(), *self._waiting]
        until = time.monotonic() + (0.0 if at_once else ENDS_WITHIN_S)
        if not at_once:
            for hand in self._in_hand:
                hand.actor.stop.remote()
        while self._in_hand and time.monotonic() < until:
            self._calls.settle(until - time.monotonic())
        self._ended += [Outcome(work.place, work.attempt, "stopped") for work in (*unbegun, *self._in_hand.values())]
        self._waiting.clear()
        self._in_hand.clear()
        self._fetched.clear()
        self._calls.forget()
        for hand in list(self._crew.hands):
            self._crew.let_go(hand)
        self._leave()

    def _hand_out(self) -> None:
        """Give every idle worker a slide, and name the one to fetch beside it."""
        if self._closed:
            return
        for hand in [hand for hand in self._fetched if hand not in self._crew.hands]:
            self._waiting.appendleft(self._fetched.pop(hand))
        for hand in self._crew.open:
            if hand not in self._in_hand and (work := self._work_for(hand)):
                self._in_hand[hand] = work
                then = self._beside(work)
                if then is not None:
                    self._fetched[hand] = then
                self._calls.add(hand.actor.score.remote(work, then), partial(self._scored, hand))

    def _work_for(self, hand: Hand) -> Work | None:
        """The slide that it fetched, else the first that waits, else one that a busy worker has no more than fetched."""
        if hand not in self._fetched and self._waiting:
            return self._waiting.popleft()
        owner = hand if hand in self._fetched else next(iter(self._fetched), None)
        return None if owner is None else self._fetched.pop(owner)

    def _beside(self, work: Work) -> Work | None:
        """What is fetched beside a slide; nothing where either failed before: one of them may end the process."""
        if work.attempt > 1 or not self._waiting or self._waiting[0].attempt > 1:
            return None
        return self._waiting.popleft()

    def _scored(self, hand: Hand, call: Any) -> None:
        work = self._in_hand.pop(hand)
        exceptions = self._ray.exceptions
        try:
            outcome: Outcome = self._ray.get(call)
        except exceptions.RayTaskError as error:
            # Not a word of it: an error that nobody foresaw may name the slide.
            cause = type(error.cause).__name__
            logger.warning("a worker met something unexpected: %s", cause)
            outcome = Outcome(
                work.place, work.attempt, "failed", CervixError.code, f"Something unexpected went wrong ({cause})."
            )
        except exceptions.RayError as error:
            logger.warning("the worker %s died with a slide in hand (%s)", hand.name, type(error).__name__)
            reason = "The worker that had this slide in hand died: its process was ended, or its machine is gone."
            outcome = Outcome(work.place, work.attempt, "lost", LostApart.code, reason)
            self._crew.let_go(hand)
        self._ended.append(replace(outcome, worker=hand.name))
        self._hand_out()
