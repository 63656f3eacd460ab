"""The visit table: good visits in order of time, every bad one said by row, nothing guessed."""

from datetime import date

import numpy as np
import pandas as pd
import pytest

from cervix.errors import PatientFileError
from cervix.patients.csv_text import AGAINST, ROW_OUT
from cervix.patients.reading import PatientTable
from cervix.patients.sample import sample_table_csv
from cervix.patients.visit_sample import SAMPLE_WOMEN, blank_visits_csv, sample_visits_csv
from cervix.patients.visit_vocabulary import CODE_COLUMNS
from cervix.patients.visits import VisitTable, read_table, read_visits

TODAY = date(2025, 1, 1)
CODES = ("HSIL", "NILM", "LSIL")
HEADER = "patient_id,visit_date,age,cytology,hpv_result,histology,treatment"


def read(*rows: str, header: str = HEADER) -> VisitTable:
    return read_visits("\n".join([header, *rows]).encode(), today=TODAY)


def problem_of(*rows: str, header: str = HEADER) -> tuple[int, str, str, str]:
    """The only problem of a file to which one good visit of another woman is added."""
    good = "Z,2020-01-01" + "," * (header.count(",") - 1)
    table = read(*rows, good, header=header)
    (problem,) = table.problems
    assert table.rows_left_out == (problem.became == ROW_OUT)
    assert table.rows_left_out or list(table.losses.index) == [problem.patient], "what is lost is marked"
    return problem.row, problem.column, problem.value, problem.accepted


class TestOrder:
    def test_visits_are_put_in_order_of_time_and_women_stay_in_that_of_the_file(self) -> None:
        table = read("B,2020-05-01,40,NILM,,,", "A,2019-01-01,30,NILM,,,", "B,2018-05-01,38,ASC-US,,,")
        assert list(table.frame["patient_id"]) == ["B", "B", "A"]
        assert list(table.frame["cytology"]) == ["ASC-US", "NILM", "NILM"]
        assert list(table.frame.index) == [4, 2, 3]
        assert table.frame["time_years"].to_numpy() == pytest.approx([0, 2.0, 0], abs=0.01)
        assert any("out of order" in notice for notice in table.notices)

    def test_without_dates_ages_give_the_order(self) -> None:
        table = read("A,,35,HSIL,,,", "A,,31,NILM,,,")
        assert list(table.frame["cytology"]) == ["NILM", "HSIL"]
        assert list(table.frame["time_years"]) == [0, 4]

    def test_a_woman_one_of_whose_visits_has_no_date_is_ordered_by_age(self) -> None:
        table = read("A,,33,HSIL,,,", "A,2020-01-01,30,NILM,,,", "A,2022-01-01,32,ASC-US,,,")
        assert list(table.frame["cytology"]) == ["NILM", "ASC-US", "HSIL"]
        assert any("ordered by age" in notice for notice in table.notices)

    def test_one_visit_alone_is_a_history(self) -> None:
        assert list(read("A,2020-01-01,30,NILM,,,").frame["time_years"]) == [0]

    def test_of_more_than_60_visits_the_last_60_are_read(self) -> None:
        days = pd.date_range("2005-01-01", periods=63, freq="90D")
        table = read(*(f"A,{day:%Y-%m-%d},,NILM,,," for day in days))
        assert len(table.frame) == 60
        assert table.frame["visit_date"].max() == days[-1]
        assert table.frame["time_years"].iat[0] == 0
        assert any("3 visits before" in notice for notice in table.notices)

    def test_60_visits_are_all_read(self) -> None:
        days = pd.date_range("2005-01-01", periods=60, freq="90D")
        assert len(read(*(f"A,{day:%Y-%m-%d},,NILM,,," for day in days)).frame) == 60


class TestSameDay:
    def test_two_rows_of_one_day_that_agree_are_one_visit(self) -> None:
        table = read("A,2020-01-01,30,NILM,,,", "A,2020-01-01,30,,positive,,")
        assert len(table.frame) == 1
        assert (table.frame["cytology"].iat[0], table.frame["hpv_result"].iat[0]) == ("NILM", "positive")
        assert table.problems == []
        assert any("joined" in notice for notice in table.notices)

    def test_of_two_rows_of_one_day_that_contradict_each_other_what_they_agree_on_is_kept(self) -> None:
        table = read("A,2020-01-01,30,NILM,positive,,", "A,2020-01-01,30,HSIL,,,", "A,2021-01-01,31,NILM,,,")
        assert list(table.frame.index) == [2, 4]
        assert table.frame["cytology"].astype(object).where(table.frame["cytology"].notna(), "").tolist() == ["", "NILM"]
        assert table.frame["hpv_result"].iat[0] == "positive"
        assert [(problem.row, problem.column, problem.value, problem.became) for problem in table.problems] == [
            (2, "cytology", "NILM", AGAINST),
            (3, "cytology", "HSIL", AGAINST),
        ]
        assert table.losses.loc["A"].to_dict() == {"visits_set_aside": 0, "cells_not_read": 0, "contradictions": 1}

    def test_the_same_day_of_two_women_is_two_visits(self) -> None:
        assert len(read("A,2020-01-01,30,NILM,,,", "B,2020-01-01,30,HSIL,,,").frame) == 2


