"""The section of the card about one model: limits first, then use, figures, and how it was made."""

from collections.abc import Iterator

from cervix.bundle import Bundle, Model
from cervix.bundle.head_contract import EMBEDDINGS
from cervix.bundle.manifest import UNEVALUATED, CalibrationTest
from cervix.card.asked import report_of
from cervix.card.blocks import Block, bullets, frame, sentence
from cervix.card.chai import chai_card
from cervix.card.chai_text import part_blocks
from cervix.card.charts import charts_of
from cervix.card.comparison import lineage_sentence
from cervix.card.published_section import published_section
from cervix.evaluation.comparison import comparison_table
from cervix.evaluation.heldout import load_table
from cervix.evaluation.left_out import HEADING, left_out_table, left_out_verdict, other_tables
from cervix.evaluation.metrics import metric_titles
from cervix.plain_text import escaped
from cervix.slides.head import ATTENTION_MEANS

HEADERS = {"source": "Source", "computed on": "Computed on"}
SPLITS = ("train", "validation", "calibration", "test")
# Elements of the CHAI card that follow the figures, as sections of their own.
AFTER_FIGURES = ("UsesAndDirections", "Warnings", "TrustIngredients", "KeyMetrics")


def model_section(bundle: Bundle, model: Model) -> Iterator[Block]:
    """The whole section, from heading to training cost."""
    parts = {part.element: part for part in chai_card(bundle, model)}
    yield from (f"## {escaped(model.title)}", "", f"`{model.id}` · {escaped(model.architecture)}", "")
    yield from ("### Limits", "", *bullets(map(escaped, model.limits)), "")
    yield from ("### Known failures", "", *bullets(map(escaped, model.known_failures)), "")
    yield from ("### Intended use", "", *bullets(map(escaped, model.intended_use)), "")
    yield from part_blocks(parts["ModelSummary"])
    yield from _figures(bundle, model)
    for element in AFTER_FIGURES:
        yield from part_blocks(parts[element])
    yield from ("### Classes", "")
    yield frame(["class", "title", "role"], [(item.id, item.title, item.role) for item in model.classes])
    yield ""
    yield from _decisions(model)
    yield from _variants(model)
    yield from _training_data(model)
    yield from _lineage(model)
    yield from _inputs(model)
    yield from _cost(model)


def _lineage(model: Model) -> Iterator[Block]:
    """Which labels a retrained model learned from; nothing for other models."""
    if model.lineage is None:
        return
    compared = [
        f"{variant.precision}: {escaped(variant.difference.computed_on)}."
        for variant in model.variants
        if variant.difference is not None
    ]
    events = f"The keys of the label events are in `{model.lineage.events}` (SHA-256 {model.lineage.events_sha256})."
    yield from (
        "### Retrained from labels",
        "",
        *bullets([escaped(lineage_sentence(model.lineage, model.classes)), events, *compared]),
        "",
    )


def _left_out(bundle: Bundle, model: Model) -> Iterator[Block]:
    """The laboratories that were left out, before any figure of those that were not; nothing for models that read no tiles."""
    if not (verdict := left_out_verdict(bundle, model)):
        return
    yield from (f"### {HEADING}", "", f"**{escaped(verdict)}**", "")
    if declared := left_out_table(model):
        yield load_table(bundle, declared)
        yield from ("", escaped(declared.note), "")


def _figures(bundle: Bundle, model: Model) -> Iterator[Block]:
    if model.evaluation is None:
        yield from ("### Held-out figures", "", f"**{UNEVALUATED}**", "")
        return
    yield from _left_out(bundle, model)
    yield from published_section(bundle, model)
    yield from (
        "### Held-out figures",
        "",
        f"Computed on {escaped(model.evaluation.split)}; 95 % intervals in brackets.",
        "",
    )
    yield charts_of(bundle, model)
    yield ""
    for task in model.derived_tasks:
        yield from (f"**{escaped(task.title)}** (threshold {model.threshold(task.id):.3g})", "")
        yield comparison_table(bundle, model, task).rename(columns=metric_titles() | HEADERS)
        report = report_of(bundle, model, task)
        yield from (
            "",
            f"True positives {report.true_positive:,}, false positives {report.false_positive:,}, "
            f"false negatives {report.false_negative:,}, true negatives {report.true_negative:,}.",
            "",
        )
    yield from (*bullets(map(escaped, model.evaluation.notes)), "")
    for table in other_tables(model):
        yield from (f"**{escaped(table.title)}**", "")
        yield load_table(bundle, table).rename(columns=metric_titles())
        yield from ("", escaped(table.note), "")


