"""Files as laboratories write them: dates, numbers, words and containers, read where they prove what they are."""

import io
from datetime import date
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cervix.errors import PatientFileError, PatientFileUnclear
from cervix.patients.corrected import corrected_copy
from cervix.patients.csv_text import header_of
from cervix.patients.dates import days_of
from cervix.patients.hpv import types_found, types_named
from cervix.patients.numerals import plain_numbers
from cervix.patients.questions import Answers
from cervix.patients.reading import PatientTable
from cervix.patients.visit_sample import sample_visits_csv
from cervix.patients.visit_vocabulary import VISIT_COLUMNS, looks_identifying
from cervix.patients.visits import VisitTable, read_table, read_visits

HEADER = "patient_id,visit_date,age,cytology,hpv_result"


def visits(*rows: str, header: str = HEADER, answers: Answers | None = None) -> VisitTable:
    return read_visits("\n".join([header, *rows]).encode(), answers=answers)


def days(*texts: str, order: str | None = None) -> list[str]:
    read = days_of(pd.Series(texts, dtype="str"), order)  # type: ignore[arg-type]
    return [str(day.date()) if pd.notna(day) else "?" if open_ else "" for day, open_ in zip(read.days, read.open, strict=True)]


class TestDates:
    @pytest.mark.parametrize(
        "text",
        [
            "2019-07-01", "2019/7/1", "2019.07.01", "2019-7-1 10:15", "2019-07-01T10:15:00Z", "2019-07-01T23:30:00-05:00",
            "20190701", "20190701.0", "1 July 2019", "01-JUL-2019", "01JUL2019", "July 1, 2019", "1. Juli 2019",
            "43647", "43647.0",
        ],
    )  # fmt: skip
    def test_one_day_in_all_its_forms(self, text: str) -> None:
        assert days(text) == ["2019-07-01"]

    @pytest.mark.parametrize(
        "text", ["31.12.20", "2019-13-01", "2019-02-30", "yesterday", "12345", "2019-07-01 or later", "1.7"]
    )
    def test_what_is_no_day(self, text: str) -> None:
        assert days(text) == [""]

    @pytest.mark.parametrize("mark", [".", "/", "-"])
    def test_one_day_above_12_proves_the_order_of_its_column(self, mark: str) -> None:
        assert days(f"13{mark}04{mark}2020", f"03{mark}04{mark}2020") == ["2020-04-13", "2020-04-03"]
        assert days(f"04{mark}13{mark}2020", f"03{mark}04{mark}2020") == ["2020-04-13", "2020-03-04"]

    def test_each_separator_proves_its_own_order(self) -> None:
        assert days("13.04.2020", "03/04/2020") == ["2020-04-13", "?"]

    def test_a_column_of_both_orders_proves_nothing(self) -> None:
        assert days("13/04/2020", "04/13/2020", "03/04/2020") == ["2020-04-13", "2020-04-13", "?"]

    def test_what_is_the_same_day_either_way_is_read(self) -> None:
        assert days("05.05.2018") == ["2018-05-05"]

    def test_an_order_that_was_said_is_used_and_does_not_outweigh_a_proof(self) -> None:
        assert days("03/04/2020", order="dmy") == ["2020-04-03"]
        assert days("03/04/2020", order="mdy") == ["2020-03-04"]
        assert days("13/04/2020", "03/04/2020", order="mdy") == ["2020-04-13", "2020-04-03"]
        assert days("03/25/2020", order="dmy") == ["2020-03-25"]

    def test_a_file_whose_dates_are_open_is_asked_about_and_the_error_names_what_is_accepted(self, cases_dir: Path) -> None:
        content = (cases_dir / "patients/v10_dates_dot.csv").read_bytes()
        with pytest.raises(PatientFileUnclear, match="--dates dmy") as error:
            read_visits(content)
        assert "20240531" in str(error.value)
        table = read_visits(content, answers=Answers(dates="dmy"))
        assert [str(day.date()) for day in table.frame["visit_date"]] == [
            "2018-03-05",
            "2021-03-04",
            "2019-07-01",
            "2022-07-01",
        ]
        assert read_visits(content, answers=Answers(dates="mdy")).frame["visit_date"].iat[0] == pd.Timestamp("2018-05-03")

    def test_day_numbers_of_a_spreadsheet(self, cases_dir: Path) -> None:
        table = read_visits((cases_dir / "patients/v12_dates_excel_serial.csv").read_bytes(), strict=True)
        assert [str(day.date()) for day in table.frame["visit_date"]] == [
            "2018-03-05",
            "2021-03-04",
            "2019-07-01",
            "2022-07-01",
        ]

    def test_one_open_date_among_many_marks_its_woman_and_is_asked_about(self) -> None:
        rows = ["A,2018-01-01,30,NILM,", "A,04/03/2021,,HSIL,positive", "B,2019-01-01,40,NILM,", "B,2022-01-01,43,NILM,"]
        table = visits(*rows)
        assert [question.name for question in table.questions] == ["dates"]
        assert table.losses["visits_set_aside"].to_dict() == {"A": 1}
        answered = visits(*rows, answers=Answers(dates="mdy"))
        assert answered.questions == []
        assert answered.losses.empty
        assert answered.frame["visit_date"].iat[1] == pd.Timestamp("2021-04-03")

    def test_an_unread_date_beside_an_age_keeps_the_visit(self) -> None:
        table = visits("A,2018-01-01,30,NILM,", "A,soon,33,HSIL,positive")
        assert list(table.frame["cytology"]) == ["NILM", "HSIL"]
        assert table.losses.loc["A"].to_dict() == {"visits_set_aside": 0, "cells_not_read": 1, "contradictions": 0}


