"""``python -m cervix``: the app's work without it. Single slides, archives and the server have a file each beside this one."""

import argparse
import json
import sys
from pathlib import Path

from tqdm import tqdm

from cervix import RESEARCH_NOTICE, __version__
from cervix.bundle import Bundle, Model
from cervix.bundle.active import active_bundle
from cervix.bundle.classes import ClassInfo
from cervix.bundle.manifest import UNEVALUATED
from cervix.bundle.sessions import ModelSession
from cervix.card.comparison import comparison_text
from cervix.card.formats import FORMATS, card_file
from cervix.cli_archive import add_archive_command
from cervix.cli_bundle import COMMAND_LINE, add_bundle_command, print_comparison
from cervix.cli_mcp import add_mcp_command
from cervix.cli_molecular import add_molecular_command
from cervix.cli_serve import add_serve_command
from cervix.cli_slide import EXIT_REFUSED, add_slide_command
from cervix.errors import BundleError, Cancelled, CervixError, EvaluationError
from cervix.evaluation.comparison import figures_table
from cervix.evaluation.drift import drift_table
from cervix.evaluation.heldout import held_out_cases
from cervix.evaluation.labelled import Labelled
from cervix.evaluation.labelled_patients import labelled_patients
from cervix.evaluation.labelled_tiles import labelled_tiles
from cervix.evaluation.questions import Question
from cervix.files import inert, replacing
from cervix.interop.fhir.resources import VERSIONS
from cervix.interop.fhir.women import fhir_pieces
from cervix.interop.patient_files import read_patient_file
from cervix.labels import open_store
from cervix.labels.files.moving import OF_A_SLIDE, back_up, export_labels, import_labels
from cervix.patients.completeness import INCOMPLETE, RESTS_ON
from cervix.patients.encoding import features_of, not_fed
from cervix.patients.golden import GoldenTables, prove_bundle
from cervix.patients.guideline import with_steps
from cervix.patients.history_scoring import score_visits
from cervix.patients.questions import DATES, MINUS, Answers
from cervix.patients.scoring import score_patients
from cervix.patients.visits import VisitTable
from cervix.promotion.comparison import compare_bundles
from cervix.promotion.proving import load_candidate
from cervix.promotion.two_models import compare_models, compared_words
from cervix.provenance import provenance_of
from cervix.settings import get_settings
from cervix.slides.two_scores import compare_on_slide

EXIT_CANCELLED = 130


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


def _bundle(options: argparse.Namespace) -> Bundle:
    """The bundle asked for, or the active one, proved."""
    if options.bundle:
        return prove_bundle(options.bundle, device=options.device)
    return active_bundle(get_settings()).load(options.device, GoldenTables())


def _patients(options: argparse.Namespace) -> int:
    table = read_patient_file(options.file, strict=options.strict, answers=Answers(options.dates, options.minus))
    for notice in table.notices:
        print(f"note: {notice}", file=sys.stderr)
    for problem in table.problems:
        print(f"{problem.became}: {problem}", file=sys.stderr)
    for question in table.questions if isinstance(table, VisitTable) else ():
        print(f"question: {question.title} Say --{question.name} {' or '.join(question.choices)}.", file=sys.stderr)
    bundle = _bundle(options)
    session = bundle.session_of(table.model_kind, options.model)
    with tqdm(unit="patient", desc="scoring", disable=None) as bar:

        def show(done: int, total: int) -> None:
            bar.total = total
            bar.update(done - bar.n)

        if isinstance(table, VisitTable):
            for label in not_fed(table.frame, features_of(session)):
                print(f"note: {label} is not read by {session.model.id}", file=sys.stderr)
            scores = with_steps(score_visits(table, session, on_progress=show), table.frame, bundle, session.model)
        else:
            scores = score_patients(table, session, on_progress=show)
    origin = provenance_of(bundle, session.model.id)
    with replacing(options.out) as temporary:
        inert(origin.stamp(scores.reset_index())).to_csv(temporary, index=False)
    if options.fhir:
        beside = options.out.with_suffix(".fhir.json")
        with replacing(beside) as temporary, temporary.open("w", encoding="utf-8") as file:
            file.writelines(fhir_pieces(scores, table.frame, session.model, origin, options.fhir))
        print(f"FHIR {options.fhir} written to {beside}")
    print(f"{len(scores):,} patients scored with {session.model.id} of {bundle.label}; written to {options.out}")
    if incomplete := int(scores[INCOMPLETE].sum()):
        print(f"{incomplete:,} of them rest on a part of their file only: see the column {RESTS_ON}")
    print(session.model.notice)
    return 0


def _card(options: argparse.Namespace) -> int:
    if options.model and not FORMATS[options.format].of_one_model:
        raise BundleError(
            f"A card as {options.format} is of the whole bundle",
            expected="--model with --format xml only",
            found=f"--model {options.model}",
        )
    bundle = _bundle(options)
    _write(options.out, card_file(bundle, options.format, options.model))
    print(f"model card of {bundle.label} written to {options.out}. {RESEARCH_NOTICE}")
    return 0


