"""What a bundle says of itself, in lines, before anything of it is run."""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from cervix.bundle import Bundle
from cervix.bundle.loading import read_verified
from cervix.bundle.manifest import UNEVALUATED, Model
from cervix.bundle.signature import signature_words, unsigned_allowed
from cervix.errors import EvaluationError
from cervix.evaluation.comparison import in_words
from cervix.evaluation.heldout import held_out
from cervix.evaluation.metrics import METRICS
from cervix.plain_text import printable
from cervix.promotion.proving import BUNDLE_LIMITS
from cervix.sources.apart import run_apart

FIGURES: Final = ("auroc", "recall", "specificity")
"""What is said of a model's main question; the card has all."""

CLASSES_NAMED: Final = 8


def info_apart(root: Path) -> list[str]:
    """``info_lines``, found in a process that may be lost: held-out predictions are a table that somebody brought.

    Raises
    ------
    BundleError
        If the files are not what the manifest says.
    LostApart
        If that process was lost.
    """
    lines: list[str] = run_apart(
        "cervix.card.bundle_info:info_lines", {"root": str(root.resolve())}, BUNDLE_LIMITS, subject="bundle"
    )
    return lines


def info_lines(root: str | Path) -> list[str]:
    """Name, version, hash, signature; of each model its kind, classes, held-out figures and first limit.

    Every file is held against the manifest. No model is run, and a bundle without a valid signature is described too.

    Raises
    ------
    BundleError
        If the files are not what the manifest says.
    """
    # A list and no generator: while one waits for its reader, unsigned bundles would stay allowed.
    with unsigned_allowed():
        return [printable(line) for line in _lines(Path(root))]


def _lines(root: Path) -> Iterator[str]:
    manifest, sha256, contents = read_verified(root)
    bundle = Bundle(root, manifest, sha256, {}, [])
    yield f"{manifest.name} {manifest.version}, stage: {manifest.stage}, made {manifest.created:%Y-%m-%d}"
    yield f"manifest SHA-256 {sha256}"
    size = sum(map(len, contents.values()))
    yield f"{len(manifest.files):,} files, {size:,} bytes; licence {manifest.card.licence_id}"
    yield f"signature: {signature_words(root, manifest, sha256)}"
    for model in manifest.models:
        yield ""
        yield from _of_model(bundle, model)


def _of_model(bundle: Bundle, model: Model) -> Iterator[str]:
    yield f"{model.id}: {model.title} ({model.kind})"
    named = ", ".join(f"{item.title} ({item.role})" for item in model.classes[:CLASSES_NAMED])
    more = len(model.classes) - CLASSES_NAMED
    yield f"  classes: {named}{f' and {more} more' if more > 0 else ''}"
    if model.evaluation is None:
        yield f"  {UNEVALUATED}"
    else:
        yield from _figures(bundle, model, model.evaluation.split)
    yield f"  first limit: {model.limits[0]}"


def _figures(bundle: Bundle, model: Model, split: str) -> Iterator[str]:
    task = model.main_task
    question = held_out(bundle, model, task, model.threshold(task.id))
    yield f"  held out ({split}), {task.title}, called at {question.threshold:.4g}:"
    try:
        report = question.report()
    except EvaluationError as error:
        yield f"    no figures. {error}"
    else:
        yield f"    n = {report.n:,} in {report.groups:,} independent groups, {report.positives:,} positive"
        for name in FIGURES:
            if (found := report.metrics.get(name)) is not None:
                yield f"    {METRICS[name].title} {in_words(name, found)}"
