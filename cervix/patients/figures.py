"""Plotly figures of one patient's explanation."""

import plotly.graph_objects as go

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
