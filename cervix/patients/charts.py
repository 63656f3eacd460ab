"""Plotly charts of one patient."""

import textwrap
from collections.abc import Sequence

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from numpy.typing import NDArray
from plotly.subplots import make_subplots

from cervix.chart_template import BLUE, LEGEND_ABOVE, ORANGE, VERMILLION, laid_out
from cervix.patients.explanation import Explanation
from cervix.patients.hpv import HPV_16, HPV_18, HPV_ANY
from cervix.patients.sequences import TIME_YEARS
from cervix.patients.visit_vocabulary import AGE, VISIT_COLUMNS, VISIT_DATE

RAISES, LOWERS = VERMILLION, BLUE
SMALL = {"size": 11}
BARS_SHOWN = 12
ROUNDING = 1e-6
# Of risk: what lies beyond the ends of an axis by less than this is not cut off.
SEEN = 0.02
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
            text=[f"{amount * 100:+.1f}" for amount in amounts],
            textposition="outside",
            cliponaxis=False,
            customdata=labels,
            hovertemplate="%{customdata}<br>%{x:+.1%}<extra></extra>",
        )
    )
    reach = max((abs(amount) for amount in amounts), default=0.01) * 1.35 or 0.01
    _name_rows(figure, labels)
    figure.update_xaxes(title="Change in risk (points on the bars)", range=[-reach, reach], tickformat="+.1%", nticks=5)
    return laid_out(figure, 110 + 38 * len(amounts))


def _name_rows(figure: go.Figure, rows: Sequence[str]) -> None:
    """Name rows 0, 1, … from above, each on at most two short lines, so that a phone has room for the bars."""
    figure.update_yaxes(
        tickvals=list(range(len(rows))),
        ticktext=["<br>".join(_two_lines(row)) for row in rows],
        autorange="reversed",
        automargin=True,
        tickfont=SMALL,
    )


def _two_lines(row: str) -> list[str]:
    lines = textwrap.wrap(row, ROW_NAME_WIDTH, break_on_hyphens=False)
    return lines if len(lines) <= 2 else [lines[0], f"{lines[1][: ROW_NAME_WIDTH - 2]} …"]


LANES = ("cytology", "hpv_result", "dual_stain", "colposcopy", "histology", "treatment")
LANE_PX, RISK_PX = 34, 190
# Upper ends of the linear axis of risk.
TOPS = (0.02, 0.05, 0.1, 0.2, 0.5, 1.0)
HEADROOM = 1.12
LEAST_DRAWN = 1e-4
# Of the width: so far apart two words of a chart do not run into each other.
APART = 0.09
# By ``Severity``.
SEVERITY_MARKS = (("circle-open", LOWERS), ("diamond", ORANGE), ("square", RAISES))
SEVERITY_TITLES = ("normal or negative", "low-grade", "high-grade or positive")


def course_figure(
    visits: pd.DataFrame,
    rows: NDArray[np.int64],
    risk: NDArray[np.float32],
    band: tuple[NDArray[np.float32], NDArray[np.float32]] | None,
    title: str,
    threshold: float,
    *,
    logarithmic: bool = False,
) -> go.Figure:
    """What was found at each visit, in lanes, above the risk after each step of the model with the range of the ensemble.

    Parameters
    ----------
    visits : DataFrame
        One woman's rows of ``VisitTable.frame``.
    rows : (steps,)
        The last of these visits that is in each step.
    risk, band : (steps,) in 0..1
        The model's answer; the lowest and the highest of an ensemble's models, None where it is none.
    logarithmic : bool
        From 0.01 % to 100 % for every woman, each factor of ten as high as the next. Else from 0 to the lowest of ``TOPS``
        that holds all of her course and the threshold.
    """
    dated = visits[VISIT_DATE].notna().all()
    moments = visits[VISIT_DATE] if dated else visits[AGE]
    told = [name for name in LANES if visits[name].notna().any()]
    lanes_px, margins_px = LANE_PX * max(1, len(told)), 88
    figure = make_subplots(rows=2, cols=1, shared_xaxes=True, vertical_spacing=0.07, row_heights=[lanes_px, RISK_PX])
    figure.add_traces(_lanes(visits, moments, told), rows=1, cols=1)
    after = moments.iloc[rows]
    shown = risk.clip(LEAST_DRAWN) if logarithmic else risk
    highest = max(float(risk.max()), threshold)
    if band is not None:
        highest = max(highest, float(band[1].max()))
        low, high = (edge.clip(LEAST_DRAWN) if logarithmic else edge for edge in band)
        figure.add_traces(_range(after, low, high), rows=2, cols=1)
    figure.add_trace(
        go.Scatter(
            x=after,
            y=shown,
            mode="lines+markers+text",
            line={"color": LOWERS, "shape": "hv", "width": 3},
            marker={"size": 9},
            name=title,
            text=_told_of(risk, after),
            textposition="top center",
            cliponaxis=False,
            customdata=risk,
            hovertemplate="%{x}<br>%{customdata:.1%}<extra></extra>",
        ),
        row=2,
        col=1,
    )
    figure.add_hline(
        threshold,
        line={"dash": "dash", "color": RAISES, "width": 1.5},
        name=f"threshold {threshold * 100:.1f} %",
        showlegend=True,
        row=2,
        col=1,
    )
    figure.update_yaxes(_lane_axis(told), row=1, col=1)
    top = next((top for top in TOPS if highest <= top), 1.0)
    figure.update_yaxes(_log_axis() if logarithmic else _linear_axis(top), title="Risk", automargin=True, row=2, col=1)
    figure.update_xaxes(title=None if dated else "Age (years)", row=2, col=1)
    if moments.nunique() == 1:
        # Of one moment an axis would show fractions of a second.
        figure.update_xaxes(_axis_of_one_day(moments) if dated else _axis_of_one_age(moments))
    return laid_out(
        figure,
        lanes_px + RISK_PX + margins_px,
        margin={"t": 22},
        legend={"yref": "container", "y": 0, "yanchor": "bottom", "font": SMALL},
    )