class TestProblems:
    def test_a_day_to_come(self) -> None:
        row, column, value, accepted = problem_of("A,2025-01-02,30,NILM,,,")
        assert (row, column, value) == (2, "visit_date", "2025-01-02")
        assert "2025-01-01" in accepted

    @pytest.mark.parametrize("value", ["31.12.20", "2020-13-01", "2020-02-30", "yesterday", "1850-01-01", "30.02.2020"])
    def test_a_date_that_is_none(self, value: str) -> None:
        assert problem_of(f"A,{value},30,NILM,,,")[1:3] == ("visit_date", value)

    @pytest.mark.parametrize("value", ["2020/3/1", "2020-03-01T08:30:00", " 2020-03-01 "])
    def test_dates_that_can_only_be_one_are_read(self, value: str) -> None:
        assert read(f"A,{value},30,NILM,,,").frame["visit_date"].iat[0] == pd.Timestamp("2020-03-01")

    @pytest.mark.parametrize("value", ["9", "111", "thirty", "1e400", "-30"])
    def test_an_age_that_is_none(self, value: str) -> None:
        assert problem_of(f"A,2020-01-01,{value},NILM,,,")[1:3] == ("age", value)

    @pytest.mark.parametrize(("ages", "odd"), [((53, 38, 39), 2), ((37, 61, 39), 3), ((37, 38, 19), 4)])
    def test_the_age_that_does_not_fit_the_dates_of_the_others_is_blanked_and_its_result_kept(
        self, ages: tuple[int, ...], odd: int
    ) -> None:
        rows = [
            f"A,{year}-06-01,{age},{cytology},,," for year, age, cytology in zip((2022, 2023, 2024), ages, CODES, strict=True)
        ]
        table = read(*rows)
        assert [(problem.row, problem.column, problem.became) for problem in table.problems] == [(odd, "age", AGAINST)]
        assert list(table.frame["cytology"]) == list(CODES)
        assert [line for line, age in table.frame["age"].items() if np.isnan(age)] == [odd]
        assert table.losses.loc["A", "contradictions"] == 1

    def test_of_two_ages_that_contradict_each_other_neither_is_believed(self) -> None:
        table = read("A,2020-01-01,30,NILM,,,", "A,2021-01-01,62,HSIL,,,")
        assert [(problem.row, problem.column) for problem in table.problems] == [(2, "age"), (3, "age")]
        assert table.frame["age"].isna().all()
        assert list(table.frame["cytology"]) == ["NILM", "HSIL"]
        assert table.losses.loc["A", "contradictions"] == 2

    def test_neither_date_nor_age(self) -> None:
        assert problem_of("A,,,NILM,,,")[:2] == (2, "visit_date")

    def test_nobody(self) -> None:
        assert problem_of(",2020-01-01,30,NILM,,,")[:2] == (2, "patient_id")

    @pytest.mark.parametrize("value", ["CIN9", "=1+1", "<b>HSIL</b>", "positive"])
    def test_an_unknown_code_says_what_is_accepted(self, value: str) -> None:
        row, column, found, accepted = problem_of(f"A,2020-01-01,30,{value},,,")
        assert (row, column, found) == (2, "cytology", value)
        assert "ASC-US" in accepted

    def test_a_huge_cell_is_a_problem_and_not_a_stop(self) -> None:
        assert problem_of("A,2020-01-01,30," + "x" * 10_000_000 + ",,,")[1] == "cytology"

    def test_strict_reading_refuses_a_file_with_a_problem(self) -> None:
        with pytest.raises(PatientFileError, match="1 bad rows, the first on line 3 in column cytology; accepted is UNSAT"):
            read_visits(f"{HEADER}\nA,2020-01-01,30,NILM,,,\nB,2020-01-01,30,what,,,".encode(), strict=True)

    def test_a_file_without_a_usable_visit_is_refused_without_quoting_it(self) -> None:
        with pytest.raises(PatientFileError) as error:
            read("Jane Doe,31.12.20,thirty,what,,,")
        assert "Jane" not in str(error.value)
        assert "2024-05-31" in str(error.value), "the refusal names what is accepted"

    def test_a_woman_of_whom_nothing_is_known_is_kept(self) -> None:
        table = read("A,2020-01-01,,,,,")
        assert table.frame[[column.name for column in CODE_COLUMNS]].isna().all(axis=None)
        assert table.problems == []