class TestNumbers:
    @pytest.mark.parametrize(
        ("texts", "low", "high", "right"),
        [
            (["4,9", "3,55", "0"], 0, 90, ["4.9", "3.55", "0"]),
            (["30,5", "44"], 10, 110, ["30.5", "44"]),
            (["1.234,5", "2"], 0, 5000, ["1234.5", "2"]),
            (["1,234.5", "2"], 0, 5000, ["1234.5", "2"]),
            (["1 200", "1'300"], 0, 5000, ["1200", "1300"]),
            (["1,266"], 0, 90, ["1.266"]),  # as thousands it lies beyond the column's range
            (["1,266"], 0, 5000, ["1,266"]),  # could be either
            (["1,000", "2.5"], 0, 5000, ["1000", "2.5"]),
            (["1.000", "2,5"], 0, 5000, ["1000", "2.5"]),
            (["1.000"], 5, 80, ["1.000"]),
            (["1.266", "37"], 0, 90, ["1.266", "37"]),
            (["1,5", "1.5", "1.234"], 0, 5000, ["1.5", "1.5", "1.234"]),
            (["1e3", "x", "1,,2", "1,2,3"], 0, 5000, ["1e3", "x", "1,,2", "1,2,3"]),
        ],
    )  # fmt: skip
    def test_marks_are_read_where_the_column_proves_them(
        self, texts: list[str], low: float, high: float, right: list[str]
    ) -> None:
        assert plain_numbers(pd.Series(texts, dtype="str"), low, high)[0].tolist() == right

    def test_ages_with_a_decimal_comma(self, cases_dir: Path) -> None:
        table = read_visits((cases_dir / "patients/v02_semicolon_decimal_comma_age.csv").read_bytes(), strict=True)
        assert table.frame["age"].tolist() == pytest.approx([30.5, 33.5, 44.2, 47.2])
        assert any("Decimal commas" in notice for notice in table.notices)

    def test_quoted_decimal_commas_in_a_comma_file(self, cases_dir: Path) -> None:
        table = read_table((cases_dir / "patients/r02_quoted_decimal_comma.csv").read_bytes(), strict=True)
        assert table.frame["Smokes (years)"].iloc[0] == pytest.approx(4.9)
        assert table.frame["Hormonal Contraceptives (years)"].tolist() == pytest.approx([2.5, 0.7, 0.5, 0.5, 0])

    def test_a_number_that_fits_in_no_reading_is_not_known_and_never_guessed(self, cases_dir: Path) -> None:
        table = read_table((cases_dir / "patients/r04_thousands.csv").read_bytes())
        assert isinstance(table, PatientTable)
        assert table.frame["First sexual intercourse"].isna().all()
        assert list(table.not_read) == ["First sexual intercourse"]

    def test_the_corrected_copy_keeps_decimal_commas(self, cases_dir: Path) -> None:
        content = (cases_dir / "patients/x12_corrected_copy_decimal_comma.csv").read_bytes()
        copy = corrected_copy(content)
        assert [(one.column, one.found, one.put) for one in copy.corrections] == [("Smokes", "yes", "1")]
        table = read_table(copy.content, strict=True)
        assert len(table.frame) == 5
        assert table.frame["Smokes (packs/year)"].iloc[0] == pytest.approx(3.55)


