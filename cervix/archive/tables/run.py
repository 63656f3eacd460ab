"""A run over tables: its files cut into buckets, its buckets scored, each once, and gone on with after any end."""

import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from threading import Event
from typing import Any, Final

from cervix.archive.bundles import keep_bundle
from cervix.archive.running import held
from cervix.archive.runs import BUNDLE_NAME
from cervix.archive.sources import at_hand
from cervix.archive.tables.ledger import LEDGER_NAME, Part, TablesLedger
from cervix.archive.tables.order import TablesOrder, begun
from cervix.archive.tables.partition import MODEL_KINDS, PROBLEMS_SUFFIX, ROWS_SUFFIX, kind_of_header
from cervix.archive.tables.parts import parts_of
from cervix.archive.tables.problems import REFUSED, TWICE, written
from cervix.archive.tables.score import ORDERED_NAME, PROBLEMS_NAME, Bucket, score_bucket
from cervix.archive.tables.summary import TablesSummary, summed_up
from cervix.archive.work import Found, Station, Work
from cervix.bundle.loading import read_manifest
from cervix.errors import (
    ArchiveRunRefused,
    BundleError,
    CervixError,
    LostApart,
    PatientFileError,
    SourceUnavailable,
    SourceVanished,
)
from cervix.files import make_private_files, sha256_of
from cervix.patients.blocks import open_patients
from cervix.settings import Settings
from cervix.sources.apart import Limits, run_apart

ROWS_A_BUCKET: Final = 150_000
"""A bucket of so many visits takes some 300 MB while it is scored."""
MOST_BUCKETS: Final = 4096
BYTES_A_ROW: Final = 20
"""Of a file in an object store, whose rows nobody has counted: a visit in CSV has some 40, in Parquet 5 to 20."""
WORK_NAME: Final = ORDERED_NAME
"""Folder of the cut rows; it is deleted when every bucket is scored."""
LIMITS: Final = Limits(memory_bytes=6 << 30, seconds=6 * 3600.0, file_bytes=256 << 30)
"""Of the process in which one file is read. pyarrow reserves address space before it reads."""
Scored = Callable[[Sequence[Bucket], int, Event], Iterator[dict[str, Any]]]
"""From buckets, how many at once, and an event that stops, to what ``score_bucket`` returned of each, as they end."""
Progress = Callable[[str, int, int], None]
"""Called with what is done (``files`` or ``buckets``), how many are done, and how many there are."""


@dataclass(frozen=True)
class Asked:
    """What somebody asks of a run over tables.

    Attributes
    ----------
    cache_dir, cache_bytes : Path, int
        Where files of an object store are kept while they are read.
    workers : int
        Processes on this machine.
    """

    order: TablesOrder
    bundle_root: Path
    cache_dir: Path
    cache_bytes: int
    workers: int = 1


def score_tables(
    out: Path,
    asked: Asked,
    settings: Settings,
    *,
    scored: Scored | None = None,
    on_progress: Progress = lambda *_: None,
    stop: Event | None = None,
) -> TablesSummary:
    """Begin a run in ``out``, or go on with it, until every bucket is scored or it is stopped.

    Parameters
    ----------
    scored : callable, optional
        What scores buckets, some at once (``in_processes``, ``on_cluster``); processes of this machine without.

    Raises
    ------
    BundleError
        Where the bundle has no such model.
    ArchiveRunRefused
        Where another driver has the run, it was ordered otherwise, or no file can be read.
    """
    stop = stop or Event()
    with held(out):
        _require_model(asked)
        order = begun(out, asked.order)
        keep_bundle(out, asked.bundle_root, order.bundle_sha256)
        work = out / WORK_NAME
        work.mkdir(exist_ok=True)
        with TablesLedger(out / LEDGER_NAME) as ledger:
            _list(ledger, parts_of(order.sources, settings))
            order = order.with_buckets(out, partial(_buckets_for, ledger))
            _cut(ledger, work, asked, order, on_progress, stop)
            if not stop.is_set():
                _require_any(ledger)
                _score(ledger, out, asked, order, scored or in_processes, on_progress, stop)
            summary = summed_up(out, ledger, order)
            if summary.is_whole:
                shutil.rmtree(work)
            return summary


