"""Plotly charts of readers and labels."""

import textwrap
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from cervix.chart_template import (
    BLUE,
    FIGURE_HEIGHT_PX,
    GREEN,
    GREY,
    LEGEND_ABOVE,
    ORANGE,
    PINK,
    SKY,
    VERMILLION,
    error_bars,
    laid_out,
)
from cervix.evaluation.comparison import decimal, parsed_decimal
from cervix.intervals import Interval
from cervix.labels.insight.learning_curve import LearningCurve

# Of each strategy, so that no two share any of the three.
COLOURS = (BLUE, VERMILLION, GREEN, PINK, ORANGE, SKY)
DASHES = ("solid", "dash", "dot", "dashdot", "longdash", "longdashdot")
SYMBOLS = ("circle", "square", "diamond", "cross", "triangle-up", "x")
BAND_OPACITY = 0.12
PAIRS_SHOWN = 30
NAME_WIDTH = 18
# A reader's pace is worth a picture from so many timed answers; the line is the median of so many.
PACED_FROM, PACED_OVER = 20, 20
SIMULATED = "Simulated cohort"


def pairs_figure(pairs: pd.DataFrame) -> go.Figure:
    """Cohen's kappa of each pair with its interval; open diamonds where a caution goes with the figure.

    Parameters
    ----------
    pairs : DataFrame
        As ``agreement.pairs`` makes it; the first ``PAIRS_SHOWN`` that have a kappa are drawn.
    """
    shown = pairs[pairs["kappa"].notna()].head(PAIRS_SHOWN)
    names = [
        "<br>".join(textwrap.wrap(f"{row.first} and {row.second}", NAME_WIDTH)) + f"<br>n = {row.cases:,}"
        for row in shown.itertuples()
    ]
    careful = (shown["caution"] != "").to_numpy(bool)
    figure = go.Figure()
    for title, which, colour, symbol in (
        ("Cohen's kappa, 95 % interval", ~careful, BLUE, "circle"),
        ("the same, with a caution", careful, VERMILLION, "diamond-open"),
    ):
        if not which.any():
            continue
        rows = shown[which]
        kappas = [Interval(*row) for row in rows[["kappa", "low", "high"]].itertuples(index=False)]
        figure.add_scatter(
            x=rows["kappa"],
            y=[name for name, here in zip(names, which, strict=True) if here],
            mode="markers",
            name=title,
            marker={"color": colour, "symbol": symbol, "size": 11, "line": {"width": 2}},
            error_x=error_bars(kappas, color=colour),
            customdata=[decimal(kappa) for kappa in kappas],
            hovertemplate="%{y}<br>kappa %{customdata}<extra></extra>",
        )
    figure.add_vline(x=0, line={"color": GREY, "dash": "dot"})
    figure.update_yaxes(categoryorder="array", categoryarray=names[::-1], automargin=True)
    figure.update_xaxes(title="Kappa (dotted: what chance gives)", range=[min(-0.1, float(shown["low"].min())) - 0.02, 1.05])
    return laid_out(figure, 120 + 62 * len(shown), showlegend=True, legend=LEGEND_ABOVE)


