"""How near a model comes to published risks of real women, counted by hand and by scipy."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.stats import spearmanr

from cervix.bundle import Bundle
from cervix.bundle.published_risks import CURRENT, NEGATIVE_ROUND, SURVEILLANCE, TREATMENT
from cervix.errors import BundleError
from cervix.evaluation.published import (
    ALL_KINDS,
    ALL_ROWS,
    DEFAULT,
    GUIDING,
    MANAGEMENTS,
    REPORTING,
    THIS_MODEL,
    Agreement,
    agreement,
    cells_of,
    is_scored,
    published_risks,
    risk_title,
    share,
    share_within,
    step_agreement,
    step_verdict,
    verdict,
    women_screened,
    worst_cells,
)
from cervix.evaluation.published_chart import FAINT, published_figure
from cervix.evaluation.published_tables import agreement_table, cells_table, steps_table
from cervix.intervals import wilson_interval
from cervix.patients.guideline import LADDER
from tests.bundle.published import published_row, published_table, write_published_bundle


def table(*rows: dict[str, Any]) -> pd.DataFrame:
    frame = pd.DataFrame([published_row(**row) for row in rows])
    return frame.assign(guides=frame["guides"] == "yes")


def risk(published: float, model: float, **told: Any) -> dict[str, Any]:
    """A row whose risk of CIN3+ within 5 years is known to a tenth."""
    known = {"published_cin3_5": published, "published_cin3_5_low": 0.9 * published, "published_cin3_5_high": 1.1 * published}
    return known | {"model_cin3_5": model} | told


def found(frame: pd.DataFrame, kind: str = ALL_KINDS, rows: str = REPORTING, source: str = THIS_MODEL) -> Agreement:
    (one,) = [item for item in agreement(frame, *DEFAULT) if (item.kind, item.rows, item.source) == (kind, rows, source)]
    return one


def test_a_risk_is_scored_where_it_is_above_zero_and_its_interval_within_a_factor_of_two() -> None:
    value = np.array([0.1, 0.1, 0.1, 0.1, 0.1, 0.0, 0.1])
    low = np.array([0.05, 0.0499, 0.05, 0.09, -0.01, 0.0, np.nan])
    high = np.array([0.2, 0.2, 0.2001, 0.11, 0.2, 0.0, np.nan])
    assert is_scored(value, low, high).tolist() == [True, False, False, True, False, False, False]


def test_cells_within_a_factor_are_counted_to_either_side_and_at_the_limit() -> None:
    frame = table(
        risk(0.1, 0.15), risk(0.1, 0.2), risk(0.1, 0.0501), risk(0.1, 0.07), risk(0.1, 0.201), risk(0.1, 0.3, women=15_000.0)
    )  # fmt: skip
    whole = found(frame)
    assert whole.within == {1.5: wilson_interval(2, 6), 2.0: wilson_interval(4, 6)}
    assert whole.within_by_women == {1.5: pytest.approx(2 / 20), 2.0: pytest.approx(4 / 20)}
    assert (whole.cells, whole.women) == (6, 20_000)
    assert whole.factor == pytest.approx((0.1 / 0.0501 + 2.0) / 2)
    assert whole.ratio == pytest.approx((1.5 + 2.0) / 2)
    assert whole.spearman is None, "all are published alike"


def test_the_rank_correlation_is_scipys_and_a_few_histories_have_none() -> None:
    rng = np.random.default_rng(5)
    published = rng.uniform(0.001, 0.3, 40)
    model = np.round(published * np.exp(rng.normal(0, 0.8, 40)), 2).clip(0.01)
    frame = table(*(risk(*pair) for pair in zip(published, model, strict=True)))
    whole = found(frame).spearman
    assert whole.value == pytest.approx(spearmanr(published, model).statistic)
    assert 0.4 < whole.low < whole.value < whole.high < 1
    assert found(frame.iloc[:4]).spearman is not None
    assert found(frame.iloc[:3]).spearman is None


def test_histories_that_guided_the_simulator_and_those_that_did_not_are_counted_apart_by_kind_and_in_all() -> None:
    frame = table(
        risk(0.1, 0.1, kind=CURRENT, guides="yes"), risk(0.1, 0.9, kind=SURVEILLANCE),
        risk(0.1, 0.1, kind=SURVEILLANCE, guides="yes"), risk(0.1, 0.1, kind=TREATMENT),
    )  # fmt: skip
    counted = {(item.kind, item.rows): (item.cells, item.within[2.0].value) for item in agreement(frame, *DEFAULT)}
    assert counted == {
        (ALL_KINDS, REPORTING): (2, 0.5), (ALL_KINDS, GUIDING): (2, 1.0), (ALL_KINDS, ALL_ROWS): (4, 0.75),
        (CURRENT, GUIDING): (1, 1.0), (SURVEILLANCE, REPORTING): (1, 0.0), (SURVEILLANCE, GUIDING): (1, 1.0),
        (SURVEILLANCE, ALL_ROWS): (2, 0.5), (TREATMENT, REPORTING): (1, 1.0),
    }  # fmt: skip


def test_what_is_not_published_or_not_known_well_is_not_counted() -> None:
    rows = [risk(0.1, 0.1), risk(0.0, 0.1), risk(np.nan, 0.1), risk(0.1, np.nan), risk(0.1, 0.1, published_cin3_5_high=0.21)]
    frame = table(*rows)
    assert found(frame).cells == 1
    cells = cells_of(frame, *DEFAULT)
    assert cells["scored"].tolist() == [True, False, False]
    assert np.isnan(cells["ratio"]).tolist() == [False, True, False]


def test_rivals_stand_beside_the_model_on_the_histories_they_answer() -> None:
    frame = table(risk(0.1, 0.1, boosting_cin3_5=0.9), risk(0.2, 0.2, boosting_cin3_5=0.2), risk(0.3, 0.3))
    rival = found(frame, source="Gradient boosting")
    assert (rival.cells, rival.within[2.0].value) == (2, 0.5)
    assert set(agreement_table(agreement(frame, *DEFAULT))["model"]) == {THIS_MODEL, "Gradient boosting"}
    assert "model" not in agreement_table(agreement(frame, "cin3", 3))


def test_the_worst_are_those_farthest_off_to_either_side_and_one_that_is_called_impossible_comes_first() -> None:
    frame = table(risk(0.1, 0.2), risk(0.1, 0.0, hpv="HPV16+"), risk(0.1, 0.02), risk(0.1, 0.9), risk(0.1, 0.11))
    assert worst_cells(frame, *DEFAULT, count=4)["model"].tolist() == [0.0, 0.9, 0.02, 0.2]
    assert cells_table(worst_cells(frame, *DEFAULT)).iloc[0].to_dict() == {
        "history": "after HPV-negative; now HPV16+, NILM", "women": "1,000", "published": "10 % (9–11)", "model": "0 %",
        "model / published": "0.00", "guided the simulator": "no",
    }  # fmt: skip


def test_every_published_management_is_a_step_of_the_ladder_and_a_milder_one_is_named() -> None:
    same = [{"management": management, "model_step": rung.action} for management, rung in zip(MANAGEMENTS, LADDER, strict=True)]
    words = [(told["management"], told["model_step"]) for told in same]
    assert words == [
        ("Treatment", "Expedited treatment preferred"), ("Colposcopy/Treatment", "Expedited treatment or colposcopy"),
        ("Colposcopy", "Colposcopy"), ("1-year follow-up", "Return in 1 year"), ("3-year follow-up", "Return in 3 years"),
        ("5-year follow-up", "Return in 5 years"),
    ]  # fmt: skip
    milder = {"management": "Colposcopy", "model_step": "Return in 1 year", "women": 7.0, "kind": CURRENT}
    sooner = {"management": "5-year follow-up", "model_step": "Colposcopy"}
    told = step_agreement(table(*same, milder, sooner, {"management": ""}, {"model_step": ""}))
    assert (told.histories, told.same, told.milder) == (8, wilson_interval(6, 8), 1)
    assert told.differing["model"].tolist() == ["Return in 1 year", "Colposcopy"]
    assert steps_table(told).to_dict("records") == [
        {"history": "HPV-positive, NILM", "women": "7", "published": "Colposcopy", "model": "Return in 1 year",
         "guided the simulator": "no"},
    ]  # fmt: skip
    assert step_verdict(told) == (
        "The step by the model's own risks is the published management in 75.0 % (40.9–92.9) of 8 histories, and milder in 1."
    )
    assert step_agreement(table({"management": ""})) is None


def test_the_verdict_is_of_histories_that_did_not_guide_and_names_the_worst_of_them() -> None:
    screened = {"kind": CURRENT, "history": "NO HISTORY", "guides": "yes"}
    frame = table(
        risk(0.001, 0.01, **screened, hpv="HPV-negative", women=900_000.0), risk(0.1, 0.3, **screened, women=340_000.0),
        risk(0.1, 0.3, **screened, hpv="HPV16+", women=9_000.0), risk(0.1, 0.3, **screened, cytology="ALL", women=340_000.0),
        risk(0.02, 0.05, kind=TREATMENT, history="CIN 2 or 3", hpv="HPV-negative x2", cytology="", women=2_379.0,
             logistic_cin3_5=0.02),
        risk(0.1, 0.1), risk(0.1, 0.12), risk(0.1, 0.12),
    )  # fmt: skip
    assert women_screened(frame) == 1_240_000
    assert verdict(frame) == (
        "Against published risks of 1.2 million real women (CIN3+ within 5 years) the model is within a factor of 2 in 75.0 % "
        "(30.1–95.4) of the 4 histories that did not guide the simulator (logistic regression in 100.0 % (20.7–100.0)), in "
        "half of them within 1.2; worst: after treatment of CIN 2 or 3; now HPV-negative x2, published 2 %, model 5 % "
        "(2,379 women)."
    )
    assert "in 0.0 % (0.0–49.0) of the 4 histories that guided the simulator" in verdict(frame[frame["guides"]])
    assert (
        verdict(table(risk(0.0, 0.1)))
        == "No published risk of CIN3+ within 5 years is known well enough to hold the model against."
    )


def test_histories_risks_and_shares_are_put_in_words() -> None:
    frame = table(
        {"kind": NEGATIVE_ROUND, "history": "Cotest-negative", "hpv": "HPV16-, HPV18+", "cytology": "High Grade"},
        {"kind": "after colposcopy", "history": "Low Grade | Cotest-negative x2", "cytology": "ALL"},
    )  # fmt: skip
    assert cells_of(frame, "cin2", 0)["history"].tolist() == [
        "after Cotest-negative; now HPV16-, HPV18+, High Grade",
        "after colposcopy below CIN2, referred for Low Grade, then Cotest-negative x2; now HPV-positive, any cytology",
    ]
    assert [risk_title(*of) for of in (("cin3", 0), ("cin2", 1), ("cin3", 5))] == [
        "CIN3+ at once", "CIN2+ within 1 year", "CIN3+ within 5 years",
    ]  # fmt: skip
    assert [share(of) for of in (0.0, 0.0000229, 0.0482, 0.123, 0.997)] == ["0 %", "0.0023 %", "4.8 %", "12 %", "100 %"]
    assert share_within(0.0482, 0.046, 0.05) == "4.8 % (4.6–5)"
    assert share_within(0.0482, np.nan, np.nan) == "4.8 %"


def test_zeros_stand_at_the_edge_open_points_guided_and_faint_ones_do_not_count() -> None:
    frame = table(risk(0.02, 0.03, guides="yes"), risk(0.0, 0.5), risk(0.0042, 0.0))
    figure = published_figure(cells_of(frame, *DEFAULT))
    points = {(trace.x[0], trace.y[0]): trace for trace in figure.data if trace.customdata is not None}
    assert set(points) == {(0.02, 0.03), (0.001, 0.5), (0.0042, 0.001)}
    assert points[0.02, 0.03].marker.symbol == "square-open"
    assert points[0.001, 0.5].opacity == FAINT
    assert points[0.001, 0.5].error_x.array is None
    assert points[0.0042, 0.001].error_x.arrayminus == pytest.approx([0.00042])
    assert len(figure.layout.shapes) == 2, "a line at the edge of either axis"
    assert figure.layout.xaxis.ticktext[0] == "≤ 0.1 %"
    assert [trace.name for trace in figure.data if trace.showlegend].count(NEGATIVE_ROUND) == 1


def test_a_bundle_s_table_is_compared_and_a_bundle_without_one_has_nothing_to_say(
    published_bundle: Bundle, bundle: Bundle
) -> None:
    frame = published_risks(published_bundle, published_bundle.manifest.model("history"))
    assert women_screened(frame) == 1_546_462
    assert found(frame, rows=ALL_ROWS).cells == 85
    assert published_risks(bundle, bundle.manifest.model("history")) is None


@pytest.mark.parametrize(
    ("column", "complaint"),
    [("model_step", "steps of no ladder: expected Expedited"), ("management", "managements of no step: expected Treatment")],
)
def test_steps_that_are_on_no_ladder_are_refused(
    column: str, complaint: str, bundle_root: Path, tmp_path: Path, data_dir: Path, bundle: Bundle
) -> None:
    root = write_published_bundle(
        bundle_root, tmp_path / "bundle", published_table(data_dir).assign(**{column: "Wait and see"})
    )
    model = bundle.manifest.model("history")
    evaluation = model.measured.model_copy(update={"published_risks": "history/published-risks.csv"})
    other = Bundle(root, bundle.manifest, str(tmp_path), bundle.sessions, bundle.checks)
    with pytest.raises(BundleError, match=complaint):
        published_risks(other, model.model_copy(update={"evaluation": evaluation}))
