"""The metadata at the head of the card, as the Hugging Face hub reads them.

Who does not know such metadata shows it as Markdown, so its texts are escaped too.
"""

from huggingface_hub import EvalResult, ModelCardData

from cervix.bundle import Bundle, Model
from cervix.bundle.manifest import DerivedTask
from cervix.card.asked import report_of
from cervix.evaluation.comparison import BESIDE_RIVALS
from cervix.evaluation.metrics import METRICS
from cervix.plain_text import escaped

DIGITS = 4
TASK_TYPES = {True: "image-classification", False: "tabular-classification"}


def front_matter(bundle: Bundle) -> str:
    """YAML between two rules, with a model index of every question's held-out figures."""
    manifest = bundle.manifest
    words = {word.lower().replace(" ", "-") for facts in manifest.card.models.values() for word in facts.keywords}
    data = ModelCardData(
        model_name=f"{escaped(manifest.name)} {manifest.version}",
        license=manifest.card.licence_id,
        library_name="onnx",
        tags=sorted(map(escaped, words)),
        eval_results=[
            result
            for model in manifest.models
            if model.is_evaluated
            for task in model.derived_tasks
            for result in _results(bundle, model, task)
        ],
    )
    return f"---\n{data.to_yaml()}\n---\n"


def _results(bundle: Bundle, model: Model, task: DerivedTask) -> list[EvalResult]:
    report, sources = report_of(bundle, model, task), "; ".join(data.name for data in model.training_data if data.counts)
    # The hub takes results of one data set, metric and arguments as one: n and interval keep them apart and complete.
    return [
        EvalResult(
            task_type=TASK_TYPES[model.kind in ("tile", "slide-head")],
            task_name=escaped(f"{model.title}: {task.title}"),
            dataset_type=model.id,
            dataset_name=escaped(f"{sources}; {model.measured.split}"),
            dataset_config=escaped(task.id),
            dataset_split="test",
            metric_type=metric,
            metric_name=METRICS[metric].title,
            metric_value=round(report.metrics[metric].value, DIGITS),
            metric_args={
                "low_95": round(report.metrics[metric].low, DIGITS),
                "high_95": round(report.metrics[metric].high, DIGITS),
                "n": report.n,
                "threshold": round(report.threshold, DIGITS),
            },
        )
        for metric in BESIDE_RIVALS
        if metric in report.metrics
    ]
