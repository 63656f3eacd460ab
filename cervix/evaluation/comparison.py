"""Our held-out figures beside the simple rivals and the published ones."""

import pandas as pd

from cervix.bundle import Bundle, Model
from cervix.bundle.manifest import DerivedTask
from cervix.evaluation.heldout import held_out
from cervix.evaluation.metrics import METRICS, BinaryReport
from cervix.intervals import Interval

BASELINE_THRESHOLD = 0.5
"""From which score a baseline flags: it was given no threshold of its own."""
BESIDE_RIVALS = ("accuracy", "precision", "recall", "specificity", "f1", "auroc", "average_precision")
"""The metrics that stand beside those of simpler rivals and of publications, in that order."""


def percent(interval: Interval) -> str:
    """``98.3 % (96.1–99.2)``."""
    return f"{interval.value * 100:.1f} % ({interval.low * 100:.1f}–{interval.high * 100:.1f})"


def decimal(interval: Interval) -> str:
    """``0.983 (0.961–0.992)``."""
    return f"{interval.value:.3f} ({interval.low:.3f}–{interval.high:.3f})"


def in_words(metric: str, interval: Interval) -> str:
    """A figure as tables have it: a proportion in per cent, all others with three decimals."""
    return (percent if METRICS[metric].independent else decimal)(interval)


def parsed_decimal(text: str) -> Interval:
    """What ``decimal`` wrote."""
    value, low, high = (float(part) for part in text.rstrip(")").replace(" (", "–").split("–"))
    return Interval(value, low, high)


def parsed_percent(text: str) -> Interval:
    """What ``percent`` wrote."""
    value, low, high = (float(part) / 100 for part in text.rstrip(")").replace(" % (", "–").split("–"))
    return Interval(value, low, high)


def signed(interval: Interval) -> str:
    """A difference: ``+0.012 (-0.003 to +0.027)``."""
    return f"{interval.value:+.3f} ({interval.low:+.3f} to {interval.high:+.3f})"


def flagged_in_words(true_positive: int, false_positive: int, cases: str) -> str:
    """A positive predictive value as people count it: ``About 24 of 25 flagged women do not have it``.

    Parameters
    ----------
    cases : str
        What the cases are, as ``women``.
    """
    flagged = true_positive + false_positive
    if not flagged:
        return f"No {cases} are flagged."
    if not (true_positive and false_positive):
        return f"{'All' if true_positive else 'None'} of {flagged:,} flagged {cases} {'have' if true_positive else 'has'} it."
    rarer, words = min((true_positive, "do not have it"), (false_positive, "have it"))
    of = max(2, round(flagged / rarer))
    return f"About {of - 1} of {of} flagged {cases} {words}."


def figures_table(report: BinaryReport) -> pd.DataFrame:
    """One row a metric: value, bootstrap interval over groups and, of proportions, Wilson's at the number of groups."""
    rows = []
    for name, metric in METRICS.items():
        if name in report.bootstrap:
            figure, wide = report.bootstrap[name], report.metrics[name]
            rows.append(
                {
                    "metric": f"{metric.title}, lower is better" if metric.lower_is_better else metric.title,
                    "value": f"{figure.value:.3f}",
                    "95 % bootstrap": f"{figure.low:.3f}–{figure.high:.3f}",
                    "95 % Wilson": f"{wide.low:.3f}–{wide.high:.3f}" if wide != figure else "–",
                }
            )
    return pd.DataFrame(rows)


def comparison_table(bundle: Bundle, model: Model, task: DerivedTask) -> pd.DataFrame:
    """One row a source: this model, each baseline, each publication; one column a metric, as text.

    Baselines are called at 0.5; the model at its own threshold.
    """
    rivals = [
        _row(baseline.title, "same cases", held_out(bundle, model, task, BASELINE_THRESHOLD, baseline.id).report())
        for baseline in model.measured.baselines
    ]
    return pd.DataFrame([_ours(bundle, model, task), *rivals, *_published(model, task)])


def paper_table(bundle: Bundle) -> pd.DataFrame:
    """The networks that a publication reports on, its figures beside ours: ``model, source``, metrics, ``n, computed on``."""
    rows = [
        {"model": f"{model.title}: {task.title}"} | row
        for model in bundle.manifest.models
        for task in model.derived_tasks
        if model.evaluation and any(figure.task == task.id for figure in model.evaluation.published)
        for row in [*_published(model, task), _ours(bundle, model, task)]
    ]
    return pd.DataFrame(rows)


def _ours(bundle: Bundle, model: Model, task: DerivedTask) -> dict[str, str]:
    report = held_out(bundle, model, task, model.threshold(task.id)).report()
    return _row("This model", f"{model.measured.split}, {model.measured.precision}", report)


def _published(model: Model, task: DerivedTask) -> list[dict[str, str]]:
    """One row a publication."""
    figures: dict[str, dict[str, str]] = {}
    for figure in model.measured.published:
        if figure.task == task.id:
            figures.setdefault(figure.source, {})[figure.metric] = (
                f"{figure.value * 100:.4g} %" if METRICS[figure.metric].independent else f"{figure.value:.4g}"
            )
    return [
        {"source": "Published"}
        | {metric: of.get(metric, "–") for metric in BESIDE_RIVALS}
        | {"n": "not stated", "computed on": source}
        for source, of in figures.items()
    ]


def _row(title: str, where: str, report: BinaryReport) -> dict[str, str]:
    size = f"{report.n:,} ({report.groups:,} groups)" if report.groups < report.n else f"{report.n:,}"
    figures = {name: in_words(name, report.metrics[name]) if name in report.metrics else "–" for name in BESIDE_RIVALS}
    return {"source": title} | figures | {"n": size, "computed on": where}
