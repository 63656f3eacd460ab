"""Plotly figures of one patient."""

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from numpy.typing import NDArray

from cervix.patients.explanation import Explanation
from cervix.patients.vocabulary import COLUMNS

RAISES, LOWERS = "#D55E00", "#0072B2"
BARS_SHOWN = 12


def contribution_figure(explanation: Explanation) -> go.Figure:
    """The largest contributions to one risk as bars: right raises it, left lowers it; the rest in one bar."""
    table = explanation.contributions
    labels = [
        f"{label} = {_value(name, value)}"
        for name, label, value in zip(table["feature"], table["label"], table["value"], strict=True)
    ]
    amounts = [float(amount) for amount in table["contribution"]]
    if len(amounts) > BARS_SHOWN:
        rest = sum(amounts[BARS_SHOWN - 1 :])
        labels = [*labels[: BARS_SHOWN - 1], f"{len(amounts) - BARS_SHOWN + 1} other inputs together"]
        amounts = [*amounts[: BARS_SHOWN - 1], rest]
    figure = go.Figure(
        go.Bar(
            x=amounts,
            y=labels,
            orientation="h",
            marker_color=[RAISES if amount > 0 else LOWERS for amount in amounts],
            text=[f"{amount * 100:+.2f}" for amount in amounts],
            textposition="outside",
            cliponaxis=False,
            hovertemplate="%{y}<br>%{x:+.4f} in risk<extra></extra>",
        )
    )
    reach = max((abs(amount) for amount in amounts), default=0.01) * 1.35 or 0.01
    figure.update_yaxes(autorange="reversed", automargin=True)
    figure.update_xaxes(title="Change in risk (percentage points on the bars)", range=[-reach, reach], tickformat=".1%")
    figure.update_layout(height=90 + 28 * len(amounts), margin={"l": 10, "r": 10, "t": 10, "b": 10})
    return figure


def _value(feature: str, value: float) -> str:
    if COLUMNS[feature].kind == "yes-no":
        return "yes" if value else "no"
    return f"{value:g}"


def trajectory_figure(moments: pd.Series, risk: NDArray[np.float32], title: str, threshold: float) -> go.Figure:
    """Risk as it stood after each visit, over dates or ages, with the threshold.

    Parameters
    ----------
    moments : (visits,) dates, or ages in years
    risk : (visits,) in 0..1
    """
    figure = go.Figure(
        go.Scatter(
            x=moments, y=risk, mode="lines+markers", line={"color": LOWERS, "shape": "hv"}, marker={"size": 9},
            hovertemplate="%{x}<br>%{y:.2%}<extra></extra>",
        )
    )  # fmt: skip
    figure.add_hline(threshold, line={"dash": "dash", "color": RAISES}, annotation_text=f"threshold {threshold:.1%}")
    figure.update_yaxes(title=title, tickformat=".1%", rangemode="tozero", automargin=True)
    figure.update_xaxes(title=None if pd.api.types.is_datetime64_any_dtype(moments) else "Age (years)")
    figure.update_layout(height=300, margin={"l": 10, "r": 10, "t": 20, "b": 10})
    return figure
