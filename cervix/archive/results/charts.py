"""Charts of a run's drift."""

import pandas as pd
import plotly.graph_objects as go

from cervix.chart_template import BLUE, GREY, LEGEND_ABOVE, VERMILLION, laid_out

SHOWN_AT_MOST = 40
ROW_PX = 22
LEAST_HEIGHT_PX = 220
LOOKS = {
    "flagged": ("Flagged", VERMILLION, "diamond"),
    "not shown to differ": ("Not shown to differ", BLUE, "circle"),
    "too few slides to tell": ("Too few slides to tell", GREY, "circle-open"),
    "nothing to compare with": ("Nothing to compare with", GREY, "circle-open"),
}
"""How each flag of ``cervix.archive.results.drift`` is drawn."""
FLAGGED_FIRST = list(LOOKS)


def drift_figure(drift: pd.DataFrame, by: str, measure: str) -> go.Figure:
    """One measure by site or day: means over slides with 95 % intervals, a band for what the held-out tiles expect.

    Parameters
    ----------
    drift : DataFrame
        ``cervix.archive.results.drift.drift_table``.
    by : ``site`` or ``day``
    """
    rows = drift[(drift["by"] == by) & (drift["measure"] == measure)]
    if len(rows) > SHOWN_AT_MOST:  # those that matter: flagged ones, then the largest
        places = rows["flag"].map(FLAGGED_FIRST.index)
        rows = rows.assign(_place=places).sort_values(["_place", "slides"], ascending=[True, False]).head(SHOWN_AT_MOST)
    rows = rows.sort_values("group", ascending=False)
    figure = go.Figure()
    names = [f"{row.group} · n = {row.slides:,}" for row in rows.itertuples()]
    for flag, (title, colour, symbol) in LOOKS.items():
        which = (rows["flag"] == flag).to_numpy(bool)
        if not which.any():
            continue
        of = rows[which]
        figure.add_scatter(
            x=of["value"], y=[name for name, here in zip(names, which, strict=True) if here], name=title, mode="markers",
            marker={"color": colour, "symbol": symbol, "size": 9},
            error_x={"symmetric": False, "array": of["high"] - of["value"], "arrayminus": of["value"] - of["low"],
                     "color": colour, "thickness": 1.5},
            customdata=of[["low", "high", "compared_with", "reference", "reference_n"]],
            hovertemplate="%{y}<br>%{x:.1%} (%{customdata[0]:.1%} to %{customdata[1]:.1%})<br>%{customdata[2]}: "
            "%{customdata[3]:.1%}, n = %{customdata[4]:,}<extra></extra>",
        )  # fmt: skip
    expected = rows.iloc[0] if len(rows) else None
    if expected is not None and pd.notna(expected["held_out"]):
        figure.add_vrect(x0=expected["held_out_low"], x1=expected["held_out_high"], fillcolor=GREY, opacity=0.18, line_width=0)
        figure.add_vline(x=expected["held_out"], line={"color": GREY, "dash": "dash", "width": 1.5})
    return laid_out(
        figure,
        max(LEAST_HEIGHT_PX, 90 + ROW_PX * len(rows)),
        legend=LEGEND_ABOVE,
        showlegend=True,
        xaxis={"tickformat": ".0%", "range": [0, 1], "title": f"{measure}, mean over slides (95 % interval)"},
        yaxis={"categoryorder": "array", "categoryarray": names, "automargin": True},
    )