def _range(after: pd.Series, low: NDArray[np.float32], high: NDArray[np.float32]) -> list[go.Scatter]:
    """The range of an ensemble as a band."""
    edge = {"shape": "hv", "width": 0}
    return [
        go.Scatter(x=after, y=low, line=edge, mode="lines", showlegend=False, hoverinfo="skip"),
        go.Scatter(
            x=after,
            y=high,
            line=edge,
            mode="lines",
            fill="tonexty",
            fillcolor="rgba(0,114,178,0.2)",
            name="range of the models",
            hoverinfo="skip",
        ),
    ]


def findings_figure(visits: pd.DataFrame) -> go.Figure:
    """The lanes of ``course_figure`` alone, for a woman without a risk."""
    dated = visits[VISIT_DATE].notna().all()
    moments = visits[VISIT_DATE] if dated else visits[AGE]
    told = [name for name in LANES if visits[name].notna().any()]
    figure = go.Figure(_lanes(visits, moments, told))
    figure.update_yaxes(_lane_axis(told))
    figure.update_xaxes(title=None if dated else "Age (years)")
    if moments.nunique() == 1:
        figure.update_xaxes(_axis_of_one_day(moments) if dated else _axis_of_one_age(moments))
    return laid_out(figure, LANE_PX * max(1, len(told)) + 92, margin={"t": 22}, legend={"font": SMALL})


def _told_of(risk: NDArray[np.float32], moments: pd.Series) -> list[str]:
    """The risk beside each point, from the last one back wherever there is room."""
    room = _apart(moments)
    return [f"{value * 100:.1f} %" if told else "" for value, told in zip(risk, room, strict=True)]


def _apart(moments: pd.Series) -> list[bool]:
    """Of moments in order, which may be written on beside each other: the last, and before it what is far enough away."""
    span = moments.iloc[-1] - moments.iloc[0]
    kept: list[bool] = []
    last = None
    for moment in moments.iloc[::-1]:
        kept.append(last is None or not span or (last - moment) / span >= APART)
        last = moment if kept[-1] else last
    return kept[::-1]


def _linear_axis(top: float) -> dict[str, object]:
    ticks = [top * part / 5 for part in range(6)]
    return {"range": [0, top * HEADROOM], "tickvals": ticks, "ticktext": [f"{tick * 100:g} %" for tick in ticks]}


def _log_axis() -> dict[str, object]:
    ticks = [LEAST_DRAWN, 0.001, 0.01, 0.1, 1.0]
    return {
        "type": "log",
        "range": [np.log10(LEAST_DRAWN), np.log10(HEADROOM) * 2],
        "tickvals": ticks,
        "ticktext": [f"{tick * 100:g} %" for tick in ticks],
    }


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
        marks = [(line, "asked here", "dot", "right")]
        if years and asked + years < end:
            marks.append((asked + years, f"{years} years later", "dash", "left"))
        # Room for the words under the lowest lane.
        figure.update_yaxes(range=[-0.9, len(told) - 0.2])
        for at, words, dash, side in marks:
            figure.add_vline(x=at, line={"width": 2, "dash": dash, "color": "#7F7F7F"})
            figure.add_annotation(x=at, y=0, yref="paper", yanchor="bottom", xanchor=side, text=words, showarrow=False)
    return laid_out(figure, 150 + 56 * max(1, len(told)), margin={"t": 30}, legend=LEGEND_ABOVE | {"font": SMALL})


