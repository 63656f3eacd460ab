"""A table is read as far as it can be; what cannot be used is named, and no refusal repeats a cell."""

import re
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from cervix.errors import PatientFileError
from cervix.patients.reading import PROBLEMS_KEPT_PER_COLUMN, SHOWN_VALUE_LENGTH, read_patients
from cervix.patients.sample import sample_table_csv
from cervix.patients.vocabulary import COLUMNS, PATIENT_ID, RISK_FACTORS

FACTORS = [column.name for column in RISK_FACTORS]
TELLING = "Doe-4711"
"""A cell that must not be repeated by any refusal."""


def row(**cells: object) -> list[str]:
    """A plausible patient, all answers 0 but her age and first intercourse; ``cells`` by column name or ``Age=``."""
    values = {name: "0" for name in FACTORS} | {"Age": "30", "First sexual intercourse": "17"}
    return list((values | {name.replace("_", " "): str(cell) for name, cell in cells.items()}).values())


def csv_of(rows: Iterable[list[str]], header: list[str] = FACTORS, delimiter: str = ",") -> bytes:
    return "".join(delimiter.join(cells) + "\n" for cells in (header, *rows)).encode()


def refusal(content: bytes | Path, *, strict: bool = False) -> PatientFileError:
    with pytest.raises(PatientFileError) as caught:
        read_patients(content, strict=strict)
    return caught.value


class TestForms:
    """The same patients, written down in different ways."""

    @pytest.mark.parametrize(("delimiter", "name"), [(";", "semicolon"), ("\t", "tab"), ("|", "pipe")])
    def test_other_delimiters_are_read_and_said(self, delimiter: str, name: str) -> None:
        plain = csv_of([row(), row(Age=45)])
        table = read_patients(plain.replace(b",", delimiter.encode()))
        pd.testing.assert_frame_equal(table.frame, read_patients(plain).frame)
        assert table.notices == [f"Read as {name}-separated."]

    @pytest.mark.parametrize(
        ("encoding", "name"),
        [("utf-8-sig", "UTF-8"), ("utf-16", "UTF-16")],
    )
    def test_a_byte_order_mark_tells_the_encoding(self, encoding: str, name: str) -> None:
        text = sample_table_csv(5)
        table = read_patients(text.encode(encoding))
        pd.testing.assert_frame_equal(table.frame, read_patients(text.encode()).frame)
        assert table.notices == [f"Read as {name} (byte-order mark)."]

    def test_utf_16_is_read_in_both_byte_orders(self) -> None:
        text = sample_table_csv(5)
        little = read_patients(b"\xff\xfe" + text.encode("utf-16-le")).frame
        big = read_patients(b"\xfe\xff" + text.encode("utf-16-be")).frame
        pd.testing.assert_frame_equal(little, big)
        assert len(big) == 5

    def test_latin_1_is_read_and_said(self) -> None:
        content = csv_of([[*row(), "Muñoz"], [*row(Age=45), "Peña"]], [*FACTORS, "Médico"]).decode().encode("latin-1")
        table = read_patients(content)
        assert table.frame["Age"].tolist() == [30, 45]
        assert table.notices[0].startswith("Not UTF-8; read as ")

    def test_windows_line_ends_and_blank_lines_change_nothing_but_the_line_numbers(self) -> None:
        content = csv_of([row(), row(Age=45)]).replace(b"\n", b"\r\n\r\n")
        table = read_patients(content)
        assert table.frame["Age"].tolist() == [30, 45]
        assert table.frame.index.tolist() == [3, 5]

    def test_headers_are_known_whatever_their_case_and_spacing(self) -> None:
        header = [name.upper().replace(" ", "_").replace(":_", ": ") for name in FACTORS]
        table = read_patients(csv_of([row(Age=45)], header))
        assert table.frame["Age"].tolist() == [45]
        assert table.notices == []

    def test_columns_may_stand_in_any_order(self) -> None:
        cells = row(Age=45, Smokes=1)
        table = read_patients(csv_of([cells[::-1]], FACTORS[::-1]))
        pd.testing.assert_frame_equal(table.frame, read_patients(csv_of([cells])).frame)

    @pytest.mark.parametrize("cell", ["", "?", "NA", "n/a", "NaN", "null", " ? "])
    def test_what_is_not_known_is_nan(self, cell: str) -> None:
        table = read_patients(csv_of([row(Smokes=cell)]))
        assert np.isnan(table.frame.loc[2, "Smokes"])
        assert table.rows_left_out == 0

    def test_both_published_copies_of_the_table_give_the_same_frame(self, data_dir: Path) -> None:
        original = read_patients(data_dir / "tables/uci_risk_factors_cervical_cancer.csv", strict=True)
        variant = read_patients(data_dir / "tables/uci_variant_header_Cytology.csv", strict=True)
        pd.testing.assert_frame_equal(original.frame, variant.frame)
        assert original.frame.shape == (858, len(COLUMNS))
        assert int(original.frame["Biopsy"].sum()) == 55  # as published, UCI 383


