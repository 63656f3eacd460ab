"""The three key metrics of the CHAI card, computed from a model's held-out predictions."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import pandas as pd

from cervix.bundle import Bundle, Model
from cervix.bundle.manifest import UNEVALUATED
from cervix.card.asked import Asked, asked, rival_report, subgroups
from cervix.card.blocks import sentence
from cervix.evaluation.comparison import decimal, percent
from cervix.evaluation.left_out import left_out_table, left_out_verdict
from cervix.evaluation.metrics import METRICS
from cervix.evaluation.published import DEFAULT, NEAR, leading_agreement, published_risks, risk_title, verdict
from cervix.intervals import CONFIDENCE, Interval

USEFUL = ("auroc", "average_precision", "recall", "specificity", "precision")
SAFE = ("ece", "brier")
USEFULNESS = ("UsefulnessUsabilityEfficacy", "Usefulness, usability, efficacy")
FAIRNESS = ("FairnessEquity", "Fairness and equity")
SAFETY = ("SafetyReliability", "Safety and reliability")
"""Element of the CHAI card, and its title."""
AS_PERCENT = ("recall", "specificity", "precision")
HOW = (
    "Internal validation. The data were split by independent groups before anything was fitted, and thresholds and calibration "
    "were chosen without the test split. Proportions have Wilson intervals based on the number of groups; all other figures "
    "have percentile bootstrap intervals over whole groups (1,000 draws). "
)
NOWHERE_ELSE = "No external data set was tested, so performance elsewhere is unknown."
ONLY_PUBLISHED = "No external data set of single women was tested; published risks are all there is from elsewhere. "
ELSEWHERE = "Laboratories were left out of training one at a time, which is as near to an external test as the data allow. "


@dataclass(frozen=True)
class MetricResult:
    """A labelled figure, and its value as the CHAI card writes values."""

    label: str
    value: Mapping[str, float | str]

    @property
    def text(self) -> str:
        """The same for readers: ``0.983 (0.961–0.992)``, or a plain number."""
        if self.value["kind"] == "single":
            return f"{self.value['value']}"
        figure = Interval(*(float(self.value[name]) for name in ("estimate", "lower", "upper")))
        if self.value.get("unit") == "%":
            return percent(Interval(*(part / 100 for part in figure)))
        return decimal(figure)


@dataclass(frozen=True)
class Metric:
    """One key metric: the goal, the results, and what they mean."""

    element: str
    title: str
    goal: str
    results: tuple[MetricResult, ...]
    interpretation: str
    test_type: str
    testing_data: str
    validation: str


def key_metrics(bundle: Bundle, model: Model) -> tuple[Metric, Metric, Metric]:
    """Usefulness, fairness and safety of the model's main question."""
    facts = bundle.manifest.card.models[model.id]
    if model.evaluation is None:
        return (
            _unmeasured(*USEFULNESS, facts.usefulness_goal), _unmeasured(*FAIRNESS, facts.fairness_goal),
            _unmeasured(*SAFETY, facts.safety_goal),
        )  # fmt: skip
    question = asked(bundle, model)
    test_type = f"Retrospective, internal, held out: {model.evaluation.split}; variant {model.evaluation.precision}."
    data = f"{question.task.title}: {question.size}. {'; '.join(item.name for item in model.training_data)}."
    published = published_risks(bundle, model)
    if left_out_table(model):
        how = f"{HOW}{ELSEWHERE}{left_out_verdict(bundle, model)}"
    else:
        how = f"{HOW}{NOWHERE_ELSE if published is None else f'{ONLY_PUBLISHED}{verdict(published)}'}"
    groups = subgroups(bundle, model)
    counted = MetricResult(
        "Subgroups of the held-out cases that have their own figure", {"kind": "single", "value": len(groups)}
    )
    return (
        Metric(
            *USEFULNESS, facts.usefulness_goal,
            (*_near_published(published), *_results(question, USEFUL)), _beside_rivals(bundle, model, question), test_type,
            data, how,
        ),
        Metric(
            *FAIRNESS, facts.fairness_goal,
            (counted, *(
                MetricResult(f"AUROC, {group.title}; n = {group.n:,}, {group.positives:,} positive", _estimate(group.auroc))
                for group in groups
            )),
            _fairness([group.auroc for group in groups]), test_type, data, how,
        ),
        Metric(
            *SAFETY, facts.safety_goal, (*_results(question, SAFE), _missed(question)),
            _safety(model), test_type, data, how,
        ),
    )  # fmt: skip


