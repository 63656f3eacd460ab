"""Plotly figures of held-out performance. Colours are Okabe & Ito's; nothing is told by colour alone."""

import textwrap

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from sklearn.metrics import roc_curve

from cervix.evaluation.heldout import TaskScores
from cervix.evaluation.metrics import Interval

BLUE, VERMILLION, GREY = "#0072B2", "#D55E00", "#767676"
FIGURE_HEIGHT = 380
LABEL_WIDTH = 16


def confusion_figure(counts: pd.DataFrame, titles: dict[str, str]) -> go.Figure:
    """Confusion matrix with counts and row rates; truth in rows, call in columns."""
    rates = counts.div(counts.sum(axis=1).replace(0, np.nan), axis=0)
    values, shares = counts.to_numpy(int), rates.to_numpy(float)
    text = [
        [f"<b>{int(values[i, j]):,}</b><br>{float(shares[i, j]):.1%}" for j in range(counts.shape[1])]
        for i in range(counts.shape[0])
    ]
    figure = go.Figure(
        go.Heatmap(
            z=shares,
            x=[_wrapped(titles.get(str(label), str(label))) for label in counts.columns],
            y=[_wrapped(titles.get(str(label), str(label))) for label in counts.index],
            text=text,
            texttemplate="%{text}",
            hovertemplate="Truth %{y}<br>Called %{x}<br>%{text}<extra></extra>",
            colorscale=[[0, "#FFFFFF"], [1, BLUE]],
            zmin=0,
            zmax=1,
            showscale=False,
            xgap=2,
            ygap=2,
        )
    )
    figure.update_yaxes(autorange="reversed", title="Truth")
    figure.update_xaxes(title="Called", side="bottom")
    figure.update_layout(height=FIGURE_HEIGHT, margin={"l": 10, "r": 10, "t": 20, "b": 10})
    return figure


def _wrapped(title: str) -> str:
    """A title over several lines, so that the axis leaves room for the matrix on a phone."""
    return "<br>".join(textwrap.wrap(title, LABEL_WIDTH, break_on_hyphens=False))


def roc_figure(scores: TaskScores, auroc: Interval, threshold: float) -> go.Figure:
    """ROC curve with its area and interval, and the working point of the threshold."""
    false_positive, true_positive, _ = roc_curve(scores.positive, scores.score)
    called = scores.score >= threshold
    at = (
        (called & ~scores.positive).sum() / (~scores.positive).sum(),
        (called & scores.positive).sum() / scores.positive.sum(),
    )
    figure = go.Figure(
        [
            go.Scatter(
                x=false_positive, y=true_positive, mode="lines", line={"color": BLUE, "width": 3}, name="This model",
                hovertemplate="1 − specificity %{x:.3f}<br>sensitivity %{y:.3f}<extra></extra>",
            ),
            go.Scatter(
                x=[0, 1], y=[0, 1], mode="lines", line={"color": GREY, "dash": "dot"}, name="Chance", hoverinfo="skip"
            ),
            go.Scatter(
                x=[at[0]], y=[at[1]], mode="markers", marker={"color": VERMILLION, "size": 12, "symbol": "diamond"},
                name=f"At threshold {threshold:.2f}",
                hovertemplate="1 − specificity %{x:.3f}<br>sensitivity %{y:.3f}<extra></extra>",
            ),
        ]
    )  # fmt: skip
    figure.update_layout(
        title={
            "text": f"AUROC {auroc.value:.3f} (95 % interval {auroc.low:.3f}–{auroc.high:.3f})",
            "font": {"size": 15},
        },
        xaxis={"title": "1 − specificity", "range": [-0.02, 1.02]},
        yaxis={"title": "Sensitivity", "range": [-0.02, 1.02]},
        legend={
            "x": 0.98,
            "y": 0.05,
            "xanchor": "right",
            "yanchor": "bottom",
            "bgcolor": "rgba(255,255,255,0.8)",
        },
        height=FIGURE_HEIGHT,
        margin={"l": 10, "r": 10, "t": 50, "b": 10},
    )
    return figure


def binary_counts(scores: TaskScores, threshold: float, positive: str, negative: str) -> pd.DataFrame:
    """Two-by-two counts, truth in rows and call in columns."""
    called = scores.score >= threshold
    return pd.DataFrame(
        [
            [int((~scores.positive & ~called).sum()), int((~scores.positive & called).sum())],
            [int((scores.positive & ~called).sum()), int((scores.positive & called).sum())],
        ],
        index=[negative, positive],
        columns=[negative, positive],
    )
