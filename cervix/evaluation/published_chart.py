"""Published risks of real women against the model's, history by history, on two logarithmic axes."""

from itertools import product

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from cervix.bundle.published_risks import COLPOSCOPY, CURRENT, NEGATIVE_ROUND, SURVEILLANCE, TREATMENT
from cervix.evaluation.charts import BLUE, GREY, VERMILLION
from cervix.evaluation.curves import GREEN
from cervix.evaluation.published import NEAR, share
from cervix.evaluation.published_tables import cells_table

HEIGHT = 560
CLEAR, FAINT = 0.9, 0.3
MARKS = {
    CURRENT: (GREY, "circle"), NEGATIVE_ROUND: (BLUE, "square"), SURVEILLANCE: (VERMILLION, "diamond"),
    COLPOSCOPY: (GREEN, "triangle-up"), TREATMENT: ("#CC79A7", "cross"),
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
    figure = go.Figure(_band(floor))
    for kind, guides, scored in product(MARKS, (False, True), (True, False)):
        some = cells[(cells["kind"] == kind) & (cells["guides"] == guides) & (cells["scored"] == scored)]
        if len(some):
            figure.add_trace(_points(some, floor, kind, kind not in {trace.name for trace in figure.data}))
    for words, (symbol, opacity) in KEYS.items():
        mark = {"color": GREY, "symbol": symbol, "size": 9}
        figure.add_scatter(x=[None], y=[None], mode="markers", name=words, opacity=opacity, marker=mark)
    for draw, risks in ((figure.add_vline, cells["published"]), (figure.add_hline, cells["model"])):
        if (risks <= floor).any():
            draw(floor, line={"color": GREY, "dash": "dot", "width": 1})
    return _laid_out(figure, floor)


def floor_of(cells: pd.DataFrame) -> float:
    """The power of ten below every scored risk: 0, and what is smaller, has no better place on a logarithmic axis."""
    known = cells.loc[cells["scored"], "published"]
    smallest = float(known.min()) if len(known) else 0.01
    return float(10.0 ** np.floor(np.log10(smallest)))


def _band(floor: float) -> list[go.Scatter]:
    ends = np.array([floor / NEAR, NEAR])
    return [
        go.Scatter(
            x=[*ends, *ends[::-1]], y=[*ends / NEAR, *ends[::-1] * NEAR], fill="toself", mode="none",
            fillcolor="rgba(118,118,118,0.15)", name=f"within ×{NEAR:g}", hoverinfo="skip",
        ),
        go.Scatter(
            x=ends, y=ends, mode="lines", line={"color": GREY, "dash": "dot"}, name="as published", hoverinfo="skip"
        ),
    ]  # fmt: skip


def _points(cells: pd.DataFrame, floor: float, kind: str, shown: bool) -> go.Scatter:
    """Cells of one kind, alike in whether they guided the simulator and whether they are scored."""
    (colour, symbol), first = MARKS[kind], cells.iloc[0]
    at = cells["published"].clip(lower=floor)
    bars = {"array": cells["high"] - at, "arrayminus": at - cells["low"].clip(lower=floor)} if first["scored"] else {}
    return go.Scatter(
        x=at,
        y=cells["model"].clip(lower=floor),
        error_x={"symmetric": False, "color": colour, "thickness": 0.8, "width": 0, **bars} if bars else None,
        mode="markers",
        name=kind,
        legendgroup=kind,
        showlegend=shown,
        opacity=CLEAR if first["scored"] else FAINT,
        marker={"color": colour, "symbol": f"{symbol}-open" if first["guides"] else symbol, "size": 9},
        cliponaxis=False,
        customdata=cells_table(cells),
        hovertemplate=(
            "%{customdata[0]}<br>published %{customdata[2]}<br>model %{customdata[3]}<br>%{customdata[1]} women; guided the "
            "simulator: %{customdata[5]}<extra></extra>"
        ),
    )


def _laid_out(figure: go.Figure, floor: float) -> go.Figure:
    decades = [10.0**power for power in range(round(np.log10(floor)), 1)]
    words = [share(decade) for decade in decades]
    axis = {
        "type": "log", "range": [np.log10(floor / 1.4), 0.05], "tickvals": decades,
        "ticktext": [f"≤ {words[0]}", *words[1:]],
    }  # fmt: skip
    figure.update_layout(
        xaxis=axis | {"title": "Published"},
        yaxis=axis | {"title": "Model"},
        height=HEIGHT,
        margin={"l": 10, "r": 10, "t": 10, "b": 10},
        legend={"orientation": "h", "x": 0, "y": -0.17, "yanchor": "top"},
    )
    return figure