def _lanes(visits: pd.DataFrame, moments: pd.Series, told: list[str]) -> list[go.Scatter]:
    traces = []
    for severity, (symbol, colour) in enumerate(SEVERITY_MARKS):
        at, lanes, codes, words = _marks(visits, moments, told, severity)
        traces.append(
            go.Scatter(
                x=at,
                y=lanes,
                text=words,
                customdata=codes,
                mode="markers+text",
                textposition="top center",
                textfont={"size": 11},
                cliponaxis=False,
                marker={"symbol": symbol, "size": 11, "color": colour, "line": {"width": 2, "color": colour}},
                name=SEVERITY_TITLES[severity],
                hovertemplate="%{y}: %{customdata}<br>%{x}<extra></extra>",
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
) -> tuple[list[object], list[str], list[str], list[str]]:
    """Of one severity: when, in which lane, what, and what of it has room to be written."""
    found = []
    for name in lanes:
        told = visits[name].notna()
        codes, own = visits.loc[told, name].astype(str), moments[told]
        for moment, code, word, room in zip(own, codes, _word(visits[told], name), _apart(own), strict=True):
            if VISIT_COLUMNS[name].entry(code).severity == severity:
                found.append((moment, VISIT_COLUMNS[name].label, code, word if room else ""))
    return [item[0] for item in found], [item[1] for item in found], [item[2] for item in found], [item[3] for item in found]


def _word(visits: pd.DataFrame, name: str) -> pd.Series:
    """The code as it is written: of a positive HPV test the type, where it is 16 or 18."""
    words = visits[name].astype(str)
    if name == HPV_ANY:
        for channel, word in ((HPV_18, "18+"), (HPV_16, "16+")):
            if channel in visits:
                words = words.mask((words == "positive") & (visits[channel] == "positive"), word)
    return words


def waterfall_figure(
    reference: float, labels: Sequence[str], contributions: NDArray[np.float64], risk: float, *, start: str
) -> go.Figure:
    """From the risk of ``start``, with nothing else known, step by step to the risk given.

    The axis ends at 0 and 100 %, also where the sum passes them on its way (``passes_the_ends``).
    """
    rows = [start, *labels, "Her risk"]
    figure = go.Figure(
        go.Waterfall(
            orientation="h",
            measure=["absolute", *["relative"] * len(labels), "total"],
            y=list(range(len(rows))),
            x=[reference, *contributions, 0.0],
            text=[f"{reference * 100:.1f} %", *(f"{amount * 100:+.1f}" for amount in contributions), f"{risk * 100:.1f} %"],
            textposition="outside",
            increasing={"marker": {"color": RAISES}},
            decreasing={"marker": {"color": LOWERS}},
            totals={"marker": {"color": "#7A8A92"}},
            connector={"line": {"color": "#8FA1A8"}},
            cliponaxis=False,
            customdata=rows,
            hovertemplate="%{customdata}<br>%{x:+.1%}<extra></extra>",
        )
    )
    _name_rows(figure, rows)
    sums = np.cumsum([reference, *contributions])
    figure.update_xaxes(title="Risk, added up from above (points on the bars)", tickformat=".0%", nticks=5, tickangle=0)
    if passes_the_ends(reference, contributions):
        # The bar alone is cut there; its text says its size.
        figure.update_xaxes(range=[0, 1])
        figure.update_traces(cliponaxis=True, textposition="auto")
    else:
        top = min(1.0 + SEEN, float(sums.max()) * 1.15)
        # Room for what is written left of a bar that lowers.
        figure.update_xaxes(range=[-0.06 * top, top])
    return laid_out(figure, 100 + 36 * len(labels), margin={"r": 50}, showlegend=False)


def passes_the_ends(reference: float, contributions: NDArray[np.float64]) -> bool:
    """Whether contributions, added up in their order, lead above 1 or below 0 on their way."""
    sums = reference + np.cumsum(contributions)
    return bool(((sums > 1 + SEEN) | (sums < -SEEN)).any())


def within_the_ends(reference: float, contributions: NDArray[np.float64]) -> NDArray[np.int64]:
    """An order in which contributions add up without leaving 0..1, as far as there is one: each time the first that fits.

    Shapley values have no order of their own, so the largest may wait for one that makes room.
    """
    left, order, total = list(range(len(contributions))), [], reference
    while left:
        fitting = [place for place in left if -ROUNDING <= total + contributions[place] <= 1 + ROUNDING]
        place = fitting[0] if fitting else min(left, key=lambda one: abs(total + contributions[one] - 0.5))
        left.remove(place)
        order.append(place)
        total += contributions[place]
    return np.array(order, np.int64)
