"""``python -m cervix bundle verify | slide | patients | card | labels``: the app's work without the app."""

import argparse
import getpass
import signal
import sys
from pathlib import Path
from threading import Event

import pandas as pd
from tqdm import tqdm

from cervix import RESEARCH_NOTICE
from cervix.bundle import load_bundle, verify_bundle
from cervix.card.formats import FORMATS, card_file
from cervix.errors import BundleError, Cancelled, CervixError
from cervix.files import inert, replacing
from cervix.labels import open_store
from cervix.labels.exchange import read_events, write_events
from cervix.labels.qupath import read_qupath, write_qupath
from cervix.patients.history_scoring import score_visits
from cervix.patients.scoring import score_patients
from cervix.patients.visits import VisitTable, read_table
from cervix.provenance import provenance_of
from cervix.settings import get_settings
from cervix.slides.exports import EXPORTS, write_export
from cervix.slides.reading import open_slide
from cervix.slides.report import write_report
from cervix.slides.scoring import ScoreProgress, score_slide

EXIT_REFUSED = 1
EXIT_CANCELLED = 130
HISTORY_MODEL = "history"
REPORT = "report"
QUPATH = (".geojson", ".json")
RISK_MODELS = ("risk-factors", "risk-factors-with-tests")


def main(arguments: list[str] | None = None) -> int:
    """Run the command line.

    Returns 0 on success, 1 with one sentence on stderr where the input or the bundle is refused, 130 when stopped.
    """
    options = _parser().parse_args(arguments)
    try:
        return int(options.run(options))
    except Cancelled as error:
        print(error, file=sys.stderr)
        return EXIT_CANCELLED
    except CervixError as error:
        print(f"error: {error}", file=sys.stderr)
        return EXIT_REFUSED


def _verify(options: argparse.Namespace) -> int:
    checks = verify_bundle(options.path, device=options.device)
    table = pd.DataFrame(
        {
            "file": [check.variant.file for check in checks],
            "variant": [check.variant.precision for check in checks],
            "provider": [check.provider for check in checks],
            "largest golden difference": [
                f"{check.absolute_difference:.2g} in {check.worst_output} "
                f"(tolerance {check.variant.tolerance[check.worst_output]:g})"
                for check in checks
            ],
            "verdict": ["ok" if check.passed else "FAILED" for check in checks],
        }
    )
    print(table.to_string(index=False))
    return 0 if all(check.passed for check in checks) else EXIT_REFUSED


def _slide(options: argparse.Namespace) -> int:
    slide = open_slide(options.file, spacing_um_px=options.mpp)
    for notice in slide.notices:
        print(f"note: {notice}", file=sys.stderr)
    bundle = load_bundle(options.bundle, device=options.device)
    stop = Event()
    signal.signal(signal.SIGINT, lambda *_: stop.set())
    with tqdm(unit="tile", desc="scoring", disable=None) as bar:

        def show(progress: ScoreProgress) -> None:
            bar.total = progress.total
            bar.update(progress.done - bar.n)

        score = score_slide(slide, bundle, on_progress=show, cancel=stop)
    stem = options.file.stem
    session = bundle.session("slide")
    for kind in options.export:
        if kind == REPORT:
            write_report(score, slide, session, options.out / f"{stem}-report.pdf")
        else:
            write_export(kind, score, session.model, options.out, stem)
    with replacing(options.out / f"{stem}-summary.json") as temporary:
        temporary.write_text(score.summary.model_dump_json(indent=2), encoding="utf-8")
    answer, timings = score.summary.answer, score.summary.timings
    print(f"{answer.headline}. {answer.reason}")
    print(
        f"{answer.tiles:,} tiles in {timings.total_s:.1f} s ({timings.tiles_per_s:.1f} tiles/s) on "
        f"{score.summary.provenance.provider}; bundle {bundle.label}"
    )
    print(f"written to {options.out}. {RESEARCH_NOTICE}")
    return 0


def _patients(options: argparse.Namespace) -> int:
    table = read_table(options.file, strict=options.strict)
    for notice in table.notices:
        print(f"note: {notice}", file=sys.stderr)
    for problem in table.problems:
        print(f"left out: {problem}", file=sys.stderr)
    bundle = load_bundle(options.bundle, device=options.device)
    model = HISTORY_MODEL if isinstance(table, VisitTable) else options.model
    session = bundle.session(model)
    with tqdm(unit="patient", desc="scoring", disable=None) as bar:

        def show(done: int, total: int) -> None:
            bar.total = total
            bar.update(done - bar.n)

        if isinstance(table, VisitTable):
            scores = score_visits(table, session, on_progress=show)
        else:
            scores = score_patients(table, session, on_progress=show)
    with replacing(options.out) as temporary:
        inert(provenance_of(bundle, model).stamp(scores.reset_index())).to_csv(temporary, index=False)
    print(f"{len(scores):,} patients scored with {model} of {bundle.label}; written to {options.out}")
    print(RESEARCH_NOTICE)
    return 0


def _card(options: argparse.Namespace) -> int:
    if options.model and options.format != "xml":
        raise BundleError(
            f"A card as {options.format} is of the whole bundle",
            expected="--model with --format xml only",
            found=f"--model {options.model}",
        )
    bundle = load_bundle(options.bundle, device=options.device)
    content = card_file(bundle, options.format, options.model)
    try:
        with replacing(options.out) as temporary:
            temporary.write_bytes(content)
    except OSError as error:
        raise CervixError(
            f"The card cannot be written to {options.out}", found=error.strerror or "", action="Choose another place."
        ) from error
    print(f"model card of {bundle.label} written to {options.out}. {RESEARCH_NOTICE}")
    return 0


