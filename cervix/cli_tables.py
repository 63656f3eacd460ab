"""``python -m cervix archive score`` where its sources are tables of women."""

import argparse
import os
import signal
import sys
from datetime import date
from importlib import import_module
from pathlib import Path
from threading import Event
from typing import Final

from tqdm import tqdm

from cervix.archive.tables.order import TablesOrder, read_tables_order
from cervix.archive.tables.parts import are_tables
from cervix.archive.tables.run import Asked, Scored, in_processes, on_cluster, score_tables
from cervix.archive.tables.summary import SUMMARY_NAME, TablesSummary
from cervix.bundle.active import active_root
from cervix.bundle.loading import bundle_label, read_manifest
from cervix.errors import ArchiveRunRefused, Cancelled
from cervix.patients.questions import DATES, MINUS
from cervix.settings import get_settings

EXIT_REFUSED: Final = 1
FOR_SLIDES: Final = ("dry_run", "only_changed", "triage", "everywhere", "despite_quality", "results")


def add_table_options(score: argparse.ArgumentParser) -> None:
    """Options that only tables have."""
    score.add_argument("--model", default="", help="of several models that read such tables, which (default: the first)")
    score.add_argument("--dates", choices=sorted(DATES.choices), help="of tables: what comes first in dates as 03/04/2020")
    score.add_argument("--minus", choices=sorted(MINUS.choices), help="of tables: what - means in a column that also holds +")


def is_of_tables(options: argparse.Namespace) -> bool:
    """Whether a run is one over tables: by its sources, or by what its folder holds where none is named.

    Raises ``ArchiveRunRefused`` where some sources are slides and others tables.
    """
    if options.sources:
        return are_tables(options.sources)
    return read_tables_order(options.out) is not None


def score_tables_of(options: argparse.Namespace) -> int:
    """Begin a run over tables, or go on with it. Returns 0 where every file was read, 1 where one was refused."""
    if others := [f"--{name.replace('_', '-')}" for name in FOR_SLIDES if getattr(options, name)]:
        raise ArchiveRunRefused("Tables cannot be scored so", expected="options of tables", found=", ".join(others))
    settings = get_settings()
    out = options.out.absolute()
    root = options.bundle or active_root(settings)
    manifest, sha256 = read_manifest(root)
    order = TablesOrder(
        sources=[source if "://" in source else str(Path(source).absolute()) for source in options.sources],
        bundle_label=bundle_label(manifest.name, manifest.version, sha256),
        bundle_sha256=sha256,
        today=date.today().isoformat(),
        device=options.device,
        model=options.model,
        dates=options.dates,
        minus=options.minus,
        started_by=options.by,
    )
    cache_dir = (options.cache or settings.archive_cache_dir).absolute()
    asked = Asked(order, root, cache_dir, int(options.cache_gb * 1e9), options.workers or _cores())
    stop = Event()
    for name in (signal.SIGINT, signal.SIGTERM):
        signal.signal(name, lambda *_: _stop(stop))
    with tqdm(disable=None) as bar:
        shown = ""

        def show(what: str, done: int, of: int) -> None:
            nonlocal shown
            if shown != what:
                shown = what
                bar.set_description_str(what)
                bar.reset(of)
            bar.update(done - bar.n)

        summary = score_tables(out, asked, settings, scored=_scored(options.ray), on_progress=show, stop=stop)
    _say(summary, out)
    if not summary.is_whole:
        raise Cancelled("The run was stopped; the same command goes on with it")
    return EXIT_REFUSED if summary.refused else 0


def _stop(stop: Event) -> None:
    """The first signal lets the files and buckets in hand end, the second does not."""
    if stop.is_set():
        raise KeyboardInterrupt
    stop.set()
    print("stopping after the files and buckets in hand; once more ends at once", file=sys.stderr)


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _scored(ray: str) -> Scored:
    if not ray:
        return in_processes
    # Ray is not in the app's environment: what needs it is imported where somebody asks for it.
    return on_cluster(import_module("cervix.archive.engines.ray_tables").map_buckets, ray)


def _say(summary: TablesSummary, out: Path) -> None:
    for number, reason in summary.refused.items():
        print(f"file {number} cannot be read: {reason}", file=sys.stderr)
    for number, notices in summary.notices.items():
        for notice in notices:
            print(f"note: file {number}: {notice}", file=sys.stderr)
    print(f"{summary.files_done:,} of {summary.files:,} files read; {summary.files_twice:,} others are copies of these")
    by = f" with {summary.model}" if summary.model else ""
    print(f"{summary.women:,} women scored{by} from {summary.visits:,} rows; {summary.flagged:,} flagged")
    print(
        f"{summary.rows_set_aside:,} of {summary.rows:,} rows set aside, {summary.incomplete:,} women rest on a part of "
        f"theirs, {summary.gone:,} have no usable row; every loss is one of {summary.problems:,} rows under {out / 'problems'}"
    )
    print(f"scores in {out / 'scores'}, counts in {out / SUMMARY_NAME}. {summary.bundle}. {summary.notice}")