def pace_figure(seconds: Sequence[float]) -> go.Figure:
    """Seconds of each answer in their order, on a logarithmic scale, and the median of the last ``PACED_OVER``.

    Parameters
    ----------
    seconds : of the timed answers, the first first
    """
    given = pd.Series(seconds, dtype=float).clip(lower=0.05)
    order = np.arange(1, len(given) + 1)
    figure = go.Figure(
        [
            go.Scatter(
                x=order,
                y=given,
                mode="markers",
                name="One answer",
                marker={"color": GREY, "size": 5, "opacity": 0.5},
                hovertemplate="answer %{x}<br>%{y:.1f} s<extra></extra>",
            ),
            go.Scatter(
                x=order,
                y=given.rolling(PACED_OVER, min_periods=PACED_OVER // 2).median(),
                mode="lines",
                name=f"Median of the last {PACED_OVER}",
                line={"color": BLUE, "width": 3},
                hovertemplate="answer %{x}<br>median %{y:.1f} s<extra></extra>",
            ),
        ]
    )
    figure.update_xaxes(title="Answers in their order")
    ticks = [0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 60, 300, 3600]
    figure.update_yaxes(title="Seconds", type="log", tickvals=ticks, ticktext=[f"{tick:g}" for tick in ticks])
    return laid_out(figure, 300, legend={"y": -0.28})


def simulated_curves_figure(table: pd.DataFrame, metric: str, first: str = "") -> go.Figure:
    """Learning curves of the simulation of labelling, one line a strategy with its band.

    Parameters
    ----------
    table : DataFrame
        The bundle's table ``learning-curves``, as text: ``strategy, labels`` and the metric with its interval.
    metric : one of its columns
    first : title of the strategy to draw thickest
    """
    figure = go.Figure()
    for at, (strategy, rows) in enumerate(table.groupby("strategy", sort=False)):
        colour, dash, symbol = (of[at % len(COLOURS)] for of in (COLOURS, DASHES, SYMBOLS))
        x, y = rows["labels"].astype(int).tolist(), [parsed_decimal(text) for text in rows[metric]]
        line = {"color": colour, "dash": dash, "width": 4 if strategy == first else 2}
        figure.add_traces(_curve(x, y, str(strategy), line, symbol))
    figure.update_xaxes(title="Labels")
    figure.update_yaxes(title=metric[:1].upper() + metric[1:])
    figure.add_annotation(
        text=SIMULATED, x=0.99, y=0.03, xref="paper", yref="paper", xanchor="right", showarrow=False, font={"color": GREY}
    )
    return laid_out(figure, FIGURE_HEIGHT_PX + 80)


def live_curve_figure(curve: LearningCurve) -> go.Figure:
    """What the labels of this installation are worth, and the bundle's own answers to the same cases as a dashed line."""
    figure = go.Figure(
        _curve(list(curve.labels), list(curve.scores), "Trained on these labels", {"color": BLUE, "width": 3}, "circle")
    )
    ends = [float(curve.labels[0]), float(curve.labels[-1])]
    if len(curve.labels) == 1:
        ends = [0.9 * ends[0], 1.1 * ends[0]]
    if curve.model is not None:
        line = {"color": VERMILLION, "dash": "dash", "width": 3}
        figure.add_traces(_curve(ends, [curve.model] * 2, "The active bundle", line, None))
    chance = 1 / len(curve.classes)
    figure.add_scatter(
        x=ends, y=[chance] * 2, mode="lines", name="Chance", line={"color": GREY, "dash": "dot"}, hoverinfo="skip"
    )
    steps = [first * 10**power for power in range(1, 7) for first in (1, 2, 5)]
    ticks = [curve.labels[0], *(step for step in steps if 1.2 * ends[0] < step < ends[-1] / 1.2), curve.labels[-1]]
    figure.update_xaxes(
        title="Number of labels",
        type="log",
        tickvals=ticks,
        ticktext=[f"{tick:,}" for tick in ticks],
        range=[float(np.log10(ends[0] * 0.95)), float(np.log10(ends[1] * 1.05))],
    )
    lowest = min(chance, *(score.low for score in curve.scores))
    figure.update_yaxes(title="Balanced accuracy", range=[max(0.0, lowest - 0.05), 1.02])
    return laid_out(figure)


def _curve(x: Sequence[float], y: Sequence[Interval], name: str, line: dict[str, Any], symbol: str | None) -> list[go.Scatter]:
    """A line and the band of its intervals, one entry in the legend."""
    red, green, blue = (int(line["color"][at : at + 2], 16) for at in (1, 3, 5))
    return [
        go.Scatter(
            x=[*x, *x[::-1]],
            y=[*(at.high for at in y), *(at.low for at in y[::-1])],
            fill="toself",
            mode="none",
            fillcolor=f"rgba({red},{green},{blue},{BAND_OPACITY})",
            name=name,
            legendgroup=name,
            showlegend=False,
            hoverinfo="skip",
        ),
        go.Scatter(
            x=list(x),
            y=[at.value for at in y],
            mode="lines" if symbol is None else "lines+markers",
            name=name,
            legendgroup=name,
            line=line,
            marker={"size": 8, "symbol": symbol or "circle"},
            customdata=[decimal(at) for at in y],
            hovertemplate=f"{name}<br>%{{x:,}} labels<br>%{{customdata}}<extra></extra>",
        ),
    ]
