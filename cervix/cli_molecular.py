"""``python -m cervix molecular``: tumours scored from a table of microRNA, or a template of such a table."""

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

from cervix.bundle import Bundle
from cervix.files import replacing
from cervix.molecular.answers import scores_csv
from cervix.molecular.reading import read_markers
from cervix.molecular.scoring import markers_of, score_markers
from cervix.molecular.template import template_csv
from cervix.provenance import provenance_of


def add_molecular_command(
    commands: "argparse._SubParsersAction[argparse.ArgumentParser]",
    common: argparse.ArgumentParser,
    bundle_of: Callable[[argparse.Namespace], Bundle],
) -> None:
    """Add the command; ``bundle_of`` finds the bundle that is asked for."""
    command = commands.add_parser("molecular", parents=[common], help="score a table of microRNA, one row a tumour")
    what = command.add_mutually_exclusive_group(required=True)
    what.add_argument("file", type=Path, nargs="?", help="CSV, TSV, XLSX, XLS, ODS or Parquet")
    what.add_argument("--template", action="store_true", help="write a table to fill in instead")
    command.add_argument("--out", type=Path, required=True, help="CSV to write")
    command.add_argument("--model", default="", help="of several that read such a table, one by its id (default: the first)")
    command.set_defaults(run=lambda options: _molecular(options, bundle_of(options)))


def _molecular(options: argparse.Namespace, bundle: Bundle) -> int:
    session = bundle.session_of("molecular", options.model)
    model, markers = session.model, markers_of(session)
    if options.template:
        with replacing(options.out) as temporary:
            temporary.write_text(template_csv(markers), encoding="utf-8")
        print(f"template with {len(markers.names)} markers of {model.id} written to {options.out}")
        return 0
    table = read_markers(options.file, markers)
    for notice in table.notices:
        print(f"note: {notice}", file=sys.stderr)
    for problem in table.problems:
        print(f"{problem.became}: {problem}", file=sys.stderr)
    scores = score_markers(table, session)
    with replacing(options.out) as temporary:
        temporary.write_bytes(scores_csv(table, scores, model, markers, provenance_of(bundle, model.id)))
    unanswered = int((scores.frame["answer"] == "").sum())
    print(f"{len(scores.frame):,} tumours scored with {model.id} of {bundle.label}; written to {options.out}")
    if unanswered:
        print(f"{unanswered:,} of them have no answer: see the column no_answer")
    print(model.notice)
    return 0
