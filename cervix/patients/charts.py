"""Plotly charts of one patient."""

import textwrap
from collections.abc import Sequence

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from numpy.typing import NDArray
from plotly.subplots import make_subplots

from cervix.patients.explanation import Explanation
from cervix.patients.sequences import TIME_YEARS
from cervix.patients.visit_vocabulary import AGE, VISIT_COLUMNS, VISIT_DATE

RAISES, LOWERS = "#D55E00", "#0072B2"
BARS_SHOWN = 12
ROW_NAME_WIDTH = 24


def contribution_figure(explanation: Explanation) -> go.Figure:
    """The largest contributions to one risk as bars: right raises it, left lowers it; the rest in one bar."""
    steps = explanation.steps(BARS_SHOWN)
    labels, amounts = [label for label, _ in steps], [amount for _, amount in steps]
    figure = go.Figure(
        go.Bar(
            x=amounts,
            y=list(range(len(labels))),
            orientation="h",
            marker_color=[RAISES if amount > 0 else LOWERS for amount in amounts],
            text=[f"{amount * 100:+.2f}" for amount in amounts],
            textposition="outside",
            cliponaxis=False,
            customdata=labels,
            hovertemplate="%{customdata}<br>%{x:+.4f} in risk<extra></extra>",
        )
    )
    reach = max((abs(amount) for amount in amounts), default=0.01) * 1.35 or 0.01
    _name_rows(figure, labels)
    figure.update_xaxes(title="Change in risk (points on the bars)", range=[-reach, reach], tickformat="+.1%", nticks=5)
    figure.update_layout(height=110 + 38 * len(amounts), margin={"l": 10, "r": 10, "t": 10, "b": 10})
    return figure


def _name_rows(figure: go.Figure, rows: Sequence[str]) -> None:
    """Name rows 0, 1, … from above, each on at most two short lines, so that a phone has room for the bars."""
    figure.update_yaxes(
        tickvals=list(range(len(rows))),
        ticktext=["<br>".join(_two_lines(row)) for row in rows],
        autorange="reversed",
        automargin=True,
        tickfont={"size": 11},
    )


def _two_lines(row: str) -> list[str]:
    lines = textwrap.wrap(row, ROW_NAME_WIDTH, break_on_hyphens=False)
    return lines if len(lines) <= 2 else [lines[0], f"{lines[1][: ROW_NAME_WIDTH - 2]} …"]


LANES = ("cytology", "hpv_result", "dual_stain", "colposcopy", "histology", "treatment")
# By ``Severity``.
SEVERITY_MARKS = (("circle-open", LOWERS), ("diamond", "#E69F00"), ("square", RAISES))
SEVERITY_TITLES = ("normal or negative", "low-grade", "high-grade or positive")


def course_figure(
    visits: pd.DataFrame,
    rows: NDArray[np.int64],
    risk: NDArray[np.float32],
    band: tuple[NDArray[np.float32], NDArray[np.float32]],
    title: str,
    threshold: float,
) -> go.Figure:
    """What was found at each visit, in lanes, above the risk after each step of the model with the networks' range.

    Parameters
    ----------
    visits : DataFrame
        One woman's rows of ``VisitTable.frame``.
    rows : (steps,)
        The last of these visits that is in each step.
    risk, band : (steps,) in 0..1
        The ensemble's answer; the lowest and the highest of its networks.
    """
    dated = visits[VISIT_DATE].notna().all()
    moments = visits[VISIT_DATE] if dated else visits[AGE]
    told = [name for name in LANES if visits[name].notna().any()]
    figure = make_subplots(
        rows=2, cols=1, shared_xaxes=True, vertical_spacing=0.06, row_heights=[0.12 * max(1, len(told)), 0.55]
    )
    figure.add_traces(_lanes(visits, moments, told), rows=1, cols=1)
    after = moments.iloc[rows]
    low, high = band
    edge = {"shape": "hv", "width": 0}
    figure.add_trace(go.Scatter(x=after, y=low, line=edge, mode="lines", showlegend=False, hoverinfo="skip"), row=2, col=1)
    figure.add_trace(
        go.Scatter(
            x=after,
            y=high,
            line=edge,
            mode="lines",
            fill="tonexty",
            fillcolor="rgba(0,114,178,0.15)",
            name="range over the networks of the ensemble",
            hoverinfo="skip",
        ),
        row=2,
        col=1,
    )
    figure.add_trace(
        go.Scatter(
            x=after,
            y=risk,
            mode="lines+markers",
            line={"color": LOWERS, "shape": "hv"},
            marker={"size": 9},
            name=title,
            hovertemplate="%{x}<br>%{y:.2%}<extra></extra>",
        ),
        row=2,
        col=1,
    )
    figure.add_hline(
        threshold, line={"dash": "dash", "color": RAISES}, annotation_text=f"threshold {threshold:.1%}", row=2, col=1
    )
    figure.update_yaxes(_lane_axis(told), row=1, col=1)
    figure.update_yaxes(title="Risk", tickformat=".1%", rangemode="tozero", automargin=True, row=2, col=1)
    figure.update_xaxes(title=None if dated else "Age (years)", row=2, col=1)
    if moments.nunique() == 1:
        # Of one moment an axis would show fractions of a second.
        figure.update_xaxes(_axis_of_one_day(moments) if dated else _axis_of_one_age(moments))
    figure.update_layout(
        height=230 + 46 * len(told),
        margin={"l": 10, "r": 10, "t": 30, "b": 10},
        legend={"orientation": "h", "y": -0.12, "font": {"size": 11}},
    )
    return figure


