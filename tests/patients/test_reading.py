"""Reading a patient table: what is accepted, what is reported, what is refused."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from cervix.errors import PatientFileError
from cervix.patients.csv_text import CELL_OUT, PROBLEMS_KEPT_PER_COLUMN, WHOLE_ROW, read_text_table
from cervix.patients.reading import read_patients
from cervix.patients.sample import blank_table_csv, sample_table_csv
from cervix.patients.vocabulary import COLUMNS, PATIENT_ID, RISK_FACTORS, recognise

COMPLETE = {"Age": "34", "Number of sexual partners": "2", "First sexual intercourse": "17", "Num of pregnancies": "1"}
NAMES = [column.name for column in RISK_FACTORS]
SECRET = "SECRET-CELL"


def table(*rows: dict[str, str], names: list[str] = NAMES, delimiter: str = ",") -> str:
    """A table in which every cell not given is 0."""
    lines = [names, *([(COMPLETE | row).get(name, "0") for name in names] for row in rows)]
    return "\n".join(delimiter.join(line) for line in lines) + "\n"


def ages(content: str | bytes) -> list[float]:
    content = content.encode() if isinstance(content, str) else content
    return read_patients(content).frame["Age"].tolist()


def refusal(content: bytes | Path) -> str:
    with pytest.raises(PatientFileError) as caught:
        read_patients(content)
    return str(caught.value)


def test_the_real_table_reads_without_a_problem(data_dir: Path) -> None:
    read = read_patients(data_dir / "tables/uci_risk_factors_cervical_cancer.csv", strict=True)
    assert (len(read.frame), read.problems, read.notices) == (858, [], [])
    assert int(read.frame["Biopsy"].sum()) == 55
    assert int(read.frame["STDs: Time since first diagnosis"].isna().sum()) == 787


def test_both_spellings_of_cytology_give_the_same_table(data_dir: Path) -> None:
    first = read_patients(data_dir / "tables/uci_risk_factors_cervical_cancer.csv")
    second = read_patients(data_dir / "tables/uci_variant_header_Cytology.csv")
    assert "Cytology" not in second.frame
    assert second.notices == []
    pd.testing.assert_frame_equal(first.frame, second.frame)


@pytest.mark.parametrize("header", ["citology", " CYTOLOGY ", "smokes  (YEARS)", "stds:time since last diagnosis", "Dx: CIN"])
def test_a_header_is_recognised_whatever_its_case_and_spacing(header: str) -> None:
    assert recognise(header) is not None


def test_every_column_of_the_vocabulary_is_in_the_frame_as_float32() -> None:
    frame = read_patients(table({}).encode()).frame
    assert list(frame.columns) == list(COLUMNS)
    assert set(map(str, frame.dtypes)) == {"float32"}


@pytest.mark.parametrize("token", ["", "?", "NA", "nan", " ? ", "N/A"])
def test_a_missing_value_is_not_known_and_never_zero(token: str) -> None:
    read = read_patients(table({"Smokes": token}, {"Smokes": "0"}).encode())
    assert read.problems == []
    assert np.isnan(read.frame["Smokes"].iloc[0])
    assert read.frame["Smokes"].iloc[1] == 0.0


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("Age", "forty"), ("Age", "-3"), ("Age", "9"), ("Age", "340"), ("Age", "1e300"), ("Age", "inf"), ("Age", "0x22"),
        ("Smokes", "2"), ("Smokes", "0.5"), ("Smokes", "yes"), ("IUD (years)", "61"),
    ],
)  # fmt: skip
def test_a_value_that_cannot_be_is_not_known_and_its_row_is_kept(column: str, value: str) -> None:
    read = read_patients(table({"Age": "20"}, {column: value}, {"Age": "40"}).encode())
    assert np.isnan(read.frame[column].iloc[1])
    assert len(read.frame) == 3
    assert {name: lines.tolist() for name, lines in read.not_read.items()} == {column: [3]}
    assert [(problem.row, problem.column, problem.value) for problem in read.problems] == [(3, column, value)]
    assert read.problems[0].accepted == COLUMNS[column].accepted
    assert (read.problems[0].became, read.rows_left_out) == (CELL_OUT, 0)


def test_the_limits_of_a_range_are_accepted() -> None:
    assert ages(table({"Age": "10"}, {"Age": "110"})) == [10.0, 110.0]


def test_a_row_with_two_bad_cells_reports_both() -> None:
    read = read_patients(table({}, {"Age": "x", "Smokes": "7"}).encode())
    assert {problem.column for problem in read.problems} == {"Age", "Smokes"}
    assert len(read.frame) == 2


@pytest.mark.parametrize("word", ["Mean", "TOTAL", "Mittelwert", "std"])
def test_a_row_that_sums_up_others_is_nobody(word: str) -> None:
    names = [PATIENT_ID, *NAMES]
    read = read_patients(table({PATIENT_ID: "w1"}, {PATIENT_ID: word, "Age": "26.8"}, names=names).encode())
    assert read.frame[PATIENT_ID].tolist() == ["w1"]
    assert [(problem.row, problem.accepted) for problem in read.problems] == [(3, "a patient; this row sums up others")]


def test_a_header_in_the_middle_of_the_table_is_nobody() -> None:
    header, row = table({}).splitlines()
    read = read_patients(f"{header}\n{row}\n{header}\n{row}\n".encode())
    assert read.frame.index.tolist() == [2, 4]
    assert [(problem.row, problem.column) for problem in read.problems] == [(3, WHOLE_ROW)]


def test_a_cell_that_no_model_reads_costs_nothing() -> None:
    names = [*NAMES, "Biopsy"]
    read = read_patients(table({"Biopsy": "pending later"}, names=names).encode(), strict=True)
    assert read.not_read == {}
    assert any("Biopsy" in notice and "no model reads" in notice for notice in read.notices)


def test_rows_of_another_width_are_reported_by_their_line() -> None:
    lines = table({"Age": "20"}, {"Age": "30"}, {"Age": "40"}, {"Age": "50"}).splitlines()
    lines[2] += ",9"
    lines[3] = "1,2"
    read = read_patients("\n".join(lines).encode())
    assert read.frame["Age"].tolist() == [20.0, 50.0]
    assert [(problem.row, problem.column) for problem in read.problems] == [(3, WHOLE_ROW), (4, WHOLE_ROW)]


def test_blank_cells_beyond_the_header_lose_no_row() -> None:
    header, row = table({}).splitlines()
    assert ages(f"{header}\n{row},\n{row}, ,\n") == [34.0, 34.0]
    assert ages(f"{header},,\n{row},,\n{row}\n") == [34.0, 34.0]


@pytest.mark.parametrize("position", [0, 5, len(NAMES) - 1])
def test_an_open_quote_costs_its_own_row_and_no_other(position: int) -> None:
    lines = table(*({"Age": str(age)} for age in range(20, 60))).splitlines()
    cells = lines[3].split(",")
    cells[position] = '"' + cells[position]
    lines[3] = ",".join(cells)
    read = read_patients("\n".join(lines).encode())
    assert read.frame["Age"].tolist() == [age for age in range(20, 60) if age != 22]
    assert [problem.row for problem in read.problems] == [4]


def test_a_misplaced_quote_is_reported_and_never_turned_into_a_number() -> None:
    read = read_patients(table({}, {"Age": '"3"4'}, {"Age": '"40"'}).encode())
    assert read.frame["Age"].tolist() == [34.0, 40.0]
    assert [(problem.row, problem.column) for problem in read.problems] == [(3, WHOLE_ROW)]


def test_an_open_quote_that_a_later_row_seems_to_close_swallows_nothing_between() -> None:
    names = ["Remark", *NAMES]
    rows = [{"Age": str(age)} for age in range(20, 30)]
    rows[2]["Remark"], rows[7]["Remark"] = '"about 5 ft 2', '5 ft 2"'
    read = read_patients(table(*rows, names=names).encode())
    assert read.frame["Age"].tolist() == [20.0, 21.0, *range(23, 30)]
    assert [problem.row for problem in read.problems] == [4]


def test_a_nul_far_down_is_a_bad_cell_and_not_a_binary_file() -> None:
    header, row = table({}).splitlines()
    read = read_patients("\n".join([header, *[row] * 200, row.replace("34", "\0"), row]).encode())
    assert (len(read.frame), [problem.row for problem in read.problems]) == (202, [202])


def test_open_quotes_in_every_row_are_found_in_passable_time() -> None:
    header, row = table({}).splitlines()
    broken = f'"{row}'
    read = read_patients("\n".join([header, row, *[broken] * 20_000]).encode())
    assert (len(read.frame), read.rows_left_out) == (1, 20_000)


def test_a_line_break_inside_quotes_keeps_the_record_and_the_line_numbers() -> None:
    names = ["Remark", *NAMES]
    text = table({"Remark": '"two\nlines"'}, {"Age": "40"}, {"Age": "x"}, names=names)
    read = read_patients(text.encode())
    assert read.frame.index.tolist() == [2, 4, 5]
    assert read.problems[0].row == 5


def test_blank_lines_are_no_rows_and_do_not_shift_the_numbering() -> None:
    header, first, second = table({}, {"Age": "x"}).splitlines()
    read = read_patients(f"{header}\n\n{first}\n , \n{second}\n".encode())
    assert read.frame.index.tolist() == [3, 5]
    assert [problem.row for problem in read.problems] == [5]


@pytest.mark.parametrize("marked", [True, False])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "cp1252"])
def test_spreadsheet_encodings_are_read_and_ids_keep_their_accents(encoding: str, marked: bool) -> None:
    mark = {"utf-16-le": b"\xff\xfe", "utf-16-be": b"\xfe\xff"}.get(encoding, b"") if marked else b""
    text = table({PATIENT_ID: "Peña–1"}, names=[PATIENT_ID, *NAMES])
    read = read_patients(mark + text.encode(encoding))
    assert read.frame[PATIENT_ID].tolist() == ["Peña–1"]
    assert any("ead as" in notice for notice in read.notices) == (encoding != "utf-8")


@pytest.mark.parametrize("ending", ["\n", "\r\n", "\r"])
def test_every_line_ending_is_read(ending: str) -> None:
    assert ages(table({}, {"Age": "40"}).replace("\n", ending)) == [34.0, 40.0]


@pytest.mark.parametrize(("delimiter", "name"), [(";", "semicolon"), ("\t", "tab"), ("|", "pipe")])
def test_other_delimiters_are_told_from_the_header(delimiter: str, name: str) -> None:
    read = read_patients(table({}, delimiter=delimiter).encode())
    assert read.frame["Age"].tolist() == [34.0]
    assert any(name in notice for notice in read.notices)


def test_decimal_commas_are_read_where_the_comma_does_not_separate() -> None:
    read = read_patients(table({"Smokes (years)": "1,5"}, delimiter=";").encode())
    assert read.frame["Smokes (years)"].tolist() == [1.5]
    assert any("Decimal commas" in notice for notice in read.notices)


def test_unknown_columns_are_named_and_not_used() -> None:
    read = read_patients(table({}, names=[*NAMES, "Shoe size"]).encode())
    assert "Columns not used: Shoe size." in read.notices
    assert "Shoe size" not in read.frame


def test_missing_columns_are_named_and_not_known() -> None:
    read = read_patients(table({}, names=[name for name in NAMES if name != "Smokes"]).encode())
    assert "Columns missing, taken as not known: Smokes." in read.notices
    assert read.frame["Smokes"].isna().all()


def test_half_of_the_columns_are_enough_and_fewer_are_not() -> None:
    half = len(NAMES) // 2
    assert ages(table({}, names=NAMES[:half])) == [34.0]
    message = refusal(table({}, names=NAMES[: half - 1]).encode())
    assert f"{half - 1} of {len(NAMES)} known columns" in message
    assert "Age" in message


def test_an_unknown_delimiter_is_refused_with_what_to_check() -> None:
    assert "delimiter" in refusal(table({}, delimiter="^").encode())


def test_a_column_named_twice_is_refused_by_name() -> None:
    assert "names Citology twice" in refusal(table({}, names=[*NAMES, "Citology", "cytology"]).encode())


@pytest.mark.parametrize("content", [b"", b" \n\n\t ", b"\xef\xbb\xbf", b"\xff\xfe"])
def test_an_empty_file_is_refused(content: bytes) -> None:
    refusal(content)


def test_a_header_without_a_patient_is_refused() -> None:
    assert "no rows" in refusal(blank_table_csv().encode())


@pytest.mark.parametrize(
    "content",
    [b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR", b"PK\x03\x04\x14\x00\x06\x00", bytes(range(1, 256)) * 40, b'"' * 999],
    ids=["png", "xlsx", "bytes", "quotes"],
)
def test_a_file_that_is_no_table_is_refused(content: bytes) -> None:
    refusal(content)


def test_utf_16_that_breaks_off_is_refused() -> None:
    assert "ends in the middle" in refusal(table({}).encode("utf-16")[:-1])


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    assert "cannot be opened" in refusal(tmp_path / "none.csv")


def test_a_table_of_bad_rows_alone_is_refused_with_the_first_line_and_what_is_accepted() -> None:
    assert "line 2 in column (whole row)" in (said := refusal(f"{','.join(NAMES)}\n1,2\n3,4\n".encode()))
    assert "cells, as in the header" in said


def test_a_ten_megabyte_cell_costs_its_row_and_stays_short_on_the_page() -> None:
    read = read_patients(table({}, {"Age": "9" * 10_000_000}, {"Age": "40"}).encode())
    assert read.frame["Age"].dropna().tolist() == [34.0, 40.0]
    assert len(read.problems[0].value) < 50


def test_strict_reading_refuses_any_problem_and_accepts_none() -> None:
    assert len(read_patients(table({}).encode(), strict=True).frame) == 1
    with pytest.raises(
        PatientFileError, match="1 bad rows, the first on line 3 in column Age; accepted is a number from 10 to 110"
    ):
        read_patients(table({}, {"Age": "x"}).encode(), strict=True)


@pytest.mark.parametrize(
    ("content", "strict"),
    [
        (f"{','.join(NAMES)}\n{SECRET},2\n", False),
        (table({}, {"Age": SECRET}), True),
        (table({}, {"Age": f'"{SECRET}'}), True),
        (table({}, delimiter="^").replace("34", SECRET), False),
        ("\n".join(table({"Age": SECRET}).splitlines()[1:] * 2), False),
    ],
    ids=["bad rows alone", "strict", "open quote", "unknown delimiter", "no header"],
)
def test_no_exception_holds_a_cell_of_the_table(content: str, strict: bool) -> None:
    with pytest.raises(PatientFileError) as caught:
        read_patients(content.encode(), strict=strict)
    assert SECRET not in str(caught.value)


def test_very_many_problems_are_capped_and_their_rows_counted_exactly() -> None:
    header, row = table({}).splitlines()
    bad = row.replace("34", "x")
    read = read_patients("\n".join([header, row, *[bad] * 5_000, *["1,2"] * 3_000]).encode())
    assert len(read.problems) == 2 * PROBLEMS_KEPT_PER_COLUMN
    assert (read.rows_left_out, len(read.not_read["Age"])) == (3_000, 5_000)


def test_one_row_is_enough() -> None:
    assert ages(table({})) == [34.0]


def test_two_hundred_thousand_rows_are_read_and_none_is_lost() -> None:
    header, *rows = sample_table_csv(1_000).splitlines()
    read = read_patients("\n".join([header, *(f"{copy}-{row}" for copy in range(200) for row in rows)]).encode())
    assert (len(read.frame), read.problems) == (200_000, [])


def test_the_generated_sample_reads_cleanly_and_is_the_same_every_time() -> None:
    assert sample_table_csv() == sample_table_csv()
    read = read_patients(sample_table_csv().encode(), strict=True)
    assert len(read.frame) == 60
    assert read.notices == []
    assert 0 < int(read.frame["Smokes"].isna().sum()) < 60
    assert not (read.frame["Smokes (years)"] > read.frame["Age"]).any()


def test_a_row_that_is_repeated_counts_once_and_rows_that_differ_for_one_pseudonym_are_left_out() -> None:
    header, first, second, third = sample_table_csv(3).splitlines()
    conflicting = third.replace(third.split(",")[1], "77", 1)
    read = read_patients("\n".join([header, first, second, first, third, conflicting]).encode())
    assert list(read.frame.index) == [2, 3]
    assert any("repeat an earlier row" in notice for notice in read.notices)
    assert [(problem.row, problem.column, problem.accepted) for problem in read.problems] == [
        (row, "patient_id", "one row a patient; this patient has several different rows") for row in (5, 6)
    ]


def test_progress_is_told_while_a_long_file_is_read() -> None:
    header, *rows = sample_table_csv(1_000).splitlines()
    told: list[tuple[int, int]] = []
    content = "\n".join([header, *(f"{copy}-{row}" for copy in range(12) for row in rows)]).encode()
    read_text_table(content, on_progress=lambda done, total: told.append((done, total)))
    assert told == [(5_001, 12_001), (10_001, 12_001)]
