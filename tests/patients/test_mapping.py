"""A table under other names is read once a person has said which column is which."""

import pytest

from cervix.errors import PatientFileError
from cervix.patients.csv_text import header_of, read_text_table
from cervix.patients.mapping import choosable, suggested, with_columns
from cervix.patients.visits import VisitTable, read_table

FILE = """Kennung;Besuch am;Alter;Abstrich;Geburtsname
w1;2015-01-01;30;NILM;Doe
w1;2018-01-01;33;PAP IV;Doe
w2;2019-05-05;41;HSIL;Roe
"""
MAPPING = {"patient_id": "Kennung", "visit_date": "Besuch am", "age": "Alter", "cytology": "Abstrich"}


def test_chosen_columns_are_read_under_our_names_and_rows_keep_their_lines() -> None:
    table = read_table(FILE.encode(), columns=MAPPING)
    assert isinstance(table, VisitTable)
    assert list(table.frame.index) == [2, 3, 4]
    assert [(problem.row, problem.value, problem.patient) for problem in table.problems] == [(3, "PAP IV", "w1")]
    assert "Doe" not in str(with_columns(read_text_table(FILE.encode()), MAPPING))


def test_what_the_header_says_itself_is_suggested_and_names_cannot_be_chosen() -> None:
    assert suggested(["id", "Pap smear", "HPV", "x"]) == {"patient_id": "id", "cytology": "Pap smear", "hpv_result": "HPV"}
    assert choosable(["id", "surname", "date of birth", "pap"]) == ["id", "pap"]
    assert header_of(FILE.encode())[0] == "Kennung"


@pytest.mark.parametrize(
    "mapping",
    [{**MAPPING, "age": "nowhere"}, {**MAPPING, "mood": "Alter"}, {**MAPPING, "age": "Kennung"}],
)
def test_a_choice_that_cannot_be_is_refused(mapping: dict[str, str]) -> None:
    with pytest.raises(PatientFileError):
        with_columns(read_text_table(FILE.encode()), mapping)
