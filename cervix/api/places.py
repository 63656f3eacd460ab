"""How much is done at once: what comes beyond it is asked to come again, and nothing piles up in memory."""

from collections.abc import Iterator
from contextlib import contextmanager
from threading import BoundedSemaphore
from typing import Final

from cervix.errors import ServerBusy


class Places:
    """Room for some calls of a kind."""

    def __init__(self, at_once: int, what: str) -> None:
        self.at_once = at_once
        self._what = what
        self._free = BoundedSemaphore(at_once)

    @contextmanager
    def taken(self) -> Iterator[None]:
        """Hold a place while the block runs; ``ServerBusy`` where none is free."""
        if not self._free.acquire(blocking=False):
            raise ServerBusy(f"Others are {self._what}", expected=f"at most {self.at_once} at once", action="Ask again soon.")
        try:
            yield
        finally:
            self._free.release()


UPLOADS: Final = Places(8, "sending slides")
OPENINGS: Final = Places(4, "having slides opened")
TABLES: Final = Places(4, "sending tables")
EXPORTS: Final = Places(4, "taking answers")