def _axis_of_one_day(days: pd.Series) -> dict[str, object]:
    day = days.to_numpy("datetime64[D]")[0]
    around = np.timedelta64(183, "D")
    return {"range": [str(day - around), str(day + around)], "tickvals": [str(day)], "tickformat": "%Y-%m-%d"}


def _axis_of_one_age(ages: pd.Series) -> dict[str, object]:
    age = float(ages.to_numpy(np.float64)[0])
    return {"range": [age - 1, age + 1], "tickvals": [age]}


def timeline_figure(visits: pd.DataFrame, after: pd.DataFrame | None = None, *, years: int = 0) -> go.Figure:
    """What was found at each visit, in lanes by her age, and nothing that a model makes of it.

    Parameters
    ----------
    visits : DataFrame
        One woman's rows of ``cervix.labels.gathering.women.visits_frame``: ages and times, no dates.
    after : DataFrame, optional
        Likewise of what came afterwards: set apart by a line and a ground of its own.
    years : int
        So many years after the last of her visits there is another line; 0 for none.
    """
    every = visits if after is None else pd.concat([visits, after], ignore_index=True)
    time = every[TIME_YEARS]
    start = float((every[AGE].astype(np.float64) - time).median())
    # Ages are whole years; the time between visits is known to the day.
    moments = time if np.isnan(start) else time + start
    told = [name for name in LANES if every[name].notna().any()]
    figure = go.Figure(_lanes(every, moments, told))
    figure.update_yaxes(_lane_axis(told))
    reach = max(0.5, 0.06 * float(moments.iloc[-1] - moments.iloc[0]))
    figure.update_xaxes(
        title="Years since her first visit" if np.isnan(start) else "Age (years)",
        range=[moments.iloc[0] - reach, moments.iloc[-1] + reach],
    )
    if after is not None and len(after):
        asked, following = (float(moments.iloc[at]) for at in (len(visits) - 1, len(visits)))
        line = asked + min(reach / 2, (following - asked) / 2)
        end = float(moments.iloc[-1]) + reach
        figure.add_vrect(x0=line, x1=end, fillcolor="rgba(127,127,127,0.1)", line_width=0, layer="below")
        marks = [(line, "asked here", "dot")]
        if years and asked + years < end:
            marks.append((asked + years, f"{years} years later", "dash"))
        for at, words, dash in marks:
            figure.add_vline(x=at, line={"width": 2, "dash": dash, "color": "#7F7F7F"})
            figure.add_annotation(x=at, y=0, yref="paper", yanchor="bottom", xanchor="left", text=words, showarrow=False)
    figure.update_layout(
        height=150 + 56 * max(1, len(told)),
        margin={"l": 10, "r": 10, "t": 30, "b": 10},
        legend={"orientation": "h", "y": 1.02, "yanchor": "bottom", "font": {"size": 11}},
    )
    return figure


def _lanes(visits: pd.DataFrame, moments: pd.Series, told: list[str]) -> list[go.Scatter]:
    traces = []
    for severity, (symbol, colour) in enumerate(SEVERITY_MARKS):
        at, lanes, codes = _marks(visits, moments, told, severity)
        traces.append(
            go.Scatter(
                x=at,
                y=lanes,
                text=codes,
                mode="markers+text",
                textposition="top center",
                cliponaxis=False,
                marker={"symbol": symbol, "size": 11, "color": colour, "line": {"width": 2, "color": colour}},
                name=SEVERITY_TITLES[severity],
                hovertemplate="%{y}: %{text}<br>%{x}<extra></extra>",
            )
        )
    return traces


def _lane_axis(told: list[str]) -> dict[str, object]:
    labels = [VISIT_COLUMNS[name].label for name in told]
    return {
        "categoryorder": "array",
        "categoryarray": labels[::-1],
        "automargin": True,
        "range": [-0.5, len(told) - 0.2],
    }


def _marks(
    visits: pd.DataFrame, moments: pd.Series, lanes: list[str], severity: int
) -> tuple[list[object], list[str], list[str]]:
    found = [
        (moment, VISIT_COLUMNS[name].label, str(code))
        for name in lanes
        for moment, code in zip(moments, visits[name], strict=True)
        if isinstance(code, str) and VISIT_COLUMNS[name].entry(code).severity == severity
    ]
    return [item[0] for item in found], [item[1] for item in found], [item[2] for item in found]


def waterfall_figure(
    reference: float, labels: list[str], contributions: NDArray[np.float64], risk: float, *, start: str
) -> go.Figure:
    """From the risk of ``start``, with nothing else known, step by step to the risk given."""
    rows = [start, *labels, "Her risk"]
    figure = go.Figure(
        go.Waterfall(
            orientation="h",
            measure=["absolute", *["relative"] * len(labels), "total"],
            y=list(range(len(rows))),
            x=[reference, *contributions, 0.0],
            text=[f"{reference:.2%}", *(f"{amount * 100:+.2f}" for amount in contributions), f"{risk:.2%}"],
            textposition="outside",
            increasing={"marker": {"color": RAISES}},
            decreasing={"marker": {"color": LOWERS}},
            totals={"marker": {"color": "#5B6B73"}},
            connector={"line": {"color": "#C5D3D6"}},
            cliponaxis=False,
            customdata=rows,
            hovertemplate="%{customdata}<br>%{x:+.4f}<extra></extra>",
        )
    )
    _name_rows(figure, rows)
    figure.update_xaxes(title="Risk (points on the bars)", tickformat=".0%", rangemode="tozero", nticks=5, tickangle=0)
    figure.update_layout(height=130 + 38 * len(labels), margin={"l": 10, "r": 40, "t": 10, "b": 10}, showlegend=False)
    return figure