class TestColumns:
    """Headers that are not quite the published one."""

    def test_the_frame_always_has_every_column_as_float32(self) -> None:
        frame = read_patients(csv_of([row()])).frame
        assert frame.columns.tolist() == list(COLUMNS)
        assert set(frame.dtypes) == {np.dtype("float32")}
        assert np.isnan(frame.loc[2, "Biopsy"])

    def test_a_patient_identifier_is_kept_as_text(self) -> None:
        frame = read_patients(csv_of([["007", *row()]], ["Patient ID", *FACTORS])).frame
        assert frame.columns[0] == PATIENT_ID
        assert frame[PATIENT_ID].tolist() == ["007"]

    def test_columns_not_known_are_left_aside_and_named(self) -> None:
        table = read_patients(csv_of([[*row(), "12", "B"]], [*FACTORS, "Ward", "Bed"]))
        assert table.notices == ["Columns not used: Ward, Bed."]
        assert len(table.frame) == 1

    def test_a_few_missing_columns_are_a_notice_and_not_known(self) -> None:
        table = read_patients(csv_of([row()[2:]], FACTORS[2:]))
        assert table.notices == ["Columns missing, taken as not known: Age, Number of sexual partners."]
        assert np.isnan(table.frame.loc[2, "Age"])

    def test_a_table_with_most_columns_missing_is_refused(self) -> None:
        error = refusal(csv_of([row()[:10]], FACTORS[:10]))
        assert "10 of 32 known columns among 10" in str(error)

    @pytest.mark.parametrize("again", ["Age", " age ", "AGE"])
    def test_a_column_that_comes_twice_is_refused(self, again: str) -> None:
        error = refusal(csv_of([[*row(), "31"]], [*FACTORS, again]))
        assert "names Age twice" in str(error)
        assert "again as column 33" in str(error)

    def test_a_column_under_its_name_and_its_alias_is_refused(self) -> None:
        assert "names Citology twice" in str(refusal(csv_of([[*row(), "0", "0"]], [*FACTORS, "Citology", "Cytology"])))

    @pytest.mark.parametrize("delimiter", ["^", " ", "~"])
    def test_a_delimiter_that_is_not_known_is_refused_with_what_to_check(self, delimiter: str) -> None:
        error = refusal(csv_of([row()], delimiter=delimiter))
        assert error.action.startswith("Check the delimiter")


