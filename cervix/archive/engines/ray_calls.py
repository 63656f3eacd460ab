"""Calls to Ray actors that have not come back, each with who hears its end."""

import time
from collections.abc import Callable
from typing import Any


class Calls:
    """Used from one thread; whoever hears may add calls."""

    def __init__(self, ray: Any) -> None:
        self._ray = ray
        self._heard_by: dict[Any, Callable[[Any], None]] = {}

    def __bool__(self) -> bool:
        return bool(self._heard_by)

    def add(self, call: Any, heard_by: Callable[[Any], None]) -> None:
        """Let ``heard_by`` have the call when it has come back, with a value or an error: ``ray.get`` tells which."""
        self._heard_by[call] = heard_by

    def settle(self, timeout_s: float) -> None:
        """Hear all that have come back; wait up to ``timeout_s`` for the first."""
        if not self._heard_by:
            time.sleep(timeout_s)
            return
        ready, _ = self._ray.wait(list(self._heard_by), num_returns=1, timeout=timeout_s)
        if ready:
            ready, _ = self._ray.wait(list(self._heard_by), num_returns=len(self._heard_by), timeout=0)
        for call in ready:
            self._heard_by.pop(call)(call)

    def forget(self) -> None:
        """Hear of none of them any more."""
        self._heard_by = {}
