"""Two models of one bundle on the cases that both were tested on: computed from their held-out predictions as they stand."""

from dataclasses import dataclass

import pandas as pd
import plotly.graph_objects as go

from cervix.bundle import Bundle, Model
from cervix.bundle.manifest import DerivedTask
from cervix.chart_template import BLUE, GREY, VERMILLION, laid_out
from cervix.evaluation.comparison import in_words, signed
from cervix.evaluation.heldout import held_out_cases
from cervix.evaluation.metrics import METRICS
from cervix.evaluation.paired import Pair, compare_answers
from cervix.evaluation.questions import CaseSet, Question

SHOWN = ("auroc", "average_precision", "brier", "recall", "specificity")
"""Figures of the table, in order: those that no threshold changes first."""


@dataclass(frozen=True)
class Beside:
    """A model and a rival of its bundle.

    Attributes
    ----------
    own, others : Question
        To the cases that both scored.
    pair : Pair
        Its differences are the model's figures less the rival's.
    """

    model: Model
    rival: Model
    own: Question
    others: Question
    pair: Pair


def rivals_beside(bundle: Bundle, model: Model, task: DerivedTask) -> list[Model]:
    """The other models of its kind that were asked the same question about cases among those of this model."""
    if model.evaluation is None:
        return []
    cases = set(held_out_cases(bundle, model).frame["case"])
    return [
        other
        for other in bundle.manifest.of_kind(model.kind)
        if other.id != model.id
        and other.evaluation is not None
        and any(asked.id == task.id for asked in other.derived_tasks)
        and cases & set(held_out_cases(bundle, other).frame["case"])
    ]


def beside(bundle: Bundle, model: Model, rival: Model, task: DerivedTask) -> Beside:
    """Both on the cases that both scored, computed once a process.

    Raises ``EvaluationError`` where a case is named twice.
    """
    cases = held_out_cases(bundle, model)
    return cases.kept(("beside", rival.id, task.id), lambda: _compared(bundle, model, rival, task))


def beside_table(found: Beside) -> pd.DataFrame:
    """One row a figure: the model's, the rival's, and the difference with its interval; ``n`` in the last column."""
    pair = found.pair
    size = f"{pair.n:,}, {pair.active.positives:,} positive"
    rows = []
    for name in SHOWN:
        if name not in pair.differences or name not in pair.active.metrics or name not in pair.candidate.metrics:
            continue
        title = METRICS[name].title
        rows.append(
            {
                "figure": f"{title}, lower is better" if METRICS[name].lower_is_better else title,
                found.model.short: in_words(name, pair.candidate.metrics[name]),
                found.rival.short: in_words(name, pair.active.metrics[name]),
                f"{found.model.short} less {found.rival.short}": signed(pair.differences[name]),
                "n": size,
            }
        )
    return pd.DataFrame(rows)


def beside_verdict(found: Beside) -> str:
    """Whether either ranks better, as far as these cases tell."""
    gain = found.pair.differences.get("auroc")
    if gain is None:
        return "The shared cases are all alike, so neither can rank them."
    if gain.low <= 0 <= gain.high:
        return (
            f"Neither ranks better: {found.model.short} less {found.rival.short} is {signed(gain)} in AUROC, and the interval "
            "holds 0."
        )
    better = found.model if gain.low > 0 else found.rival
    return f"{better.short} ranks better: {found.model.short} less {found.rival.short} is {signed(gain)} in AUROC."


def beside_figure(found: Beside) -> go.Figure:
    """Both ROC curves on the same cases; needs cases with and without."""
    figure = go.Figure()
    for question, model, colour, dash in (
        (found.own, found.model, BLUE, "solid"), (found.others, found.rival, VERMILLION, "dash"),
    ):  # fmt: skip
        false_positive, true_positive = question.roc
        figure.add_scatter(
            x=false_positive, y=true_positive, mode="lines", name=model.short, line={"color": colour, "width": 3, "dash": dash},
            hovertemplate="1 − specificity %{x:.3f}<br>sensitivity %{y:.3f}<extra>" + model.short + "</extra>",
        )  # fmt: skip
    chance = {"color": GREY, "dash": "dot"}
    figure.add_scatter(x=[0, 1], y=[0, 1], mode="lines", name="Chance", line=chance, hoverinfo="skip")
    whole = [-0.02, 1.02]
    return laid_out(figure, xaxis={"title": "1 − specificity", "range": whole}, yaxis={"title": "Sensitivity", "range": whole})


def _compared(bundle: Bundle, model: Model, rival: Model, task: DerivedTask) -> Beside:
    asked = next(other for other in rival.derived_tasks if other.id == task.id)
    sides = [held_out_cases(bundle, of) for of in (model, rival)]
    shared = set(sides[0].frame["case"]) & set(sides[1].frame["case"])
    own, others = (
        Question(_among(cases, shared), question, of.threshold(question.id))
        for cases, question, of in zip(sides, (task, asked), (model, rival), strict=True)
    )
    return Beside(model, rival, own, others, compare_answers(others, own))


def _among(cases: CaseSet, shared: set[str]) -> CaseSet:
    """The same set where all are shared, so that what was computed of it is there."""
    here = cases.frame["case"].isin(shared)
    if here.all():
        return cases
    return CaseSet(cases.source, cases.frame[here].reset_index(drop=True), cases.classes)
