"""Plotly charts of one tumour: its markers against the cohort's, and what each added."""

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from cervix.bundle.classes import ClassInfo
from cervix.bundle.markers import MarkerEncoding
from cervix.chart_template import BLUE, LEGEND_ABOVE, laid_out
from cervix.molecular.answers import marker_words
from cervix.molecular.scoring import cohort_of

ROW_PX, AROUND_PX = 56, 92
APART, REACH = 0.17, 0.36
"""Of a row: how far the band of each kind lies from its middle, and how far the tumour's line reaches."""
THIN_PX, THICK_PX, TUMOUR_PX = 2, 9, 3
TICKS_RPM: Final = (0, 1, 10, 100, 1_000, 10_000, 100_000, 1_000_000)
ROOM: Final = {"t": 34, "b": 48}
"""Above for the legend and below for the axis, alike in both charts, so that their rows stand beside each other."""
SMALL: Final = {"size": 11}
WHOLE_FROM: Final = 100
HEADROOM: Final = 1.3
NOT_MEASURED: Final = "not measured"


def markers_figure(
    explained: pd.DataFrame, encoding: Sequence[MarkerEncoding], classes: Sequence[ClassInfo], tumour: str
) -> go.Figure:  # fmt: skip
    """Each marker of the answer: where each kind's training tumours lie, and the tumour as a line across both.

    The axis is of the logarithm of reads per million and one, as the model takes it, so that 0 has a place.

    Parameters
    ----------
    explained : of ``cervix.molecular.scoring.explained``, a row a marker
    """
    known = {marker.name: marker for marker in encoding}
    names = [str(name) for name in explained["marker"]]
    figure = go.Figure()
    for place, item in enumerate(classes):
        spread = pd.concat([cohort_of(known[name]).set_index("class").loc[[item.id]] for name in names])
        level = np.arange(len(names)) + APART * (2 * place - (len(classes) - 1))
        for low, high, width in (("p5", "p95", THIN_PX), ("p25", "p75", THICK_PX)):
            figure.add_scatter(
                x=_segments(_place(spread[low]), _place(spread[high])), y=_segments(level, level), mode="lines",
                line={"color": item.colour, "width": width}, hoverinfo="skip", showlegend=False,
            )  # fmt: skip
        figure.add_scatter(
            x=_place(spread["p50"]), y=level, mode="markers", name=item.short,
            marker={"color": item.colour, "symbol": "line-ns", "size": 15, "line": {"width": 3, "color": item.colour}},
            customdata=spread[["p5", "p25", "p50", "p75", "p95"]].to_numpy(), legendrank=2,
            hovertemplate=(
                f"{item.title}<br>median %{{customdata[2]:,.1f}}<br>middle half %{{customdata[1]:,.1f}} to "
                "%{customdata[3]:,.1f}<br>5 to 95 % %{customdata[0]:,.1f} to %{customdata[4]:,.1f} per million<extra></extra>"
            ),
        )  # fmt: skip
    values = explained["rpm"].to_numpy(np.float64)
    level = np.arange(len(names), dtype=np.float64)
    figure.add_scatter(
        x=_segments(_place(values), _place(values)), y=_segments(level - REACH, level + REACH), mode="lines", name=tumour,
        line={"color": BLUE, "width": TUMOUR_PX}, hoverinfo="skip", legendrank=1,
    )  # fmt: skip
    figure.add_scatter(
        x=_place(values), y=level, mode="markers", marker={"color": BLUE, "symbol": "diamond", "size": 10}, showlegend=False,
        customdata=values, hovertemplate="This tumour: %{customdata:,.1f} per million<extra></extra>",
    )  # fmt: skip
    words = [
        f"{marker_words(name)}<br>{NOT_MEASURED if np.isnan(value) else rpm_words(value)}"
        for name, value in zip(names, values, strict=True)
    ]
    _name_rows(figure, words)
    figure.update_xaxes(
        title="Reads per million (logarithmic)", tickvals=_place(TICKS_RPM).tolist(), ticktext=[_short(n) for n in TICKS_RPM]
    )
    return laid_out(figure, AROUND_PX + ROW_PX * len(names), legend=LEGEND_ABOVE, margin=ROOM)


def added_figure(explained: pd.DataFrame, toward: Mapping[bool, ClassInfo]) -> go.Figure:
    """What each marker added to the log odds, as bars.

    Parameters
    ----------
    toward : the class that a positive amount (True) speaks for, and that of a negative one
    """
    amounts = explained["log_odds"].to_numpy(np.float64)
    figure = go.Figure()
    for positive in (True, False):
        of = (amounts > 0) == positive
        figure.add_bar(
            x=amounts[of], y=np.flatnonzero(of), orientation="h", name=f"toward {toward[positive].short}",
            marker_color=toward[positive].colour, text=[f"{amount:+.2f}" for amount in amounts[of]], textposition="outside",
            cliponaxis=False, hovertemplate="%{x:+.3f} log odds<extra></extra>", showlegend=True,
        )  # fmt: skip
    _name_rows(
        figure,
        [
            marker_words(str(name)) + ("" if measured else f"<br>{NOT_MEASURED}")
            for name, measured in zip(explained["marker"], explained["measured"], strict=True)
        ],
    )
    reach = float(np.abs(amounts).max(initial=0.1)) * HEADROOM
    figure.update_xaxes(title="Added to the log odds", range=[-reach, reach], zeroline=True, nticks=5)
    return laid_out(figure, AROUND_PX + ROW_PX * len(amounts), legend=LEGEND_ABOVE, margin=ROOM, barmode="overlay", bargap=0.45)


def rpm_words(rpm: float) -> str:
    """Reads per million as rows are labelled: whole from a hundred on, else three figures."""
    return f"{rpm:,.0f}" if rpm >= WHOLE_FROM else f"{rpm:.3g}"


def _name_rows(figure: go.Figure, words: Sequence[str]) -> None:
    figure.update_yaxes(
        tickvals=list(range(len(words))), ticktext=list(words), range=[len(words) - 0.5, -0.5], automargin=True, tickfont=SMALL,
        showgrid=False, zeroline=False,
    )  # fmt: skip


def _place(rpm: "pd.Series | np.ndarray | Sequence[float]") -> np.ndarray:
    """Where a value stands on the axis."""
    return np.log10(np.asarray(rpm, np.float64) + 1)


def _segments(start: np.ndarray, end: np.ndarray) -> np.ndarray:
    """Coordinates of separate lines: ``start, end, gap`` of each."""
    return np.stack([start, end, np.full(len(start), np.nan)], axis=1).ravel()


def _short(rpm: int) -> str:
    return f"{rpm:,}" if rpm < 1_000_000 else "1 M"
