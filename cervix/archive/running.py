"""One run from its order to its end: who may drive it, with which bundle, and what is listed while slides are scored."""

import logging
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Event, Thread
from typing import Final

from filelock import FileLock, Timeout

from cervix.archive.bundles import keep_bundle
from cervix.archive.deciding import decide_again
from cervix.archive.driver import LISTING_SAID, drive
from cervix.archive.engines.engine import Engine
from cervix.archive.ledger import ATTEMPTS_SAID, BUNDLE_SAID, LEDGER_NAME, Ledger
from cervix.archive.runs import BUNDLE_NAME, RUN_NAME, RunOrder, read_order, require_text, write_order
from cervix.archive.sources import PassedOver, listed
from cervix.archive.work import Found, State, Station
from cervix.bundle.loading import read_manifest
from cervix.errors import ArchiveRunRefused, CervixError
from cervix.files import OTHERS
from cervix.settings import Settings

logger = logging.getLogger(__name__)

DRIVER_LOCK_NAME: Final = "driver.lock"
PASSED_NAME: Final = "passed-over.csv"
PASSED_SAID: Final = "passed over"
"""What the sources hold that is not among the slides: counts for people in the ledger, every row of a list in the file."""
LISTED_SAID: Final = "listed whole"
"""Not empty once the sources of the run were listed to their end: until then it is not over, though no slide waits."""
LOCK_PATIENCE_S: Final = 2.0
"""Whoever only asks whether a run is driven holds the lock for a moment."""
KEPT: Final = ("results_dir", "triage", "everywhere", "despite_quality")
"""What a run that is gone on with cannot change: its answers would not be of one kind."""


@dataclass(frozen=True)
class Asked:
    """What somebody asks of a run that begins or is gone on with.

    Attributes
    ----------
    order : RunOrder
    bundle_root : Path
        Of the bundle that the order names.
    cache_dir, cache_bytes : Path, int
        As in ``Station``.
    only_changed : bool
        Go on with the run under another bundle than it had.
    rest : bool
        Score what a triage left.
    """

    order: RunOrder
    bundle_root: Path
    cache_dir: Path
    cache_bytes: int
    only_changed: bool = False
    rest: bool = False


def run_archive(
    out: Path,
    asked: Asked,
    settings: Settings,
    engine_of: Callable[[Station], Engine],
    *,
    on_progress: Callable[[dict[State, int]], None] | None = None,
    stop: Event | None = None,
) -> dict[State, int]:
    """Begin a run in ``out``, or go on with it, until nothing waits or it is stopped; returns how many slides ended how.

    What waits in the ledger is scored while the sources are listed, again or for the first time.

    Raises
    ------
    ArchiveRunRefused
        Where another driver has the run, or it was ordered otherwise.
    CervixError
        Where its sources cannot be listed, after all that had been listed is scored; or no device can score.
    """
    stop = stop or Event()
    with held(out):
        order = begun(out, asked)
        with Ledger(out / LEDGER_NAME) as ledger:
            ledger.resume()
            ledger.say(ATTEMPTS_SAID, str(order.attempts_at_most))
            ledger.say(BUNDLE_SAID, order.bundle_sha256)
            ledger.want("run")
            if asked.rest:
                ledger.wait_for_the_rest()
            listing = _Listing(ledger, out, order, settings, stop)
            engine: Engine | None = None
            try:
                engine = engine_of(station_of(out, order, asked))
                drive(ledger, engine, on_progress=on_progress, stop=stop)
            finally:
                if engine is not None:
                    engine.close(at_once=True)
                listing.end()
            listing.require_whole()
            return ledger.counts()


@contextmanager
def held(out: Path) -> Iterator[None]:
    """Be the one driver of a run. The system frees the lock of a process that dies in any way.

    The folder, and what this process makes meanwhile, is this user's alone.

    Raises ``ArchiveRunRefused`` where another one drives it, or the folder cannot be written.
    """
    lock = _lock(out)
    try:
        out.mkdir(parents=True, exist_ok=True)
        if os.name == "posix":
            out.chmod(0o700)
        lock.acquire(timeout=LOCK_PATIENCE_S)
    except Timeout as error:
        raise ArchiveRunRefused(
            "Another process scores into this folder",
            expected="one driver a run",
            action="Wait for it, or stop it with `python -m cervix archive stop DIR`.",
        ) from error
    except OSError as error:
        raise ArchiveRunRefused(
            "The folder of the run cannot be written", found=error.strerror or "", action="Choose another one with --out."
        ) from error
    umask = os.umask(OTHERS)  # of no meaning on Windows, where the folder's own permissions hold
    try:
        yield
    finally:
        os.umask(umask)
        lock.release()


def is_driven(out: Path) -> bool:
    """Whether a process scores into a run's folder now."""
    if not (out / DRIVER_LOCK_NAME).exists():
        return False
    lock = _lock(out)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        return True
    lock.release()
    return False


