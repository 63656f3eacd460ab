"""Scoring a patient table: one answer a row, and none where too little is known."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from cervix.bundle import Bundle, ModelSession
from cervix.patients import scoring
from cervix.patients.reading import PatientTable, read_patients
from cervix.patients.sample import sample_table_csv
from cervix.patients.scoring import BIOPSY_TASK, feature_array, feature_names, score_patients
from cervix.patients.vocabulary import OTHER_TESTS, PATIENT_ID, RISK_FACTORS

FACTORS = [column.name for column in RISK_FACTORS]
TESTS = [column.name for column in OTHER_TESTS]


def patients(**changes: float) -> PatientTable:
    """The first patient of the sample, every input known and 0 except her age, with changes."""
    frame = read_patients(sample_table_csv(1).encode()).frame
    frame.loc[:, FACTORS + TESTS] = np.float32(0)
    frame["Age"] = np.float32(35)
    for name, value in changes.items():
        frame[name] = np.float32(value)
    return PatientTable(frame, [], 0, [])


def test_the_model_for_the_honest_question_is_not_told_the_other_tests(bundle: Bundle) -> None:
    assert feature_names(bundle.session("risk-factors")) == FACTORS
    assert feature_names(bundle.session("risk-factors-with-tests")) == FACTORS + TESTS


def test_features_are_raw_values_in_the_order_asked_for_with_nan_kept() -> None:
    frame = pd.DataFrame({"Age": [30.0, np.nan], "Smokes": [0.0, 1.0]})
    features = feature_array(frame, ["Smokes", "Age"])
    assert (features.shape, features.dtype) == ((2, 1, 2), np.float32)
    np.testing.assert_array_equal(features[:, 0], [[0.0, 30.0], [1.0, np.nan]])


def test_every_row_gets_a_probability_under_its_own_line_and_id(sample: PatientTable, session: ModelSession) -> None:
    scores = score_patients(sample, session)
    assert scores.index.equals(sample.frame.index)
    assert scores[PATIENT_ID].tolist() == sample.frame[PATIENT_ID].tolist()
    assert scores["risk"].between(0, 1).all()
    assert scores["risk"].nunique() > 30


def test_a_flag_means_at_or_above_the_manifests_threshold(sample: PatientTable, session: ModelSession) -> None:
    scores = score_patients(sample, session)
    heard = scores[~scores["abstained"]]
    threshold = np.float32(session.model.threshold(BIOPSY_TASK))
    assert (heard["flagged"] == (heard["risk"] >= threshold)).all()
    assert heard["flagged"].nunique() == 2


def test_the_known_share_counts_the_models_own_inputs(session: ModelSession) -> None:
    table = patients(Biopsy=np.nan, Smokes=np.nan, Age=np.nan)
    count = len(feature_names(session))
    assert score_patients(table, session)["known_share"].iloc[0] == pytest.approx((count - 2) / count)


def test_nothing_known_is_no_answer_and_no_flag(session: ModelSession) -> None:
    scores = score_patients(patients(**dict.fromkeys(FACTORS + TESTS, np.nan)), session)
    assert scores["abstained"].tolist() == [True]
    assert scores["flagged"].tolist() == [False]


def test_the_model_answers_from_its_limit_of_known_inputs_on(session: ModelSession) -> None:
    names = feature_names(session)
    limit = next(item.limit for item in session.model.abstention if item.output == "known_share")
    needed = int(np.ceil(limit * len(names)))
    enough = patients(**dict.fromkeys(names[: len(names) - needed], np.nan))
    too_few = patients(**dict.fromkeys(names[: len(names) - needed + 1], np.nan))
    assert not score_patients(enough, session)["abstained"].iloc[0]
    assert score_patients(too_few, session)["abstained"].iloc[0]


def test_not_known_is_another_answer_than_no(session: ModelSession) -> None:
    no, not_known = (score_patients(patients(Dx=value), session)["risk"].iloc[0] for value in (0, np.nan))
    assert no != not_known


def test_a_positive_iodine_test_raises_the_risk_only_of_the_model_that_reads_it(bundle: Bundle) -> None:
    risks = {
        model: [score_patients(patients(Schiller=value), bundle.session(model))["risk"].iloc[0] for value in (0, 1)]
        for model in ("risk-factors", "risk-factors-with-tests")
    }
    assert risks["risk-factors"][0] == risks["risk-factors"][1]
    assert risks["risk-factors-with-tests"][1] > 5 * risks["risk-factors-with-tests"][0]


def test_the_outcome_column_does_not_move_the_risk(session: ModelSession) -> None:
    without, with_biopsy = (score_patients(patients(Biopsy=value), session)["risk"].iloc[0] for value in (0, 1))
    assert without == with_biopsy


def test_batches_report_progress_and_do_not_change_the_answer(
    sample: PatientTable, session: ModelSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = score_patients(sample, session)
    monkeypatch.setattr(scoring, "BATCH_ROWS", 25)
    seen: list[tuple[int, int]] = []
    batched = score_patients(sample, session, on_progress=lambda done, total: seen.append((done, total)))
    assert seen == [(25, 60), (50, 60), (60, 60)]
    np.testing.assert_allclose(batched["risk"], whole["risk"], atol=1e-6)


def test_scoring_leaves_the_table_as_it_was(sample: PatientTable, session: ModelSession) -> None:
    before = sample.frame.copy()
    score_patients(sample, session)
    pd.testing.assert_frame_equal(sample.frame, before)


def test_a_slide_model_scores_no_patients(bundle: Bundle, sample: PatientTable) -> None:
    with pytest.raises(ValueError, match="reads no patient features"):
        score_patients(sample, bundle.session_of("tile"))


def test_where_the_model_abstains_there_is_no_number(session: ModelSession) -> None:
    scores = score_patients(patients(**dict.fromkeys(FACTORS + TESTS, np.nan)), session)
    assert scores["abstained"].all()
    assert scores["risk"].isna().all()
    assert not scores["flagged"].any()


def test_the_model_that_is_told_the_other_tests_abstains_without_any_of_them(bundle: Bundle) -> None:
    none, one = patients(**dict.fromkeys(TESTS, np.nan)), patients(**dict.fromkeys(TESTS[1:], np.nan))
    assert score_patients(none, bundle.session("risk-factors-with-tests"))["abstained"].all()
    assert not score_patients(one, bundle.session("risk-factors-with-tests"))["abstained"].any()
    assert not score_patients(none, bundle.session("risk-factors"))["abstained"].any()


def test_the_order_of_the_rows_does_not_change_a_score(session: ModelSession) -> None:
    table = read_patients(sample_table_csv(40).encode())
    forwards = score_patients(table, session)
    backwards = score_patients(replace(table, frame=table.frame.iloc[::-1]), session)
    pd.testing.assert_frame_equal(backwards.iloc[::-1], forwards, rtol=1e-5)
