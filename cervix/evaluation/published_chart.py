"""Published risks of real women against the model's, history by history, on two logarithmic axes."""

from itertools import product

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from cervix.bundle.published_risks import COLPOSCOPY, CURRENT, NEGATIVE_ROUND, SURVEILLANCE, TREATMENT
from cervix.evaluation.charts import BLUE, GREY, VERMILLION
from cervix.evaluation.published import NEAR
from cervix.evaluation.published_tables import cells_table

HEIGHT = 560
FAINT, CLEAR = 0.3, 0.9
MARKS = {
    CURRENT: (GREY, "circle"), NEGATIVE_ROUND: (BLUE, "square"), SURVEILLANCE: (VERMILLION, "diamond"),
    COLPOSCOPY: ("#009E73", "triangle-up"), TREATMENT: ("#CC79A7", "cross"),
}  # fmt: skip
"""Colour (Okabe and Ito's) and symbol of each kind of history."""
KEYS = {"open: guided the simulator": ("circle-open", CLEAR), "faint: too few women to count": ("circle", FAINT)}


def published_figure(cells: pd.DataFrame) -> go.Figure:
    """Published risk with its interval against the model's; the diagonal, and the band within a factor of ``NEAR``.

    What is 0 has no place on such an axis: it stands at the edge, half as far from 0 as the smallest risk, under the tick 0.

    Parameters
    ----------
    cells : as ``cells_of``; at least one with a risk above 0
    """
    risks = cells[["published", "low", "high", "model"]].to_numpy(float)
    edge = float(risks[risks > 0].min()) / 2
    figure = go.Figure(_band(edge))
    for kind, guides, scored in product(MARKS, (False, True), (True, False)):
        some = cells[(cells["kind"] == kind) & (cells["guides"] == guides) & (cells["scored"] == scored)]
        if len(some):
            shown = kind not in {trace.name for trace in figure.data}
            figure.add_trace(_points(some, edge, kind, shown).update(opacity=CLEAR if scored else FAINT))
    for words, (symbol, opacity) in KEYS.items():
        figure.add_scatter(
            x=[None], y=[None], mode="markers", name=words, opacity=opacity, marker={"color": GREY, "symbol": symbol, "size": 9}
        )
    for add_line, zeros in ((figure.add_vline, cells["published"] == 0), (figure.add_hline, cells["model"] == 0)):
        if zeros.any():
            add_line(**{"x" if add_line == figure.add_vline else "y": edge}, line={"color": GREY, "dash": "dot", "width": 1})
    return _laid_out(figure, edge)


def _band(edge: float) -> list[go.Scatter]:
    ends = np.array([edge / NEAR, NEAR])
    return [
        go.Scatter(
            x=[*ends, *ends[::-1]], y=[*ends / NEAR, *ends[::-1] * NEAR], fill="toself", mode="none",
            fillcolor="rgba(118,118,118,0.15)", name=f"within {NEAR:g} times", hoverinfo="skip",
        ),
        go.Scatter(
            x=ends, y=ends, mode="lines", line={"color": GREY, "dash": "dot"}, name="as published", hoverinfo="skip"
        ),
    ]  # fmt: skip


def _points(cells: pd.DataFrame, edge: float, kind: str, shown: bool) -> go.Scatter:
    colour, symbol = MARKS[kind]
    guides = bool(cells["guides"].iloc[0])
    at = cells["published"].clip(lower=edge)
    return go.Scatter(
        x=at,
        y=cells["model"].clip(lower=edge),
        error_x={
            "symmetric": False,
            "array": (cells["high"] - at).clip(lower=0).fillna(0),
            "arrayminus": (at - cells["low"].clip(lower=edge)).clip(lower=0).fillna(0),
            "color": colour,
            "thickness": 0.8,
            "width": 0,
        },
        mode="markers",
        name=kind,
        legendgroup=kind,
        showlegend=shown,
        marker={"color": colour, "symbol": f"{symbol}-open" if guides else symbol, "size": 9, "line": {"width": 1.6 * guides}},
        customdata=cells_table(cells),
        hovertemplate=(
            "%{customdata[0]}<br>published %{customdata[2]}<br>model %{customdata[3]}<br>%{customdata[1]} women; guided the "
            "simulator: %{customdata[5]}<extra></extra>"
        ),
    )


def _laid_out(figure: go.Figure, edge: float) -> go.Figure:
    decades = 10.0 ** np.arange(np.ceil(np.log10(edge * 1.3)), 1)
    axis = {
        "type": "log", "range": [np.log10(edge * 0.8), 0.05], "tickvals": [edge, *decades],
        "ticktext": ["0", *(f"{100 * decade:g} %" for decade in decades)],
    }  # fmt: skip
    figure.update_layout(
        xaxis=axis | {"title": "Published"},
        yaxis=axis | {"title": "Model"},
        height=HEIGHT,
        margin={"l": 10, "r": 10, "t": 10, "b": 10},
        legend={"orientation": "h", "x": 0, "y": -0.14, "yanchor": "top"},
    )
    return figure