def _decisions(model: Model) -> Iterator[Block]:
    yield from ("### Thresholds, calibration, abstention", "")
    yield from bullets(escaped(f"{item.task}: {item.value:.3g}. {sentence(item.chosen_by)}") for item in model.thresholds)
    parameters = ", ".join(f"{name} {value:.3g}" for name, value in model.calibration.parameters.items())
    yield from bullets(
        [escaped(f"Calibration: {model.calibration.method} ({parameters}), fitted on {model.calibration.fitted_on}.")]
    )
    yield from bullets(escaped(_calibration_test(test)) for test in model.calibration.tests)
    yield from bullets(
        escaped(f"Gives no answer according to {item.output} (limit {item.limit:.3g}): {item.chosen_by}.")
        for item in model.abstention
    )
    if model.slide_rule:
        yield from bullets([f"Slide rule: {escaped(sentence(model.slide_rule.chosen_by))}"])
    if model.acquisition:
        yield from bullets(
            [f"Default strategy of the label queue: {model.acquisition.strategy}, {escaped(model.acquisition.chosen_by)}."]
        )
    yield ""


def _variants(model: Model) -> Iterator[Block]:
    yield from ("### Variants", "")
    header = [
        "variant", "runs on", "largest difference in probability from fp32", "mean difference",
        "agreement with fp32", "AUROC minus that of fp32", "n",
    ]  # fmt: skip
    rows = (
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
    )
    yield frame(header, rows)
    yield ""


def _training_data(model: Model) -> Iterator[Block]:
    yield from ("### Training data", "")
    if model.organs:
        yield from (
            escaped(model.organs_seen),
            "",
            escaped(f"Laboratories: {', '.join(model.laboratories)}. Types of tissue: {', '.join(model.tissue_types)}."),
            "",
        )
    for data in model.training_data:
        yield from (
            f"- **{escaped(data.name)}** ({data.nature}; {escaped(data.licence)}). {escaped(data.described)} "
            f"Split by {escaped(data.grouped_by)}. {escaped(data.citation)}",
            "",
        )
        if data.counts:
            classes = sorted({label for row in data.counts.values() for label in row})
            rows = (
                (split, *(f"{data.counts[split].get(label, 0):,}" for label in classes), f"{data.groups[split]:,}")
                for split in SPLITS
                if split in data.counts
            )
            yield frame(["split", *classes, "groups"], rows)
            yield ""


def _inputs(model: Model) -> Iterator[Block]:
    yield from ("### Inputs and preprocessing", "")
    if model.tiles:
        yield from bullets(
            [
                f"Tiles of {model.tiles.size_px} px at {model.tiles.spacing_um_px:g} µm per pixel; "
                f"pictures coarser than {model.tiles.coarsest_um_px:g} are not scored. {escaped(model.tiles.spacing_source)}"
            ]
        )
        yield from bullets(f"In the graph: {escaped(step)}" for step in model.tiles.steps_in_graph)
    if model.reads:
        size = next(spec.shape[-1] for spec in model.inputs if spec.name == EMBEDDINGS)
        yield from bullets(
            [
                f"Embeddings of {size} numbers by `{model.reads}`, of the tiles of a slide that it recognises, and where each "
                "lies in micrometres. Asked only where the slide has an answer by the rule of that model.",
                ATTENTION_MEANS,
            ]
        )
    if model.features:
        yield from bullets([f"{len(model.features.names)} features: {escaped(', '.join(model.features.names))}."])
        yield from bullets(f"In the graph: {escaped(step)}" for step in model.features.steps_in_graph)
    yield ""


def _cost(model: Model) -> Iterator[Block]:
    yield from ("### Training cost", "")
    cost = model.training_cost
    if cost is None:
        yield "Time and energy of training were not recorded."
    else:
        yield from bullets(
            [
                f"Time: {cost.wall_seconds:,.0f} s on {escaped(cost.hardware)}.",
                f"Energy: about {cost.energy_kwh:.2g} kWh, calculated from the time and an assumed {cost.assumed_watts:g} W "
                f"({escaped(cost.assumption)}).",
                f"Covers {escaped(cost.covers)}.",
            ]
        )
    yield ""


def _calibration_test(test: CalibrationTest) -> str:
    value, low, high = test.observed_expected
    verdict = "passed" if test.passed else "not passed, so no guideline action is shown"
    return (
        f"Calibration test of {test.task}: {verdict}. Observed over expected {value:.2f} ({low:.2f}–{high:.2f}), calibration "
        f"error {test.ece[0]:.4f}, Spiegelhalter's p {test.p_value:.3f}; {test.n:,} cases, {test.events} events. "
        f"Rule: {test.rule}."
    )
