"""Scores on disk, finished or half done: ``results/<slide sha>/<bundle sha>/``.

``rows.bin`` grows by a batch at a time while a slide is scored, ``order.json`` says what was ordered; a finished score adds
``tiles.parquet`` and then ``summary.json``, each whole or not there. A crash loses at most the batch in hand. What is ordered
and not yet scored stands in ``waiting-….json`` until it has ended, so that a crash loses no order either.

A triage keeps the same files in the folder ``triage`` there, its rows with their places, so that nobody takes it for a full
score; a full score of the rest goes on in its rows, and the folder goes when that is finished.
"""

import logging
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd
from filelock import FileLock, Timeout
from pyarrow import ArrowInvalid
from pydantic import BaseModel, ConfigDict, ValidationError

from cervix.bundle import Bundle
from cervix.files import replacing
from cervix.slides.grid import is_too_coarse
from cervix.slides.rows import Rows, have_places, kept_dtype, placed_dtype, places_of, read_rows, with_places
from cervix.slides.scoring import SlidePlan, SlideScore, SlideSummary
from cervix.sources.slide import Slide

TILES_NAME = "tiles.parquet"
SUMMARY_NAME = "summary.json"
ROWS_NAME = "rows.bin"
ORDER_NAME = "order.json"
WAITING_NAME = "waiting-{}.json"
TRIAGE_DIR_NAME = "triage"
DAMAGED = (ValidationError, ArrowInvalid)
"""What reading raises where a disk has spoilt a summary or a tile table: then there is no score, and the slide waits again."""
LOCK_NAME = "scoring.lock"
LOCK_POLL_S = 0.25

logger = logging.getLogger(__name__)


class ScoreOrder(BaseModel):
    """A score that was asked for: what a restarted server needs to resume it."""

    model_config = ConfigDict(frozen=True)

    path: Path
    slide_sha256: str
    spacing_um_px: float
    spacing_source: str
    everywhere: bool
    precision: str
    tiles: int
    grid_sha256: str = ""
    """Which tiles in which order (``TileGrid.sha256``); empty in orders of versions that laid them otherwise."""
    state: Literal["running", "stopped"] = "running"
    """``stopped`` scores, by a person or by a fault, wait until they are asked for again."""

    def same_work(self, other: "ScoreOrder") -> bool:
        """Whether rows made for one order are good for the other."""
        fixed = {"path", "state", "spacing_source"}
        return self.model_dump(exclude=fixed) == other.model_dump(exclude=fixed)


def result_dir(results_dir: Path, slide_sha256: str, bundle_sha256: str) -> Path:
    """The folder of one slide scored by one bundle."""
    return results_dir / slide_sha256 / bundle_sha256


def order_of(slide: Slide, bundle: Bundle, plan: SlidePlan) -> ScoreOrder:
    """The order to score this slide by this plan."""
    return ScoreOrder(
        path=slide.path,
        slide_sha256=slide.sha256,
        spacing_um_px=slide.known_spacing_um_px,
        spacing_source=slide.spacing_source,
        everywhere=plan.everywhere,
        precision=bundle.session_of("tile").variant.precision,
        tiles=len(plan.grid),
        grid_sha256=plan.grid.sha256,
    )


@contextmanager
def scored_alone(folder: Path, while_waiting: Callable[[], None]) -> Iterator[None]:
    """Hold a result folder while a slide is scored into it: whoever else scores the same, another server too, waits.

    The lock is the operating system's, so a killed process leaves it open. ``while_waiting`` is called again and again, and
    may raise. On a disk that takes no lock the block runs all the same, for it takes no rows either.
    """
    lock = FileLock(folder / LOCK_NAME, thread_local=False)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        while not lock.is_locked:
            try:
                lock.acquire(timeout=LOCK_POLL_S)
            except Timeout:
                while_waiting()
    except OSError as error:
        logger.warning("a result folder cannot be locked: %s", error.strerror)
    try:
        yield
    finally:
        lock.release()