class TestCodes:
    @pytest.mark.parametrize("column", CODE_COLUMNS, ids=lambda column: column.name)
    def test_every_code_and_spelling_is_read_whatever_its_case(self, column: object) -> None:
        assert hasattr(column, "spellings")
        rows = [f"W{number},2020-01-01,30,{spelling.upper()}" for number, spelling in enumerate(column.spellings)]
        frame = read(*rows, header=f"patient_id,visit_date,age,{column.name}").frame
        assert list(frame[column.name]) == list(column.spellings.values())

    @pytest.mark.parametrize(
        ("written", "code"), [("ascus", "ASC-US"), ("Normal", "NILM"), ("HGSIL", "HSIL"), ("asc_h", "ASC-H"), ("AGUS", "AGC")]
    )
    def test_common_spellings_of_cytology(self, written: str, code: str) -> None:
        assert read(f"A,2020-01-01,30,{written},,,").frame["cytology"].iat[0] == code

    @pytest.mark.parametrize(("written", "code"), [("+", "positive"), ("NEG", "negative")])
    def test_signs_of_results(self, written: str, code: str) -> None:
        assert read(f"A,2020-01-01,30,,{written},,").frame["hpv_result"].iat[0] == code

    @pytest.mark.parametrize("value", ["+/-", "+-", "?+", "positive?", "--"])
    def test_a_doubtful_result_is_no_result(self, value: str) -> None:
        assert problem_of(f"A,2020-01-01,30,,{value},,")[1:3] == ("hpv_result", value)

    def test_empty_is_not_negative(self) -> None:
        frame = read("A,2020-01-01,30,,,,", "A,2021-01-01,31,,negative,,").frame
        assert pd.isna(frame["hpv_result"].iat[0])
        assert frame["hpv_result"].iat[1] == "negative"

    @pytest.mark.parametrize(
        ("listed", "expected"),
        [
            ("16 31", ("positive", "positive", "negative", "positive")),
            ("HPV18", ("positive", "negative", "positive", "negative")),
            ("33;58", ("positive", "negative", "negative", "positive")),
            ("none", ("negative", "negative", "negative", "negative")),
        ],
    )
    def test_a_list_of_types_is_spread_over_the_results(self, listed: str, expected: tuple[str, ...]) -> None:
        frame = read(f"A,2020-01-01,30,{listed}", header="patient_id,visit_date,age,hpv_genotypes").frame
        assert tuple(frame[["hpv_result", "hpv_16", "hpv_18", "hpv_other_hr"]].iloc[0]) == expected


class TestHeader:
    def test_headers_vary(self) -> None:
        frame = read("A,2020-01-01,30,NILM,+", header="Patient ID,Date of visit,AGE,Pap smear,HPV test").frame
        assert (frame["cytology"].iat[0], frame["hpv_result"].iat[0]) == ("NILM", "positive")

    @pytest.mark.parametrize("column", ["Surname", "Date of birth", "phone_number", "E-mail", "SSN", "Home address"])
    def test_a_column_that_names_a_person_is_warned_of_and_not_kept(self, column: str) -> None:
        table = read("A,2020-01-01,NILM,secret", header=f"patient_id,visit_date,cytology,{column}")
        assert any(column in notice and "personal" in notice for notice in table.notices)
        assert "secret" not in table.frame.to_csv()

    def test_ids_that_look_like_personal_numbers_are_warned_of(self) -> None:
        assert any("pseudonyms" in notice for notice in read("123-45-6789,2020-01-01,30,NILM,,,").notices)

    @pytest.mark.parametrize("header", ["visit_date,cytology", "patient_id,cytology", "patient_id,visit_date,weight"])
    def test_another_table_is_refused_with_what_was_expected(self, header: str) -> None:
        with pytest.raises(PatientFileError, match="patient_id"):
            read("a,b,c", header=header)

    def test_a_column_named_twice_is_refused(self) -> None:
        with pytest.raises(PatientFileError, match="twice"):
            read("A,2020-01-01,NILM,NILM", header="patient_id,visit_date,cytology,pap")

    def test_both_formats_are_told_apart_by_their_header(self) -> None:
        assert isinstance(read_table(sample_visits_csv().encode()), VisitTable)
        assert isinstance(read_table(sample_table_csv().encode()), PatientTable)

    def test_a_visit_table_without_its_date_is_told_what_a_visit_table_needs(self) -> None:
        with pytest.raises(PatientFileError, match="visit_date or age"):
            read_table(b"patient_id,cytology,hpv_result\nA,NILM,negative\n")

    def test_a_risk_factor_table_is_one_though_some_of_its_headers_occur_in_both(self) -> None:
        assert isinstance(read_table(b"patient_id," + sample_table_csv(1).encode().partition(b",")[2]), PatientTable)


