"""``python -m cervix archive``: many slides and tables of many women, on this machine or on a cluster."""

import argparse
import signal
import sys
import tempfile
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path
from threading import Event
from typing import Final

from tqdm import tqdm

from cervix import RESEARCH_NOTICE
from cervix.archive.engines.engine import Engine
from cervix.archive.engines.local import LocalEngine
from cervix.archive.estimate import estimate_run
from cervix.archive.ledger import LEDGER_NAME, Ledger, Wanted
from cervix.archive.results.writing import WORDS_NAME, write_results
from cervix.archive.running import LISTED_SAID, PASSED_SAID, Asked, is_driven, run_archive, station_of
from cervix.archive.runs import RESULTS_NAME, RunOrder, read_order
from cervix.archive.sources import listed
from cervix.archive.sources.cache import CACHE_GB
from cervix.archive.work import State, Station
from cervix.bundle import Bundle
from cervix.bundle.active import active_root
from cervix.bundle.loading import bundle_label, read_manifest
from cervix.cli_tables import add_table_options, is_of_tables, score_tables_of
from cervix.errors import ArchiveRunRefused, Cancelled
from cervix.patients.golden import prove_bundle
from cervix.settings import get_settings

EXIT_REFUSED: Final = 1
GO_ON: Final = "Go on with `python -m cervix archive score --out DIR`."
ENDED: Final[tuple[State, ...]] = ("done", "duplicate", "refused", "quarantined")


def add_archive_command(
    commands: "argparse._SubParsersAction[argparse.ArgumentParser]", common: argparse.ArgumentParser
) -> None:
    """Add ``archive`` to the commands. ``common`` has ``--bundle`` and ``--device``."""
    archive = commands.add_parser("archive", help="score many slides, on this machine or on a cluster").add_subparsers(
        required=True, metavar="COMMAND"
    )
    score = archive.add_parser(
        "score",
        parents=[common],
        help="begin a run, or go on with it: what is scored already is not scored again",
        epilog="exit status: 0 all scored; 1 slides were refused, and why is said; 2 wrong options; 130 stopped",
    )
    score.add_argument(
        "sources",
        metavar="SOURCE",
        nargs="*",
        help="a folder; without, what the run had",
    )
    score.add_argument("--out", metavar="DIR", type=Path, required=True, help="folder of the run: ledger, bundle, results")
    score.add_argument("--results", metavar="DIR", type=Path, help="where scores go (default: results within --out)")
    score.add_argument("--ray", metavar="ADDRESS", default="", help="a Ray cluster, host:port or auto; else this machine")
    score.add_argument("--workers", metavar="N", type=int, help="so many on this machine's CPU, each with its share of cores")
    score.add_argument("--dry-run", action="store_true", help="say how many slides and how long; write nothing")
    score.add_argument(
        "--only-changed", action="store_true", help="go on under another bundle: what the same graph scored is decided again"
    )
    score.add_argument("--triage", action="store_true", help="score each slide only until its answer is decided")
    score.add_argument("--rest", action="store_true", help="score what a triage left: of a run before, or after this one")
    score.add_argument("--everywhere", action="store_true", help="score the whole scanned area, where no tissue is found")
    score.add_argument("--despite-quality", action="store_true", help="score slides whose stain does not look like H&E")
    score.add_argument("--attempts", metavar="N", type=int, default=3, help="then a slide is quarantined (default: 3)")
    score.add_argument("--cache", metavar="DIR", type=Path, help="where slides from elsewhere are kept a while")
    score.add_argument("--cache-gb", metavar="GB", type=float, default=CACHE_GB, help=f"at most (default: {CACHE_GB:g})")
    score.add_argument("--by", default="", help="who began the run")
    add_table_options(score)
    score.set_defaults(run=_score)
    results = archive.add_parser("results", help="write what a run has found: answers, tiles by slide, summary, drift")
    results.add_argument("out", metavar="DIR", type=Path, help="folder of the run; written is its folder summary/")
    results.add_argument("--without-tiles", action="store_true", help="answers, summary and drift alone, which takes seconds")
    results.set_defaults(run=_results)
    for name, run, said in (
        ("status", _status, "how far a run is"),
        ("retry", _retry, "let what was refused or quarantined wait again"),
        ("pause", _want("pause"), "begin no slide more"),
        ("resume", _want("run"), "go on after a pause"),
        ("stop", _want("stop"), "end after the batches in hand; nothing is lost"),
    ):
        command = archive.add_parser(name, help=said)
        command.add_argument("out", metavar="DIR", type=Path, help="folder of the run")
        command.set_defaults(run=run)