class TestRows:
    """One bad row costs that row only."""

    @pytest.mark.parametrize(
        ("column", "value", "accepted"),
        [
            ("Age", "thirty", "a number from 10 to 110"),
            ("Age", "9", "a number from 10 to 110"),
            ("Age", "111", "a number from 10 to 110"),
            ("Age", "-30", "a number from 10 to 110"),
            ("Age", "1e400", "a number from 10 to 110"),
            ("Age", "0x1e", "a number from 10 to 110"),
            ("Age", "3_0", "a number from 10 to 110"),
            ("Age", "30 years", "a number from 10 to 110"),
            ("Smokes", "2", "0 (no), 1 (yes)"),
            ("Smokes", "0.5", "0 (no), 1 (yes)"),
            ("Smokes", "yes", "0 (no), 1 (yes)"),
        ],
    )
    def test_a_bad_cell_leaves_its_row_out_and_keeps_the_others(self, column: str, value: str, accepted: str) -> None:
        table = read_patients(csv_of([row(Age=41), row(**{column: value}), row(Age=43)]))
        assert table.frame["Age"].tolist() == [41, 43]
        assert table.frame.index.tolist() == [2, 4]
        assert table.rows_left_out == 1
        (problem,) = table.problems
        assert (problem.row, problem.column, problem.value) == (3, column, value)
        assert problem.accepted.startswith(accepted)
        assert str(problem) == f"row 3, column {column}: found {value!r}, accepted is {problem.accepted}"

    @pytest.mark.parametrize(("value", "read"), [("10", 10), ("110", 110), ("30.0", 30), ("3e1", 30)])
    def test_the_limits_and_other_ways_to_write_a_number_are_accepted(self, value: str, read: float) -> None:
        assert read_patients(csv_of([row(Age=value)])).frame["Age"].tolist() == [read]

    def test_a_decimal_comma_is_a_problem_and_never_another_number(self) -> None:
        table = read_patients(csv_of([row(**{"Smokes (years)": "1,5"}), row()], delimiter=";"))
        assert [(problem.row, problem.value) for problem in table.problems] == [(2, "1,5")]
        assert table.frame.index.tolist() == [3]

    def test_every_bad_cell_of_a_row_is_named_but_the_row_counts_once(self) -> None:
        table = read_patients(csv_of([row(), row(Age="x", Smokes="y")]))
        assert [(problem.row, problem.column) for problem in table.problems] == [(3, "Age"), (3, "Smokes")]
        assert table.rows_left_out == 1

    @pytest.mark.parametrize("cells", [row()[:-1], [*row(), "0"]], ids=["short", "long"])
    def test_a_ragged_row_is_left_out_and_says_both_widths(self, cells: list[str]) -> None:
        table = read_patients(csv_of([row(Age=41), cells, row(Age=43)]))
        assert table.frame["Age"].tolist() == [41, 43]
        (problem,) = table.problems
        assert (problem.row, problem.value, problem.accepted) == (3, f"{len(cells)} cells", "32 cells, as in the header")

    def test_problems_come_in_the_order_of_the_file(self) -> None:
        table = read_patients(csv_of([row(Smokes="x"), row()[:3], row(Age="x"), row()]))
        assert [problem.row for problem in table.problems] == [2, 3, 4]

    def test_strict_reading_refuses_the_file_for_one_bad_row(self) -> None:
        content = csv_of([row(), row(Age="thirty")])
        assert len(read_patients(content).frame) == 1
        assert "1 bad rows, the first on line 3" in str(refusal(content, strict=True))

    def test_a_table_without_a_usable_row_is_refused(self) -> None:
        assert "2 bad rows, the first on line 2 in column Age" in str(refusal(csv_of([row(Age="x"), row(Age="y")])))

    def test_of_very_many_problems_all_are_counted_and_the_first_are_kept(self) -> None:
        bad = PROBLEMS_KEPT_PER_COLUMN + 500
        table = read_patients(csv_of([row(), *[row(Age=999)] * bad, *[row()[:3]] * bad]))
        assert table.rows_left_out == 2 * bad
        assert len(table.problems) == 2 * PROBLEMS_KEPT_PER_COLUMN
        assert len(table.frame) == 1