def _evaluate(options: argparse.Namespace) -> int:
    bundle = _bundle(options)
    session = bundle.session(options.model)
    model = session.model
    task = model.task_named(options.task) if options.task else model.main_task
    threshold = model.threshold(task.id) if options.threshold is None else options.threshold
    if not 0 <= threshold <= 1:
        raise EvaluationError("There is no such threshold", expected="a score from 0 to 1", found=f"{threshold:g}")
    if options.labelled:
        labelled = _labelled(options, session, task.id)
        for problem in labelled.problems:
            print(f"left out: {problem}", file=sys.stderr)
        for notice in labelled.notices:
            print(f"note: {notice}", file=sys.stderr)
        question = Question(labelled.cases, task, threshold)
    else:
        question = Question(held_out_cases(bundle, model), task, threshold)
    report = question.report()
    figures = figures_table(report)
    print(f"{model.title}: {task.title}, called at {threshold:.4g}")
    print(
        f"{report.n:,} cases of {question.cases.source} ({report.positives:,} positive) in {report.groups:,} independent "
        f"groups; without an answer: {question.cases.unanswered:,}"
    )
    print(
        f"true positive {report.true_positive:,}, false positive {report.false_positive:,}, "
        f"false negative {report.false_negative:,}, true negative {report.true_negative:,}"
    )
    print(figures.to_string(index=False))
    if options.labelled:
        print(_beside_held_out(bundle, model, question))
    if options.out:
        stamped = provenance_of(bundle, model.id).stamp(figures.assign(question=task.id, threshold=threshold, n=report.n))
        _write(options.out, inert(stamped).to_csv(index=False).encode())
    print(f"{bundle.label}. {model.notice}")
    return 0


def _beside_held_out(bundle: Bundle, model: Model, own: Question) -> str:
    """How far cases of one's own lie from the held-out ones, or that there are none."""
    if not model.is_evaluated:
        return UNEVALUATED
    return drift_table(Question(held_out_cases(bundle, model), own.task, own.threshold), own).to_string(index=False)


def _labelled(options: argparse.Namespace, session: ModelSession, task: str) -> Labelled:
    try:
        content = options.labelled.read_bytes()
    except OSError as error:
        raise EvaluationError(
            f"{options.labelled} cannot be read",
            expected="a zip of labelled tiles or a table of patients",
            found=error.strerror or "",
        ) from error
    if session.model.tiles:
        return labelled_tiles(content, session)
    return labelled_patients(content, session, task=task, answers=Answers(options.dates, options.minus))


def _compare(options: argparse.Namespace) -> int:
    active = prove_bundle(options.active, device=options.device)
    candidate = load_candidate(options.candidate, device=options.device)
    if options.slide:
        told = json.dumps(compare_on_slide(options.slide, active, candidate, spacing_um_px=options.mpp), indent=2)
        print(told)
        if options.out:
            _write(options.out, told.encode())
        return 0
    if options.models:
        one, other = options.models
        told = compared_words(compare_models((active, one), (candidate, other)), (one, other))
        print(told)
        if options.out:
            _write(options.out, told.encode())
        return 0
    comparison = compare_bundles(active, candidate)
    print_comparison(comparison)
    if options.out:
        _write(options.out, comparison_text(comparison).encode())
        print(f"written to {options.out}. {RESEARCH_NOTICE}")
    return 0


def _write(path: Path, content: bytes) -> None:
    try:
        with replacing(path) as temporary:
            temporary.write_bytes(content)
    except OSError as error:
        raise CervixError(f"{path} cannot be written", found=error.strerror or "", action="Choose another place.") from error


def _labels_status(options: argparse.Namespace) -> int:
    del options
    with open_store(get_settings().label_store_url) as store:
        print(store.status().to_string(index=False))
    return 0


def _tile_classes(file: Path) -> list[ClassInfo]:
    """Classes of the active bundle's tile model, for a file of one slide; a table of labels names ids and needs none."""
    if file.suffix.lower() not in OF_A_SLIDE:
        return []
    return active_bundle(get_settings()).manifest.first_of("tile").classes


def _labels_export(options: argparse.Namespace) -> int:
    with open_store(get_settings().label_store_url) as store:
        count = export_labels(
            store,
            options.file,
            options.by,
            classes=_tile_classes(options.file),
            slide_sha256=options.slide,
            reader=options.reader,
            shelf=get_settings().shelf_dir,
        )
    print(f"{count:,} rows written to {options.file}. {RESEARCH_NOTICE}")
    return 0


def _labels_import(options: argparse.Namespace) -> int:
    with open_store(get_settings().label_store_url) as store:
        report = import_labels(
            store,
            options.file,
            options.by,
            classes=_tile_classes(options.file),
            slide_sha256=options.slide,
            reader=options.reader,
        )
    for problem in report.problems:
        print(f"left out: {problem}", file=sys.stderr)
    print(f"{report.added:,} added, {report.known:,} there already, {len(report.problems):,} left out")
    return 0


