"""Plotly charts of what a model uses in many patients."""

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from cervix.chart_template import GREY, laid_out
from cervix.patients.charts import LOWERS
from cervix.patients.cohort import CohortExplanation, found_words, label_of

INPUTS_SHOWN = 12
JITTER = 0.32
SEED = 0
# Monotone in lightness and read alike with red-green deficiency; its brightest end is cut, as it pales on white.
COLOURS = [[0.0, "#00224E"], [0.5, "#7D7C78"], [1.0, "#E0C54C"]]


def beeswarm_figure(cohort: CohortExplanation) -> go.Figure:
    """One point a patient and input: right raised her risk, left lowered it; coloured by what was found."""
    names = [str(name) for name in cohort.importance.index[:INPUTS_SHOWN]]
    rng = np.random.default_rng(SEED)
    figure = go.Figure()
    for row, name in enumerate(names):
        values = cohort.values[name].dropna()
        found = cohort.found.loc[values.index, name]
        rank = found.rank(pct=True) if found.nunique() > 1 else pd.Series(0.5, index=found.index)
        figure.add_trace(
            go.Scatter(
                x=values,
                y=row + JITTER * rng.uniform(-1, 1, len(values)),
                mode="markers",
                showlegend=False,
                marker={
                    "size": 6,
                    "color": rank,
                    "colorscale": COLOURS,
                    "cmin": 0,
                    "cmax": 1,
                    "opacity": 0.8,
                    "showscale": row == 0,
                    "colorbar": {"title": "Found", "tickvals": [0.05, 0.95], "ticktext": ["low", "high"], "thickness": 10},
                },
                customdata=[found_words(name, float(value)) for value in found],
                hovertemplate=f"{label_of(name)}: %{{customdata}}<br>%{{x:+.4f}} in risk<extra></extra>",
            )
        )
    figure.add_vline(0, line={"color": GREY, "width": 1})
    figure.update_yaxes(
        tickvals=list(range(len(names))), ticktext=[label_of(name) for name in names], autorange="reversed", automargin=True
    )
    figure.update_xaxes(title="Change in risk", tickformat="+.1%")
    return laid_out(figure, 110 + 34 * len(names))


def importance_figure(cohort: CohortExplanation) -> go.Figure:
    """Mean absolute Shapley value of each input as bars."""
    importance = cohort.importance.head(INPUTS_SHOWN)
    figure = go.Figure(
        go.Bar(
            x=importance.to_numpy(),
            y=[label_of(str(name)) for name in importance.index],
            orientation="h",
            marker_color=LOWERS,
            text=[f"{value * 100:.2f}" for value in importance],
            textposition="outside",
            cliponaxis=False,
            hovertemplate="%{y}<br>%{x:.4f} in risk<extra></extra>",
        )
    )
    figure.update_yaxes(autorange="reversed", automargin=True)
    figure.update_xaxes(title="Mean size of the change (points)", tickformat=".1%", rangemode="tozero")
    return laid_out(figure, 110 + 34 * len(importance), margin={"r": 40})


def dependence_figure(cohort: CohortExplanation, name: str) -> go.Figure:
    """How the contribution of one input depends on what was found."""
    values = cohort.values[name].dropna()
    found = cohort.found.loc[values.index, name]
    told = found.notna()
    values, found = values[told], found[told]
    words = [found_words(name, float(value)) for value in found]
    steps = found.drop_duplicates().sort_values()
    # Codes and answers stand side by side; numbers lie along a scale.
    named = any(not word.replace(".", "", 1).isdigit() for word in words)
    figure = go.Figure(
        go.Scatter(
            x=words if named else found,
            y=values,
            mode="markers",
            marker={"size": 7, "color": LOWERS, "opacity": 0.6},
            customdata=words,
            hovertemplate="%{customdata}<br>%{y:+.4f} in risk<extra></extra>",
        )
    )
    figure.add_hline(0, line={"color": GREY, "width": 1})
    if named:
        figure.update_xaxes(
            type="category", categoryorder="array", categoryarray=[found_words(name, float(step)) for step in steps]
        )
    figure.update_xaxes(title=label_of(name))
    figure.update_yaxes(title="Change in risk", tickformat="+.1%", automargin=True)
    return laid_out(figure)
