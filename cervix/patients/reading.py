"""Read the risk-factor table: every good row, and for every bad one its row, column, value and what is accepted."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cervix.bundle.manifest import ModelKind
from cervix.errors import PatientFileError
from cervix.patients.cells import Cells
from cervix.patients.csv_text import (
    CELL_OUT,
    PROBLEMS_KEPT_PER_COLUMN,
    WHOLE_ROW,
    RowProblem,
    TextTable,
    not_used,
    read_text_table,
    refuse_if_unusable,
    refuse_twice,
    shown,
)
from cervix.patients.numerals import plain_numbers
from cervix.patients.schema import number_schema, parsed_numbers, unfit
from cervix.patients.spelling import meant_number
from cervix.patients.visit_vocabulary import LONGEST_CELL, LONGEST_ID, says_nothing, sums_up
from cervix.patients.vocabulary import COLUMNS, OTHER_TESTS, PATIENT_ID, RISK_FACTORS, is_patient_id, recognise

EXPECTED = "the UCI risk-factor table: a header such as Age, Number of sexual partners, … and one row a patient"
READ_BY_MODELS = frozenset(column.name for column in (*RISK_FACTORS, *OTHER_TESTS))


@dataclass(frozen=True)
class PatientTable:
    """The readable rows of a table.

    Attributes
    ----------
    frame : DataFrame
        Index ``row``: first line of the record in the file, lines counted from 1. Float32 columns by the names of
        the vocabulary, all of them, NaN where not known; ``patient_id`` first where the file has one.
    problems : list of RowProblem
        What was lost and what would be accepted; of very many, the first thousand a column.
    rows_left_out : int
        Rows that belong to no patient, cannot be split into cells, or contradict another row of the same patient.
    notices : list of str
        What had to be assumed to read the file.
    not_read : column -> (k,) lines
        The rows in which a cell of the column could not be read, so that it counts as not known.
    model_kind : ModelKind
        Of the models that read such a table.
    """

    model_kind: ClassVar[ModelKind] = "table"

    frame: pd.DataFrame
    problems: list[RowProblem]
    rows_left_out: int
    notices: list[str]
    not_read: Mapping[str, NDArray[np.int64]] = field(default_factory=dict)


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
    columns = {name: at for at, name in factor_columns_of(table.header, notices).items()}
    cells = {name: Cells.of(table.columns[at]) for name, at in columns.items()}
    first = Cells.of(table.columns[0])
    numbers = parsed_numbers_of(np.array(table.lines, np.int64), cells, first, notices)
    frame, twins = one_row_a_patient(numbers.frame, notices)
    problems = sorted(table.problems + numbers.problems + twins, key=lambda problem: problem.row)
    left_out = table.ragged + len(table.lines) - len(frame)
    refuse_if_unusable(problems, left_out, len(frame), strict=strict)
    return PatientTable(frame, problems, left_out, notices, numbers.not_read)


def factor_columns_of(header: list[str], notices: list[str]) -> dict[int, str]:
    """Position -> column name (or ``patient_id``) of the columns that are known.

    Raises ``PatientFileError`` where it is no header of the risk-factor table.
    """
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


@dataclass(frozen=True)
class Numbers:
    """Cells as numbers: as ``PatientTable`` has them, before a patient's repeated rows are one."""

    frame: pd.DataFrame
    problems: list[RowProblem]
    not_read: dict[str, NDArray[np.int64]]


