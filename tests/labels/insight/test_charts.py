"""Figures of readers and labels tell nothing by colour alone and say what they are of."""

import numpy as np
import pandas as pd
import pytest

from cervix.bundle import Bundle
from cervix.evaluation.heldout import load_table
from cervix.intervals import Interval
from cervix.labels.insight.charts import SIMULATED, live_curve_figure, pace_figure, pairs_figure, simulated_curves_figure
from cervix.labels.insight.learning_curve import LearningCurve


def test_simulated_strategies_are_told_apart_by_dash_and_marker_with_their_intervals(bundle: Bundle) -> None:
    tables = {table.id: table for table in bundle.session("history").model.measured.tables}
    table = load_table(bundle, tables["learning-curves"])
    figure = simulated_curves_figure(table, "average precision", "Entropy")
    lines = [trace for trace in figure.data if trace.fill is None]
    assert [line.name for line in lines] == list(dict.fromkeys(table["strategy"]))
    for of in ("line.dash", "marker.symbol", "line.color"):
        first, second = of.split(".")
        assert len({line[first][second] for line in lines}) == len(lines), of
    assert {line.name for line in lines if line.line.width == 4} == {"Entropy"}
    bands = [trace for trace in figure.data if trace.fill == "toself"]
    assert len(bands) == len(lines)
    assert table["average precision"].iloc[0] == "0.200 (0.100–0.300)"
    assert (bands[0].x[0], bands[0].y[0], bands[0].y[-1]) == (200, 0.3, 0.1), "as the table has it"
    assert lines[0].y[0] == 0.2
    assert figure.layout.annotations[0].text == SIMULATED


def curve(*labels: int) -> LearningCurve:
    return LearningCurve(
        labels, tuple(Interval(0.8, 0.7, 0.9) for _ in labels), Interval(0.85, 0.7, 0.92), None, 200, 12, ("no", "yes"), True, 0
    )  # fmt: skip


@pytest.mark.parametrize("labels", [(200,), (10, 45, 200)])
def test_the_live_curve_stands_beside_the_bundle_and_chance(labels: tuple[int, ...]) -> None:
    figure = live_curve_figure(curve(*labels))
    lines = {trace.name: trace for trace in figure.data if trace.fill is None}
    assert list(lines) == ["Trained on these labels", "The active bundle", "Chance"]
    assert tuple(lines["Trained on these labels"].x) == labels
    assert set(lines["The active bundle"].y) == {0.85}
    assert set(lines["Chance"].y) == {0.5}
    assert len({trace.line.dash for trace in lines.values()}) == 3


@pytest.mark.parametrize(
    ("gain", "groups", "said"),
    [
        (None, 2, "2 independent groups are too few to say whether labels help"),
        (Interval(0.1, 0.02, 0.18), 12, "does better on these cases than the bundle: +0.100 (+0.020 to +0.180)"),
        (Interval(-0.1, -0.18, -0.02), 12, "The bundle does better"),
        (Interval(0.1, -0.02, 0.18), 12, "No difference is shown"),
    ],
)
def test_whether_labels_help_is_said_by_the_whole_interval(gain: Interval | None, groups: int, said: str) -> None:
    assert (
        said in LearningCurve((9,), (Interval(0.8, 0.7, 0.9),), Interval(0.7, 0.6, 0.8), gain, 99, groups, (), True, 0).finding
    )


def test_pairs_with_a_caution_have_another_mark_and_every_pair_its_number() -> None:
    pairs = pd.DataFrame(
        [
            ("Ada", "Ben", 80, 0.9, 0.8, 0.6, 0.9, ""),
            ("Ada", "Cem", 5, 0.9, 0.2, -0.6, 0.9, "few"),
            ("Ben", "Cem", 4, 1.0, np.nan, np.nan, np.nan, "none"),
        ],
        columns=["first", "second", "cases", "agreed_share", "kappa", "low", "high", "caution"],
    )
    sure, unsure = pairs_figure(pairs).data
    assert sure.y == ("Ada and Ben<br>n = 80",)
    assert unsure.y == ("Ada and Cem<br>n = 5",)
    assert sure.marker.symbol != unsure.marker.symbol
    assert (sure.error_x.array[0], sure.error_x.arrayminus[0]) == pytest.approx((0.1, 0.2))
    assert pairs_figure(pairs).layout.xaxis.range[0] < -0.6


def test_pace_is_the_median_of_the_last_answers() -> None:
    seconds = [1.0] * 20 + [3.0] * 20
    median = pace_figure(seconds).data[1].y
    assert (median[19], median[-1]) == (1.0, 3.0)
    assert np.isnan(median[0])