def _labels_backup(options: argparse.Namespace) -> int:
    with open_store(get_settings().label_store_url) as store:
        back_up(store, options.file, options.by)
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
    parser.add_argument("--version", action="version", version=f"cervix {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    device = argparse.ArgumentParser(add_help=False)
    device.add_argument("--device", choices=("auto", "cpu", "cuda"), default=settings.device)

    add_bundle_command(commands, device)

    common = argparse.ArgumentParser(add_help=False, parents=[device])
    common.add_argument("--bundle", type=Path, help="folder of the bundle (default: the active one)")
    add_slide_command(commands, common, _bundle)
    add_archive_command(commands, common)

    patients = commands.add_parser(
        "patients",
        parents=[common],
        help="score a visit table, a risk-factor table or a FHIR bundle, told apart by what it holds",
    )
    patients.add_argument("file", type=Path)
    patients.add_argument("--out", type=Path, required=True, help="CSV to write")
    patients.add_argument(
        "--fhir", type=str.upper, choices=VERSIONS, help="also write FHIR beside the CSV, of this version, as .fhir.json"
    )
    patients.add_argument("--model", default="", help="of several that read such a table, one by its id (default: the first)")
    patients.add_argument("--strict", action="store_true", help="stop where anything cannot be read instead of marking it")
    _add_answers(patients)
    patients.set_defaults(run=_patients)

    add_molecular_command(commands, common, _bundle)

    card = commands.add_parser("card", parents=[common], help="write the model card")
    card.add_argument(
        "--format",
        choices=FORMATS,
        required=True,
        help=f"{'; '.join(f'{kind}: {form.title}' for kind, form in FORMATS.items())}; XML is of one model",
    )
    card.add_argument("--model", default="", help="id of the model, for XML (default: the first)")
    card.add_argument("--out", type=Path, required=True, help="file to write")
    card.set_defaults(run=_card)

    evaluate = commands.add_parser(
        "evaluate", parents=[common], help="figures of a model on held-out or your own labelled cases"
    )
    evaluate.add_argument("model", metavar="MODEL", help="id of the model, such as slide or history")
    evaluate.add_argument(
        "--task",
        default="",
        help="id of the question, also that which a plain yes, no, grade or day in --labelled answers "
        "(default: the model's main question)",
    )
    evaluate.add_argument("--threshold", type=float, help="call positive from this score (default: the model's own)")
    evaluate.add_argument("--labelled", type=Path, help="zip of labelled tiles, or CSV of patients with their outcome")
    _add_answers(evaluate)
    evaluate.add_argument("--out", type=Path, help="CSV to write")
    evaluate.set_defaults(run=_evaluate)

    compare = commands.add_parser("compare", parents=[device], help="a candidate bundle beside the active one, and a verdict")
    compare.add_argument("active", type=Path, help="folder of the active bundle")
    compare.add_argument("candidate", type=Path, help="folder of the candidate")
    compare.add_argument("--slide", type=Path, help="score this slide by both instead, and say as JSON where they agree")
    compare.add_argument(
        "--models", nargs=2, metavar=("FIRST", "SECOND"),
        help="these two instead, one of each folder, which may be the same: figures on the held-out cases of both, no verdict",
    )  # fmt: skip
    compare.add_argument("--mpp", type=float, help="micrometres per pixel of that slide, where its file does not say")
    compare.add_argument("--out", type=Path, help="file to write: Markdown, JSON with --slide, text with --models")
    compare.set_defaults(run=_compare)

    add_serve_command(commands)
    add_mcp_command(commands)
    _add_labels(commands)
    return parser


def _add_answers(command: argparse.ArgumentParser) -> None:
    """What a person can say of a patient table."""
    command.add_argument("--dates", choices=sorted(DATES.choices), help="what comes first in dates as 03/04/2020")
    command.add_argument("--minus", choices=sorted(MINUS.choices), help="what - means in a column that also holds +")


def _add_labels(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """The commands around the label store, which the settings name."""
    labels = commands.add_parser("labels", help="the label store").add_subparsers(required=True, metavar="COMMAND")
    labels.add_parser("status", help="cases, labels and readers").set_defaults(run=_labels_status)
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("file", type=Path)
    common.add_argument("--by", default=COMMAND_LINE, help="who does it, for the audit trail")
    of_slide = argparse.ArgumentParser(add_help=False)
    of_slide.add_argument("--slide", default="", help="SHA-256 of the slide, for GeoJSON and DICOM")
    of_slide.add_argument("--reader", default="", help="whose labels, for GeoJSON and DICOM")
    for name, run, parents, said in (
        (
            "export",
            _labels_export,
            [common, of_slide],
            "write events (.csv, .parquet), or a slide's labels (.geojson, .dcm)",
        ),
        ("import", _labels_import, [common, of_slide], "add what such a file says, each event once"),
        ("backup", _labels_backup, [common], "write everything to one SQLite file"),
        ("restore", _labels_restore, [common], "fill an empty store from a backup"),
    ):
        labels.add_parser(name, parents=parents, help=said).set_defaults(run=run)
