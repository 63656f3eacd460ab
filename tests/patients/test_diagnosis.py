"""What is proven is not foretold: no risk of finding it, no step from the model, never a lower number than without proof."""

from datetime import date
from pathlib import Path

import numpy as np
import pandas as pd
import pypdf
import pytest

from cervix.bundle import Bundle, ModelSession
from cervix.patients.guideline import Step, rung_of, step_for
from cervix.patients.history_scoring import score_visits
from cervix.patients.report import write_patient_report
from cervix.patients.visit_vocabulary import VISIT_COLUMNS
from cervix.patients.visits import read_visits
from cervix.provenance import provenance_of

HEADER = "patient_id,visit_date,age,cytology,hpv_result,hpv_16,histology,treatment,pregnant,hiv,immunosuppressed"
TODAY = date(2026, 1, 1)
BIOPSY = "A,2025-06-01,35,HSIL,positive,positive"


@pytest.fixture(scope="module")
def history(bundle: Bundle) -> ModelSession:
    return bundle.session("history")


def score(session: ModelSession, *rows: str) -> pd.Series:
    return score_visits(read_visits("\n".join([HEADER, *rows]).encode()), session).iloc[0]


def step(session: ModelSession, *rows: str, today: date = TODAY) -> Step:
    table = read_visits("\n".join([HEADER, *rows]).encode())
    return step_for(table.frame, score_visits(table, session).iloc[0], session.model, today=today)


def test_proven_disease_gets_no_risk_of_finding_it(cases_dir: Path, history: ModelSession) -> None:
    table = read_visits((cases_dir / "patients/x03_histology_not_monotone.csv").read_bytes())
    scores = score_visits(table, history).set_index("patient_id")
    assert 0 < scores.at["HSIL-no-biopsy", "risk_cin2-3y"] < 1
    for woman, found in (("HSIL-CIN3-untreated", "CIN3"), ("HSIL-SCC-untreated", "SCC")):
        row = scores.loc[woman]
        assert row.filter(like="risk_").isna().all()
        assert row["abstained"]
        assert not row["flagged"]
        assert f"Diagnosis known: {found} by histology on 2025-06-01" in row["no_answer"]
        visits = table.frame[table.frame["patient_id"] == woman]
        assert step_for(visits, row, history.model, today=TODAY).action == ""


@pytest.mark.parametrize("histology", VISIT_COLUMNS["histology"].codes)
@pytest.mark.parametrize("treatment", ["", *VISIT_COLUMNS["treatment"].codes])
def test_no_biopsy_of_cin2_or_worse_gives_a_lower_number_than_none(
    histology: str, treatment: str, history: ModelSession
) -> None:
    row = score(history, f"{BIOPSY},{histology},{treatment},no,,")
    proven = histology not in ("benign", "CIN1") or treatment == "hysterectomy"
    assert bool(row["abstained"]) == proven
    assert np.isnan(row["risk_cin2-3y"]) == proven
    may_be_asked = histology in ("CIN2", "CIN3", "HSIL", "AIS") and treatment in ("ablation", "LEEP", "cone")
    assert np.isnan(row["after_treatment_cin2-3y"]) != may_be_asked
    # Without a test since, treatment leaves nothing to say either.
    silent = proven or treatment in ("ablation", "LEEP", "cone")
    assert (step(history, f"{BIOPSY},{histology},{treatment},no,,").action == "") == silent


def test_after_treatment_the_question_that_may_still_be_asked_is_named(history: ModelSession) -> None:
    row = score(history, f"{BIOPSY},CIN3,LEEP,no,,", "A,2025-12-01,35,NILM,negative,,,,no,,")
    assert "treated by LEEP on 2025-06-01, so only the risk after treatment is given" in row["no_answer"]
    assert 0 < row["after_treatment_cin2-3y"] < 1


def test_a_treatment_before_the_last_proof_does_not_answer_it(history: ModelSession) -> None:
    row = score(history, "A,2020-06-01,30,HSIL,,,CIN3,LEEP,,,", f"{BIOPSY},CIN2,,no,,")
    assert "CIN2 by histology on 2025-06-01" not in row["treated_by"]
    assert row["treated_by"] == ""
    assert np.isnan(row["after_treatment_cin2-3y"])


def test_cancer_once_proven_outweighs_all_that_follows(history: ModelSession) -> None:
    row = score(history, "A,2020-06-01,30,HSIL,,,SCC,cone,,,", "A,2025-06-01,35,NILM,negative,,benign,,,,")
    assert row["known_diagnosis"] == "SCC by histology on 2020-06-01"
    assert row["treated_by"] == ""


@pytest.mark.parametrize("cytology", ["SCC", "ADC", "AIS", "HSIL"])
def test_a_smear_proves_nothing(cytology: str, history: ModelSession) -> None:
    row = score(history, f"A,2025-06-01,35,{cytology},positive,,,,no,,")
    assert row["known_diagnosis"] == ""
    assert row["risk_cin2-3y"] > 0.1


