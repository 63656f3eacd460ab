"""What a bundle says of itself, in lines, before anything of it is run."""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from cervix.bundle import Bundle
from cervix.bundle.loading import read_verified
from cervix.bundle.manifest import Model
from cervix.bundle.signature import signature_words, unsigned_allowed
from cervix.errors import EvaluationError
from cervix.evaluation.comparison import in_words
from cervix.evaluation.heldout import held_out
from cervix.evaluation.metrics import METRICS

FIGURES: Final = ("auroc", "recall", "specificity")
"""What is said of a model's main question; the card has all."""


def info_lines(root: Path) -> Iterator[str]:
    """Name, version, hash, signature; of each model its kind, classes, held-out figures and first limit.

    Every file is held against the manifest. No model is run, and a bundle without a valid signature is described too.

    Raises
    ------
    BundleError
        If the files are not what the manifest says.
    """
    with unsigned_allowed():
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
    yield f"  classes: {', '.join(f'{item.title} ({item.role})' for item in model.classes)}"
    task = model.main_task
    question = held_out(bundle, model, task, model.threshold(task.id))
    yield f"  held out ({model.evaluation.split}), {task.title}, called at {question.threshold:.4g}:"
    try:
        report = question.report()
    except EvaluationError as error:
        yield f"    no figures. {error}"
    else:
        yield f"    n = {report.n:,} in {report.groups:,} independent groups, {report.positives:,} positive"
        for name in FIGURES:
            if (found := report.metrics.get(name)) is not None:
                yield f"    {METRICS[name].title} {in_words(name, found)}"
    yield f"  first limit: {model.limits[0]}"
