"""What a worker is given and what it gives back: both cross between processes and machines."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from cervix.bundle.sessions import Device

State = Literal["waiting", "running", "done", "duplicate", "refused", "quarantined"]
"""Of a slide in the ledger. ``duplicate``: another place holds the same slide. ``refused``: nothing would change that this
slide cannot be scored. ``quarantined``: it failed as often as it may; asked for again, it is tried again."""
Ended = Literal["done", "duplicate", "refused", "failed", "lost", "stopped"]
"""How one attempt ended. ``failed`` and ``lost`` (the worker died) are tried again; ``stopped`` costs no attempt."""


@dataclass(frozen=True)
class Found:
    """A slide of a source, before anybody opened it.

    Attributes
    ----------
    locator : str
        Where it lies: an absolute path, ``s3://bucket/key``, or ``dicomweb:<study>/<series>``.
    mark : str
        What changes when the slide does, as far as one can see from outside: size and time of a file, ETag of an object,
        number of instances of a series.
    bytes : int
        0 where that is not known before it is fetched.
    site, day : str
        Where and when it was scanned, as a manifest or archive says (``2026-11-30``); empty where nothing does.
    spacing_um_px : float, optional
        What a manifest states; wins over the file.
    """

    locator: str
    mark: str
    bytes: int = 0
    site: str = ""
    day: str = ""
    spacing_um_px: float | None = None


@dataclass(frozen=True)
class Work:
    """One slide for one worker."""

    place: int
    """Of the slide in the ledger."""
    locator: str
    attempt: int
    """From 1."""
    mark: str
    spacing_um_px: float | None = None
    instead_of: int | None = None
    """The place of the same slide that had claimed it and will not score it any more: its claim may be taken over."""


@dataclass(frozen=True)
class Station:
    """What every worker of a run needs; the same for all."""

    bundle_root: Path
    """The run's own copy of the bundle."""
    bundle_sha256: str
    device: Device
    results_dir: Path
    """A folder that every worker can write: ``results/<slide sha>/<bundle sha>/``."""
    cache_dir: Path
    """Where a worker keeps what it fetched, until there is no room; on its own disk."""
    cache_bytes: int
    despite_quality: bool = False
    everywhere: bool = False
    triage: bool = False
    """Score in the low-discrepancy order until the slide rule is decided (``cervix.slides.triage``)."""
    run: str = "run"
    """Tells this run's claims from those of another with the same results."""


@dataclass(frozen=True)
class Outcome:
    """How one attempt at one slide ended.

    Attributes
    ----------
    place, attempt : int
        Of the work it answers.
    ended : str
    code, reason : str
        Code and sentence of the error; empty where ``done``.
    slide_sha256 : str
        Empty where the slide could not be read as far as that.
    tiles, seconds, tiles_per_s : what it took here; a score that was there already took none
    answer : dict
        What the list of slides shows and sorts by (``cervix.archive.answers.facts_of``); empty unless ``done``.
    worker : str
        Who did it.
    same_as : int, optional
        Of a ``duplicate``: the place of the same slide that somebody has in hand.
    """

    place: int
    attempt: int
    ended: Ended
    code: str = ""
    reason: str = ""
    slide_sha256: str = ""
    tiles: int = 0
    seconds: float = 0.0
    tiles_per_s: float = 0.0
    answer: dict[str, object] | None = None
    worker: str = ""
    same_as: int | None = None
