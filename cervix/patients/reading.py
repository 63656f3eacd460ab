"""Read a patient table: every good row, and for every bad one its row, column, value and what is accepted."""

import csv
import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from cervix.errors import PatientFileError
from cervix.patients.vocabulary import COLUMNS, OTHER_TESTS, PATIENT_ID, RISK_FACTORS, is_patient_id, recognise

EXPECTED = "the UCI risk-factor table: a header such as Age, Number of sexual partners, … and one row a patient"
DELIMITERS = {",": "comma", ";": "semicolon", "\t": "tab", "|": "pipe"}
BYTE_ORDER_MARKS = {b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16", b"\xef\xbb\xbf": "utf-8-sig"}
NOT_KNOWN = {"", "?", "na", "n/a", "nan", "null", "none"}
LONGEST_CELL = 1_000
SHOWN_VALUE_LENGTH = 40
WHOLE_ROW = "(whole row)"
DECIMAL_COMMA = r"[+-]?\d+,\d+"
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
        CSV with comma, semicolon, tab or pipe; UTF-8, UTF-16 with a byte-order mark, otherwise Latin-1.
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
    delimiter = _delimiter(text, notices)
    records = _records(text, delimiter)
    _, header = next(records, (1, None))
    header = _without_trailing_blanks(header or [])
    columns = _match_header(header, notices)
    rows, problems = _whole_rows(records, len(header))
    ragged = len(problems)
    problems = problems[:PROBLEMS_KEPT_PER_COLUMN]
    if not rows and not problems:
        raise PatientFileError("The table has a header and no patient", expected="at least one row", found="none")
    frame, cell_problems = _numbers(rows, columns, notices, decimal_comma=delimiter != ",")
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
        return content.decode("latin-1"), ["Not UTF-8; read as Latin-1: check accents in the patient ids."]


def _delimiter(text: str, notices: list[str]) -> str:
    first_line = text.lstrip("\r\n").split("\n", 1)[0]
    delimiter = max(DELIMITERS, key=first_line.count)
    if first_line.count(delimiter) and delimiter != ",":
        notices.append(f"Read as {DELIMITERS[delimiter]}-separated.")
    return delimiter


def _records(text: str, delimiter: str) -> Iterator[tuple[int, list[str] | None]]:
    """Yield (first line, cells) of every record that is not blank; None for cells whose quotes do not close.

    An open quote would swallow the rows below it. Its row alone is given up: reading goes on with the next line. A
    record over several lines that holds the delimiters of two rows is taken for one with an open quote.
    """
    csv.field_size_limit(max(len(text) + 1, csv.field_size_limit()))
    lines = list(io.StringIO(text, newline=""))
    start = width = 0
    while start < len(lines):
        first = start
        reader = csv.reader((lines[index] for index in range(first, len(lines))), delimiter=delimiter, strict=True)
        try:
            for cells in reader:
                end = first + reader.line_num
                if end - start > 1 and width > 1 and _delimiters(lines[start:end], delimiter) >= 2 * (width - 1):
                    raise csv.Error("a quoted cell ran into other rows")
                width = width or len(cells)
                if any(cell.strip() for cell in cells):
                    yield start + 1, cells
                start = end
        except csv.Error:
            yield start + 1, None
            start += 1


def _delimiters(lines: list[str], delimiter: str) -> int:
    return sum(line.count(delimiter) for line in lines)


def _without_trailing_blanks(header: list[str]) -> list[str]:
    return header[: max((position + 1 for position, cell in enumerate(header) if cell.strip()), default=0)]


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
    tests = [column.name for column in OTHER_TESTS if column.name not in columns.values()]
    if tests:
        notices.append(f"Columns of other tests missing, taken as not known: {', '.join(tests)}.")
    if unused:
        more = f" and {len(unused) - 10} more" if len(unused) > 10 else ""
        notices.append(f"Columns not used: {', '.join(unused[:10])}{more}.")
    return columns


def _whole_rows(
    records: Iterator[tuple[int, list[str] | None]], width: int
) -> tuple[list[tuple[int, list[str]]], list[RowProblem]]:
    """Rows of the header's width, blank cells beyond it dropped; the others as problems."""
    rows: list[tuple[int, list[str]]] = []
    problems: list[RowProblem] = []
    for line, cells in records:
        if cells is None:
            problems.append(RowProblem(line, WHOLE_ROW, "a quote out of place", "quotes in pairs around a cell"))
        elif len(cells) < width or any(cell.strip() for cell in cells[width:]):
            problems.append(RowProblem(line, WHOLE_ROW, f"{len(cells)} cells", f"{width} cells, as in the header"))
        else:
            rows.append((line, cells))
    return rows, problems


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
            RowProblem(int(lines[row]), name, _shown(str(texts.iat[member_of[row]])), column.accepted)
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


def _shown(value: str) -> str:
    return value if len(value) <= SHOWN_VALUE_LENGTH else f"{value[:SHOWN_VALUE_LENGTH]}…"
