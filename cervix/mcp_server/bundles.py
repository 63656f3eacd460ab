"""Tools about the active bundle: in brief, its card, its held-out figures."""

from typing import Any

from cervix.api.brief import bundle_told
from cervix.bundle import Bundle, Model
from cervix.bundle.manifest import UNEVALUATED
from cervix.card.blocks import markdown_text
from cervix.card.markdown import bundle_sections, head_blocks
from cervix.card.model_section import model_section
from cervix.errors import CallRefused
from cervix.evaluation.heldout import held_out
from cervix.evaluation.metrics import METRICS
from cervix.evaluation.summary import summary_of, world_of
from cervix.mcp_server.asked import ModelAsked, NothingAsked
from cervix.mcp_server.call import Call
from cervix.mcp_server.told import BundleInfo, CardTold, FiguresTold, Headline, Metric, QuestionFigures
from cervix.provenance import provenance_of
from cervix.web.bundles import active_proved


def bundle_info(_: NothingAsked, __: Call) -> BundleInfo:
    """Which models score here, what they are for, and their limits."""
    bundle = active_proved()
    models = bundle.manifest.models
    return BundleInfo(
        **dict(bundle_told(bundle)),
        provenance=provenance_of(bundle, models[0].id),
        organs_seen={model.id: model.organs_seen for model in models if model.organs_seen},
    )


def card_of_a_model(asked: ModelAsked, _: Call) -> CardTold:
    """The card of one model, with what applies to all: that of a whole bundle is too long to be read in a conversation."""
    bundle = active_proved()
    model = _model(bundle, asked.model)
    blocks = (*head_blocks(bundle), *model_section(bundle, model), *bundle_sections(bundle))
    return CardTold(provenance=provenance_of(bundle, model.id), markdown=markdown_text(blocks))


def held_out_figures(asked: ModelAsked, _: Call) -> FiguresTold:
    """Every figure of a model's held-out cases, computed from them here."""
    bundle = active_proved()
    model = _model(bundle, asked.model)
    summary = summary_of(bundle, model)
    return FiguresTold(
        provenance=provenance_of(bundle, model.id),
        model=model.id,
        title=model.title,
        verdict=summary.verdict,
        headlines=[
            Headline(title=one.title, measure=one.measure, value=one.value, interval=one.interval, n=one.n, world=one.world)
            for one in summary.figures
        ],
        facts=summary.facts,
        world=world_of(model),
        **_held_out(bundle, model),
        limits=model.limits,
    )


def _held_out(bundle: Bundle, model: Model) -> dict[str, Any]:
    """What the figures are of, and the figures; of an unevaluated model that there are none."""
    if model.evaluation is None:
        return {"source": "", "split": UNEVALUATED, "precision": "", "questions": []}
    return {
        "source": model.evaluation.predictions,
        "split": model.evaluation.split,
        "precision": model.evaluation.precision,
        "questions": [_figures(bundle, model, task.id) for task in model.derived_tasks],
    }


def _figures(bundle: Bundle, model: Model, task_id: str) -> QuestionFigures:
    task = model.task_named(task_id)
    question = held_out(bundle, model, task, model.threshold(task.id))
    report = question.report()
    return QuestionFigures(
        question=task.id,
        title=task.title,
        threshold=report.threshold,
        n=report.n,
        positives=report.positives,
        groups=report.groups,
        unanswered=question.cases.unanswered,
        true_positive=report.true_positive,
        false_positive=report.false_positive,
        false_negative=report.false_negative,
        true_negative=report.true_negative,
        metrics=[
            Metric(
                id=name,
                title=METRICS[name].title,
                lower_is_better=METRICS[name].lower_is_better,
                value=figure.value,
                low=figure.low,
                high=figure.high,
            )
            for name, figure in report.metrics.items()
        ],
    )


def _model(bundle: Bundle, named: str) -> Model:
    for model in bundle.manifest.models:
        if model.id == named:
            return model
    raise CallRefused(
        "The bundle has no such model", expected=" or ".join(model.id for model in bundle.manifest.models), found="another id"
    )