def test_her_paper_says_what_is_known_and_what_may_be_asked(history: ModelSession, bundle: Bundle, tmp_path: Path) -> None:
    table = read_visits("\n".join([HEADER, f"{BIOPSY},CIN3,LEEP,no,,"]).encode())
    row = score_visits(table, history).iloc[0]
    words = step_for(table.frame, row, history.model, today=TODAY).words
    write_patient_report(table.frame, row, None, history, provenance_of(bundle, "history"), words, tmp_path / "her.pdf")
    text = " ".join("\n".join(page.extract_text() for page in pypdf.PdfReader(tmp_path / "her.pdf").pages).split())
    assert "Diagnosis known: CIN3 by histology" in text
    assert "After treatment: CIN2+ within 3 years" in text
    assert "Colposcopy" not in text.replace("Colposcopy HSIL", "")


class TestSteps:
    def test_a_high_risk_known_not_to_be_pregnant(self, history: ModelSession) -> None:
        assert step(history, f"{BIOPSY},,,no,,").action == "Expedited treatment preferred"

    def test_only_the_last_visits_pregnancy_counts(self, cases_dir: Path, history: ModelSession) -> None:
        table = read_visits((cases_dir / "patients/x14_stale_pregnancy.csv").read_bytes())
        row = score_visits(table, history).iloc[0]
        assert step_for(table.frame, row, history.model, today=TODAY).action == "Expedited treatment or colposcopy"

    @pytest.mark.parametrize(
        ("rows", "reason"),
        [
            (["A,1994-01-01,35,LSIL,positive,,,,no,,"], "This was her risk in 1994"),
            (["A,2025-06-01,24,HSIL,positive,,,,no,,"], "she was 24 at her last visit"),
            (["A,2025-06-01,,HSIL,positive,,,,no,,"], "her age is not known"),
            (["A,,35,HSIL,positive,,,,no,,"], "the date of her last visit is not known"),
            (["A,2025-06-01,35,HSIL,positive,,,,yes,,"], "pregnant at her last visit"),
            (["A,2020-06-01,30,NILM,,,,,,yes,", "A,2025-06-01,35,HSIL,positive,,,,no,,"], "HIV or another immunosuppression"),
            (["A,2025-06-01,35,HSIL,positive,,,,no,,yes"], "HIV or another immunosuppression"),
            (["A,2020-06-01,30,NILM,,,,hysterectomy,,,", "A,2025-06-01,35,HSIL,,,,,no,,"], "hysterectomy on 2020-06-01"),
            (["A,2025-06-01,35,,,,,,no,,"], "without any test result"),
        ],
    )
    def test_where_the_guideline_has_rules_of_its_own_there_is_no_step_and_the_reason(
        self, rows: list[str], reason: str, history: ModelSession
    ) -> None:
        found = step(history, *rows)
        assert found.action == ""
        assert reason in found.reason
        assert found.words.startswith("No guideline step is shown: ")

    def test_an_immunosuppression_that_has_ended_does_not_count(self, history: ModelSession) -> None:
        rows = ("A,2020-06-01,30,NILM,,,,,,,yes", "A,2025-06-01,35,HSIL,positive,,,,no,,no")
        assert step(history, *rows).action != ""

    def test_she_is_as_old_as_she_was_at_her_last_visit(self, history: ModelSession) -> None:
        rows = ("A,2018-06-01,22,NILM,,,,,,,", "A,2025-06-01,,HSIL,positive,positive,,,no,,")
        assert step(history, *rows).action == "Expedited treatment preferred"

    def test_the_last_day_of_the_horizon(self, history: ModelSession) -> None:
        assert step(history, f"{BIOPSY},,,no,,", today=date(2028, 5, 31)).action
        assert not step(history, f"{BIOPSY},,,no,,", today=date(2028, 6, 3)).action

    def test_results_that_call_for_colposcopy_do_so_at_any_risk(self, history: ModelSession) -> None:
        table = read_visits("\n".join([HEADER, "A,2025-06-01,35,NILM,positive,positive,,,no,,"]).encode())
        row = score_visits(table, history).iloc[0]
        row["risk_cin3-3y"], row["risk_cin3-5y"] = 0.001, 0.001
        found = step_for(table.frame, row, history.model, today=TODAY)
        assert (found.action, found.reason) == ("Colposcopy", "HPV 16 calls for colposcopy at any risk")
        assert "not advice" in found.words

    def test_a_risk_that_is_none_is_a_sentence_and_not_the_end_of_an_iteration(self) -> None:
        with pytest.raises(ValueError, match="no step without an answer"):
            rung_of(float("nan"), float("nan"))
