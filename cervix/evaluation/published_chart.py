"""Published risks of real women against the model's, history by history, on two logarithmic axes."""

from itertools import product
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from cervix.bundle.published_risks import COLPOSCOPY, CURRENT, NEGATIVE_ROUND, SURVEILLANCE, TREATMENT
from cervix.chart_template import BLUE, GREEN, GREY, PINK, VERMILLION, laid_out
from cervix.evaluation.published import NEAR, share
from cervix.evaluation.published_tables import cells_table

HEIGHT_PX = 560
CLEAR, FAINT = 0.9, 0.3
MARKS = {
    CURRENT: (GREY, "circle"), NEGATIVE_ROUND: (BLUE, "square"), SURVEILLANCE: (VERMILLION, "diamond"),
    COLPOSCOPY: (GREEN, "triangle-up"), TREATMENT: (PINK, "cross"),
}  # fmt: skip
"""Colour (Okabe and Ito's) and symbol of each kind of history."""
KEYS = {"open: guided the simulator": ("circle-open", CLEAR), "faint: does not count": ("circle", FAINT)}


def published_figure(cells: pd.DataFrame) -> go.Figure:
    """Published risk, with its interval where it is scored, against the model's; the diagonal and the band of ``NEAR``.

    Parameters
    ----------
    cells : as ``cells_of``; at least one row
    """
    floor = floor_of(cells)
    figure = go.Figure(band(floor))
    for kind, guides, scored in product(MARKS, (False, True), (True, False)):
        some = cells[(cells["kind"] == kind) & (cells["guides"] == guides) & (cells["scored"] == scored)]
        if len(some):
            colour, symbol = MARKS[kind]
            symbol = f"{symbol}-open" if guides else symbol
            opacity, first = CLEAR if scored else FAINT, kind not in {trace.name for trace in figure.data}
            figure.add_trace(points(some, floor, kind, colour, symbol, opacity=opacity, showlegend=first))
    for words, (symbol, opacity) in KEYS.items():
        mark = {"color": GREY, "symbol": symbol, "size": 9}
        figure.add_scatter(x=[None], y=[None], mode="markers", name=words, opacity=opacity, marker=mark)
    for draw, risks in ((figure.add_vline, cells["published"]), (figure.add_hline, cells["model"])):
        if (risks <= floor).any():
            draw(floor, line={"color": GREY, "dash": "dot", "width": 1})
    return laid_out(log_axes(figure, floor), HEIGHT_PX)


def floor_of(cells: pd.DataFrame) -> float:
    """The power of ten below every scored risk: 0, and what is smaller, has no better place on a logarithmic axis."""
    known = cells.loc[cells["scored"], "published"]
    smallest = float(known.min()) if len(known) else 0.01
    return float(10.0 ** np.floor(np.log10(smallest)))


def band(floor: float) -> list[go.Scatter]:
    """The band of ``NEAR`` and the diagonal."""
    ends = np.array([floor / NEAR, NEAR])
    return [
        go.Scatter(
            x=[*ends, *ends[::-1]], y=[*ends / NEAR, *ends[::-1] * NEAR], fill="toself", mode="none",
            fillcolor="rgba(128,128,128,0.18)", name=f"within ×{NEAR:g}", hoverinfo="skip",
        ),
        go.Scatter(
            x=ends, y=ends, mode="lines", line={"color": GREY, "dash": "dot"}, name="as published", hoverinfo="skip"
        ),
    ]  # fmt: skip


def points(cells: pd.DataFrame, floor: float, name: str, colour: str, symbol: str, **look: Any) -> go.Scatter:
    """Cells under one name, alike in whether they are scored: those have the interval of what is published.

    Parameters
    ----------
    look : further properties of the trace
    """
    at = cells["published"].clip(lower=floor)
    bars = {"array": cells["high"] - at, "arrayminus": at - cells["low"].clip(lower=floor)}
    shown = {"symmetric": False, "color": colour, "thickness": 0.8, "width": 0, **bars}
    return go.Scatter(
        x=at,
        y=cells["model"].clip(lower=floor),
        error_x=shown if cells.iloc[0]["scored"] else None,
        mode="markers",
        name=name,
        legendgroup=name,
        marker={"color": colour, "symbol": symbol, "size": 9},
        cliponaxis=False,
        customdata=cells_table(cells),
        hovertemplate=(
            "%{customdata[0]}<br>published %{customdata[2]}<br>model %{customdata[3]}<br>%{customdata[1]} women; guided the "
            "simulator: %{customdata[5]}<extra></extra>"
        ),
        **look,
    )


def log_axes(figure: go.Figure, floor: float) -> go.Figure:
    """Published and model's risk on logarithmic axes from ``floor`` to 1, in per cent."""
    decades = [10.0**power for power in range(round(np.log10(floor)), 1)]
    words = [share(decade) for decade in decades]
    axis = {
        "type": "log", "range": [np.log10(floor / 1.4), 0.05], "tickvals": decades,
        "ticktext": [f"≤ {words[0]}", *words[1:]],
    }  # fmt: skip
    figure.update_layout(xaxis=axis | {"title": "Published"}, yaxis=axis | {"title": "Model"})
    return figure