class TestWords:
    def test_the_long_names_of_bethesda(self, cases_dir: Path) -> None:
        table = read_visits((cases_dir / "patients/v25_bethesda_long.csv").read_bytes(), strict=True)
        assert list(table.frame["cytology"]) == ["NILM", "NILM", "ASC-US", "LSIL", "HSIL", "ASC-H", "HSIL"]

    @pytest.mark.parametrize(
        ("written", "code"),
        [
            ("Pap II-p", "ASC-US"), ("PAP III D 1", "LSIL"), ("IIID2", "HSIL"), ("IVa-p", "HSIL"), ("iva-g", "AIS"),
            ("0", "UNSAT"),
            ("III-p", "ASC-H"), ("V-g", "ADC"), ("lésion malpighienne intra-épithéliale de haut grade", "HSIL"),
            ("Frottis normal", "NILM"), ("LIEBG", "LSIL"), ("LIEAG", "HSIL"), ("HSIL (HSIL)", "HSIL"),
            ("Negativo para lesión intraepitelial", "NILM"), ("Atypical Squamous Cells, cannot exclude HSIL", "ASC-H"),
        ],
    )  # fmt: skip
    def test_cytology_of_other_countries(self, written: str, code: str) -> None:
        assert VISIT_COLUMNS["cytology"].code_of(written) == code

    @pytest.mark.parametrize(
        "written", ["PAP IV", "II", "III", "IIID", "Pap V", "HSIL (CIN1)", "LSIL - HSIL", "PAP", "positive", "no result"]
    )
    def test_a_word_that_may_mean_two_things_means_none(self, written: str) -> None:
        assert VISIT_COLUMNS["cytology"].code_of(written) is None

    @pytest.mark.parametrize(
        ("written", "code"),
        [
            ("HPV positive", "positive"), ("positive for high risk HPV", "positive"), ("hrHPV+", "positive"),
            ("1.0", "positive"),
            ("neg.", "negative"), ("non-reactive", "negative"), ("nicht nachgewiesen", "negative"), ("négatif", "negative"),
            ("indeterminate", "invalid"), ("HPV-negative", "negative"), ("positivo", "positive"),
        ],
    )  # fmt: skip
    def test_hpv_results(self, written: str, code: str) -> None:
        assert VISIT_COLUMNS["hpv_result"].code_of(written) == code

    @pytest.mark.parametrize("written", ["no HPV", "no HPV test", "+/-", "positive?", "NR", "*", "low risk positive", "HPV"])
    def test_doubtful_hpv_results_are_none(self, written: str) -> None:
        assert VISIT_COLUMNS["hpv_result"].code_of(written) is None

    @pytest.mark.parametrize(
        ("written", "code"),
        [
            ("pos", "positive"), ("CINtec PLUS positive", "positive"), ("p16/Ki-67 +", "positive"), ("p16+/Ki-67+", "positive"),
            ("Dual-stained cells present", "positive"), ("dual stain: negative", "negative"), ("p16/Ki67-negativ", "negative"),
            ("No dual-stained cells", "negative"), ("keine doppelt positiven Zellen", "negative"),
            ("Doppelfärbung nachgewiesen", "positive"), ("double marquage négatif", "negative"),
            ("présence de cellules double-marquées", "positive"), ("doble tinción positiva", "positive"),
            ("equivocal", "inconclusive"), ("no valorable", "inconclusive"), ("ininterprétable", "inconclusive"),
        ],
    )  # fmt: skip
    def test_dual_stains(self, written: str, code: str) -> None:
        assert VISIT_COLUMNS["dual_stain"].code_of(written) == code

    @pytest.mark.parametrize(
        "written", ["p16 positive", "no dual stain", "p16/Ki-67 -", "CINtec PLUS", "p16+/Ki-67-", "HPV 16"]
    )
    def test_doubtful_dual_stains_are_none(self, written: str) -> None:
        """Stain for p16 alone is another test, and a minus may mean not done."""
        assert VISIT_COLUMNS["dual_stain"].code_of(written) is None

    @pytest.mark.parametrize("header", ["p16/Ki-67", "p16 ki67", "CINtec PLUS", "dual_stain", "Dual stain", "Doppelfärbung"])
    def test_headers_of_the_dual_stain(self, header: str) -> None:
        table = visits("A,2020-01-01,35,NILM,pos", header=f"patient_id,visit_date,age,cytology,{header}")
        assert table.frame["dual_stain"].tolist() == ["positive"]

    def test_no_spelling_of_a_file_costs_a_visit(self, cases_dir: Path) -> None:
        table = read_visits((cases_dir / "patients/v29_hpv_spellings.csv").read_bytes())
        assert len(table.frame) == 36
        found = dict(zip(table.frame["patient_id"], table.frame["hpv_result"].astype(object), strict=True))
        positive = {*(f"H{number:02}" for number in range(15))}
        negative = {*(f"H{number:02}" for number in range(16, 25)), "H31"}
        assert {name for name, code in found.items() if code == "positive"} == positive
        assert {name for name, code in found.items() if code == "negative"} == negative
        assert {name for name, code in found.items() if code == "invalid"} == {"H25", "H26", "H27"}
        assert set(table.losses.index) == {"H15", "H30", "H32", "H33"}, "what could not be read is marked"
        assert [question.name for question in table.questions] == ["minus"]

    def test_a_result_that_names_its_type_tells_of_that_type_alone(self) -> None:
        row = visits("A,2020-01-01,35,NILM,Pos (16)", header=HEADER).frame.iloc[0]
        assert (row["hpv_result"], row["hpv_16"]) == ("positive", "positive")
        assert pd.isna(row["hpv_18"])
        assert types_named("HPV 16 positive") == types_named("+ (16)")
        assert types_named("neg (16)") is types_named("16") is types_named("positive (6)") is None

    def test_a_minus_is_not_done_and_is_asked_about_beside_a_plus(self, cases_dir: Path) -> None:
        table = read_visits((cases_dir / "patients/v35_cyt_minus.csv").read_bytes(), strict=True)
        assert table.frame[["hpv_result", "hpv_16", "hpv_18", "via"]].isna().all(axis=None)
        assert any("not done" in notice for notice in table.notices)
        rows = ("A,2020-01-01,35,NILM,-", "B,2020-01-01,35,NILM,+")
        asked = visits(*rows)
        assert [question.name for question in asked.questions] == ["minus"]
        assert pd.isna(asked.frame["hpv_result"].iat[0])
        assert list(asked.losses.index) == ["A"]
        negative = visits(*rows, answers=Answers(minus="negative"))
        assert (negative.frame["hpv_result"].iat[0], len(negative.losses), negative.questions) == ("negative", 0, [])
        not_done = visits(*rows, answers=Answers(minus="not-done"))
        assert pd.isna(not_done.frame["hpv_result"].iat[0])
        assert (len(not_done.losses), not_done.questions) == (0, [])

    def test_flags_as_pandas_writes_them(self, cases_dir: Path) -> None:
        table = read_visits((cases_dir / "patients/x05_pandas_float_flags.csv").read_bytes(), strict=True)
        assert table.frame["hpv_result"].astype(object).where(table.frame["hpv_result"].notna(), "").tolist() == [
            "negative", "positive", "", "",
        ]  # fmt: skip
        assert table.frame["smoker"].iat[3] == "yes"

    @pytest.mark.parametrize("value", ["Maria Schmidt", "Schmidt, Maria", "Anna-Lena von Berg", "123-45-6789", "a@b.de"])
    def test_ids_that_name_a_person_are_warned_of(self, value: str) -> None:
        assert looks_identifying(value)

    @pytest.mark.parametrize("value", ["P1", "old-LSIL", "SAMPLE-0001", "W 12", "1e5", "x" * 10_000, "a" * 99 + "1"])
    def test_pseudonyms_are_not(self, value: str) -> None:
        assert not looks_identifying(value)


