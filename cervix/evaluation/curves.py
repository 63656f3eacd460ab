"""Plotly curves of a question: ROC, precision and recall, reliability, decision curve, each with the threshold on it."""

import numpy as np
import plotly.graph_objects as go

from cervix.chart_template import BLUE, GREEN, GREY, VERMILLION, error_bars, laid_out
from cervix.evaluation.comparison import decimal
from cervix.evaluation.metrics import METRICS, BinaryReport
from cervix.evaluation.questions import Question
from cervix.evaluation.sweep import Sweep
from cervix.intervals import Interval

# Beyond this multiple of the working threshold nobody would flag: the curve there only flattens what matters.
DECISION_RANGE = 4


def roc_figure(question: Question, point: BinaryReport) -> go.Figure:
    """ROC curve, and the working point with its intervals."""
    false_positive, true_positive = question.roc
    figure = go.Figure(
        [
            _line(false_positive, true_positive, "This model", "1 − specificity %{x:.3f}<br>sensitivity %{y:.3f}"),
            _rule([0, 1], [0, 1], "Chance"),
        ]
    )
    specificity = point.metrics["specificity"]
    spared = Interval(1 - specificity.value, 1 - specificity.high, 1 - specificity.low)
    _mark(figure, point.threshold, spared, point.metrics["recall"])
    return _laid_out(figure, "1 − specificity", "Sensitivity", [-0.02, 1.02], [-0.02, 1.02])


def precision_recall_figure(question: Question, point: BinaryReport) -> go.Figure:
    """Precision over recall, the share of positives as chance, and the working point with its intervals."""
    recall, precision = question.precision_recall
    share = float(question.scores.positive.mean())
    figure = go.Figure(
        [
            _line(recall, precision, "This model", "sensitivity %{x:.3f}<br>precision %{y:.3f}"),
            _rule([0, 1], [share, share], f"Chance, {share:.2%}"),
        ]
    )
    if "precision" in point.metrics:
        _mark(figure, point.threshold, point.metrics["recall"], point.metrics["precision"])
    return _laid_out(figure, METRICS["recall"].title, METRICS["precision"].title, [-0.02, 1.02], [-0.02, 1.02])


def reliability_figure(question: Question) -> go.Figure:
    """What came of cases scored alike, with Wilson intervals, beside the line where scores are frequencies."""
    bins = question.reliability()
    top = min(1.0, 1.08 * float(max(bins["score"].max(), bins["high"].max())))
    figure = go.Figure(
        [
            _rule([0, top], [0, top], "Score is frequency"),
            go.Scatter(
                x=bins["score"],
                y=bins["observed"],
                mode="markers+lines",
                name="This model",
                line={"color": BLUE, "width": 2},
                marker={"size": 8},
                error_y={
                    "symmetric": False,
                    "array": bins["high"] - bins["observed"],
                    "arrayminus": bins["observed"] - bins["low"],
                },
                customdata=bins[["n", "events"]],
                hovertemplate="mean score %{x:.3f}<br>observed %{y:.3f}<br>%{customdata[1]} of %{customdata[0]}<extra></extra>",
            ),
        ]
    )
    return _laid_out(figure, "Mean score", "Observed share", [-0.02 * top, top], [-0.02 * top, top])


def decision_figure(of: Sweep, point: BinaryReport, working: float) -> go.Figure:
    """Net benefit over the threshold with its band, against flagging everybody and nobody.

    Parameters
    ----------
    working : float
        The manifest's threshold, which decides how far the axis goes.
    """
    shown = of.thresholds <= min(0.99, max(DECISION_RANGE * working, 2 * point.threshold))
    thresholds = of.thresholds[shown]
    value, low, high = (values[shown] for values in of.net_benefit)
    figure = go.Figure(
        [
            go.Scatter(
                x=np.r_[thresholds, thresholds[::-1]],
                y=np.r_[high, low[::-1]],
                fill="toself",
                mode="none",
                fillcolor="rgba(0,114,178,0.18)",
                name="95 % interval",
                hoverinfo="skip",
            ),
            _line(thresholds, value, "This model", "threshold %{x:.3f}<br>net benefit %{y:.4f}"),
            go.Scatter(
                x=thresholds,
                y=of.net_benefit_of_all[shown],
                mode="lines",
                name="Flag everybody",
                line={"color": GREEN, "dash": "dash", "width": 2},
                hoverinfo="skip",
            ),
            _rule([0, float(thresholds[-1])], [0, 0], "Flag nobody"),
        ]
    )
    at = of.nearest(point.threshold)
    _mark(figure, point.threshold, *(Interval(x, x, x) for x in (point.threshold, float(of.net_benefit[0][at]))))
    top = max(of.prevalence, float(high.max()))
    return _laid_out(figure, "Threshold", "Net benefit", [0, float(thresholds[-1])], [-0.25 * top, 1.08 * top])


def _line(x: object, y: object, name: str, hover: str) -> go.Scatter:
    return go.Scatter(
        x=x, y=y, mode="lines", line={"color": BLUE, "width": 3}, name=name, hovertemplate=f"{hover}<extra></extra>"
    )


def _rule(x: list[float], y: list[float], name: str) -> go.Scatter:
    return go.Scatter(x=x, y=y, mode="lines", line={"color": GREY, "dash": "dot"}, name=name, hoverinfo="skip")


def _mark(figure: go.Figure, threshold: float, x: Interval, y: Interval) -> None:
    bars = {f"error_{axis}": error_bars([of], thickness=1.2) for axis, of in (("x", x), ("y", y)) if of.high > of.low}
    figure.add_scatter(
        x=[x.value],
        y=[y.value],
        mode="markers",
        marker={"color": VERMILLION, "size": 12, "symbol": "diamond"},
        name=f"At {threshold:.2%}",
        hovertemplate=f"{decimal(x)}<br>{decimal(y)}<extra></extra>",
        **bars,
    )


def _laid_out(figure: go.Figure, x: str, y: str, x_range: list[float], y_range: list[float]) -> go.Figure:
    return laid_out(figure, xaxis={"title": x, "range": x_range}, yaxis={"title": y, "range": y_range})
