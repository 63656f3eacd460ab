"""Outcomes as people write them answer the question that they can answer, and no other."""

from pathlib import Path

import pandas as pd
import pytest

from cervix import cli
from cervix.bundle import Bundle, ModelSession
from cervix.errors import EvaluationError
from cervix.evaluation.labelled import Labelled
from cervix.evaluation.labelled_patients import labelled_patients
from cervix.evaluation.questions import task_scores

EVERY = ["cin2-3y", "cin3-3y", "cin2-5y", "cin3-5y"]


@pytest.fixture(scope="module")
def session(bundle: Bundle) -> ModelSession:
    return bundle.session("history")


def of(session: ModelSession, outcomes: list[str], *, days: list[str] | None = None, task: str = "") -> Labelled:
    """One woman an outcome, last seen on 2015-06-01."""
    frame = pd.DataFrame(
        {
            "patient_id": [f"P{place:02}" for place in range(len(outcomes))], "visit_date": "2015-06-01",
            "age": 35, "cytology": "LSIL", "hpv_result": "positive", "outcome": outcomes,
        }
    )  # fmt: skip
    if days is not None:
        frame["outcome_date"] = days
    return labelled_patients(frame.to_csv(index=False).encode(), session, task=task)


def answers(labelled: Labelled, session: ModelSession, task: str) -> dict[str, bool]:
    """Line of each woman that the question is about -> whether she has the condition."""
    frame = labelled.cases.frame
    found = task_scores(frame, session.model.task_named(task))
    rows = frame.loc[frame["label"].notna()] if f"is_{task}" not in frame else frame.loc[frame[f"is_{task}"].notna()]
    return dict(zip(rows["case"].str.removeprefix("line "), found.positive.tolist(), strict=True))


def test_yes_no_and_a_grade_answer_the_main_question(cases_dir: Path, session: ModelSession) -> None:
    found = labelled_patients((cases_dir / "patients/e01_outcome_yesno.csv").read_bytes(), session)
    assert answers(found, session, "cin2-3y") == {"2": False, "3": True, "4": True, "5": False}
    assert found.tasks == ["cin2-3y"]
    assert found.problems == []
    assert not any("not used" in notice for notice in found.notices)
    assert any("CIN2+ within 3 years" in notice for notice in found.notices)
    assert any("CIN3+ within 3 years" in notice for notice in found.notices), "what is not answered is said"


def test_classes_of_the_model_answer_every_question(cases_dir: Path, session: ModelSession) -> None:
    found = labelled_patients((cases_dir / "patients/e02_outcome_classes.csv").read_bytes(), session)
    assert found.tasks == EVERY
    frame = found.cases.frame.set_index("case")
    assert frame.loc[["line 2", "line 3", "line 4"], "label"].tolist() == ["none", "cin3-3y", "cin2-3y"]
    assert not any("not used" in notice for notice in found.notices)


def test_a_woman_with_a_lost_visit_stays_left_out_and_counted(cases_dir: Path, session: ModelSession) -> None:
    content = (cases_dir / "patients/e05_lost_visit_with_outcome.csv").read_bytes()
    before = labelled_patients(content, session)
    assert before.tasks == EVERY
    torn = b"patient_id,visit_date,age,cytology,outcome\nA,2018-01-01,30,NILM,no\nB,soon,40,HSIL,yes\n"
    found = labelled_patients(torn, session)
    assert found.cases.frame["case"].tolist() == ["line 2"]
    assert any(notice.startswith("1 patients were left out") for notice in found.notices)


@pytest.mark.parametrize(
    ("told", "yes"),
    [
        (["yes", "No", "1", "0", "1.0", "0.0", "TRUE", "false", "Y", "ja", "nein", "positive"],
         [True, False, True, False, True, False, True, False, True, True, False, True]),
        (["CIN2", "CIN 3", "cin iii", "HSIL", "benign", "CIN1", "LSIL", "AIS", "SCC", "CIN2+", "NIC 2", "ADC", "<CIN2"],
         [True, True, True, True, False, False, False, True, True, True, True, True, False]),
    ],
)  # fmt: skip
def test_the_words_for_an_outcome(told: list[str], yes: list[bool], session: ModelSession) -> None:
    found = of(session, told)
    assert found.problems == []
    assert list(answers(found, session, "cin2-3y").values()) == yes


