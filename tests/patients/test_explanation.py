"""Taking one patient's score apart."""

import numpy as np
import pandas as pd
import pytest

from cervix.bundle import Bundle, ModelSession
from cervix.patients.charts import BARS_SHOWN, contribution_figure
from cervix.patients.explanation import explain_patient
from cervix.patients.reading import PatientTable
from cervix.patients.scoring import feature_names, score_patients
from cervix.patients.vocabulary import COLUMNS, PATIENT_ID


def only(row: pd.Series, *known: str) -> pd.Series:
    """The patient with everything hidden but the inputs named."""
    return row.where(row.index.isin([*known, PATIENT_ID]), np.nan)


def test_contributions_add_up_from_nothing_known_to_the_score(sample: PatientTable, session: ModelSession) -> None:
    scores = score_patients(sample, session)["risk"]
    for row in sample.frame.index[:5]:
        explanation = explain_patient(sample.frame.loc[row], session)
        total = explanation.reference_risk + explanation.contributions["contribution"].sum()
        assert total == pytest.approx(explanation.risk, abs=1e-5)
        assert explanation.risk == pytest.approx(scores[row], abs=1e-5)


def test_the_reference_is_the_models_answer_when_nothing_is_known(sample: PatientTable, session: ModelSession) -> None:
    nothing = np.full((1, 1, len(feature_names(session))), np.nan, np.float32)
    expected = session.run({"features": nothing}, ["risk"])["risk"][0]
    assert explain_patient(sample.frame.iloc[0], session).reference_risk == pytest.approx(expected, abs=1e-6)


def test_an_input_that_is_not_known_contributes_nothing(sample: PatientTable, session: ModelSession) -> None:
    row = sample.frame.iloc[0]
    known = {name for name in feature_names(session) if not np.isnan(row[name])}
    assert len(known) < len(feature_names(session))
    assert set(explain_patient(row, session).contributions["feature"]) == known


def test_a_single_known_input_carries_the_whole_difference(sample: PatientTable, session: ModelSession) -> None:
    """By the definition of the Shapley value; would fail if hiding an input did not make it NaN."""
    row = only(sample.frame.iloc[0], "Age")
    explanation = explain_patient(row, session)
    assert explanation.contributions["feature"].tolist() == ["Age"]
    difference = explanation.risk - explanation.reference_risk
    assert abs(difference) > 1e-5
    assert explanation.contributions["contribution"].iloc[0] == pytest.approx(difference, abs=1e-6)


def test_two_known_inputs_have_their_exact_shapley_values(sample: PatientTable, session: ModelSession) -> None:
    row = sample.frame.dropna(subset=["Age", "Dx"]).iloc[0]
    both, age, dx = (explain_patient(only(row, *known), session) for known in (("Age", "Dx"), ("Age",), ("Dx",)))
    exact = ((age.risk - age.reference_risk) + (both.risk - dx.risk)) / 2
    found = both.contributions.set_index("feature")["contribution"]
    assert found["Age"] == pytest.approx(exact, abs=1e-6)


def test_nothing_known_has_nothing_to_explain(sample: PatientTable, session: ModelSession) -> None:
    explanation = explain_patient(only(sample.frame.iloc[0]), session)
    assert explanation.contributions.empty
    assert explanation.risk == explanation.reference_risk


def test_the_same_patient_is_explained_the_same_way_twice(sample: PatientTable, session: ModelSession) -> None:
    first, second = (explain_patient(sample.frame.iloc[3], session).contributions for _ in range(2))
    pd.testing.assert_frame_equal(first, second)


def test_the_largest_contribution_comes_first_under_its_plain_name(sample: PatientTable, session: ModelSession) -> None:
    table = explain_patient(sample.frame.iloc[0], session).contributions
    assert table["contribution"].abs().is_monotonic_decreasing
    assert table["label"].tolist() == [COLUMNS[name].label for name in table["feature"]]
    assert table["value"].tolist() == [sample.frame.iloc[0][name] for name in table["feature"]]


def test_a_positive_iodine_test_speaks_for_a_positive_biopsy(sample: PatientTable, bundle: Bundle) -> None:
    row = sample.frame[sample.frame["Schiller"] == 1].iloc[0]
    table = explain_patient(row, bundle.session("risk-factors-with-tests")).contributions
    assert table["feature"].iloc[0] == "Schiller"
    assert table["contribution"].iloc[0] > 0


def test_the_figure_shows_few_bars_that_still_add_up(sample: PatientTable, session: ModelSession) -> None:
    explanation = explain_patient(sample.frame.iloc[0], session)
    bars = contribution_figure(explanation).data[0]
    assert len(bars.x) == BARS_SHOWN
    assert sum(bars.x) == pytest.approx(explanation.risk - explanation.reference_risk, abs=1e-5)