def parsed_numbers_of(
    lines: NDArray[np.int64],
    cells: Mapping[str, Cells],
    first: Cells,
    notices: list[str],
    *,
    kept_per_column: int | None = PROBLEMS_KEPT_PER_COLUMN,
) -> Numbers:
    """Cells as numbers within their plausible range, column by column, each distinct cell parsed once.

    Parameters
    ----------
    lines : (n,) first line of each row in the file
    cells : mapping
        Column of ours -> its cells ``(n,)``.
    first : the cells of the file's first column, which say where a row sums up others
    kept_per_column : int, optional
        How many problems are kept of very many; all where it is None.
    """
    problems: list[RowProblem] = []
    not_read: dict[str, NDArray[np.int64]] = {}
    data: dict[str, object] = {}
    read = np.zeros(len(lines), bool)
    lost = np.zeros(len(lines), bool)
    ids = cells[PATIENT_ID].stripped if PATIENT_ID in cells else np.full(len(lines), "", object)
    assumed: set[str] = set()
    for name, own in cells.items():
        column = COLUMNS.get(name)
        if column is None:
            data[name] = ids
            continue
        member_of = own.member_of
        found = pd.Series(own.texts, dtype="str").str.slice(0, LONGEST_CELL).str.strip()
        known = np.array([not says_nothing(text) and text not in "-–" for text in found], bool)
        texts, said = plain_numbers(found, column.low, column.high)
        assumed |= set(said)
        values = parsed_numbers(texts).where(known)
        unread = np.zeros(len(texts), bool)
        for bad, _ in unfit(number_schema(column), texts, known):
            unread |= bad
        rows = unread[member_of]
        read |= (known & ~unread)[member_of]
        lost |= rows
        data[name] = values.where(~unread).to_numpy(np.float32)[member_of]
        if not rows.any():
            continue
        if name not in READ_BY_MODELS:
            notices.append(f"{name}: {int(rows.sum()):,} cells that cannot be read count as not known; no model reads them.")
            continue
        not_read[name] = lines[rows]
        problems += [
            RowProblem(
                int(lines[row]), name, shown(text), column.accepted, meant_number(text, column), CELL_OUT, shown(str(ids[row]))
            )
            for row in np.flatnonzero(rows)[:kept_per_column]
            for text in [str(found.iat[member_of[row]])]
        ]
    notices += sorted(assumed)
    for name in COLUMNS:
        data.setdefault(name, np.full(len(lines), np.nan, np.float32))
    order = [PATIENT_ID] * (PATIENT_ID in data) + list(COLUMNS)
    frame = pd.DataFrame({name: data[name] for name in order}, index=pd.Index(lines, name="row"))
    out = _nobody(first, ids, read, lost)
    # Their cells are no patient's: one line says it.
    gone = {int(line) for line in lines[list(out)]}
    problems = [problem for problem in problems if problem.row not in gone]
    problems += [
        RowProblem(int(lines[place]), WHOLE_ROW, shown(str(ids[place])), why)
        for place, why in list(out.items())[:kept_per_column]
    ]
    keep = np.ones(len(lines), bool)
    keep[list(out)] = False
    return Numbers(frame[keep], problems, not_read)


def _nobody(first: Cells, ids: NDArray[np.object_], read: NDArray[np.bool_], lost: NDArray[np.bool_]) -> dict[int, str]:
    """Rows that belong to no patient, by their place: those that sum up others, and those of which no cell could be read."""
    summing = np.array([sums_up(str(text)) for text in first.texts], bool)[first.member_of]
    member_of, unique = pd.factorize(ids)
    summing |= np.array([sums_up(str(text)) for text in unique], bool)[member_of]
    long = np.array([len(str(text)) > LONGEST_ID for text in ids], bool)
    out = dict.fromkeys(np.flatnonzero(lost & ~read).tolist(), "a patient; no cell of this row can be read")
    out |= dict.fromkeys(np.flatnonzero(long).tolist(), f"a pseudonym of at most {LONGEST_ID} characters")
    return out | dict.fromkeys(np.flatnonzero(summing).tolist(), "a patient; this row sums up others")


def one_row_a_patient(
    frame: pd.DataFrame, notices: list[str], *, kept: int | None = PROBLEMS_KEPT_PER_COLUMN
) -> tuple[pd.DataFrame, list[RowProblem]]:
    """A patient's repeated row once; where her rows differ, none of them."""
    if PATIENT_ID not in frame:
        return frame, []
    named = frame[PATIENT_ID] != ""
    repeated = named & frame.duplicated()
    if repeated.any():
        notices.append(f"{int(repeated.sum()):,} rows repeat an earlier row of the same patient and were left out.")
        frame = frame[~repeated]
    twins = (frame[PATIENT_ID] != "") & frame.duplicated(PATIENT_ID, keep=False)
    problems = [
        RowProblem(
            int(row),
            PATIENT_ID,
            shown(str(patient)),
            "one row a patient; this patient has several different rows",
            patient=shown(str(patient)),
        )
        for row, patient in zip(frame.index[twins][:kept], frame.loc[twins, PATIENT_ID], strict=False)
    ]
    return frame[~twins], problems
