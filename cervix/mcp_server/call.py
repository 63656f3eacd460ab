"""One call of a tool, as the tool sees it: whom to tell how far it is, and when to stop."""

from collections.abc import Callable
from dataclasses import dataclass, field
from threading import Event
from typing import Final

TABLE_BYTES_AT_MOST: Final = 2_000_000
"""Of a table of women: about 20,000 visits. A list of more is work for ``python -m cervix patients``."""


def _nobody(done: int, total: int, words: str) -> None:
    del done, total, words


@dataclass(frozen=True)
class Call:
    """A call under way.

    Attributes
    ----------
    on_progress : callable
        Called with what is done, how much there is, and a sentence.
    cancel : Event
        Set when the client gave the call up, went away, or the call took too long.
    """

    on_progress: Callable[[int, int, str], None] = _nobody
    cancel: Event = field(default_factory=Event)