def test_a_plain_yes_answers_the_question_that_was_named_alone(session: ModelSession) -> None:
    found = of(session, ["yes", "no"], task="cin3-5y")
    assert found.tasks == ["cin3-5y"]
    assert list(answers(found, session, "cin3-5y").values()) == [True, False]


def test_a_grade_answers_both_lesions_of_the_time_that_was_named(session: ModelSession) -> None:
    found = of(session, ["CIN2", "CIN3", "benign", "HSIL"], task="cin2-5y")
    assert found.tasks == ["cin2-5y", "cin3-5y"]
    assert list(answers(found, session, "cin2-5y").values()) == [True, True, False, True]
    assert answers(found, session, "cin3-5y") == {"2": False, "3": True, "4": False}, "HSIL is CIN2 or CIN3"


def test_a_day_of_diagnosis_is_counted_from_the_last_visit(session: ModelSession) -> None:
    found = of(session, ["2018-06-01", "2018-06-02", "2021-01-01", "2014-01-01"])
    assert found.tasks == ["cin2-3y", "cin2-5y"]
    assert answers(found, session, "cin2-3y") == {"2": True, "3": False, "4": False}
    assert answers(found, session, "cin2-5y") == {"2": True, "3": True, "4": False}
    assert len(found.problems) == 1
    assert "2014-01-01 is not between her last visit" in found.problems[0]


def test_a_grade_with_its_day_answers_every_question_and_short_follow_up_none_that_reaches_further(
    session: ModelSession,
) -> None:
    found = of(
        session,
        ["CIN3", "CIN2", "benign", "benign", "no disease"],
        days=["01.07.2019", "13.07.2016", "31.12.2019", "13.07.2021", ""],
    )
    assert found.tasks == EVERY
    assert answers(found, session, "cin2-3y") == {"2": False, "3": True, "4": False, "5": False}
    assert answers(found, session, "cin3-5y") == {"2": True, "3": False, "5": False}
    assert answers(found, session, "cin2-5y") == {"2": True, "3": True, "5": False}
    assert "no disease" in found.problems[0]


def test_a_refused_outcome_names_what_is_accepted(session: ModelSession) -> None:
    with pytest.raises(EvaluationError, match="yes or no, 0 or 1, a grade .* cin2-3y-cin3-5y"):
        of(session, ["perhaps", ""])
    with pytest.raises(EvaluationError, match="no single column of outcomes.*yes or no"):
        labelled_patients(b"patient_id,visit_date,age,cytology\nA,2018-01-01,30,NILM\n", session)


def test_an_outcome_on_a_row_that_is_joined_with_its_day_is_not_lost(session: ModelSession) -> None:
    table = (
        "patient_id,visit_date,age,cytology,hpv_result,outcome\n"
        "A,2018-01-01,30,NILM,,\nA,2018-01-01,30,,negative,no\nB,2018-01-01,30,HSIL,,yes\n"
    )
    found = labelled_patients(table.encode(), session)
    assert list(answers(found, session, "cin2-3y").values()) == [False, True]


@pytest.mark.usefixtures("home")
def test_the_command_line_answers_with_the_question_that_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "mine.csv"
    path.write_text("patient_id;visit_date;age;cytology;outcome\nA;2018-01-01;30;NILM;nein\nB;2018-01-01;41;HSIL;ja\n")
    assert cli.main(["evaluate", "history", "--labelled", str(path), "--task", "cin3-5y"]) == 0
    told = capsys.readouterr()
    assert "CIN3+ within 5 years, called at" in told.out
    assert "2 cases of your patients (1 positive)" in told.out
    assert "too few cases to tell" in told.out
    assert "not used" not in told.err
