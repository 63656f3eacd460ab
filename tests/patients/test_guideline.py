"""The ladder of ASCCP 2019, rung by rung, and which models may stand on it."""

import pytest

from cervix.bundle import Bundle
from cervix.patients.guideline import rung_of, why_no_ladder


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
