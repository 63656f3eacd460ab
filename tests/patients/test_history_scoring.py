"""A history model on visit tables: one coherent answer a woman, none where nothing is known."""

import numpy as np
import pandas as pd
import pytest

from cervix.bundle import Bundle, ModelSession
from cervix.patients.history_scoring import histories_of, score_visits, trajectory
from cervix.patients.visit_sample import sample_visits_csv
from cervix.patients.visits import VisitTable, read_visits

HEADER = "patient_id,visit_date,age,cytology,hpv_result,hpv_16,histology,treatment\n"


@pytest.fixture(scope="module")
def session(bundle: Bundle) -> ModelSession:
    return bundle.session("history")


@pytest.fixture(scope="module")
def sample() -> VisitTable:
    return read_visits(sample_visits_csv().encode(), strict=True)


@pytest.fixture(scope="module")
def scores(sample: VisitTable, session: ModelSession) -> pd.DataFrame:
    return score_visits(sample, session)


def risk_of(session: ModelSession, *rows: str) -> float:
    scores = score_visits(read_visits((HEADER + "\n".join(f"A,{row}" for row in rows)).encode()), session)
    return float(scores["risk_cin2-3y"].iloc[0])


def test_every_woman_has_one_row_with_her_last_visit(scores: pd.DataFrame, sample: VisitTable) -> None:
    last = sample.frame.groupby("patient_id", sort=False).tail(1)
    assert list(scores.index) == list(last.index)
    assert list(scores["last_visit"]) == list(last["visit_date"])
    assert list(scores["visits"]) == list(sample.frame.groupby("patient_id", sort=False).size())


def test_risks_do_not_contradict_each_other(scores: pd.DataFrame) -> None:
    known = scores[~scores["abstained"]]
    for smaller, larger in (("cin3-3y", "cin2-3y"), ("cin2-3y", "cin2-5y"), ("cin3-3y", "cin3-5y"), ("cin3-5y", "cin2-5y")):
        assert (known[f"risk_{smaller}"] <= known[f"risk_{larger}"] + 1e-6).all()
    assert (known["lowest"] <= known["highest"]).all()


def test_who_has_no_test_result_gets_no_risk_and_no_flag(scores: pd.DataFrame) -> None:
    silent = scores[scores["results_known"] == 0]
    assert len(silent) == 1
    assert silent["abstained"].all()
    assert "without any test result" in silent["no_answer"].iat[0]
    assert silent.filter(like="risk_").isna().all(axis=None)
    assert not silent["flagged"].any()


def test_the_order_of_the_women_and_batches_change_nothing(
    sample: VisitTable, session: ModelSession, scores: pd.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cervix.patients.history_scoring.BATCH_WOMEN", 7)
    done: list[tuple[int, int]] = []
    again = score_visits(sample, session, on_progress=lambda *progress: done.append(progress))
    assert done[-1] == (40, 40)
    np.testing.assert_allclose(again["risk_cin2-3y"], scores["risk_cin2-3y"], atol=1e-6)


def test_results_move_the_risk_the_way_a_gynaecologist_expects(session: ModelSession) -> None:
    clean = risk_of(session, "2019-01-01,35,NILM,negative,negative,,", "2022-01-01,38,NILM,negative,negative,,")
    low = risk_of(session, "2019-01-01,35,NILM,negative,negative,,", "2022-01-01,38,LSIL,positive,negative,,")
    high = risk_of(session, "2019-01-01,35,NILM,positive,positive,,", "2022-01-01,38,HSIL,positive,positive,,")
    assert clean < low < high
    assert high > 20 * clean


def test_the_trajectory_ends_at_the_score(sample: VisitTable, session: ModelSession, scores: pd.DataFrame) -> None:
    histories = histories_of(sample.frame, session)
    for woman in range(len(histories)):
        path = trajectory(histories, woman, session)
        assert len(path) == histories.lengths[woman]
        if not scores["abstained"].iat[woman]:
            assert path[-1] == pytest.approx(scores["risk_cin2-3y"].iat[woman], abs=1e-6)


def test_calibration_was_tested_and_its_verdict_can_be_asked_for(bundle: Bundle) -> None:
    calibration = bundle.manifest.model("history").calibration
    assert calibration.passed("cin3-5y")
    assert not calibration.passed("cin2-5y"), "what was not tested has not passed"


def test_the_background_set_can_be_scored(bundle: Bundle, session: ModelSession) -> None:
    assert session.model.background is not None
    with np.load(bundle.root / session.model.background) as background:
        assert len(session.run(dict(background))["probabilities"]) == len(background["lengths"])
