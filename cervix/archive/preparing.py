"""A slide made ready to be scored: fetched, examined, hashed, planned, and let through the quality gate."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from cervix.archive.sources import at_hand
from cervix.archive.work import Station, Work
from cervix.bundle import Bundle
from cervix.errors import SourceUnavailable, SourceVanished
from cervix.slides.gate import plan_through_the_gate
from cervix.slides.scoring import SlidePlan
from cervix.sources.identity import Mark, mark_of
from cervix.sources.probe import open_outside
from cervix.sources.slide import Slide


@dataclass(frozen=True)
class Ready:
    """A slide that can be scored."""

    slide: Slide
    plan: SlidePlan
    quality: str
    """What the quality gate warns of (``GateReport.words``)."""
    mark: Mark
    """Of its files before the first byte was read."""

    def require_unchanged(self) -> None:
        """Raise ``SourceUnavailable`` where a file is another than when it was hashed: what was read is of no one slide."""
        if mark_if_there(self.slide.path) != self.mark:
            raise SourceUnavailable(
                "The slide changed while it was scored",
                found="another size or time of its files",
                action="It is read again from the start.",
            )


def mark_if_there(path: Path) -> Mark:
    """``mark_of``; empty where a file of the slide is gone."""
    try:
        return mark_of(path)
    except FileNotFoundError:
        return ()


@contextmanager
def readied(work: Work, station: Station, bundle: Bundle) -> Iterator[Ready]:
    """Make a slide ready, and keep it at hand while the block runs. It may be left in another thread than it was entered in.

    Raises
    ------
    SourceVanished, SourceUnavailable
        Where it cannot be had.
    SlideNotReadable, SlideNotSuitable, LostApart
        As ``open_outside`` and ``plan_through_the_gate``.
    """
    with at_hand(work, station) as path:
        _require_open(path)
        mark = mark_if_there(path)
        slide = open_outside(path, spacing_um_px=work.spacing_um_px)
        plan, gate = plan_through_the_gate(
            slide, bundle, everywhere=station.everywhere, despite_quality=station.despite_quality
        )
        try:
            yield Ready(slide, plan, gate.words, mark)
        finally:
            slide.file.let_go()


def _require_open(path: Path) -> None:
    """Tell a file that is locked or gone from one that is damaged: decoders call them all unreadable."""
    try:
        with path.open("rb"):
            return
    except FileNotFoundError as error:
        raise SourceVanished("The slide is not any more where it was listed", action="List the archive again.") from error
    except OSError as error:
        raise SourceUnavailable(
            "The slide cannot be opened just now",
            found=error.strerror or "",
            action="See who else uses it, and who may read it.",
        ) from error
