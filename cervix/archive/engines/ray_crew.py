"""The workers of a run on a Ray cluster: asked for, checked as they open, replaced when they or their nodes are gone."""

import logging
import platform
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Final
from uuid import uuid4

import cervix
from cervix.archive.engines.ray_calls import Calls
from cervix.archive.engines.ray_holder import Told, holder_class
from cervix.archive.engines.ray_room import Share
from cervix.archive.work import Station
from cervix.errors import ArchiveRunRefused

LOOKS_EVERY_S: Final = 2.0
"""How often the list of nodes is asked for."""
OPENS_WITHIN_S: Final = 120.0
OTHERS_OPEN_WITHIN_S: Final = 20.0
"""The first worker has opened: how long the others are waited for, so that a node that cannot do its part is named at once."""
SAYS_EVERY_S: Final = 60.0
REFUSALS_AT_MOST: Final = 5
"""So many workers one after the other did not open, and none is at work: nothing will come of waiting."""
CALLS_AT_ONCE: Final = 2
"""Of an actor: the slide in hand, and a word to stop."""

logger = logging.getLogger(__name__)


@dataclass(eq=False)
class Hand:
    """One actor, from when it was asked for. Without a node while Ray has not placed it, without a device until it is open."""

    actor: Any
    node: str = ""
    address: str = ""
    number: int = 0
    device: str = ""

    @property
    def name(self) -> str:
        return f"{self.address} {self.number}"


class Crew:
    """As many workers as the cluster has room for, wherever Ray places them.

    Parameters
    ----------
    share : Share, optional
        What each asks of the cluster; by the nodes there are now without.
    is_busy : callable
        Whether a worker has a slide in hand: then the call of that slide says what became of it.
    """

    def __init__(self, ray: Any, calls: Calls, station: Station, share: Share | None, is_busy: Callable[[Hand], bool]) -> None:
        self._ray, self._calls, self._station, self._is_busy = ray, calls, station, is_busy
        self.hands: list[Hand] = []
        self._share = share or Share.of(self._nodes(), station.device)
        self._holder = ray.remote(holder_class()).options(
            **self._share.asked, max_concurrency=CALLS_AT_ONCE, max_restarts=0, scheduling_strategy="SPREAD"
        )
        self._refusals: list[ArchiveRunRefused] = []
        self._looks_at = self._says_at = 0.0

    @property
    def open(self) -> list[Hand]:
        """Those that can score."""
        return [hand for hand in self.hands if hand.device]

    def open_all(self) -> None:
        """Ask for workers, and wait for those that the cluster has room for now.

        Raises
        ------
        ArchiveRunRefused
            As soon as one of them cannot do its part.
        """
        self.look_around()
        until, first = time.monotonic() + OPENS_WITHIN_S, True
        while self._calls and time.monotonic() < until:
            self._calls.settle(max(0.0, until - time.monotonic()))
            if self._refusals:
                raise self._refusals[-1]
            if first and self.open:
                first, until = False, time.monotonic() + OTHERS_OPEN_WITHIN_S

    def look_around(self) -> None:
        """Now and then: a worker for whatever room there is, and none where the node is gone."""
        now = time.monotonic()
        if now < self._looks_at:
            return
        self._looks_at = now + LOOKS_EVERY_S
        nodes = self._nodes()
        alive = {node["NodeID"] for node in nodes}
        for hand in list(self.hands):
            if hand.node and hand.node not in alive and not self._is_busy(hand):
                self.let_go(hand)
        room = self._share.room(nodes)
        for hand in [hand for hand in self.hands if not hand.node][: max(0, len(self.hands) - room)]:
            self.let_go(hand)
        for _ in range(room - len(self.hands)):
            self._hire()
        if not self.open and now >= self._says_at:
            self._says_at = now + SAYS_EVERY_S
            logger.info("waiting for workers: %d nodes, room for %d", len(nodes), room)

    def let_go(self, hand: Hand) -> None:
        """Do without a worker; Ray may place another one where it was."""
        self.hands.remove(hand)
        self._ray.kill(hand.actor, no_restart=True)

    def _nodes(self) -> list[dict[str, Any]]:
        return [node for node in self._ray.nodes() if node["Alive"]]

    def _hire(self) -> None:
        hand = Hand(self._holder.remote(vars(self._station), self._share.threads))
        self.hands.append(hand)
        marker, content = f".worker-{uuid4().hex}", uuid4().hex
        self._calls.add(hand.actor.open.remote(marker, content), partial(self._opened, hand, marker, content))

    def _opened(self, hand: Hand, marker: str, content: str, call: Any) -> None:
        path = self._station.results_dir / marker
        try:
            told: Told = self._ray.get(call)
            found_here = path.is_file() and path.read_text(encoding="ascii") == content
        except self._ray.exceptions.RayError as error:
            if hand in self.hands:
                self._refuse(hand, "A worker died while it opened", "a process that lives", type(error).__name__)
            return
        finally:
            path.unlink(missing_ok=True)
        if hand not in self.hands:
            return
        hand.node, hand.address = told["node"], told["address"]
        wanted = f"Python {_minor(platform.python_version())}, this software {cervix.__version__}"
        has = f"Python {_minor(told['python'])}, this software {told['cervix'] or 'not there'}"
        if has != wanted:
            self._refuse(hand, f"The node {hand.address} has other software than this machine", wanted, has)
        elif told["error"]:
            self._refuse(hand, f"The node {hand.address} cannot score", "a worker that opens", told["error"])
        elif not found_here:
            self._refuse(hand, f"The node {hand.address} does not see the folder of results", "one folder for all", "its own")
        else:
            taken = {other.number for other in self.hands if other.address == hand.address}
            hand.number = next(number for number in range(1, len(taken) + 1) if number not in taken)
            hand.device = told["device"]
            self._refusals = []

    def _refuse(self, hand: Hand, problem: str, expected: str, found: str) -> None:
        self.let_go(hand)
        action = "Give every node the same software, and the same folders for the bundle and the results."
        self._refusals.append(ArchiveRunRefused(problem, expected=expected, found=found, action=action))
        logger.warning("%s", self._refusals[-1])
        if len(self._refusals) >= REFUSALS_AT_MOST and not self.open:
            raise self._refusals[-1]


def _minor(version: str) -> str:
    return ".".join(version.split(".")[:2])
