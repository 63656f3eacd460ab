"""An explanation adds up to the score it explains and speaks only of what is known."""

import numpy as np
import pandas as pd
import pytest

from cervix.bundle import Bundle, ModelSession
from cervix.patients.explanation import explain_patient
from cervix.patients.reading import read_patients
from cervix.patients.sample import sample_table_csv
from cervix.patients.scoring import feature_array, feature_names, score_patients
from cervix.patients.vocabulary import COLUMNS


@pytest.fixture(scope="module")
def session(bundle: Bundle) -> ModelSession:
    return bundle.session("risk-factors-with-tests")


@pytest.fixture(scope="module")
def patients() -> pd.DataFrame:
    return read_patients(sample_table_csv().encode()).frame


def risk(session: ModelSession, **known: float) -> float:
    """The model's answer when only ``known`` is."""
    frame = pd.DataFrame([known]).reindex(columns=list(COLUMNS)).astype("float32")
    return float(session.run({"features": feature_array(frame, feature_names(session))}, ["risk"])["risk"][0])


def only(**known: float) -> pd.Series:
    return pd.Series(known).reindex(list(COLUMNS)).astype("float32")


@pytest.mark.parametrize("position", [0, 1, 2])
def test_the_contributions_add_up_to_the_score(session: ModelSession, patients: pd.DataFrame, position: int) -> None:
    explanation = explain_patient(patients.iloc[position], session)
    total = explanation.reference_risk + explanation.contributions["contribution"].sum()
    assert total == pytest.approx(explanation.risk, abs=1e-5)


def test_the_score_explained_is_the_score_given(session: ModelSession, patients: pd.DataFrame) -> None:
    table = read_patients(sample_table_csv().encode())
    scored = score_patients(table, session)["risk"].iat[0]
    assert explain_patient(patients.iloc[0], session).risk == pytest.approx(scored, abs=1e-6)


def test_only_known_inputs_are_spoken_of_with_their_values(session: ModelSession, patients: pd.DataFrame) -> None:
    patient = patients.iloc[0]
    known = patient[feature_names(session)].dropna()
    assert len(known) < len(feature_names(session))
    contributions = explain_patient(patient, session).contributions.set_index("feature")
    assert set(contributions.index) == set(known.index)
    assert contributions["value"].to_dict() == pytest.approx(known.to_dict())
    assert contributions.loc["Age", "label"] == COLUMNS["Age"].label


def test_the_largest_contribution_comes_first_whatever_its_sign(session: ModelSession, patients: pd.DataFrame) -> None:
    sizes = explain_patient(patients.iloc[0], session).contributions["contribution"].abs()
    assert sizes.is_monotonic_decreasing
    assert sizes.iat[0] > 0


def test_two_known_inputs_get_their_exact_shapley_values(session: ModelSession) -> None:
    neither, both = risk(session), risk(session, Age=62, Schiller=1)
    age, schiller = risk(session, Age=62), risk(session, Schiller=1)
    exact = {
        "Age": ((age - neither) + (both - schiller)) / 2,
        "Schiller": ((schiller - neither) + (both - age)) / 2,
    }
    explanation = explain_patient(only(Age=62, Schiller=1), session)
    found = explanation.contributions.set_index("feature")["contribution"].to_dict()
    assert found == pytest.approx(exact, abs=1e-6)
    assert explanation.reference_risk == pytest.approx(neither, abs=1e-6)


def test_of_nobody_in_particular_there_is_nothing_to_explain(session: ModelSession) -> None:
    explanation = explain_patient(only(), session)
    assert explanation.contributions.empty
    assert explanation.contributions.columns.tolist() == ["feature", "label", "value", "contribution"]
    assert explanation.risk == explanation.reference_risk == pytest.approx(risk(session), abs=1e-7)


def test_a_single_known_input_carries_the_whole_difference(session: ModelSession) -> None:
    explanation = explain_patient(only(Schiller=1), session)
    assert explanation.contributions["contribution"].tolist() == pytest.approx(
        [explanation.risk - explanation.reference_risk], abs=1e-7
    )


def test_an_explanation_is_the_same_every_time(session: ModelSession, patients: pd.DataFrame) -> None:
    first, second = (explain_patient(patients.iloc[3], session) for _ in range(2))
    pd.testing.assert_frame_equal(first.contributions, second.contributions)


def test_every_patient_has_the_same_reference(session: ModelSession, patients: pd.DataFrame) -> None:
    references = {explain_patient(patients.iloc[row], session).reference_risk for row in (4, 5)}
    assert np.ptp(list(references)) < 1e-7