class TestSample:
    def test_the_sample_has_no_problem_and_says_the_same_every_time(self) -> None:
        table = read_visits(sample_visits_csv().encode(), strict=True)
        assert table.frame["patient_id"].nunique() == SAMPLE_WOMEN
        assert table.notices == []
        assert sample_visits_csv() == sample_visits_csv()

    def test_it_holds_a_single_visit_and_a_woman_of_whom_nothing_is_known(self) -> None:
        frame = read_visits(sample_visits_csv().encode()).frame
        assert frame.groupby("patient_id").size().min() == 1
        known = frame[[column.name for column in CODE_COLUMNS]].notna().any(axis=1).groupby(frame["patient_id"]).any()
        assert (~known).sum() == 1

    def test_the_blank_table_is_recognised(self) -> None:
        assert len(read_visits((blank_visits_csv() + "A,2020-01-01" + "," * 16).encode()).frame) == 1


def test_many_women_are_read_as_one_by_one() -> None:
    rng = np.random.default_rng(0)
    rows = [f"W{rng.integers(50)},{rng.integers(2000, 2024)}-01-01,,{rng.choice(['NILM', 'HSIL', ''])},,," for _ in range(300)]
    whole = read(*rows).frame
    for woman, members in whole.groupby("patient_id"):
        alone = read(*(row for row in rows if row.startswith(f"{woman},"))).frame
        assert list(alone["time_years"]) == list(members["time_years"])
        assert list(alone["cytology"].astype(object).fillna("")) == list(members["cytology"].astype(object).fillna(""))


class TestStrangeFiles:
    def test_formulas_and_markup_are_text_and_a_pseudonym_may_be_one(self) -> None:
        table = read(
            '"=HYPERLINK(""http://x"")",2020-01-01,30,NILM,,,', "<script>alert(1)</script>,2020-01-01,30,<b>HSIL</b>,,,"
        )
        assert list(table.frame["patient_id"]) == ['=HYPERLINK("http://x")', "<script>alert(1)</script>"]
        assert [(problem.column, problem.value) for problem in table.problems] == [("cytology", "<b>HSIL</b>")]

    def test_a_cell_of_ten_megabytes_is_a_problem_of_its_row_and_shown_cut(self) -> None:
        table = read(
            f"A,2020-01-01,30,{'x' * 10_000_000},,,", f"{'y' * 10_000_000},2020-01-01,30,,,,", "B,2020-01-01,30,NILM,,,"
        )
        assert [(problem.row, problem.column, len(problem.value)) for problem in table.problems] == [
            (2, "cytology", 41),
            (3, "patient_id", 41),
        ]
        assert list(table.frame["patient_id"]) == ["A", "B"]

    def test_a_hundred_thousand_columns_are_read_and_the_unknown_named_in_short(self) -> None:
        more = 100_000
        header = "patient_id,visit_date,cytology," + ",".join(f"c{number}" for number in range(more))
        table = read("A,2020-01-01,HSIL" + "," * more, header=header)
        assert list(table.frame["cytology"]) == ["HSIL"]
        assert table.notices[-1:] == [f"Columns not used: {', '.join(f'c{number}' for number in range(10))} and 99,990 more."]

    def test_rows_of_the_other_format_in_one_file_are_left_out_each_with_its_width(self) -> None:
        other = sample_table_csv(3).splitlines()
        table = read("A,2020-01-01,30,NILM,,,", *other)
        assert list(table.frame["patient_id"]) == ["A"]
        assert [problem.row for problem in table.problems] == [3, 4, 5, 6]
        assert all(problem.accepted == "7 cells, as in the header" for problem in table.problems)