class TestSizes:
    """From one patient to very many, and from an empty cell to an enormous one."""

    def test_one_patient_is_a_table(self) -> None:
        assert len(read_patients(csv_of([row()])).frame) == 1

    def test_two_hundred_thousand_rows_are_all_read(self) -> None:
        header, *lines = sample_table_csv(50).splitlines(keepends=True)
        table = read_patients((header + "".join(lines) * 4_000).encode())
        assert len(table.frame) == 200_000
        assert table.frame.index[-1] == 200_001
        assert table.problems == []
        np.testing.assert_array_equal(table.frame[FACTORS].to_numpy()[-50:], table.frame[FACTORS].to_numpy()[:50])

    def test_a_ten_megabyte_cell_is_one_short_problem(self) -> None:
        table = read_patients(csv_of([row(Age=41), row(Age="9" * 10_000_000), row(Age=43)]))
        assert table.frame["Age"].tolist() == [41, 43]
        (problem,) = table.problems
        assert problem.row == 3
        assert len(problem.value) == SHOWN_VALUE_LENGTH + 1

    def test_a_ten_megabyte_header_is_refused_in_a_sentence(self) -> None:
        assert len(str(refusal(csv_of([["1"]], ["x" * 10_000_000])))) < 500


class TestFilesThatAreNoTable:
    """Refused as a whole, in one sentence that says what was found."""

    @pytest.mark.parametrize("content", [b"", b"\n\n", b"   \t "], ids=["nothing", "line ends", "blanks"])
    def test_an_empty_file(self, content: bytes) -> None:
        assert str(refusal(content)).startswith("The file is empty")

    def test_a_header_without_a_patient(self) -> None:
        assert str(refusal(csv_of([]))).startswith("The table has a header and no patient")

    def test_only_commas(self) -> None:
        assert "0 of 32 known columns" in str(refusal(b",,,,\n,,,,\n"))

    def test_only_a_byte_order_mark(self) -> None:
        assert "0 of 32 known columns" in str(refusal(b"\xef\xbb\xbf"))

    @pytest.mark.parametrize(
        "content",
        [b"PK\x03\x04\x14\x00\x06\x00\x08\x00", b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR", bytes(range(256)) * 50],
        ids=["xlsx", "png", "any bytes"],
    )
    def test_binary_content(self, content: bytes) -> None:
        assert str(refusal(content)).startswith("This is not a text file")

    def test_text_that_breaks_off_inside_a_character(self) -> None:
        content = b"\xff\xfe" + sample_table_csv(2).encode("utf-16-le")[:-1]
        assert str(refusal(content)).startswith("The file breaks off inside a character")

    def test_random_bytes_are_refused_and_nothing_else(self) -> None:
        rng = np.random.default_rng(0)
        for size in (1, 10, 1_000, 10_000):
            for _ in range(20):
                refusal(rng.integers(1, 256, size, dtype=np.uint8).tobytes())

    def test_a_file_that_is_not_there(self, tmp_path: Path) -> None:
        assert "No such file" in str(refusal(tmp_path / "none.csv"))


@pytest.mark.parametrize(
    ("content", "strict"),
    [
        (csv_of([row(Age=TELLING)], delimiter="^"), False),
        (csv_of([row(Age=TELLING)]).split(b"\n", 1)[1], False),
        (csv_of([[TELLING, "1"]], ["Age", "Smokes"]), False),
        (csv_of([row(Age=TELLING)]), False),
        (csv_of([row(), row(Age=TELLING)]), True),
        (csv_of([[TELLING], [TELLING, "2"]]), False),
        (csv_of([[*row(), TELLING]], [*FACTORS, "Age"]), False),
        (b"\xff\xfe" + csv_of([row(Age=TELLING)]).decode().encode("utf-16-le")[:-1], False),
        (csv_of([row(Age=f"{TELLING}\0")]), False),
    ],
    ids=[
        "wrong delimiter", "no header", "columns missing", "every row bad", "strict", "every row ragged",
        "duplicate column", "breaks off", "binary",
    ],
)  # fmt: skip
def test_no_refusal_repeats_a_cell(content: bytes, strict: bool) -> None:
    error = refusal(content, strict=strict)
    said = " ".join([str(error), str(error.__cause__), error.problem, error.expected, error.found, error.action])
    assert TELLING not in re.sub(r"\s", "", said)


def test_no_notice_repeats_a_cell() -> None:
    table = read_patients(csv_of([[TELLING, *row()], ["1", *row(Age=TELLING)]], ["Ward", *FACTORS]))
    assert TELLING not in " ".join(table.notices)
