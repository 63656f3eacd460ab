"""What every source of slides answers, so that nothing else has to know where a slide comes from."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from PIL import Image

from cervix.sources.stated import Stated


class SlideHandle(Protocol):
    """An open slide in the pixels of its file, with the names that OpenSlide's handles have. Read by many threads at once."""

    @property
    def dimensions(self) -> tuple[int, int]:
        """Width and height of level 0 in pixels."""

    @property
    def level_dimensions(self) -> tuple[tuple[int, int], ...]:
        """Width and height of each level in its pixels, the finest first."""

    @property
    def level_downsamples(self) -> tuple[float, ...]:
        """Pixels of level 0 per pixel of each level, rising from 1."""

    @property
    def properties(self) -> Mapping[str, str]:
        """What it says of itself; ``openslide.level[n].tile-width`` and ``-height`` are used where they are there."""

    def read_region(self, location: tuple[int, int], level: int, size: tuple[int, int]) -> Image.Image:
        """RGB or RGBA of a region: its corner in pixels of level 0, its size in pixels of the level.

        What lies outside is transparent. Whatever it raises is told as damage at that place.
        """


@dataclass(frozen=True)
class OpenedSlide:
    """A slide as its reader opened it.

    Attributes
    ----------
    handle : SlideHandle
    reopen : callable
        Opens it again, after a handle was let go or a read broke it.
    stated : Stated
        Scale, scanned part, colours, and what a user should know of how it was read.
    vendor : str
        Whose format it is.
    magnification : float or None
        Power of the objective; None where nothing states it.
    held_bytes : int
        What an open handle keeps in memory, beside the cache of tiles.
    broken_by : tuple of exception classes
        What a read raises after which the handle is of no more use.
    """

    handle: SlideHandle
    reopen: Callable[[], SlideHandle]
    stated: Stated
    vendor: str
    magnification: float | None = None
    held_bytes: int = 0
    broken_by: tuple[type[Exception], ...] = ()


class SlideReader(Protocol):
    """A source of slides.

    Attributes
    ----------
    kinds : str
        What it reads, in words, for the sentence that refuses another file.
    suffixes : tuple of str
        How the names of its files end, in lower case: what uploads take and folders list.
    plain : bool
        Whether its files are plain pictures. Beside a slide those are its label or its thumbnail, and no slides.
    """

    @property
    def kinds(self) -> str: ...

    @property
    def suffixes(self) -> tuple[str, ...]: ...

    @property
    def plain(self) -> bool: ...

    def matches(self, path: Path) -> bool:
        """Whether this reader is the one to open a file, by its content. The first of the registry that says so opens it."""

    def open(self, path: Path) -> OpenedSlide:
        """Open a file.

        Raises
        ------
        SlideNotReadable
            Truncated or damaged.
        SlideNotSuitable
            Readable, but nothing that can be scored.
        """
