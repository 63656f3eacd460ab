"""A score depends on the patient and on nothing around her."""

import numpy as np
import pandas as pd
import pytest

from cervix.bundle import Bundle, ModelSession
from cervix.patients import scoring
from cervix.patients.reading import PatientTable, read_patients
from cervix.patients.sample import sample_table_csv
from cervix.patients.scoring import BIOPSY_TASK, feature_array, feature_names, score_patients
from cervix.patients.vocabulary import COLUMNS, OTHER_TESTS, PATIENT_ID

# ONNX Runtime may sum in another order for another batch size.
ROUNDING = 1e-6


@pytest.fixture(params=["risk-factors", "risk-factors-with-tests"])
def session(request: pytest.FixtureRequest, bundle: Bundle) -> ModelSession:
    return bundle.session(request.param)


@pytest.fixture(scope="module")
def sample() -> PatientTable:
    return read_patients(sample_table_csv().encode())


def table_of(frame: pd.DataFrame) -> PatientTable:
    return PatientTable(frame, [], 0, [])


def with_known(known: list[str]) -> PatientTable:
    """One patient of 30 of whom only ``known`` is known, every other answer being 0."""
    cells = {name: 30.0 if name == "Age" else 0.0 for name in known}
    return table_of(pd.DataFrame([cells], index=pd.Index([2], name="row")).reindex(columns=list(COLUMNS)).astype("float32"))


def test_every_readable_row_gets_a_risk_between_0_and_1(session: ModelSession, sample: PatientTable) -> None:
    scores = score_patients(sample, session)
    assert scores.index.equals(sample.frame.index)
    assert scores["risk"].between(0, 1).all()
    assert scores["risk"].nunique() > 10


def test_the_order_of_the_rows_does_not_matter(session: ModelSession, sample: PatientTable) -> None:
    shuffled = table_of(sample.frame.sample(frac=1, random_state=0))
    expected = score_patients(sample, session)
    pd.testing.assert_frame_equal(score_patients(shuffled, session).sort_index(), expected, atol=ROUNDING, rtol=0)


def test_a_patient_scores_the_same_alone_as_in_company(session: ModelSession, sample: PatientTable) -> None:
    together = score_patients(sample, session)["risk"]
    alone = [score_patients(table_of(sample.frame.iloc[[row]]), session)["risk"].iat[0] for row in range(5)]
    np.testing.assert_allclose(alone, together.iloc[:5], atol=ROUNDING)


def test_the_identifier_goes_with_the_score_and_not_into_it(session: ModelSession, sample: PatientTable) -> None:
    scores = score_patients(sample, session)
    assert scores[PATIENT_ID].tolist() == sample.frame[PATIENT_ID].tolist()
    nameless = score_patients(table_of(sample.frame.drop(columns=PATIENT_ID)), session)
    pd.testing.assert_frame_equal(nameless, scores.drop(columns=PATIENT_ID))


def test_the_outcome_is_not_an_input(session: ModelSession, sample: PatientTable) -> None:
    told = table_of(sample.frame.assign(Biopsy=np.float32(1)))
    pd.testing.assert_frame_equal(score_patients(told, session), score_patients(sample, session))


def test_only_the_model_with_tests_reads_the_other_tests(bundle: Bundle, sample: PatientTable) -> None:
    positive = table_of(sample.frame.assign(**{column.name: np.float32(1) for column in OTHER_TESTS}))
    without, with_tests = (bundle.session(name) for name in ("risk-factors", "risk-factors-with-tests"))
    pd.testing.assert_frame_equal(score_patients(positive, without), score_patients(sample, without))
    assert (score_patients(positive, with_tests)["risk"] > score_patients(sample, with_tests)["risk"]).mean() > 0.9


def test_flagged_is_at_or_above_the_threshold_of_the_manifest(session: ModelSession, sample: PatientTable) -> None:
    scores = score_patients(sample, session)
    heard = scores[~scores["abstained"]]
    assert (heard["flagged"] == (heard["risk"] >= session.model.threshold(BIOPSY_TASK))).all()
    assert heard["flagged"].any()
    assert not heard["flagged"].all()


def test_the_model_abstains_and_flags_nobody_of_whom_little_is_known(session: ModelSession) -> None:
    scores = score_patients(with_known(["Age", "Smokes"]), session)
    assert scores["known_share"].iat[0] == pytest.approx(2 / len(feature_names(session)))
    assert scores["abstained"].tolist() == [True]
    assert scores["flagged"].tolist() == [False]


def test_the_model_abstains_below_the_limit_and_not_at_it(session: ModelSession) -> None:
    names = feature_names(session)
    limit = next(item.limit for item in session.model.abstention if item.output == "known_share")
    enough = int(np.ceil(limit * len(names)))
    assert score_patients(with_known(names[:enough]), session)["abstained"].tolist() == [False]
    assert score_patients(with_known(names[: enough - 1]), session)["abstained"].tolist() == [True]


def test_progress_reaches_the_total_in_steps(
    session: ModelSession, sample: PatientTable, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scoring, "BATCH_ROWS", 25)
    seen: list[tuple[int, int]] = []
    batched = score_patients(sample, session, on_progress=lambda done, total: seen.append((done, total)))
    assert seen == [(25, 60), (50, 60), (60, 60)]
    monkeypatch.undo()
    pd.testing.assert_frame_equal(batched, score_patients(sample, session), atol=ROUNDING, rtol=0)


def test_features_go_in_raw_with_nan_where_not_known(session: ModelSession, sample: PatientTable) -> None:
    names = feature_names(session)
    features = feature_array(sample.frame, names)
    assert features.shape == (60, 1, len(names))
    assert features.dtype == np.float32
    np.testing.assert_array_equal(features[:, 0, names.index("Age")], sample.frame["Age"])
    assert np.isnan(features).any()


def test_a_model_of_tiles_does_not_score_patients(bundle: Bundle, sample: PatientTable) -> None:
    with pytest.raises(ValueError, match="'slide' reads no patient features"):
        score_patients(sample, bundle.session("slide"))