def _labels_status(options: argparse.Namespace) -> int:
    del options
    with open_store(get_settings().label_store_url) as store:
        print(store.status().to_string(index=False))
    return 0


def _labels_export(options: argparse.Namespace) -> int:
    with open_store(get_settings().label_store_url) as store:
        if options.file.suffix.lower() in QUPATH:
            count = write_qupath(store, options.slide, options.file, reader=options.reader)
        else:
            count = write_events(store, options.file)
        store.audit_append(options.by, "export", options.file.name, {"rows": count})
    print(f"{count:,} rows written to {options.file}. {RESEARCH_NOTICE}")
    return 0


def _labels_import(options: argparse.Namespace) -> int:
    with open_store(get_settings().label_store_url) as store:
        if options.file.suffix.lower() in QUPATH:
            report = read_qupath(store, options.file, options.reader, slide_sha256=options.slide)
        else:
            report = read_events(store, options.file)
        counts = {"added": report.added, "known": report.known, "left out": len(report.problems)}
        store.audit_append(options.by, "import", options.file.name, counts)
    for problem in report.problems:
        print(f"left out: {problem}", file=sys.stderr)
    print(f"{report.added:,} added, {report.known:,} there already, {len(report.problems):,} left out")
    return 0


def _labels_backup(options: argparse.Namespace) -> int:
    with open_store(get_settings().label_store_url) as store:
        store.backup(options.file)
        store.audit_append(options.by, "backup", options.file.name)
    print(f"label store written to {options.file}")
    return 0


def _labels_restore(options: argparse.Namespace) -> int:
    with open_store(get_settings().label_store_url) as store:
        store.restore(options.file)
        store.audit_append(options.by, "restore", options.file.name)
    print(f"label store filled from {options.file}")
    return 0


def _parser() -> argparse.ArgumentParser:
    settings = get_settings()
    parser = argparse.ArgumentParser(prog="python -m cervix", description=f"{__doc__} {RESEARCH_NOTICE}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--device", choices=("auto", "cpu", "cuda"), default=settings.device)

    bundle = commands.add_parser("bundle", help="inspect a bundle").add_subparsers(required=True, metavar="COMMAND")
    verify = bundle.add_parser("verify", parents=[common], help="check hashes, signatures and golden vectors")
    verify.add_argument("path", type=Path, nargs="?", default=settings.bundle_dir)
    verify.set_defaults(run=_verify)

    common.add_argument("--bundle", type=Path, default=settings.bundle_dir, help="folder of the bundle")
    slide = commands.add_parser("slide", parents=[common], help="score a whole-slide image or picture")
    slide.add_argument("file", type=Path)
    slide.add_argument("--out", type=Path, required=True, help="folder for the tile table and the summary")
    slide.add_argument(
        "--export", nargs="+", choices=[*EXPORTS, REPORT], default=["csv"], help="what to write beside the summary"
    )
    slide.add_argument("--mpp", type=float, help="micrometres per pixel, where the file does not say")
    slide.set_defaults(run=_slide)

    patients = commands.add_parser(
        "patients", parents=[common], help="score a visit table or a risk-factor table, told apart by its header"
    )
    patients.add_argument("file", type=Path)
    patients.add_argument("--out", type=Path, required=True, help="CSV to write")
    patients.add_argument("--model", choices=RISK_MODELS, default=RISK_MODELS[0], help="for risk factors")
    patients.add_argument("--strict", action="store_true", help="stop at the first bad row instead of leaving it out")
    patients.set_defaults(run=_patients)

    card = commands.add_parser("card", parents=[common], help="write the model card")
    card.add_argument("--format", choices=FORMATS, required=True, help="XML is of one model, after the schema of CHAI")
    card.add_argument("--model", default="", help="id of the model, for XML (default: the first)")
    card.add_argument("--out", type=Path, required=True, help="file to write")
    card.set_defaults(run=_card)
    _add_labels(commands)
    return parser


def _add_labels(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """The commands around the label store, which the settings name."""
    labels = commands.add_parser("labels", help="the label store").add_subparsers(required=True, metavar="COMMAND")
    labels.add_parser("status", help="cases, labels and readers").set_defaults(run=_labels_status)
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("file", type=Path)
    common.add_argument("--by", default=getpass.getuser(), help="who does it, for the audit trail")
    of_slide = argparse.ArgumentParser(add_help=False)
    of_slide.add_argument("--slide", default="", help="SHA-256 of the slide, for GeoJSON")
    of_slide.add_argument("--reader", default="", help="whose labels, for GeoJSON")
    for name, run, parents, said in (
        ("export", _labels_export, [common, of_slide], "write events as .csv or .parquet, or a slide's labels as .geojson"),
        ("import", _labels_import, [common, of_slide], "add what such a file says, each event once"),
        ("backup", _labels_backup, [common], "write everything to one SQLite file"),
        ("restore", _labels_restore, [common], "fill an empty store from a backup"),
    ):
        labels.add_parser(name, parents=parents, help=said).set_defaults(run=run)
