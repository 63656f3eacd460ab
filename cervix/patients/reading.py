"""Read a patient table: every good row, and for every bad one its row, column, value and what is accepted."""

import csv
import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from charset_normalizer import from_bytes

from cervix.errors import PatientFileError
from cervix.patients.vocabulary import COLUMNS, PATIENT_ID, RISK_FACTORS, is_patient_id, recognise

EXPECTED = "the UCI risk-factor table: a header such as Age, Number of sexual partners, … and one row a patient"
DELIMITERS = {",": "comma", ";": "semicolon", "\t": "tab", "|": "pipe"}
BYTE_ORDER_MARKS = {b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16", b"\xef\xbb\xbf": "utf-8-sig"}
NOT_KNOWN = {"", "?", "na", "n/a", "nan", "null", "none"}
LONGEST_CELL = 1_000
SHOWN_VALUE_LENGTH = 40
PROBLEMS_KEPT_PER_COLUMN = 1_000


@dataclass(frozen=True)
class RowProblem:
    """Why a row was left out. ``value`` can hold patient data: for the page, never for a log."""

    row: int
    column: str
    value: str
    accepted: str

    def __str__(self) -> str:
        return f"row {self.row}, column {self.column}: found {self.value!r}, accepted is {self.accepted}"


@dataclass(frozen=True)
class PatientTable:
    """The readable rows of a table.

    Attributes
    ----------
    frame : DataFrame
        Index ``row``: line of the file, the header being line 1. Float32 columns by the names of the vocabulary,
        all of them, NaN where not known; ``patient_id`` first where the file has one.
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
        CSV with comma, semicolon, tab or pipe; UTF-8, UTF-16 or another encoding that can be told.
    strict : bool
        Refuse the whole file if any row has a problem.

    Raises
    ------
    PatientFileError
        If the file cannot be read as a whole: empty, binary, no recognisable header, no row. Its message holds no
        cell of the table.
    """
    content = _content(source)
    text, notices = _decode(content)
    records = _records(text, notices)
    _, header = next(records, (1, []))
    columns = _match_header(header, notices)
    rows, problems = _whole_rows(records, len(header))
    ragged = len(problems)
    problems = problems[:PROBLEMS_KEPT_PER_COLUMN]
    if not rows and not problems:
        raise PatientFileError("The table has a header and no patient", expected="at least one row", found="none")
    frame, cell_problems = _numbers(rows, columns)
    problems = sorted(problems + cell_problems, key=lambda problem: problem.row)
    left_out = ragged + len(rows) - len(frame)
    if strict and problems:
        raise PatientFileError(
            "The table has rows that cannot be used",
            expected="no problem in strict reading",
            found=f"{left_out:,} bad rows, the first on line {problems[0].row}",
        )
    if frame.empty:
        raise PatientFileError(
            "No row of the table can be used",
            expected=EXPECTED,
            found=f"{left_out:,} bad rows, the first on line {problems[0].row} in column {problems[0].column}",
        )
    return PatientTable(frame, problems, left_out, notices)


def _content(source: Path | bytes) -> bytes:
    if isinstance(source, bytes):
        content = source
    else:
        try:
            content = source.read_bytes()
        except OSError as error:
            raise PatientFileError(
                "The table cannot be opened", expected=EXPECTED, found=error.strerror or "no such file"
            ) from error
    if not content.strip():
        raise PatientFileError("The file is empty", expected=EXPECTED, found=f"{len(content)} bytes")
    return content


def _decode(content: bytes) -> tuple[str, list[str]]:
    for mark, encoding in BYTE_ORDER_MARKS.items():
        if content.startswith(mark):
            try:
                return content.decode(encoding), [f"Read as {encoding.removesuffix('-sig').upper()} (byte-order mark)."]
            except UnicodeDecodeError as error:
                raise PatientFileError(
                    "The file breaks off inside a character", expected=encoding.upper(), found="truncated text"
                ) from error
    if b"\0" in content[:4096]:
        raise PatientFileError(
            "This is not a text file",
            expected=EXPECTED,
            found="binary content",
            action="Export the sheet as CSV.",
        )
    try:
        return content.decode("utf-8"), []
    except UnicodeDecodeError:
        guess = from_bytes(content[:100_000]).best()
        encoding = guess.encoding if guess is not None else "latin-1"
        return content.decode(encoding, errors="replace"), [f"Not UTF-8; read as {encoding}."]


def _records(text: str, notices: list[str]) -> Iterator[tuple[int, list[str]]]:
    """Yield (line number, cells) of every record that is not blank."""
    first_line = text.lstrip("\r\n").split("\n", 1)[0]
    delimiter = max(DELIMITERS, key=first_line.count)
    if first_line.count(delimiter) and delimiter != ",":
        notices.append(f"Read as {DELIMITERS[delimiter]}-separated.")
    csv.field_size_limit(max(len(text) + 1, csv.field_size_limit()))
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    try:
        for cells in reader:
            if any(cell.strip() for cell in cells):
                yield reader.line_num, cells
    except csv.Error as error:
        raise PatientFileError(
            f"The table cannot be read beyond line {reader.line_num}", expected=EXPECTED, found=str(error)
        ) from error


def _match_header(header: list[str], notices: list[str]) -> dict[int, str]:
    """Position -> column name (or ``patient_id``) of the columns that are known."""
    columns: dict[int, str] = {}
    unused: list[str] = []
    for position, cell in enumerate(header):
        known = recognise(cell)
        name = known.name if known else PATIENT_ID if is_patient_id(cell) else None
        if name is None:
            unused.append(_shown(cell))
        elif name in columns.values():
            raise PatientFileError(
                f"The header names {name} twice", expected="each column once", found=f"again as column {position + 1}"
            )
        else:
            columns[position] = name
    missing = [column.name for column in RISK_FACTORS if column.name not in columns.values()]
    if len(missing) > len(RISK_FACTORS) / 2:
        raise PatientFileError(
            "The header is not that of the risk-factor table",
            expected=EXPECTED,
            found=f"{len(RISK_FACTORS) - len(missing)} of {len(RISK_FACTORS)} known columns among {len(header)}",
            action="Check the delimiter and the header, or start from the sample file.",
        )
    if missing:
        notices.append(f"Columns missing, taken as not known: {', '.join(missing)}.")
    if unused:
        more = f" and {len(unused) - 10} more" if len(unused) > 10 else ""
        notices.append(f"Columns not used: {', '.join(unused[:10])}{more}.")
    return columns


def _whole_rows(records: Iterator[tuple[int, list[str]]], width: int) -> tuple[list[tuple[int, list[str]]], list[RowProblem]]:
    """Rows of the header's width; the others as problems."""
    rows: list[tuple[int, list[str]]] = []
    problems: list[RowProblem] = []
    for line, cells in records:
        if len(cells) == width:
            rows.append((line, cells))
        else:
            problems.append(RowProblem(line, "(whole row)", f"{len(cells)} cells", f"{width} cells, as in the header"))
    return rows, problems


def _numbers(rows: list[tuple[int, list[str]]], columns: dict[int, str]) -> tuple[pd.DataFrame, list[RowProblem]]:
    """Cells as numbers within their plausible range, column by column."""
    lines = np.array([line for line, _ in rows], np.int64)
    good = np.ones(len(rows), bool)
    problems: list[RowProblem] = []
    data: dict[str, object] = {}
    for position, name in columns.items():
        cells = pd.Series([cells[position].strip() for _, cells in rows], dtype="str")
        if name == PATIENT_ID:
            data[name] = cells.to_numpy(dtype=object)
            continue
        column = COLUMNS[name]
        known = ~cells.str.lower().isin(NOT_KNOWN).to_numpy(bool)
        # A cell longer than any number is not parsed: a 10 MB cell costs nothing.
        short = cells.where(cells.str.len() <= LONGEST_CELL, "")
        values = pd.to_numeric(short, errors="coerce").to_numpy(np.float64)
        bad = known & ~(np.isfinite(values) & (values >= column.low) & (values <= column.high))
        if column.kind == "yes-no":
            bad |= known & ~np.isin(values, (0.0, 1.0))
        problems += [
            RowProblem(int(lines[index]), name, _shown(str(cells.iat[index])), column.accepted)
            for index in np.flatnonzero(bad)[:PROBLEMS_KEPT_PER_COLUMN]
        ]
        good &= ~bad
        data[name] = np.where(known, values, np.nan).astype(np.float32)
    for name in COLUMNS:
        data.setdefault(name, np.full(len(rows), np.nan, np.float32))
    order = [PATIENT_ID] * (PATIENT_ID in data) + list(COLUMNS)
    frame = pd.DataFrame({name: data[name] for name in order}, index=pd.Index(lines, name="row"))
    return frame[good], problems


def _shown(value: str) -> str:
    return value if len(value) <= SHOWN_VALUE_LENGTH else f"{value[:SHOWN_VALUE_LENGTH]}…"