def _unmeasured(element: str, title: str, goal: str) -> Metric:
    """A key metric of a model that nobody measured: the goal, and that there is no result."""
    return Metric(element, title, goal, (), *(UNEVALUATED,) * 4)


def _results(question: Asked, names: tuple[str, ...]) -> tuple[MetricResult, ...]:
    found = question.report.metrics
    return tuple(
        MetricResult(
            f"{METRICS[name].title}, {question.task.title}; n = {question.report.n:,}",
            _estimate(found[name], name in AS_PERCENT),
        )
        for name in names
        if name in found
    )


def _near_published(published: pd.DataFrame | None) -> Iterator[MetricResult]:
    """How near the model comes to published risks, in all histories that did not guide the simulator; nothing without any."""
    for found in leading_agreement(published, *DEFAULT)[:1] if published is not None else ():
        yield MetricResult(
            f"Within a factor of {NEAR:g} of published risks of real women, {risk_title(*DEFAULT)}; n = {found.cells} "
            f"histories that {found.rows} the simulator",
            _estimate(found.within[NEAR], True),
        )


def _beside_rivals(bundle: Bundle, model: Model, question: Asked) -> str:
    """The model's ranking beside that of the best rival."""
    own = question.report.metrics["auroc"]
    rivals = [(rival_report(bundle, model, question.task, rival.id), rival.title) for rival in model.measured.baselines]
    ranked = [(report.metrics["auroc"], title) for report, title in rivals if "auroc" in report.metrics]
    if not ranked:
        return "No baseline was evaluated on the same cases."
    best, title = max(ranked)
    apart = "overlap" if own.low <= best.high and best.low <= own.high else "do not overlap"
    return (
        f"The AUROC is {decimal(own)}. The best baseline on the same cases ({title}) reaches {decimal(best)}; the intervals "
        f"{apart}. Baselines, published figures and notes are under Held-out figures."
    )


def _missed(question: Asked) -> MetricResult:
    recall = question.report.metrics["recall"]
    missed = Interval(1 - recall.value, 1 - recall.high, 1 - recall.low)
    label = f"Positive cases missed at the threshold, {question.task.title}; n = {question.report.positives:,}"
    return MetricResult(label, _estimate(missed, True))


def _estimate(figure: Interval, as_percent: bool = False) -> dict[str, float | str]:
    scale, digits = (100, 4) if as_percent else (1, 6)
    names = ("estimate", "lower", "upper")
    values = {name: round(scale * value, digits) for name, value in zip(names, figure, strict=True)}
    return {"kind": "estimate_ci", **values, "level": round(100 * CONFIDENCE), **({"unit": "%"} if as_percent else {})}


def _fairness(figures: list[Interval]) -> str:
    if not figures:
        return "Not reported: the held-out predictions name no subgroup."
    lowest, highest = min(figures), max(figures)
    apart = "do not overlap" if lowest.high < highest.low else "overlap"
    return (
        f"The lowest AUROC is {decimal(lowest)} and the highest {decimal(highest)}; their intervals {apart}. Each interval "
        "is for one subgroup, without correction for multiple comparisons. The data do not record ethnicity, income or access "
        "to care, so nothing can be said about them."
    )


def _safety(model: Model) -> str:
    tests = [
        f"Calibration test of {test.task}: {'passed' if test.passed else 'not passed'}" for test in model.calibration.tests
    ]
    abstains = [
        f"Gives no answer according to {item.output} (limit {item.limit:.3g}): {item.chosen_by}" for item in model.abstention
    ]
    said = [*tests, *abstains] or ["There was no calibration test, and the model never abstains"]
    return " ".join(sentence(text) for text in said)
