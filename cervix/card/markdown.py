"""The model card, written from the manifest and the held-out predictions alone."""

from collections.abc import Iterable, Iterator

import pandas as pd

from cervix import RESEARCH_NOTICE, __version__
from cervix.bundle import Bundle, Model
from cervix.bundle.manifest import CalibrationTest
from cervix.evaluation.comparison import comparison_table
from cervix.evaluation.heldout import load_table

Block = str | pd.DataFrame
"""A line of Markdown, or a table that a page and a file draw each in its own way."""


def model_card(bundle: Bundle) -> str:
    """The card of the whole bundle as Markdown."""
    return card_text(card_blocks(bundle))


def card_text(blocks: Iterable[Block]) -> str:
    """The lines of a card as one Markdown text."""
    return "\n".join(block if isinstance(block, str) else _markdown_table(block) for block in blocks)


def card_blocks(bundle: Bundle) -> Iterator[Block]:
    """The card line by line: limits and intended use first, then figures with n and interval."""
    manifest = bundle.manifest
    yield from (
        f"# Model card: {manifest.name} {manifest.version}",
        "",
        f"> **{RESEARCH_NOTICE}**",
        "",
        f"Stage: {manifest.stage}. Created {manifest.created:%Y-%m-%d %H:%M} UTC from commit "
        f"`{manifest.git_commit[:10]}`. Manifest SHA-256 `{bundle.sha256[:16]}…`. "
        f"Card written by Cervix Workbench {__version__}.",
        "",
    )
    for model in manifest.models:
        yield from _model_section(bundle, model)
    yield from ("## Provenance", "")
    yield _frame(["package", "version"], manifest.packages.items())
    yield ""
    yield _frame(
        ["file", "bytes", "SHA-256"],
        ((file.path, f"{file.bytes:,}", f"{file.sha256[:16]}…") for file in manifest.files),
    )
    yield from ("", "## Changelog", "", *_bullets(manifest.changelog), "")


def _model_section(bundle: Bundle, model: Model) -> Iterator[Block]:
    yield from (f"## {model.title}", "", f"`{model.id}` · {model.architecture}", "")
    yield from ("### Limits", "", *_bullets(model.limits), "")
    yield from ("### Known failures", "", *_bullets(model.known_failures), "")
    yield from ("### Intended use", "", *_bullets(model.intended_use), "")
    yield from (f"Task: {_sentence(model.task)}", "", f"Outcome: {_sentence(model.outcome)}", "")
    yield from (
        "### Held-out figures",
        "",
        f"Computed on {model.evaluation.split}; 95 % intervals in brackets.",
        "",
    )
    for task in model.derived_tasks:
        yield from (f"**{task.title}** (threshold {model.threshold(task.id):.3g})", "")
        yield comparison_table(bundle, model, task)
        yield ""
    yield from (*_bullets(model.evaluation.notes), "")
    for table in model.evaluation.tables:
        yield from (f"**{table.title}**", "")
        yield load_table(bundle, table)
        yield from ("", table.note, "")
    yield from ("### Thresholds, calibration, abstention", "")
    yield from _bullets(f"{item.task}: {item.value:.3g}. {_sentence(item.chosen_by)}" for item in model.thresholds)
    parameters = ", ".join(f"{name} {value:.3g}" for name, value in model.calibration.parameters.items())
    yield from _bullets([f"Calibration: {model.calibration.method} ({parameters}), fitted on {model.calibration.fitted_on}."])
    yield from _bullets(_calibration_test(test) for test in model.calibration.tests)
    yield from _bullets(f"Abstains on {item.output} {item.limit:.3g}: {item.chosen_by}." for item in model.abstention)
    if model.slide_rule:
        yield from _bullets([f"Slide rule: {_sentence(model.slide_rule.chosen_by)}"])
    if model.acquisition:
        yield from _bullets([f"Label queue: {model.acquisition.strategy} first, {model.acquisition.chosen_by}."])
    yield from ("", "### Variants", "")
    yield _frame(
        [
            "variant",
            "runs on",
            "probability difference to fp32: largest",
            "mean",
            "agreement with fp32",
            "AUROC minus that of fp32",
            "n",
        ],
        (
            (
                v.precision,
                v.runs_on,
                f"{v.difference.largest_probability:.3g}",
                f"{v.difference.mean_probability:.2g}",
                f"{v.difference.agreement:.2%}",
                f"{v.difference.auroc_difference:+.4f}",
                v.difference.n,
            )
            if v.difference
            else (v.precision, v.runs_on, "reference", "–", "reference", "–", "–")
            for v in model.variants
        ),
    )
    yield from ("", "### Training data", "")
    for data in model.training_data:
        yield f"- **{data.name}** ({data.nature}; {data.licence}). {data.note} Split by {data.grouped_by}. {data.citation}"
    yield ""
    for data in model.training_data:
        if data.counts:
            classes = sorted({label for row in data.counts.values() for label in row})
            yield _frame(
                ["split", *classes, "groups"],
                (
                    (
                        split,
                        *(f"{data.counts[split].get(label, 0):,}" for label in classes),
                        f"{data.groups[split]:,}",
                    )
                    for split in ("train", "validation", "calibration", "test")
                    if split in data.counts
                ),
            )
            yield ""
    yield from ("### Inputs and preprocessing", "")
    if model.tiles:
        yield from _bullets(
            [f"Tiles of {model.tiles.size_px} px at {model.tiles.spacing_um_px:g} µm per pixel. {model.tiles.spacing_source}"]
        )
        yield from _bullets(f"In the graph: {step}" for step in model.tiles.steps_in_graph)
    if model.features:
        yield from _bullets([f"{len(model.features.names)} features: {', '.join(model.features.names)}."])
        yield from _bullets(f"In the graph: {step}" for step in model.features.steps_in_graph)
    yield ""


def _calibration_test(test: CalibrationTest) -> str:
    value, low, high = test.observed_expected
    verdict = "passed" if test.passed else "not passed, so no guideline action may be shown"
    return (
        f"Calibration test of {test.task}: {verdict}. Observed over expected {value:.2f} ({low:.2f}–{high:.2f}), calibration "
        f"error {test.ece[0]:.4f}, Spiegelhalter's p {test.p_value:.3f}; {test.n:,} cases, {test.events} events. "
        f"Rule: {test.rule}."
    )


def _sentence(text: str) -> str:
    return text if text.endswith(".") else f"{text}."


def _bullets(items: Iterable[str]) -> list[str]:
    return [f"- {item}" for item in items]


def _frame(header: list[str], rows: Iterable[Iterable[object]]) -> pd.DataFrame:
    return pd.DataFrame([[str(cell) for cell in row] for row in rows], columns=header)


def _markdown_table(table: pd.DataFrame) -> str:
    lines = [list(table.columns), ["---"] * table.shape[1], *table.to_numpy().tolist()]
    return "\n".join(f"| {' | '.join(str(cell) for cell in line)} |" for line in lines)
