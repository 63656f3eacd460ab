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
from cervix.patients.vocabulary import COLUMNS, OTHER_TESTS, PATIENT_ID, RISK_FACTORS, is_patient_id, recognise

EXPECTED = "the UCI risk-factor table: a header such as Age, Number of sexual partners, … and one row a patient"
LONGEST_CELL = 1_000
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
    frame, cell_problems = _numbers(table.rows, columns, notices, decimal_comma=table.delimiter != ",")
    problems = sorted(table.problems + cell_problems, key=lambda problem: problem.row)
    left_out = table.ragged + len(table.rows) - len(frame)
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


def _numbers(
    rows: list[tuple[int, list[str]]], columns: dict[int, str], notices: list[str], *, decimal_comma: bool
) -> tuple[pd.DataFrame, list[RowProblem]]:
    """Cells as numbers within their plausible range, column by column, each distinct cell parsed once."""
    lines = np.array([line for line, _ in rows], np.int64)
    good = np.ones(len(rows), bool)
    problems: list[RowProblem] = []
    data: dict[str, object] = {}
    commas = False
    for position, name in columns.items():
        cells = np.array([cells[position] for _, cells in rows], dtype=object)
        if name == PATIENT_ID:
            data[name] = np.array([cell.strip() for cell in cells], dtype=object)
            continue
        column = COLUMNS[name]
        member_of, unique = pd.factorize(cells)
        texts = pd.Series(unique, dtype="str").str.strip()
        known = ~texts.str.lower().isin(NOT_KNOWN).to_numpy(bool)
        # A cell longer than any number is not parsed: a 10 MB cell costs nothing.
        numbers = texts.where(texts.str.len() <= LONGEST_CELL, "")
        if decimal_comma:
            commas |= bool(numbers.str.fullmatch(DECIMAL_COMMA).any())
            numbers = numbers.str.replace(",", ".", regex=False)
        values = pd.to_numeric(numbers, errors="coerce").to_numpy(np.float64)
        bad = known & ~(np.isfinite(values) & (values >= column.low) & (values <= column.high))
        if column.kind == "yes-no":
            bad |= known & ~np.isin(values, (0.0, 1.0))
        bad_rows = np.flatnonzero(bad[member_of])
        problems += [
            RowProblem(int(lines[row]), name, shown(str(texts.iat[member_of[row]])), column.accepted)
            for row in bad_rows[:PROBLEMS_KEPT_PER_COLUMN]
        ]
        good[bad_rows] = False
        data[name] = np.where(known & ~bad, values, np.nan).astype(np.float32)[member_of]
    if commas:
        notices.append("Decimal commas read as decimal points.")
    for name in COLUMNS:
        data.setdefault(name, np.full(len(rows), np.nan, np.float32))
    order = [PATIENT_ID] * (PATIENT_ID in data) + list(COLUMNS)
    frame = pd.DataFrame({name: data[name] for name in order}, index=pd.Index(lines, name="row"))
    return frame[good], problems
