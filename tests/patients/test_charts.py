"""The charts of one woman: nothing of her course is cut off, nothing runs past the ends of an axis."""

import numpy as np
import plotly.graph_objects as go
import pytest

from cervix.patients.charts import course_figure, findings_figure, passes_the_ends, waterfall_figure, within_the_ends
from cervix.patients.visits import read_visits

HEADER = "patient_id,visit_date,age,cytology,hpv_result,hpv_16"
ROWS = ("A,2018-01-10,30,NILM,positive,", "A,2020-02-10,32,ASC-US,positive,", "A,2020-03-10,32,ASC-H,positive,positive")
VISITS = read_visits("\n".join((HEADER, *ROWS)).encode()).frame


def drawn(*risks: float, logarithmic: bool = False) -> go.Figure:
    risk = np.array(risks, np.float32)
    return course_figure(
        VISITS, np.arange(3), risk, (risk * 0.9, np.minimum(risk * 1.1, 1)), "CIN2+", 0.012, logarithmic=logarithmic
    )


@pytest.mark.parametrize(
    ("risks", "top"), [((0.17, 0.39, 0.95), 1.0), ((0.001, 0.002, 0.003), 0.02), ((0.001, 0.03, 0.047), 0.1)]
)
def test_the_linear_axis_begins_at_zero_and_holds_course_range_and_threshold(risks: tuple[float, ...], top: float) -> None:
    low, high = drawn(*risks).layout.yaxis2.range
    assert low == 0
    assert top <= high < 1.2 * top


def test_the_logarithmic_axis_is_the_same_for_every_woman_and_draws_the_least_at_its_foot() -> None:
    figures = [drawn(*risks, logarithmic=True) for risks in ((0.17, 0.39, 0.95), (0.0, 1e-6, 0.003))]
    assert figures[0].layout.yaxis2.range == figures[1].layout.yaxis2.range
    [course] = [trace for trace in figures[1].data if trace.name == "CIN2+"]
    assert min(course.y) == pytest.approx(1e-4)
    assert course.customdata[0] == 0, "what is read is what the model said"


def test_words_that_would_run_into_each_other_are_left_to_the_later_visit() -> None:
    figure = drawn(0.1, 0.2, 0.3)
    [course] = [trace for trace in figure.data if trace.name == "CIN2+"]
    assert list(course.text) == ["10.0 %", "", "30.0 %"]
    low_grade = next(trace for trace in figure.data if trace.name == "low-grade")
    assert (list(low_grade.text), list(low_grade.customdata)) == ([""], ["ASC-US"])


def test_a_woman_without_a_risk_has_the_lanes_alone() -> None:
    figure = findings_figure(VISITS)
    assert {code for trace in figure.data for code in trace.customdata} == {"NILM", "ASC-US", "ASC-H", "positive"}
    assert {word for trace in figure.data for word in trace.text} == {"NILM", "", "ASC-H", "positive", "16+"}, (
        "types are written"
    )


def test_contributions_are_put_in_an_order_that_stays_between_nothing_and_all() -> None:
    shares = np.array([0.9, 0.9, -0.9, 0.02])
    order = within_the_ends(0.05, shares)
    assert sorted(order) == [0, 1, 2, 3]
    assert passes_the_ends(0.05, shares)
    assert not passes_the_ends(0.05, shares[order])


@pytest.mark.parametrize("shares", [[0.9, 0.9, -0.9], [-0.3, 0.5]])
def test_a_sum_that_passes_the_ends_does_not_take_the_axis_with_it(shares: list[float]) -> None:
    figure = waterfall_figure(0.05, ["a"] * len(shares), np.array(shares), 0.05 + sum(shares), start="Ages")
    assert figure.layout.xaxis.range == (0, 1)


def test_a_small_risk_fills_its_axis() -> None:
    figure = waterfall_figure(0.001, ["a", "b"], np.array([0.004, -0.001]), 0.004, start="Ages")
    assert figure.layout.xaxis.range[1] < 0.01
