"""The one loop of a run: slides from the ledger to the engine, outcomes back into the ledger."""

import time
from collections.abc import Callable, Sequence
from threading import Event
from typing import Final

from cervix.archive.engines.engine import Engine, WorkerSeen
from cervix.archive.ledger import Ledger
from cervix.archive.work import State

LOOKS_EVERY_S: Final = 0.5
"""How long a word of a person, or the end of a back-off, may wait to be seen."""
TOLD_EVERY_S: Final = 2.0
COUNTING_AT_MOST: Final = 0.02
"""Share of the driver's time that counting may take: of a million slides it lasts a fifth of a second."""
LISTING_SAID: Final = "listing"
"""Not empty while the sources are being listed: then slides may still come, and a run with none left is not over."""


def drive(
    ledger: Ledger,
    engine: Engine,
    *,
    clock: Callable[[], float] = time.time,
    on_progress: Callable[[dict[State, int]], None] | None = None,
    stop: Event | None = None,
) -> None:
    """Score what waits in the ledger until nothing does, or until it is stopped.

    Obeys ``ledger.said("wanted")``: ``pause`` gives out nothing new, ``stop`` ends as ``stop`` does.

    Parameters
    ----------
    ledger : Ledger
        Opened by this driver alone, and resumed.
    engine : Engine
        Closed here where the run is stopped; else it stays open for whoever made it.
    clock : callable
        Seconds since 1970. Only back-offs go by it.
    on_progress : callable, optional
        Called with ``ledger.counts()`` every other second, less often for very long lists, and at the end.
    stop : threading.Event, optional
        Set it from another thread or a signal: slides in hand end after their batch and wait again, their rows kept.
    """
    stop = stop or Event()
    in_hand: set[int] = set()
    tell_at, seen = 0.0, tuple[WorkerSeen, ...]()
    while True:
        wanted = "stop" if stop.is_set() else ledger.said("wanted", "run")
        if wanted == "stop":
            engine.close()
            ledger.finish(engine.take(0.0), now=clock())
            ledger.resume()
            break
        # Asked before the work is: what is listed in between is then taken, not overlooked.
        listing = bool(ledger.said(LISTING_SAID))
        given = ledger.take(engine.places - len(in_hand), now=clock()) if wanted == "run" else []
        for work in given:
            in_hand.add(work.place)
            engine.give(work)
        if not in_hand:
            if wanted == "run" and not listing and not ledger.waits():
                break
            stop.wait(LOOKS_EVERY_S)
        outcomes = engine.take(LOOKS_EVERY_S if in_hand else 0.0)
        in_hand.difference_update(outcome.place for outcome in outcomes)
        ledger.finish(outcomes, now=clock())
        seen = _put_down(ledger, engine.workers(), seen)
        if on_progress and (now := time.monotonic()) >= tell_at:
            on_progress(ledger.counts())
            told_at = time.monotonic()
            tell_at = told_at + max(TOLD_EVERY_S, (told_at - now) / COUNTING_AT_MOST)
    ledger.seen([])
    if on_progress:
        on_progress(ledger.counts())


def _put_down(ledger: Ledger, workers: Sequence[WorkerSeen], before: tuple[WorkerSeen, ...]) -> tuple[WorkerSeen, ...]:
    """Write down the workers where they are others, or have other slides, than when they were written down last."""
    if tuple(workers) != before:
        ledger.seen(workers)
    return tuple(workers)
