"""Ask of a slide from outside, in a process that may be lost, whether it may be opened here; remember the answer."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from threading import BoundedSemaphore, Lock
from typing import Any, Final

from cachetools import LRUCache, TTLCache

from cervix.errors import CervixError, LostApart
from cervix.sources.apart import Limits, run_apart
from cervix.sources.identity import Mark, mark_of
from cervix.sources.opening import open_slide
from cervix.sources.slide import Slide

EXAMINE: Final = "cervix.sources.examining:examine_slide"
# A picture of 80 megapixels with transparency takes 1.3 GB while it is decoded.
SLIDE_LIMITS: Final = Limits(memory_bytes=2 << 30, seconds=15.0, file_bytes=1 << 20)
AT_ONCE: Final = 3
REMEMBERED: Final = 512
# A process may also be lost because the machine is busy: such an answer does not count for long.
LOST_COUNTS_S: Final = 60.0


@dataclass(frozen=True)
class SlideFacts:
    """What the probe found.

    Attributes
    ----------
    parts_looked_at, parts_unreadable : int
        Places and overviews that were decoded on all levels, and how many of them could not be; a slide with a few is
        opened all the same.
    """

    width_l0_px: int
    height_l0_px: int
    level_downsamples: tuple[float, ...]
    vendor: str
    parts_looked_at: int
    parts_unreadable: int

    @classmethod
    def told(cls, facts: dict[str, Any]) -> "SlideFacts":
        """From JSON, which has no tuples."""
        return cls(**{**facts, "level_downsamples": tuple(facts["level_downsamples"])})


class _Answers:
    """Answers by the files they are about: device, inode, size and time of change of each, whatever they are called."""

    def __init__(self) -> None:
        self._kept: LRUCache[Mark, SlideFacts | Callable[[], CervixError]] = LRUCache(REMEMBERED)
        self._lost: TTLCache[Mark, Callable[[], CervixError]] = TTLCache(REMEMBERED, LOST_COUNTS_S)
        self._lock = Lock()

    def find(self, mark: Mark) -> SlideFacts | Callable[[], CervixError] | None:
        with self._lock:
            return self._kept.get(mark) or self._lost.get(mark)

    def keep(self, mark: Mark, answer: SlideFacts | CervixError) -> None:
        with self._lock:
            if isinstance(answer, SlideFacts):
                self._kept[mark] = answer
            else:
                (self._lost if isinstance(answer, LostApart) else self._kept)[mark] = _again(answer)


_answers = _Answers()
_turn = BoundedSemaphore(AT_ONCE)


def probe_slide(path: Path) -> SlideFacts:
    """The facts of a slide, examined in a process of its own once for as long as its files stay as they are.

    Raises
    ------
    SlideNotReadable, SlideNotSuitable
        As ``open_slide``, and where the file says more than it holds.
    LostApart
        The slide ended that process, or took more than 2 GB or 15 s.
    """
    mark = mark_of(path)
    with _turn:
        answer = _answers.find(mark)
        if answer is None:
            try:
                answer = SlideFacts.told(run_apart(EXAMINE, {"path": str(path.resolve())}, SLIDE_LIMITS, subject="slide"))
            except CervixError as error:
                _answers.keep(mark, error)
                raise
            _answers.keep(mark, answer)
    if isinstance(answer, SlideFacts):
        return answer
    raise answer()


def open_outside(path: Path, *, spacing_um_px: float | None = None, sha256: str | None = None) -> Slide:
    """``open_slide`` for a file from outside: it is probed first, so this process never meets one that was not.

    Raises
    ------
    SlideNotReadable, SlideNotSuitable, LostApart
        As ``open_slide`` and ``probe_slide``.
    """
    if path.is_file():
        probe_slide(path)
    return open_slide(path, spacing_um_px=spacing_um_px, sha256=sha256)


def _again(error: CervixError) -> Callable[[], CervixError]:
    """The same refusal for somebody else: an exception that is raised twice gathers both tracebacks."""
    kind, problem = type(error), error.problem
    return lambda: kind(problem, expected=error.expected, found=error.found, action=error.action)