def begun(out: Path, asked: Asked) -> RunOrder:
    """The order of the run in ``out`` from now on, written down, with its own copy of the bundle.

    Raises ``ArchiveRunRefused`` where it was ordered otherwise.
    """
    before, order = read_order(out), asked.order
    if before is None and (out / LEDGER_NAME).exists():
        raise ArchiveRunRefused(
            "This folder holds a run whose order cannot be read",
            expected=f"{RUN_NAME} as this program wrote it",
            action="Choose another folder with --out: with --results and those of this run, nothing is scored again.",
        )
    require_text([*order.sources, str(order.results_dir), str(out), order.started_by])
    if before is not None:
        _require_same(before, asked)
        order = order.model_copy(
            update={"sources": order.sources or before.sources, "started": before.started, "started_by": before.started_by}
        )
    if not order.sources:
        raise ArchiveRunRefused("No source is named", expected="a folder, a list of slides, or an address")
    try:
        keep_bundle(out, asked.bundle_root, order.bundle_sha256)
        write_order(out, order)
    except OSError as error:
        raise ArchiveRunRefused(
            "The bundle and the order of the run cannot be kept in its folder",
            found=error.strerror or "",
            action="See to the room and the rights there.",
        ) from error
    return order


def station_of(out: Path, order: RunOrder, asked: Asked) -> Station:
    """What the workers of a run need."""
    return Station(
        bundle_root=(out / BUNDLE_NAME).absolute(),
        bundle_sha256=order.bundle_sha256,
        device=order.device,
        results_dir=order.results_dir,
        cache_dir=asked.cache_dir,
        cache_bytes=asked.cache_bytes,
        despite_quality=order.despite_quality,
        everywhere=order.everywhere,
        triage=order.triage,
        run=f"{order.started:%Y%m%d%H%M%S%f}",
    )


def _lock(out: Path) -> FileLock:
    return FileLock(out / DRIVER_LOCK_NAME, mode=0o600, thread_local=False)


def _require_same(before: RunOrder, asked: Asked) -> None:
    order = asked.order
    if asked.rest and before.triage:
        before = before.model_copy(update={"triage": order.triage})
    others = [name for name in KEPT if getattr(before, name) != getattr(order, name)]
    if others:
        raise ArchiveRunRefused(
            "This folder holds a run that was ordered otherwise",
            expected=", ".join(f"{name} as it was: {getattr(before, name)}" for name in others),
            action="Go on with it as it was ordered, or choose another folder with --out.",
        )
    if before.bundle_sha256 != order.bundle_sha256 and not asked.only_changed:
        raise ArchiveRunRefused(
            "This run was begun with another bundle",
            expected=before.bundle_label,
            found=order.bundle_label,
            action="Choose another folder with --out; or go on under the new bundle with --only-changed; or finish it "
            f"under its own: --bundle with the folder {BUNDLE_NAME} within that of the run.",
        )


class _Listing:
    """The sources of a run, listed in a thread of their own."""

    def __init__(self, ledger: Ledger, out: Path, order: RunOrder, settings: Settings, stop: Event) -> None:
        self._ledger, self._out, self._order, self._settings, self._stop = ledger, out, order, settings, stop
        self._ended = Event()
        self._is_whole = False
        self._error: CervixError | OSError | None = None
        ledger.say(LISTED_SAID, "")
        ledger.say(LISTING_SAID, "yes")
        self._thread = Thread(target=self._list, name="listing")
        self._thread.start()

    def _list(self) -> None:
        try:
            manifest, _ = read_manifest(self._out / BUNDLE_NAME)
            decide_again(self._ledger, self._out, self._order, manifest, stopped=self._is_over)
            self._ledger.add(self._found(), self._order.bundle_sha256)
            if self._is_whole:
                self._ledger.say(LISTED_SAID, "yes")
        except (CervixError, OSError) as error:
            self._error = error
        except Exception as error:
            # Said by whoever waits for this thread: a list that broke off must not look like one that ended.
            logger.exception("the sources could not be listed")
            self._error = ArchiveRunRefused(
                "The sources cannot be listed to their end",
                found=f"something unexpected ({type(error).__name__}); the log has the details",
                action="What was listed before is scored. Name the sources one by one to find the one at fault.",
            )
        finally:
            self._ledger.say(LISTING_SAID, "")

    def _found(self) -> Iterator[Found]:
        passed = PassedOver()
        for one in listed(self._order.sources, self._settings, passed):
            if self._is_over():
                return
            yield one
        self._ledger.say(PASSED_SAID, "\n".join(passed.lines))
        passed.write(self._out / PASSED_NAME)
        self._is_whole = True

    def _is_over(self) -> bool:
        return self._stop.is_set() or self._ended.is_set()

    def end(self) -> None:
        """Stop where it is, and wait for that."""
        self._ended.set()
        self._thread.join()

    def require_whole(self) -> None:
        """Raise what kept the sources from being listed."""
        if isinstance(self._error, CervixError):
            raise self._error
        if self._error is not None:
            raise ArchiveRunRefused("The sources cannot be listed", found=self._error.strerror or "") from self._error
