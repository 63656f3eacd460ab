"""What a model goes by in many patients, and the quick look at each row's leading input."""

import numpy as np
import pandas as pd
import pytest

from cervix.bundle import Bundle, ModelSession
from cervix.patients.cohort import CohortExplanation, drawn, explain_factors, explain_histories, found_words, label_of
from cervix.patients.cohort_charts import beeswarm_figure, dependence_figure, importance_figure
from cervix.patients.explanation import explain_patient, leading_factors
from cervix.patients.history_explanation import explain_history
from cervix.patients.history_scoring import histories_of, score_visits
from cervix.patients.reading import PatientTable
from cervix.patients.scoring import score_patients
from cervix.patients.visit_sample import sample_visits_csv
from cervix.patients.visits import read_visits

TASK = "cin2-3y"


def test_factors_of_each_patient_add_up_to_her_risk(sample: PatientTable, session: ModelSession) -> None:
    frame = sample.frame.iloc[:3]
    told: list[tuple[int, int]] = []
    cohort = explain_factors(frame, np.array([True, False, True]), session, on_progress=lambda *step: told.append(step))
    assert told == [(1, 2), (2, 2)]
    assert cohort.patients == len(cohort.values) == 2
    risks = score_patients(sample, session)["risk"].iloc[[0, 2]]
    reference = explain_patient(frame.iloc[0], session).reference_risk
    np.testing.assert_allclose(cohort.values.sum(axis=1) + reference, risks, atol=1e-5)


def test_results_of_each_woman_add_up_as_her_visits_do(bundle: Bundle) -> None:
    session = bundle.session("history")
    table = read_visits(sample_visits_csv(6).encode())
    histories, scores = histories_of(table.frame, session), score_visits(table, session)
    answered = ~scores["abstained"].to_numpy(bool)
    cohort = explain_histories(table.frame, histories, answered, session)
    assert len(cohort.values) == answered.sum()
    for position, woman in enumerate(np.flatnonzero(answered)):
        first = histories.first[woman]
        visits = table.frame.iloc[first : first + histories.lengths[woman]]
        why = explain_history(visits, session, TASK)
        assert cohort.values.iloc[position].sum() == pytest.approx(why.risk - why.reference_risk, abs=1e-5)
        last_code = visits["cytology"].dropna()
        if len(last_code):
            assert found_words("cytology", cohort.found["cytology"].iloc[position]) == last_code.iloc[-1]


def test_importance_counts_the_unknown_as_nothing() -> None:
    values = pd.DataFrame({"Age": [0.1, -0.1], "Smokes": [0.3, np.nan]})
    cohort = CohortExplanation(values, values, 2)
    assert cohort.importance.to_dict() == pytest.approx({"Smokes": 0.15, "Age": 0.1})


def test_a_long_list_is_drawn_from_at_random_and_the_same_each_time() -> None:
    answered = np.ones(5000, bool)
    answered[:4000] = False
    first, again = drawn(answered), drawn(answered)
    assert len(first) == 200
    assert (first == again).all()
    assert answered[first].all()
    assert len(np.unique(first)) == 200


def test_the_figures_show_every_known_point_and_name_the_codes() -> None:
    values = pd.DataFrame({"cytology": [0.2, -0.1, np.nan], "hpv_result": [0.05, 0.1, -0.1]})
    found = pd.DataFrame({"cytology": [5.0, 0.0, np.nan], "hpv_result": [1.0, 1.0, 0.0]})
    cohort = CohortExplanation(values, found, 3)
    swarm = beeswarm_figure(cohort)
    assert [len(trace.x) for trace in swarm.data] == [2, 3]
    assert list(importance_figure(cohort).data[0].y) == [label_of("cytology"), label_of("hpv_result")]
    dependence = dependence_figure(cohort, "cytology").data[0]
    assert list(dependence.x) == [found_words("cytology", 5.0), found_words("cytology", 0.0)]
    assert list(dependence.y) == [0.2, -0.1]


def test_the_leading_factor_is_the_one_whose_hiding_moves_the_risk_most(sample: PatientTable, session: ModelSession) -> None:
    frame = sample.frame.iloc[:3]
    leading = leading_factors(frame, session)
    for row in frame.index:
        risk = explain_patient(frame.loc[row], session).risk
        known = [name for name in frame.columns if name != "patient_id" and pd.notna(frame.loc[row, name])]
        changes = {
            label_of(name): risk - explain_patient(frame.loc[row].where(frame.columns != name, np.nan), session).risk
            for name in known
        }
        assert leading.loc[row, "change"] == pytest.approx(max(changes.values(), key=abs), abs=1e-5)
        assert changes[leading.loc[row, "label"]] == pytest.approx(leading.loc[row, "change"], abs=1e-5)