class TestTypes:
    @pytest.mark.parametrize(
        ("written", "right"),
        [
            ("16/18", "++-+"), ("16 and 18", "++-+"), ("[16]", "+-- "), ("Hpv16", "+-- "), ("33/58", "--++"), ("P1", "--++"),
            ("not detected", "----"), ("Negative", "----"), ("0", "----"), ("6 11", "----"), ("16 6", "+-- "), ("53", "----"),
            ("12 other hr", "??++"), ("positive", "???+"),
        ],
    )  # fmt: skip
    def test_lists_of_types(self, written: str, right: str) -> None:
        found = types_found(written)
        assert found is not None
        signs = "".join("+-?"[code] for code in (found.codes["hpv_16"], found.codes["hpv_18"], found.codes["hpv_other_hr"]))
        expected = {"++-+": "++-", "+-- ": "+--", "--++": "--+", "----": "---", "??++": "??+", "???+": "???"}[right]
        assert signs == expected
        assert found.codes["hpv_result"] == (1 if right == "----" else 0)

    @pytest.mark.parametrize("written", ["other", "99", "16 99", "1618", "P4", "high"])
    def test_what_is_no_list_of_types(self, written: str) -> None:
        assert types_found(written) is None

    @pytest.mark.parametrize("case", ["v30_genotypes.csv", "x02_genotype_capital_negative.csv"])
    def test_no_list_of_a_file_costs_a_visit(self, case: str, cases_dir: Path) -> None:
        table = read_visits((cases_dir / "patients" / case).read_bytes())
        assert set(table.frame["cytology"]) <= {"HSIL", "NILM"}
        assert table.rows_left_out == 0
        assert list(table.losses.index) == (["T27"] if case.startswith("v30") else [])