def _require_model(asked: Asked) -> None:
    """Raise ``BundleError`` for a model that reads no table, before a run that can never be scored is begun."""
    there = [model.id for kind in MODEL_KINDS.values() for model in read_manifest(asked.bundle_root)[0].of_kind(kind)]
    if asked.order.model not in ("", *there):
        raise BundleError("The bundle has no such model", expected=" or ".join(there), found=repr(asked.order.model))


def _list(ledger: TablesLedger, found: Iterable[Found]) -> None:
    """Enter the files of the sources. A woman's rows of all files are scored together, so none comes after the first bucket."""
    before = {part.locator: part for part in ledger.parts()}
    is_scored = bool(ledger.buckets())
    for one in found:
        part = before.get(one.locator)
        if (part is None and is_scored) or (part is not None and part.state != "waiting" and part.mark != one.mark):
            raise ArchiveRunRefused(
                "The sources hold other files than this run was begun with",
                expected="the files as they were read",
                found="a new file" if part is None else "a file that was replaced",
                action="Begin a run of its own for them, with another --out: what women have in all files is scored together.",
            )
        ledger.add_part(one.locator, one.mark, one.bytes)


def _buckets_for(ledger: TablesLedger) -> int:
    """How many buckets the files need, by what they say of their rows or by their bytes."""
    rows, kinds = 0, set()
    for part in ledger.parts():
        if "://" in part.locator:
            rows += part.bytes // BYTES_A_ROW
            continue
        try:
            table = open_patients(Path(part.locator))
            kinds.add(kind_of_header(table.header))
        except PatientFileError:
            continue  # said when it is cut
        rows += table.rows_about
    _require_one(kinds)
    return max(1, min(-(-rows // ROWS_A_BUCKET), MOST_BUCKETS))


def _cut(ledger: TablesLedger, work: Path, asked: Asked, order: TablesOrder, on_progress: Progress, stop: Event) -> None:
    """Cut every file that waits into buckets, each in a process apart."""
    waiting, count = ledger.parts("waiting"), len(ledger.parts())
    with ThreadPoolExecutor(asked.workers) as pool:
        jobs = (partial(_cut_one, ledger, part, work, asked, order) for part in waiting)
        for done, _ in enumerate(_in_turn(pool, jobs, asked.workers, stop), count - len(waiting) + 1):
            on_progress("files", done, count)


def _cut_one(ledger: TablesLedger, part: Part, work: Path, asked: Asked, order: TablesOrder) -> None:
    station = Station(asked.bundle_root, order.bundle_sha256, "cpu", work, asked.cache_dir, asked.cache_bytes)
    try:
        with at_hand(Work(part.number, part.locator, 1, part.mark), station) as path:
            if not ledger.claim(part.number, sha256_of(path)):
                _tell_of_file(work, part.number, TWICE, "another file")
                return
            arguments = {
                "path": str(path), "number": part.number, "folder": str(work), "buckets": order.buckets,
                "today": order.today, "dates": order.dates, "minus": order.minus,
            }  # fmt: skip
            told = run_apart("cervix.archive.tables.partition:partition", arguments, LIMITS, subject="table")
    except (SourceUnavailable, SourceVanished):
        raise  # the run ends, and goes on with this file when it is started again
    except CervixError as error:
        _tell_of_file(work, part.number, REFUSED, error.expected or error.problem)
        ledger.part_refused(part.number, error.code, str(error))
    else:
        ledger.part_done(part.number, told)


def _tell_of_file(work: Path, number: int, code: str, accepted: str) -> None:
    told = {"row": [0], "code": code, "column": "(whole file)", "accepted": accepted}
    told |= {"value": [""], "meant": [""], "patient_id": [""]}
    with written(work / f"{number:06d}{PROBLEMS_SUFFIX}") as problems:
        problems.add(told, number)


def _require_one(kinds: set[str]) -> None:
    if len(kinds) > 1:
        raise ArchiveRunRefused(
            "Some files have one row a visit and others one row a patient",
            expected="one kind of table in a run",
            action="Begin a run for each, with an --out of its own.",
        )


def _require_any(ledger: TablesLedger) -> None:
    if not ledger.parts("done"):
        refused = ledger.parts("refused")
        raise ArchiveRunRefused(
            "No file of the run can be read",
            expected="tables of women as the page reads them",
            found=refused[0].reason if refused else "no file",
        )


def _score(
    ledger: TablesLedger, out: Path, asked: Asked, order: TablesOrder, scored: Scored, on_progress: Progress, stop: Event
) -> None:
    work = out / WORK_NAME
    parts = ledger.parts("done")
    kinds = {str(part.told["kind"]) for part in parts}
    _require_one(kinds)
    _keep_problems(ledger, work, out)
    waiting = ledger.buckets_waiting(order.buckets)
    of_parts = [(part.number, work / f"{part.number:06d}{ROWS_SUFFIX}", _places(part)) for part in parts]
    buckets = [
        Bucket(
            number=number,
            kind=min(kinds),
            files=tuple((part, path, places[number]) for part, path, places in of_parts if number in places),
            out=out,
            bundle_root=(out / BUNDLE_NAME).absolute(),
            device=order.device,
            threads=threads_of(asked.workers),
            model=order.model,
            today=order.today,
        )
        for number in waiting
    ]
    for done, told in enumerate(scored(buckets, asked.workers, stop), order.buckets - len(waiting) + 1):
        ledger.bucket_done(told["number"], told.pop("seconds"), told)
        on_progress("buckets", done, order.buckets)


def _places(part: Part) -> dict[int, tuple[int, ...]]:
    """Bucket -> the places of its batches in the file of a part."""
    found: dict[int, list[int]] = {}
    for place, bucket in enumerate(part.told["batches"]):
        found.setdefault(bucket, []).append(place)
    return {bucket: tuple(places) for bucket, places in found.items()}


def threads_of(workers: int) -> int:
    """Threads of each session: its share of the cores."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, cores // workers)


def _keep_problems(ledger: TablesLedger, work: Path, out: Path) -> None:
    """The problems of the files beside those of the buckets."""
    (out / PROBLEMS_NAME).mkdir(exist_ok=True)
    for part in ledger.parts():
        made = work / f"{part.number:06d}{PROBLEMS_SUFFIX}"
        if made.exists():
            made.replace(out / PROBLEMS_NAME / f"part-{part.number:06d}.parquet")


def in_processes(buckets: Sequence[Bucket], workers: int, stop: Event) -> Iterator[dict[str, Any]]:
    """Score buckets in processes of this machine."""
    context = get_context("forkserver" if os.name == "posix" else "spawn")
    with ProcessPoolExecutor(workers, mp_context=context, initializer=make_private_files) as pool:
        try:
            yield from _in_turn(pool, (partial(score_bucket, bucket) for bucket in buckets), workers, stop)
        except BrokenProcessPool as error:
            raise LostApart(
                "A process that scored a part of the tables was ended",
                found="a process that the system ended, perhaps for its memory",
                action="Begin again with fewer --workers: what is scored is kept.",
            ) from error


def on_cluster(map_buckets: Callable[..., Iterator[tuple[Path, Any]]], address: str) -> Scored:
    """Score buckets on a cluster whose nodes all see the folder of the run.

    Parameters
    ----------
    map_buckets : callable
        ``cervix.archive.engines.ray_tables.map_buckets``, which this environment may not have.
    """

    def scored(buckets: Sequence[Bucket], workers: int, stop: Event) -> Iterator[dict[str, Any]]:
        del workers
        paths = [bucket.ordered(threads=1) for bucket in buckets]
        for _, told in map_buckets(paths, "cervix.archive.tables.score:score_ordered", address):
            yield told
            if stop.is_set():
                return

    return scored


def _in_turn(pool: Executor, jobs: Iterable[Callable[[], Any]], at_once: int, stop: Event) -> Iterator[Any]:
    """What jobs return, as they end; no more are begun than can run, and none after a stop."""
    waiting = iter(jobs)
    running: set[Future[Any]] = set()
    while True:
        while len(running) < at_once + 1 and not stop.is_set() and (job := next(waiting, None)) is not None:
            running.add(pool.submit(job))
        if not running:
            return
        ended, running = wait(running, return_when=FIRST_COMPLETED)
        for one in ended:
            yield one.result()
