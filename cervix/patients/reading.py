"""Read the risk-factor table: every good row, and for every bad one its row, column, value and what is accepted."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from cervix.errors import PatientFileError
from cervix.patients.csv_text import (
    NOT_KNOWN,
    PROBLEMS_KEPT_PER_COLUMN,
    RowProblem,
    TextTable,
    not_used,
    read_text_table,
    refuse_if_unusable,
    refuse_twice,
    shown,
)
from cervix.patients.schema import id_schema, number_schema, parsed_numbers, unfit
from cervix.patients.spelling import meant_number
from cervix.patients.vocabulary import COLUMNS, OTHER_TESTS, PATIENT_ID, RISK_FACTORS, is_patient_id, recognise

EXPECTED = "the UCI risk-factor table: a header such as Age, Number of sexual partners, … and one row a patient"
LONGEST_CELL = 200
DECIMAL_COMMA = r"[+-]?\d+,\d+"


@dataclass(frozen=True)
class PatientTable:
    """The readable rows of a table.

    Attributes
    ----------
    frame : DataFrame
        Index ``row``: first line of the record in the file, lines counted from 1. Float32 columns by the names of
        the vocabulary, all of them, NaN where not known; ``patient_id`` first where the file has one.
    problems : list of RowProblem
        Why rows were left out; of very many, the first thousand a column.
    rows_left_out : int
    notices : list of str
        What had to be assumed to read the file.
    """

    frame: pd.DataFrame
    problems: list[RowProblem]
    rows_left_out: int
    notices: list[str]


def read_patients(source: Path | bytes, *, strict: bool = False) -> PatientTable:
    """Read a UCI-format table.

    Parameters
    ----------
    source : Path or bytes
        CSV as ``read_text_table`` takes it.
    strict : bool
        Refuse the whole file if any row has a problem.

    Raises
    ------
    PatientFileError
        If the file cannot be read as a whole: empty, binary, no recognisable header, no row. Its message holds no
        cell of the table.
    """
    return patients_of(read_text_table(source), strict=strict)


def patients_of(table: TextTable, *, strict: bool = False) -> PatientTable:
    """The same from rows of text."""
    notices = list(table.notices)
    columns = _match_header(table.header, notices)
    frame, cell_problems = _numbers(table, columns, notices)
    frame, twins = _one_row_a_patient(frame, notices)
    problems = sorted(table.problems + cell_problems + twins, key=lambda problem: problem.row)
    left_out = table.ragged + len(table.lines) - len(frame)
    refuse_if_unusable(problems, left_out, len(frame), strict=strict)
    return PatientTable(frame, problems, left_out, notices)


def _match_header(header: list[str], notices: list[str]) -> dict[int, str]:
    """Position -> column name (or ``patient_id``) of the columns that are known."""
    columns: dict[int, str] = {}
    unused: list[str] = []
    for position, cell in enumerate(header):
        known = recognise(cell)
        name = known.name if known else PATIENT_ID if is_patient_id(cell) else None
        if name is None:
            unused.append(shown(cell))
        elif name in columns.values():
            refuse_twice(name, position)
        else:
            columns[position] = name
    missing = [column.name for column in RISK_FACTORS if column.name not in columns.values()]
    if len(missing) > len(RISK_FACTORS) / 2:
        raise PatientFileError(
            "The header is not that of the risk-factor table",
            expected=EXPECTED,
            found=f"{len(RISK_FACTORS) - len(missing)} of {len(RISK_FACTORS)} known columns among {len(header)}",
            action="Check the delimiter and the header, or start from a sample: this table, or one row a visit.",
        )
    if missing:
        notices.append(f"Columns missing, taken as not known: {', '.join(missing)}.")
    tests = [column.name for column in OTHER_TESTS if column.name not in columns.values()]
    if tests:
        notices.append(f"Columns of other tests missing, taken as not known: {', '.join(tests)}.")
    if unused:
        notices.append(not_used(unused))
    return columns


def _numbers(table: TextTable, columns: dict[int, str], notices: list[str]) -> tuple[pd.DataFrame, list[RowProblem]]:
    """Cells as numbers within their plausible range, column by column, each distinct cell parsed once."""
    lines = np.array(table.lines, np.int64)
    good = np.ones(len(lines), bool)
    problems: list[RowProblem] = []
    data: dict[str, object] = {}
    decimal_comma = table.delimiter != ","
    commas = False
    for position, name in columns.items():
        cells = np.array(table.columns[position], dtype=object)
        if name == PATIENT_ID:
            cells = np.array([cell.strip() for cell in cells], dtype=object)
        member_of, unique = pd.factorize(cells)
        found = pd.Series(unique, dtype="str").str.slice(0, LONGEST_CELL).str.strip()
        texts, known = found, ~found.str.lower().isin(NOT_KNOWN).to_numpy(bool)
        if decimal_comma and name != PATIENT_ID:
            commas |= bool(texts.str.fullmatch(DECIMAL_COMMA).any())
            texts = texts.str.replace(",", ".", regex=False)
        column = COLUMNS.get(name)
        schema = number_schema(column) if column else id_schema()
        for bad, accepted in unfit(schema, texts, known):
            bad_rows = np.flatnonzero(bad[member_of])
            good[bad_rows] = False
            problems += [
                RowProblem(int(lines[row]), name, shown(text), accepted, meant_number(text, column) if column else "")
                for row in bad_rows[:PROBLEMS_KEPT_PER_COLUMN]
                for text in [str(found.iat[member_of[row]])]
            ]
        values = parsed_numbers(texts).where(known).to_numpy(np.float32)
        data[name] = values[member_of] if column else cells
    if commas:
        notices.append("Decimal commas read as decimal points.")
    for name in COLUMNS:
        data.setdefault(name, np.full(len(lines), np.nan, np.float32))
    order = [PATIENT_ID] * (PATIENT_ID in data) + list(COLUMNS)
    frame = pd.DataFrame({name: data[name] for name in order}, index=pd.Index(lines, name="row"))
    return frame[good], problems


def _one_row_a_patient(frame: pd.DataFrame, notices: list[str]) -> tuple[pd.DataFrame, list[RowProblem]]:
    """A patient's repeated row once; where her rows differ, none of them."""
    if PATIENT_ID not in frame:
        return frame, []
    named = frame[PATIENT_ID] != ""
    repeated = named & frame.duplicated()
    if repeated.any():
        notices.append(f"{int(repeated.sum()):,} rows repeat an earlier row of the same patient and are left out.")
        frame = frame[~repeated]
    twins = (frame[PATIENT_ID] != "") & frame.duplicated(PATIENT_ID, keep=False)
    problems = [
        RowProblem(int(row), PATIENT_ID, shown(str(patient)), "one row a patient; this one has several that differ")
        for row, patient in zip(frame.index[twins][:PROBLEMS_KEPT_PER_COLUMN], frame.loc[twins, PATIENT_ID], strict=False)
    ]
    return frame[~twins], problems