class TestContainers:
    def test_a_sep_line_and_titles_are_passed_over_and_lines_keep_their_numbers(self, cases_dir: Path) -> None:
        table = read_table((cases_dir / "patients/v03_sep_line.csv").read_bytes(), strict=True)
        assert list(table.frame.index) == [3, 4, 5, 6]
        titled = (
            b"Report of 2024\nLaboratory North;printed today\n\n"
            + (cases_dir / "patients/v03_sep_line.csv").read_bytes().split(b"\n", 1)[1]
        )
        table = read_table(titled, strict=True)
        assert list(table.frame.index) == [5, 6, 7, 8]
        assert any("above the header" in notice for notice in table.notices)
        assert header_of(titled)[0] == "patient_id"

    @pytest.mark.parametrize("kind", ["xlsx", "parquet"])
    def test_spreadsheets_and_parquet_say_the_same_as_csv(self, kind: str, tmp_path: Path) -> None:
        frame = pd.read_csv(io.StringIO(sample_visits_csv(6)), dtype={"patient_id": str})
        frame["visit_date"] = pd.to_datetime(frame["visit_date"])
        path = tmp_path / f"visits.{kind}"
        if kind == "parquet":
            frame.to_parquet(path)
        else:
            path.write_bytes(_workbook(frame))
        found, right = read_table(path), read_table(sample_visits_csv(6).encode())
        pd.testing.assert_frame_equal(found.frame, right.frame)
        assert header_of(path) == list(frame.columns)

    @pytest.mark.parametrize(
        "content", [b"PK\x03\x04" + b"\0" * 60, b"PAR1" + b"\xff" * 40 + b"PAR1", b"\xd0\xcf\x11\xe0" + b"\1" * 600]
    )
    def test_a_damaged_container_is_one_sentence_that_names_what_is_accepted(self, content: bytes) -> None:
        with pytest.raises(PatientFileError, match="CSV"):
            read_table(content)

    def test_a_web_page_under_the_name_of_a_spreadsheet_is_told(self) -> None:
        with pytest.raises(PatientFileError, match="save it as XLSX or CSV"):
            read_table(b"<html><table><tr><td>patient_id</td></tr></table></html>")


