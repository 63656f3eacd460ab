"""Misspelt codes: put right where one thing alone can be meant, never guessed where two can."""

import pytest

from cervix.patients.corrected import Correction, corrected_copy
from cervix.patients.reading import read_patients
from cervix.patients.sample import sample_table_csv
from cervix.patients.spelling import meant_code, meant_number
from cervix.patients.visit_vocabulary import CODE_COLUMNS, VISIT_COLUMNS
from cervix.patients.visits import read_visits
from cervix.patients.vocabulary import COLUMNS

VISITS = """patient_id,visit_date,surname,cytology,hpv_result
A,2020-01-01,Doe,ASCUSS,possitive
B,2020-02-01,Roe,ASCUSS,-

C,2020-03-01,Poe,HSLI,negative
D,2020-04-01,Moe,NILM
"""


@pytest.mark.parametrize(
    ("column", "text", "code"),
    [
        ("cytology", "ASCUSS", "ASC-US"), ("cytology", "NLIM", "NILM"), ("cytology", "normall", "NILM"),
        ("hpv_result", "possitive", "positive"), ("hpv_result", "negatve", "negative"), ("histology", "benigh", "benign"),
        ("treatment", "hysterectmy", "hysterectomy"), ("smoker", "yess", "yes"),
    ],
)  # fmt: skip
def test_one_letter_wrong_is_put_right(column: str, text: str, code: str) -> None:
    assert meant_code(text, VISIT_COLUMNS[column]) == code


@pytest.mark.parametrize(
    ("column", "text"),
    [
        ("cytology", "HSLI"), ("cytology", "HLSIL"), ("cytology", "SIL"), ("cytology", "HSILL"), ("cytology", "HGSILL"),
        ("histology", "CIN 4"), ("histology", "CIN 11"), ("histology", "CIN"), ("cytology", "xyzzy"), ("smoker", "noo"),
    ],
)  # fmt: skip
def test_what_could_be_two_things_is_left_alone(column: str, text: str) -> None:
    assert meant_code(text, VISIT_COLUMNS[column]) == ""


def test_no_slip_of_one_letter_turns_hsil_into_lsil_or_a_grade_into_another() -> None:
    letters = "abcdefghijklmnopqrstuvwxyz0123456789"
    for column in CODE_COLUMNS:
        for code in ("HSIL", "LSIL", "CIN1", "CIN2", "CIN3", "ASC-H", "ASC-US"):
            if code not in column.codes:
                continue
            slips = {code[:at] + letter + code[at + 1 :] for at in range(len(code)) for letter in letters}
            assert {meant_code(slip, column) for slip in slips if slip.lower() not in column.spellings} <= {"", code}


def test_an_answer_in_words_becomes_a_number_and_nothing_else_does() -> None:
    assert meant_number("Yes", COLUMNS["Smokes"]) == "1"
    assert meant_number("no", COLUMNS["Smokes"]) == "0"
    assert meant_number("yes", COLUMNS["Age"]) == ""
    assert meant_number("perhaps", COLUMNS["Smokes"]) == ""


def test_the_copy_holds_the_corrections_alone_on_the_same_lines_without_personal_columns() -> None:
    copy = corrected_copy(VISITS.encode())
    assert copy.corrections == [
        Correction("cytology", "ASCUSS", "ASC-US", 2),
        Correction("hpv_result", "possitive", "positive", 1),
    ]
    assert (copy.dropped_columns, copy.lost_rows) == (["surname"], 1)
    assert copy.content.decode().splitlines() == [
        "patient_id,visit_date,cytology,hpv_result",
        "A,2020-01-01,ASC-US,positive",
        "B,2020-02-01,ASC-US,-",
        "",
        "C,2020-03-01,HSLI,negative",
    ]
    table = read_visits(copy.content)
    assert list(table.frame["cytology"].dropna()) == ["ASC-US", "ASC-US"]
    assert [(problem.row, problem.value, problem.meant) for problem in table.problems] == [(5, "HSLI", "")]


def test_a_problem_names_what_was_meant_and_the_copy_of_a_risk_factor_table_mends_it() -> None:
    header, first, *others = sample_table_csv().splitlines()
    cells = first.split(",")
    cells[header.split(",").index("Smokes")] = "No"
    content = "\n".join([header, ",".join(cells), *others]).encode()
    read = read_patients(content)
    (problem,) = read.problems
    assert problem.meant == "0"
    mended = read_patients(corrected_copy(content).content)
    assert mended.problems == []
    assert mended.not_read == {}
    assert read.not_read.keys() == {"Smokes"}


def test_a_file_without_a_slip_is_copied_as_it_is() -> None:
    copy = corrected_copy(sample_table_csv().encode())
    assert copy.corrections == []
    assert copy.content.decode() == sample_table_csv()