def _score(options: argparse.Namespace) -> int:
    if is_of_tables(options):
        return score_tables_of(options)
    settings = get_settings()
    root = options.bundle or active_root(settings)
    manifest, sha256 = read_manifest(root)
    out = options.out.absolute()
    # Without a source the run that is there goes on, as it was ordered.
    before = read_order(out) if not options.sources else None
    order = RunOrder(
        sources=[source if "://" in source or source.startswith("dicomweb:") else str(Path(source).absolute())
                 for source in options.sources],
        bundle_label=bundle_label(manifest.name, manifest.version, sha256),
        bundle_sha256=sha256,
        results_dir=(options.results or (before.results_dir if before else out / RESULTS_NAME)).absolute(),
        started=datetime.now(UTC),
        started_by=options.by,
        ray=options.ray,
        device=options.device,
        triage=options.triage or (before is not None and before.triage),
        everywhere=options.everywhere or (before is not None and before.everywhere),
        despite_quality=options.despite_quality or (before is not None and before.despite_quality),
        attempts_at_most=options.attempts,
    )  # fmt: skip
    cache_dir = (options.cache or settings.archive_cache_dir).absolute()
    asked = Asked(order, root, cache_dir, int(options.cache_gb * 1e9), only_changed=options.only_changed)
    if options.dry_run:
        return _say_how_long(out, asked, prove_bundle(root, device=options.device, kind="tile"))
    if not options.rest:
        return _run(out, [asked], options.workers)
    earlier = read_order(out)
    in_the_rest = earlier is not None and not earlier.triage
    rest = replace(asked, order=order.model_copy(update={"triage": False}), rest=True)
    return _run(out, [asked, rest] if options.triage and not in_the_rest else [rest], options.workers)


def _run(out: Path, parts: list[Asked], workers: int | None) -> int:
    """Run one part after the other; whatever stops one stops all."""
    stop = Event()
    for name in (signal.SIGINT, signal.SIGTERM):
        signal.signal(name, lambda number, _: _stop(stop, number))
    with tqdm(unit="slide", desc="scoring", disable=None, smoothing=0.05) as bar:

        def show(counts: dict[State, int]) -> None:
            bar.total = sum(counts.values())
            bar.set_postfix({state: counts[state] for state in ENDED if counts.get(state)}, refresh=False)
            bar.update(sum(counts.get(state, 0) for state in ENDED) - bar.n)

        def engine_of(station: Station) -> Engine:
            return _engine(station, parts[0].order.ray, workers)

        try:
            for asked in parts:
                counts = run_archive(out, asked, get_settings(), engine_of, on_progress=show, stop=stop)
                is_over = not counts.get("waiting") and _is_listed(out)
                if not is_over:
                    break
        except KeyboardInterrupt as error:
            raise Cancelled("The run was ended at once. The same command goes on with it") from error
    _print_table(out)
    print(f"{out / LEDGER_NAME}; results in {parts[0].order.results_dir}. {RESEARCH_NOTICE}")
    if not is_over:
        listing = "" if _is_listed(out) else "; its sources were not listed to their end"
        waiting = counts.get("waiting", 0)
        raise Cancelled(f"The run was stopped; {waiting:,} slides wait{listing}. The same command goes on with it")
    return EXIT_REFUSED if counts.get("refused") or counts.get("quarantined") else 0


def _is_listed(out: Path) -> bool:
    with _ledger(out) as ledger:
        return bool(ledger.said(LISTED_SAID))


