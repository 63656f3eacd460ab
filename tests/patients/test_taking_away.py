"""What leaves the patient page: PDF, and visits that never took place staying where they are."""

from pathlib import Path

import numpy as np
import pandas as pd
import pypdf
import pytest

from cervix import RESEARCH_NOTICE
from cervix.bundle import Bundle
from cervix.errors import PatientFileError
from cervix.intervals import Interval
from cervix.patients.explanation import explain_patient
from cervix.patients.history_explanation import explain_history
from cervix.patients.history_scoring import score_visits
from cervix.patients.reading import read_patients
from cervix.patients.report import summary_sentence, write_factor_report, write_patient_report
from cervix.patients.sample import sample_table_csv
from cervix.patients.scoring import score_patients
from cervix.patients.visit_sample import sample_visits_csv
from cervix.patients.visit_words import finding_words
from cervix.patients.visits import VisitTable, read_visits
from cervix.patients.vocabulary import PATIENT_ID
from cervix.patients.what_if import last_results, with_next_visit, with_other_results
from cervix.provenance import provenance_of


@pytest.fixture(scope="module")
def table() -> VisitTable:
    return read_visits(sample_visits_csv().encode())


@pytest.fixture(scope="module")
def scores(table: VisitTable, bundle: Bundle) -> pd.DataFrame:
    return score_visits(table, bundle.session("history"))


def test_the_report_says_risk_why_and_whence_and_shows_markup_as_text(bundle: Bundle, tmp_path: Path) -> None:
    rows = ["<b>w</b>,2015-01-01,30,NILM,negative", "<b>w</b>,2021-01-01,36,HSIL,positive"]
    visits = read_visits("\n".join(["patient_id,visit_date,age,cytology,hpv_result", *rows]).encode())
    session = bundle.session("history")
    row = score_visits(visits, session).iloc[0]
    explained = explain_history(visits.frame, session, "cin2-3y")
    write_patient_report(
        visits.frame, row, explained, session, provenance_of(bundle, "history"), "No ladder.", tmp_path / "report.pdf"
    )
    text = "\n".join(page.extract_text() for page in pypdf.PdfReader(tmp_path / "report.pdf").pages)
    assert "<b>w</b>" in text
    assert f"{row['risk_cin2-3y']:.2%}" in text
    assert "2021-01-01" in text
    assert bundle.sha256 in text
    assert RESEARCH_NOTICE in text


def test_the_summary_names_the_visit_that_weighs_most(bundle: Bundle) -> None:
    rows = ["w,2015-01-01,30,NILM,negative", "w,2021-01-01,36,HSIL,positive"]
    visits = read_visits("\n".join(["patient_id,visit_date,age,cytology,hpv_result", *rows]).encode()).frame
    explained = explain_history(visits, bundle.session("history"), "cin2-3y")
    sentence = summary_sentence(visits, explained, "CIN2+ within 3 years")
    assert "the visit of 2021-01-01 (Cytology HSIL, HPV test positive) adds" in sentence


def test_an_imagined_visit_is_scored_and_the_real_ones_stay_as_they_are(table: VisitTable, bundle: Bundle) -> None:
    visits = table.frame[table.frame[PATIENT_ID] == table.frame[PATIENT_ID].iat[0]]
    before = visits.copy()
    session = bundle.session("history")

    def risk(results: dict[str, str]) -> float:
        imagined = with_next_visit(visits, 3.0, results)
        assert len(imagined) == len(visits) + 1
        return float(score_visits(VisitTable(imagined, [], 0, []), session)["risk_cin2-3y"].iat[0])

    assert risk({"cytology": "HSIL", "hpv_result": "positive"}) > risk({"cytology": "NILM", "hpv_result": "negative"})
    pd.testing.assert_frame_equal(visits, before)


@pytest.mark.parametrize(("years", "results"), [(0.0, {}), (11.0, {}), (3.0, {"cytology": "PAP IV"}), (3.0, {"mood": "good"})])
def test_a_visit_that_cannot_be_is_refused(table: VisitTable, years: float, results: dict[str, str]) -> None:
    with pytest.raises(PatientFileError, match="The next visit"):
        with_next_visit(table.frame.iloc[:1], years, results)


HEADER = "patient_id,visit_date,age,cytology,hpv_result,hpv_16,histology"


def test_a_visit_imagined_otherwise_starts_as_it_was_and_changes_only_what_is_said() -> None:
    rows = ("w,2020-01-01,30,NILM,negative,negative,", "w,2024-01-01,34,ASC-H,positive,positive,", "w,2024-02-01,34,,,,CIN1")
    visits = read_visits("\n".join((HEADER, *rows)).encode()).frame
    last = np.array([1, 2])
    found = last_results(visits, last)
    assert (found["cytology"], found["histology"], found["hpv_16"]) == ("ASC-H", "CIN1", "positive")
    pd.testing.assert_frame_equal(with_other_results(visits, last, {}), visits)
    otherwise = with_other_results(visits, last, {"cytology": "NILM", "histology": None, "dual_stain": "positive"})
    told = last_results(otherwise, last)
    assert told.pop("dual_stain") == "positive"
    assert told == {name: code for name, code in found.items() if name != "histology"} | {"cytology": "NILM"}
    assert last_results(with_other_results(visits, last, {"hpv_result": "negative"}), last).get("hpv_16") is None
    with pytest.raises(PatientFileError, match="unknown result"):
        with_other_results(visits, last, {"cytology": "PAP IV"})


@pytest.mark.parametrize(
    ("cells", "words"),
    [
        ("ASC-H,positive,positive,", "ASC-H, HPV16+"),
        ("NILM,negative,negative,", "NILM, HPV-"),
        (",positive,,CIN1", "CIN1, HPV+"),
        (",,,", ""),
    ],
)
def test_a_finding_is_told_as_short_as_a_clinician_writes_it(cells: str, words: str) -> None:
    visits = read_visits(f"{HEADER}\nw,2024-01-01,34,{cells}\n".encode()).frame
    assert finding_words(visits) == words


def test_the_report_of_a_risk_factor_patient_carries_what_is_known_why_and_the_limits(bundle: Bundle, tmp_path: Path) -> None:
    session = bundle.session("risk-factors")
    table = read_patients(sample_table_csv(5).encode())
    row, scores = table.frame.iloc[0], score_patients(table, session).iloc[0]
    explained = explain_patient(row, session)
    path = tmp_path / "patient.pdf"
    alike = Interval(0.25, 0.1, 0.4)
    write_factor_report(row, scores, explained, alike, session, provenance_of(bundle, "risk-factors"), path)
    text = "\n".join(page.extract_text() for page in pypdf.PdfReader(path).pages)
    for said in (
        RESEARCH_NOTICE, f"{explained.risk:.2%}", "25.0% (10.0% to 40.0%)", "Why (Shapley values of inputs)",
        bundle.sha256[:10], session.model.limits[0][:30],
    ):  # fmt: skip
        assert said in text
    nothing = scores.copy()
    nothing["abstained"], nothing["no_answer"] = True, "No answer: too little is known about this patient."
    write_factor_report(row, nothing, None, alike, session, provenance_of(bundle, "risk-factors"), path)
    text = pypdf.PdfReader(path).pages[0].extract_text()
    assert "too little is known" in text
    assert "Why" not in text