def _workbook(frame: pd.DataFrame) -> bytes:
    """A workbook of one sheet, written by hand: no library of the app writes one."""
    import zipfile
    from xml.sax.saxutils import escape

    def cell(value: object) -> str:
        if value is None or value != value:
            return "<c/>"
        if isinstance(value, pd.Timestamp):
            return f'<c s="1"><v>{(value - pd.Timestamp("1899-12-30")).days}</v></c>'
        if isinstance(value, int | float):
            return f"<c><v>{value}</v></c>"
        return f'<c t="inlineStr"><is><t>{escape(str(value))}</t></is></c>'

    rows = [list(frame.columns), *frame.astype(object).to_numpy().tolist()]
    sheet = "".join(f"<row>{''.join(cell(value) for value in row)}</row>" for row in rows)
    main = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
    relations = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
    parts = {
        "[Content_Types].xml": '<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types"/>',
        "_rels/.rels": f'<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships">'
        f'<Relationship Id="r" Type="{relations}/officeDocument" Target="xl/workbook.xml"/></Relationships>',
        "xl/workbook.xml": f'<workbook xmlns="{main}" xmlns:r="{relations}"><sheets><sheet name="s" sheetId="1" r:id="r1"/>'
        "</sheets></workbook>",
        "xl/_rels/workbook.xml.rels": '<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships">'
        f'<Relationship Id="r1" Type="{relations}/worksheet" Target="worksheets/sheet1.xml"/>'
        f'<Relationship Id="r2" Type="{relations}/styles" Target="styles.xml"/></Relationships>',
        "xl/styles.xml": f'<styleSheet xmlns="{main}"><cellXfs><xf numFmtId="0"/><xf numFmtId="14"/></cellXfs></styleSheet>',
        "xl/worksheets/sheet1.xml": f'<worksheet xmlns="{main}"><sheetData>{sheet}</sheetData></worksheet>',
    }
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name, text in parts.items():
            archive.writestr(name, f'<?xml version="1.0" encoding="UTF-8"?>{text}')
    return stream.getvalue()


STRANGE = ("", 'a "quoted" cell', "a;b", "Maria Schmidt", "?", "=1+1", "two\twords", "-", "+")
CELLS = (
    st.sampled_from(("w1", "w2", "w3")),
    st.sampled_from(("2020-01-01", "2022-05-03", "05.03.2018", "13.03.2018", "43164", *STRANGE)),
    st.sampled_from(("30", "30,5", "31.5", "1,234", *STRANGE)),
    st.sampled_from(("NILM", "NLIM", "HSIL", "ASCUSS", "hsill", "Pap II-p", *STRANGE)),
    st.sampled_from(("positive", "possitive", "negatve", "1.0", "16/18", *STRANGE)),
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(rows=st.lists(st.tuples(*CELLS), min_size=1, max_size=6), delimiter=st.sampled_from([",", ";", "\t"]))
def test_the_corrected_copy_is_never_worse_than_its_original(rows: list[tuple[str, ...]], delimiter: str) -> None:
    lines = [delimiter.join(HEADER.split(","))]
    lines += [delimiter.join('"' + cell.replace('"', '""') + '"' for cell in row) for row in rows]
    content = "\n".join(lines).encode()
    answers = Answers(dates="dmy", minus="negative")
    try:
        before = read_table(content, answers=answers)
    except PatientFileError:
        return
    after = read_table(corrected_copy(content).content, answers=answers)
    assert isinstance(before, VisitTable)
    assert isinstance(after, VisitTable)
    assert len(after.frame) >= len(before.frame)
    assert after.losses.to_numpy().sum() <= before.losses.to_numpy().sum()


def test_days_to_come_are_not_read() -> None:
    table = read_visits(f"{HEADER}\nA,2020-01-01,35,NILM,\nA,2031-01-01,,HSIL,\n".encode(), today=date(2025, 1, 1))
    assert table.losses["visits_set_aside"].to_dict() == {"A": 1}
