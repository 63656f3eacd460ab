"""Plotly charts of held-out performance."""

import textwrap

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from cervix.chart_template import BLUE, GREY, LEGEND_ABOVE, VERMILLION, error_bars, laid_out
from cervix.evaluation.comparison import parsed_decimal, signed
from cervix.evaluation.metrics import METRICS, Cells
from cervix.intervals import Interval

CELL = "#7CC4EE"
"""Of a full cell: black on it has 10:1."""
LABEL_WIDTH = 16
PROTOCOL_WIDTH = 30


def confusion_figure(counts: pd.DataFrame, titles: dict[str, str]) -> go.Figure:
    """Confusion matrix with counts, shares of the row and of the column; truth in rows, the model's answer in columns."""
    values = counts.to_numpy(float)
    of_row, of_column = (
        np.divide(values, total, out=np.full_like(values, np.nan), where=total > 0)
        for total in (values.sum(axis=1, keepdims=True), values.sum(axis=0, keepdims=True))
    )
    text = [
        [
            f"<b>{int(values[i, j]):,}</b><br>{_share(of_row[i, j])} of row<br>{_share(of_column[i, j])} of column"
            for j in range(counts.shape[1])
        ]
        for i in range(counts.shape[0])
    ]
    figure = go.Figure(
        go.Heatmap(
            z=of_row,
            x=[wrapped(titles.get(str(label), str(label))) for label in counts.columns],
            y=[wrapped(titles.get(str(label), str(label))) for label in counts.index],
            text=text,
            texttemplate="%{text}",
            hovertemplate="Truth: %{y}<br>The model says: %{x}<br>%{text}<extra></extra>",
            colorscale=[[0, "#FFFFFF"], [1, CELL]],
            textfont={"color": "#000000"},
            zmin=0,
            zmax=1,
            showscale=False,
            xgap=2,
            ygap=2,
        )
    )
    figure.update_yaxes(autorange="reversed", title="Truth")
    figure.update_xaxes(title="The model says", side="bottom")
    return laid_out(figure)


def _share(value: float) -> str:
    return "–" if np.isnan(value) else f"{value:.1%}"


def wrapped(title: str, width: int = LABEL_WIDTH) -> str:
    """A title over several lines, so that the axis leaves room for the figure on a phone."""
    return "<br>".join(textwrap.wrap(title, width, break_on_hyphens=False))


def decision_counts(counts: Cells, positive: str, negative: str) -> pd.DataFrame:
    """Two-by-two counts, truth in rows and the model's answer in columns."""
    return pd.DataFrame(
        [[counts.true_negative, counts.false_positive], [counts.false_negative, counts.true_positive]],
        index=[negative, positive],
        columns=[negative, positive],
    )


def leakage_figure(table: pd.DataFrame, height_px: int | None = None) -> go.Figure:
    """AUROC of each protocol with its interval, the honest apart from the leaky by colour and by sign.

    Parameters
    ----------
    table : DataFrame
        Training's table of protocols, as text: ``protocol, leaked, AUROC`` among its columns.
    """
    figure = go.Figure()
    for name, leaked, colour, symbol in (("honest", False, BLUE, "circle"), ("leaky", True, VERMILLION, "x")):
        rows = table[(table["leaked"] != "no") == leaked]
        values = [parsed_decimal(text) for text in rows["AUROC"]]
        figure.add_scatter(
            x=[value.value for value in values],
            y=[wrapped(protocol, PROTOCOL_WIDTH) for protocol in rows["protocol"]],
            error_x=error_bars(values, color=colour),
            mode="markers",
            marker={"color": colour, "symbol": symbol, "size": 11},
            name=name,
            hovertemplate="%{y}<br>AUROC %{x:.3f}<extra></extra>",
        )
    order = [wrapped(protocol, PROTOCOL_WIDTH) for protocol in table["protocol"]]
    figure.update_yaxes(categoryorder="array", categoryarray=order[::-1])
    figure.update_xaxes(title="AUROC", range=[0.45, 1.02])
    return laid_out(figure, height_px or 90 + 56 * len(table), legend=LEGEND_ABOVE)


def differences_figure(differences: dict[str, Interval], margins: dict[str, float]) -> go.Figure:
    """Candidate minus active of every metric with its interval, and the loss that a rule allows as a bar on its row.

    Parameters
    ----------
    differences : metric -> Interval
    margins : metric -> lowest difference allowed (negative), or the highest (positive) where less is better
    """
    names = [name for name in METRICS if name in differences]
    titles = [wrapped(METRICS[name].title) for name in names]
    shown = [differences[name] for name in names]
    limited = [(title, margins[name]) for title, name in zip(titles, names, strict=True) if name in margins]
    figure = go.Figure(
        [
            go.Scatter(
                x=[difference.value for difference in shown],
                y=titles,
                mode="markers",
                name="Candidate minus active",
                marker={"color": BLUE, "size": 10},
                error_x=error_bars(shown, color=BLUE),
                customdata=[signed(difference) for difference in shown],
                hovertemplate="%{y}<br>%{customdata}<extra></extra>",
            ),
            go.Scatter(
                x=[limit for _, limit in limited],
                y=[title for title, _ in limited],
                mode="markers",
                name="Limit of the rule",
                marker={"color": VERMILLION, "symbol": "line-ns", "size": 22, "line": {"width": 3, "color": VERMILLION}},
                hovertemplate="%{y}<br>may reach %{x:+.2f}<extra></extra>",
            ),
        ]
    )
    figure.add_vline(x=0, line={"color": GREY, "dash": "dot"})
    figure.update_yaxes(autorange="reversed", automargin=True)
    figure.update_xaxes(title="Difference", tickformat="+.3f", nticks=6)
    return laid_out(figure)