class RowJournal:
    """The rows of one score as they come, in a file that is only ever appended to.

    Parameters
    ----------
    folder : Path
        ``result_dir`` of the slide and bundle.
    triage : bool
        Of a triage; else of every tile, which goes on after the rows of a triage where there are more of them.

    Attributes
    ----------
    folder : Path
        Where the order and, when it is finished, the score stands.
    """

    def __init__(self, folder: Path, order: ScoreOrder, bundle: Bundle, *, triage: bool = False) -> None:
        self._whole, self._triage = folder, folder / TRIAGE_DIR_NAME
        self.folder = self._triage if triage else folder
        self.order = order
        self._is_triage = triage
        self._dtype = kept_dtype(bundle.manifest)

    @property
    def finished(self) -> Rows:
        """The rows an interrupted run of the same order left; none where the order was another."""
        in_order, placed = self._left_in(self._whole, self._dtype), self._left_in(self._triage, placed_dtype(self._dtype))
        if not self._is_triage:
            return placed if len(placed) > len(in_order) else in_order
        return placed if len(placed) >= len(in_order) else with_places(in_order, places_of(in_order))

    def _left_in(self, folder: Path, dtype: np.dtype[np.void]) -> Rows:
        before = read_order(folder)
        same = before is not None and before.same_work(self.order)
        return read_rows(folder / ROWS_NAME, dtype, self.order.tiles) if same else np.empty(0, dtype)

    def forget(self) -> None:
        """Leave no row behind: the next run of the order starts again, as after a disk that was missing for a while."""
        for folder in (self._whole, self._triage):
            (folder / ROWS_NAME).unlink(missing_ok=True)

    @contextmanager
    def appending(self, finished: Rows) -> Iterator[Callable[[Rows], None]]:
        """Give a function that keeps rows after ``finished``; a row cut short by a crash is overwritten."""
        self.folder.mkdir(parents=True, exist_ok=True)
        for stale in (SUMMARY_NAME, TILES_NAME):
            (self.folder / stale).unlink(missing_ok=True)
        rows_in = self._triage if self._is_triage or have_places(finished) else self._whole
        rows_in.mkdir(parents=True, exist_ok=True)
        path = rows_in / ROWS_NAME
        path.touch()
        if len(self._left_in(rows_in, finished.dtype)) < len(finished):
            # Rows that a full score left, with which a triage goes on.
            with replacing(path) as temporary:
                finished.tofile(temporary)
        os.truncate(path, finished.nbytes)
        # Last: whoever comes after a crash trusts the rows that lie beside the order.
        for folder in {self.folder, rows_in}:
            write_order(folder, self.order)
        with path.open("ab", buffering=0) as stream:
            yield lambda rows: _append_whole(stream.fileno(), rows.tobytes())


def _append_whole(descriptor: int, content: bytes) -> None:
    view = memoryview(content)
    while view:
        view = view[os.write(descriptor, view) :]


def read_order(folder: Path) -> ScoreOrder | None:
    """What was ordered in a result folder; None where nothing is or it cannot be read."""
    return _order_at(folder / ORDER_NAME)


def _order_at(path: Path) -> ScoreOrder | None:
    try:
        return ScoreOrder.model_validate_json(path.read_bytes())
    except (FileNotFoundError, ValidationError):
        return None


def write_order(folder: Path, order: ScoreOrder) -> None:
    """Write what is ordered, whole or not at all."""
    _write_order_at(folder / ORDER_NAME, order)


def _write_order_at(path: Path, order: ScoreOrder) -> None:
    with replacing(path) as temporary:
        temporary.write_text(order.model_dump_json(), encoding="utf-8")


def put_in_line(folder: Path, order: ScoreOrder) -> None:
    """Keep an order before its turn comes: beside the one whose rows lie in the folder, which may be another."""
    folder.mkdir(parents=True, exist_ok=True)
    _write_order_at(_in_line(folder, order), order)


def out_of_line(folder: Path, order: ScoreOrder) -> None:
    """Forget an order that was put in line: it has ended, or was given up.

    Where the disk does not let it, a restarted server looks at it once more, which costs no score.
    """
    try:
        _in_line(folder, order).unlink(missing_ok=True)
    except OSError as error:
        logger.warning("a score that has ended cannot be taken out of line: %s", error.strerror)