def _stop(stop: Event, number: int) -> None:
    """The first signal lets the batches in hand end, the second does not."""
    if stop.is_set():
        raise KeyboardInterrupt
    stop.set()
    print("stopping after the batches in hand; once more ends at once", file=sys.stderr)
    del number


def _engine(station: Station, ray: str, workers: int | None) -> Engine:
    if not ray:
        return LocalEngine(station, workers=workers)
    # Ray is not in the app's environment: what needs it is imported where somebody asks for it.
    engine: Engine = import_module("cervix.archive.engines.ray_cluster").RayEngine(station, ray)
    return engine


def _say_how_long(out: Path, asked: Asked, bundle: Bundle) -> int:
    order = read_order(out)
    sources = asked.order.sources or (order.sources if order else [])
    there = (out / LEDGER_NAME).is_file()
    with (
        tempfile.TemporaryDirectory(prefix="cervix-") as cache,
        Ledger(out / LEDGER_NAME, read_only=True) if there else nullcontext() as ledger,
        tqdm(unit="slide", desc="looking", disable=None) as bar,
    ):
        station = station_of(out, asked.order, Asked(asked.order, asked.bundle_root, Path(cache), asked.cache_bytes))

        def show(done: int, of: int) -> None:
            bar.total = of
            bar.update(done - bar.n)

        estimate = estimate_run(
            listed(sources, get_settings()),
            bundle,
            station,
            is_known=lambda one: ledger is not None and ledger.is_known(one, bundle.sha256),
            on_look=show,
        )
    for line in estimate.in_words:
        print(line)
    if asked.order.triage:
        print("This is every tile of them. A triage ends sooner on slides that are called; by how much, the slides decide.")
    print(f"Nothing was written. {bundle.label}. {RESEARCH_NOTICE}")
    return 0


def _status(options: argparse.Namespace) -> int:
    with _ledger(options.out) as ledger:
        wanted = ledger.said("wanted", "run")
    state = {"run": "running", "pause": "paused", "stop": "stopping"}[wanted] if is_driven(options.out) else "not running"
    print(f"{state}. {RESEARCH_NOTICE}")
    _print_table(options.out)
    return 0


def _print_table(out: Path) -> None:
    with _ledger(out) as ledger:
        counts, reasons, passed = ledger.counts(), ledger.reasons(), ledger.said(PASSED_SAID)
    for state in (*ENDED[:2], "running", "waiting", *ENDED[2:]):
        if counts.get(state):
            print(f"{counts[state]:>9,} {state}")
    for state, code, count, reason in reasons:
        print(f"{count:>9,} {state}, {code}: {reason}")
    for line in passed.splitlines():
        print(f"not listed: {line}")


def _retry(options: argparse.Namespace) -> int:
    with _ledger(options.out) as ledger:
        count = ledger.retry()
    print(f"waiting again: {count:,}{'' if is_driven(options.out) else f'. {GO_ON}'}")
    return 0


def _results(options: argparse.Namespace) -> int:
    with tqdm(unit="slide", desc="tiles", disable=None) as bar:

        def show(done: int, of: int) -> None:
            bar.total = of
            bar.update(done - bar.n)

        written = write_results(options.out.absolute(), tiles=not options.without_tiles, on_progress=show)
    print((written.folder / WORDS_NAME).read_text(encoding="utf-8"))
    if written.gone:
        print(f"note: {written.gone:,} scored slides are no longer among the results: they have no tiles", file=sys.stderr)
    print(f"written to {written.folder}. {RESEARCH_NOTICE}")
    return 0


def _want(wanted: Wanted) -> Callable[[argparse.Namespace], int]:
    def say(options: argparse.Namespace) -> int:
        with _ledger(options.out) as ledger:
            if not is_driven(options.out):
                raise ArchiveRunRefused("Nothing scores into this folder just now", action=GO_ON)
            ledger.want(wanted)
        return 0

    return say


def _ledger(out: Path) -> Ledger:
    if not (out / LEDGER_NAME).is_file():
        raise ArchiveRunRefused("There is no run in this folder", expected=LEDGER_NAME, action="Name the folder of --out.")
    return Ledger(out / LEDGER_NAME, read_only=True)
