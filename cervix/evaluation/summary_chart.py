"""The one picture of a summary."""

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from cervix.bundle import Bundle, Model
from cervix.chart_template import BLUE, GREY, LEGEND_ABOVE, ORANGE, VERMILLION, error_bars, laid_out
from cervix.evaluation.charts import leakage_figure, wrapped
from cervix.evaluation.comparison import decimal, parsed_decimal
from cervix.evaluation.heldout import load_table
from cervix.evaluation.leakage import leakage_frame
from cervix.evaluation.left_out import AUROC, NONE, SOURCE, left_out_table
from cervix.evaluation.published import DEFAULT, NEAR, cells_of, published_risks, risk_title
from cervix.evaluation.published_chart import band, floor_of, log_axes, points
from cervix.evaluation.summary import NO_RIVAL, Picture, question_of
from cervix.intervals import Interval

HEIGHT_PX = 315
NAME_WIDTH = 24
ROW_PX, AXIS_PX = 42, 90
INSIDE, CHANCE = "All it learned from", 0.5
RIVAL_LOOKS = ((GREY, "x"), (ORANGE, "triangle-up"))
CAPTIONS: dict[Picture, str] = {
    "laboratories": (
        "Carcinoma or benign, each laboratory by a model that saw nothing of it, the worst first; those with tiles of one side "
        "only have no AUROC. Bars: 95 %."
    ),
    "published": (
        f"{risk_title(*DEFAULT)}: a point is a history; bars, the 95 % interval of what is published; band, within a factor of "
        f"{NEAR:g}."
    ),
    "leakage": "The same table under five ways to test. Bars: 95 %; where copies leak, they are as false as the figure.",
    "rivals": "The same cases. Bars: 95 %.",
}


def summary_figure(bundle: Bundle, model: Model, picture: Picture) -> go.Figure:
    """The picture that ``Summary.picture`` names; raises as ``summary_of``."""
    if picture == "laboratories":
        declared = left_out_table(model)
        assert declared is not None
        inside = question_of(bundle, model, model.cancer_task).report().metrics["auroc"]
        return laboratories_figure(load_table(bundle, declared), inside)
    if picture == "published":
        table = published_risks(bundle, model)
        assert table is not None
        return published_figure_in_short(cells_of(table, *DEFAULT))
    if picture == "leakage":
        frame = leakage_frame(bundle, model)
        assert frame is not None
        return leakage_figure(frame, HEIGHT_PX)
    return rivals_figure(_beside_rivals(bundle, model))


def laboratories_figure(table: pd.DataFrame, inside: Interval) -> go.Figure:
    """AUROC of left-out laboratories, the worst first, beside the simple rivals of the table.

    Parameters
    ----------
    table : as ``left_out_sources`` reads it; columns ``AUROC: …`` are rivals
    inside : AUROC in the laboratories that the model learned from
    """
    ranked = table[table[AUROC] != NONE]
    ranked = ranked.iloc[np.argsort([parsed_decimal(cell).value for cell in ranked[AUROC]], kind="stable")]
    names = [wrapped(name, NAME_WIDTH) for name in ranked[SOURCE]]
    inside_name = wrapped(INSIDE, NAME_WIDTH)
    figure = go.Figure()
    rivals = [column for column in table if str(column).startswith(f"{AUROC}: ")]
    for column, (colour, symbol) in zip(rivals, RIVAL_LOOKS, strict=False):
        values = [parsed_decimal(cell) for cell in ranked[column]]
        figure.add_trace(_dots(values, names, str(column).removeprefix(f"{AUROC}: ").capitalize(), colour, symbol, bars=False))
    figure.add_trace(_dots([parsed_decimal(cell) for cell in ranked[AUROC]], names, "This model", VERMILLION, "circle"))
    figure.add_trace(_dots([inside], [inside_name], INSIDE, BLUE, "diamond"))
    figure.data[-1].showlegend = False
    return _auroc_rows(figure, [*names, inside_name])


def rivals_figure(found: list[tuple[str, Interval]]) -> go.Figure:
    """AUROC of a model, named first, and of its rivals."""
    names = [wrapped(name, NAME_WIDTH) for name, _ in found]
    values = [value for _, value in found]
    figure = go.Figure()
    for some, title, colour, symbol in (
        (slice(0, 1), "This model", BLUE, "circle"), (slice(1, None), "Simple rivals", GREY, "x")
    ):  # fmt: skip
        if values[some]:
            figure.add_trace(_dots(values[some], names[some], title, colour, symbol))
    return _auroc_rows(figure, names)


def published_figure_in_short(cells: pd.DataFrame) -> go.Figure:
    """Scored cells alone, those that did not guide the simulator apart, and the worst of them named."""
    scored, floor = cells[cells["scored"]], floor_of(cells)
    figure = go.Figure(band(floor))
    for guides, name, colour, symbol in (
        (True, "guided the simulator", GREY, "circle-open"),
        (False, "did not guide it", BLUE, "circle"),
    ):
        if len(some := scored[scored["guides"] == guides]):
            figure.add_trace(points(some, floor, name, colour, symbol))
    if len(free := scored[~scored["guides"]]):
        worst = free.nlargest(1, "factor").iloc[0]
        figure.add_annotation(
            x=np.log10(max(worst["published"], floor)), y=np.log10(max(worst["model"], floor)), text="worst", ax=-28, ay=-24,
            arrowcolor=VERMILLION, font={"color": VERMILLION},
        )  # fmt: skip
    return laid_out(log_axes(figure, floor), HEIGHT_PX, legend=LEGEND_ABOVE)


def _beside_rivals(bundle: Bundle, model: Model) -> list[tuple[str, Interval]]:
    task = model.main_task
    titles = {"": "This model"} | {item.id: item.title for item in model.measured.baselines if item.id not in NO_RIVAL}
    asked = {title: question_of(bundle, model, task, baseline) for baseline, title in titles.items()}
    return [(title, of.report().metrics["auroc"]) for title, of in asked.items() if of.scores.has_both]


def _dots(values: list[Interval], names: list[str], title: str, colour: str, symbol: str, *, bars: bool = True) -> go.Scatter:
    return go.Scatter(
        x=[of.value for of in values],
        y=names,
        error_x=error_bars(values, color=colour, thickness=1.5) if bars else None,
        mode="markers",
        name=title,
        marker={"color": colour, "symbol": symbol, "size": 11 if bars else 8},
        customdata=[decimal(of) for of in values],
        hovertemplate=f"%{{y}}<br>{title}: AUROC %{{customdata}}<extra></extra>",
    )


def _auroc_rows(figure: go.Figure, names: list[str]) -> go.Figure:
    figure.update_yaxes(categoryorder="array", categoryarray=names[::-1], automargin=True)
    figure.update_xaxes(title="AUROC (dotted: chance)", range=[0.4, 1.02])
    figure.add_vline(x=CHANCE, line={"color": GREY, "dash": "dot"})
    return laid_out(figure, min(HEIGHT_PX, AXIS_PX + ROW_PX * max(3, len(names))), legend=LEGEND_ABOVE)