def _in_line(folder: Path, order: ScoreOrder) -> Path:
    return folder / WAITING_NAME.format(f"{order.spacing_um_px}-{order.everywhere}")


def unfinished_in(folder: Path) -> list[ScoreOrder]:
    """The orders of one result folder that were running or in line when the server ended, each once."""
    running = read_order(folder)
    orders = [running] if running is not None and running.state == "running" and not (folder / SUMMARY_NAME).is_file() else []
    for path in sorted(folder.glob(WAITING_NAME.format("*"))):
        waiting = _order_at(path)
        if waiting is not None and not any(waiting.same_work(order) for order in orders):
            orders.append(waiting)
    return orders


def unfinished_orders(results_dir: Path, bundle: Bundle) -> list[ScoreOrder]:
    """The scores by this bundle that were running or in line when the server ended."""
    folders = sorted(results_dir.glob(f"*/{bundle.sha256}"))
    return [order for folder in folders for order in unfinished_in(folder)]


def save_score(results_dir: Path, score: SlideScore) -> Path:
    """Write rows and tiles, then the summary that makes them count. Returns the folder; a triage's is one of its own."""
    whole = result_dir(results_dir, score.summary.slide_sha256, score.summary.provenance.bundle_sha256)
    folder = whole if score.summary.triage is None else whole / TRIAGE_DIR_NAME
    with replacing(folder / ROWS_NAME) as temporary:
        score.rows.tofile(temporary)
    with replacing(folder / TILES_NAME) as temporary:
        score.tiles.to_parquet(temporary, index=False)
    with replacing(folder / SUMMARY_NAME) as temporary:
        temporary.write_text(score.summary.model_dump_json(indent=2), encoding="utf-8")
    if folder == whole and (whole / TRIAGE_DIR_NAME).is_dir():
        shutil.rmtree(whole / TRIAGE_DIR_NAME)
    return folder


def load_score(
    results_dir: Path, slide: Slide, bundle: Bundle, *, everywhere: bool = False, triage: bool = False
) -> SlideScore | None:  # fmt: skip
    """The stored score of this slide at this scale by this bundle and variant; None where there is none.

    A result written by another version of the app, or at another scale, does not count, nor one of a slide that is too
    coarse for the model. A triage is found only where ``triage`` asks for it, and then nothing else is.
    """
    folder = _folder_of(results_dir, slide, bundle, triage=triage)
    session = bundle.session_of("tile")
    tiles_of_model = session.model.tiles
    if tiles_of_model is None or is_too_coarse(slide, tiles_of_model):
        return None
    try:
        summary = SlideSummary.model_validate_json((folder / SUMMARY_NAME).read_bytes())
        if (
            summary.spacing_um_px != slide.spacing_um_px
            or summary.plane != slide.plane
            or summary.precision != session.variant.precision
            or summary.everywhere != everywhere
            or (summary.triage is not None) != triage
        ):
            return None
        tiles = pd.read_parquet(folder / TILES_NAME)
    except (FileNotFoundError, *DAMAGED):
        return None
    dtype = kept_dtype(bundle.manifest)
    rows = read_rows(folder / ROWS_NAME, placed_dtype(dtype) if triage else dtype, len(tiles))
    return SlideScore(tiles, summary, rows) if len(rows) == len(tiles) else None


def score_mark(results_dir: Path, slide: Slide, bundle: Bundle, *, triage: bool = False) -> tuple[int, int, int] | None:
    """Which file says that a score is finished: inode, size and time of change; None where none does.

    The summary is written last and as a new file, so another score has another mark.
    """
    try:
        stat = (_folder_of(results_dir, slide, bundle, triage=triage) / SUMMARY_NAME).stat()
    except FileNotFoundError:
        return None
    return stat.st_ino, stat.st_size, stat.st_mtime_ns


def _folder_of(results_dir: Path, slide: Slide, bundle: Bundle, *, triage: bool) -> Path:
    whole = result_dir(results_dir, slide.sha256, bundle.sha256)
    return whole / TRIAGE_DIR_NAME if triage else whole
