"""Things made or read lately, held up to so many bytes for every session together."""

import math
import time
from collections.abc import Callable, Hashable
from threading import Lock
from typing import Generic, TypeVar

from cachetools import TTLCache

Thing = TypeVar("Thing")


class Held(Generic[Thing]):
    """What was used longest ago is dropped first. Thread-safe.

    Parameters
    ----------
    limit_bytes : int
        For all of them together.
    size_of : callable
        How many bytes one of them takes.
    idle_s : float
        What nobody asked for in so many seconds is dropped, at the next use of any.
    clock : callable
        Seconds that never go back.
    """

    def __init__(
        self,
        limit_bytes: int,
        size_of: Callable[[Thing], int],
        idle_s: float = math.inf,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._things: TTLCache[Hashable, Thing] = TTLCache(limit_bytes, idle_s, clock, size_of)
        self._size_of = size_of
        self._lock = Lock()

    def find(self, key: Hashable) -> Thing | None:
        """The thing of a key; None where it is not held."""
        with self._lock:
            self._things.expire()
            thing = self._things.get(key)
            if thing is not None:
                self._things[key] = thing  # its time begins anew
            return thing

    def keep(self, key: Hashable, thing: Thing) -> Thing:
        """Hold a thing, where it is not larger than the limit, and return it."""
        with self._lock:
            if self._size_of(thing) <= self._things.maxsize:
                self._things[key] = thing
        return thing

    def drop(self, key: Hashable) -> None:
        """Hold the thing of a key no more, if it is held."""
        with self._lock:
            self._things.pop(key, None)


class HeldFiles(Held[bytes]):
    """Files by their content."""

    def __init__(self, limit_bytes: int) -> None:
        super().__init__(limit_bytes, len)
