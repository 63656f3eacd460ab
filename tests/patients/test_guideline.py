"""The ladder of ASCCP 2019, rung by rung, and which models may stand on it."""

from datetime import date

import pytest

from cervix.bundle import Bundle
from cervix.bundle.manifest import DerivedTask, Model
from cervix.patients.guideline import rung_of, step_for, why_no_ladder
from cervix.patients.guideline.ladder import immediate_task
from cervix.patients.history_scoring import score_visits
from cervix.patients.visits import read_visits


@pytest.mark.parametrize(
    ("immediate", "five_year", "action"),
    [
        (0.60, 0.70, "Expedited treatment preferred"),
        (0.599, 0.70, "Expedited treatment or colposcopy"),
        (0.25, 0.30, "Expedited treatment or colposcopy"),
        (0.249, 0.30, "Colposcopy"),
        (0.04, 0.05, "Colposcopy"),
        (0.0399, 0.05, "Return in 1 year"),
        (0.001, 0.0055, "Return in 1 year"),
        (0.001, 0.0054, "Return in 3 years"),
        (0.001, 0.0015, "Return in 3 years"),
        (0.0001, 0.0014, "Return in 5 years"),
        (0.0, 0.0, "Return in 5 years"),
    ],
)
def test_each_rung_begins_where_the_guideline_says(immediate: float, five_year: float, action: str) -> None:
    assert rung_of(immediate, five_year, age=40, pregnant=False).action == action


@pytest.mark.parametrize(("age", "pregnant"), [(24, False), (30, True), (None, False), (30, None)])
def test_expedited_treatment_is_preferred_only_where_it_is_known_to_fit(age: float | None, pregnant: bool | None) -> None:
    assert rung_of(0.8, 0.9, age=age, pregnant=pregnant).action == "Expedited treatment or colposcopy"


def test_only_a_model_that_declares_and_calibrates_cin3_stands_on_the_ladder(bundle: Bundle) -> None:
    assert why_no_ladder(bundle.session("history").model) == ""
    assert "not CIN3+" in why_no_ladder(bundle.session("risk-factors").model)
    history = bundle.session("history").model
    untested = history.model_copy(update={"calibration": history.calibration.model_copy(update={"tests": []})})
    assert "did not pass its test for cin3-3y, cin3-5y" in why_no_ladder(untested)


def with_risk_at_once(model: Model, *, calibrated: bool) -> Model:
    within_3 = next(task for task in model.derived_tasks if task.id == "cin3-3y")
    at_once = DerivedTask(id="cin3-0y", title="CIN3+ at once", positive=within_3.positive, negative=within_3.negative)
    test = next(test for test in model.calibration.tests if test.task == "cin3-3y").model_copy(update={"task": "cin3-0y"})
    tests = [*model.calibration.tests, *([test] if calibrated else [])]
    return model.model_copy(
        update={
            "derived_tasks": [*model.derived_tasks, at_once],
            "calibration": model.calibration.model_copy(update={"tests": tests}),
        }
    )


def test_the_risk_at_once_is_asked_where_the_model_states_it(bundle: Bundle) -> None:
    session = bundle.session("history")
    table = read_visits(b"patient_id,visit_date,age,cytology,hpv_result\nA,2025-06-01,35,NILM,positive")
    scores = score_visits(table, session).iloc[0]
    scores["risk_cin3-0y"], scores["risk_cin3-3y"], scores["risk_cin3-5y"] = 0.03, 0.05, 0.06
    older, newer = session.model, with_risk_at_once(session.model, calibrated=True)
    today = date(2026, 1, 1)
    assert (immediate_task(older), immediate_task(newer)) == ("cin3-3y", "cin3-0y")
    said = step_for(table.frame, scores, older, today=today)
    assert said.action == "Colposcopy"
    assert "CIN3+ 5.00% within 3 years, 6.00% within 5 years. Its risk within 3 years stands in" in said.words
    said = step_for(table.frame, scores, newer, today=today)
    assert said.action == "Return in 1 year"
    assert "CIN3+ 3.00% at once, 6.00% within 5 years." in said.words
    assert "stands in" not in said.words
    assert "cin3-0y" in why_no_ladder(with_risk_at_once(session.model, calibrated=False))
