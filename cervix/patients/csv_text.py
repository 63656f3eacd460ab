"""From the bytes of a CSV file to rows of text, whatever its encoding, delimiter and small damage."""

import csv
import io
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import NoReturn

from cervix.errors import PatientFileError

DELIMITERS = {",": "comma", ";": "semicolon", "\t": "tab", "|": "pipe"}
BYTE_ORDER_MARKS = {b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16", b"\xef\xbb\xbf": "utf-8-sig"}
NOT_KNOWN = {"", "?", "na", "n/a", "nan", "null", "none"}
SHOWN_VALUE_LENGTH = 40
WHOLE_ROW = "(whole row)"
PROBLEMS_KEPT_PER_COLUMN = 1_000
# Fewer lists at once than wake the garbage collector, which would walk every cell read so far, again and again.
RECORDS_A_BLOCK = 250
BLOCKS_A_REPORT = 20
EXPECTED = "a CSV file with a header: the UCI risk-factor table, or one row a visit"


OnProgress = Callable[[int, int], None]
"""Told how many are done, and how many there are."""


@dataclass(frozen=True)
class RowProblem:
    """Why a row was left out. ``value`` can hold patient data: for the page, never for a log.

    ``meant`` is what a misspelt code surely stands for; empty where that is not sure.
    """

    row: int
    column: str
    value: str
    accepted: str
    meant: str = ""

    def __str__(self) -> str:
        return f"row {self.row}, column {self.column}: found {self.value!r}, accepted is {self.accepted}"


@dataclass(frozen=True)
class TextTable:
    """A file's header and rows as text.

    Attributes
    ----------
    header : list of str
    lines : list of int
        First line of each row in the file, counted from 1.
    columns : list of list of str
        One a header cell, each with a cell a row.
    problems : list of RowProblem
        Rows that could not be cut into cells; of very many, the first thousand.
    ragged : int
        How many those are.
    notices : list of str
        What had to be assumed.
    """

    header: list[str]
    lines: list[int]
    columns: list[list[str]]
    problems: list[RowProblem]
    ragged: int
    notices: list[str]
    delimiter: str


def read_text_table(source: Path | bytes, *, on_progress: OnProgress | None = None) -> TextTable:
    """Read a CSV with comma, semicolon, tab or pipe; UTF-8, UTF-16 with a byte-order mark, otherwise Latin-1.

    Parameters
    ----------
    on_progress : callable, optional
        Called every few thousand records with (lines read, lines in all).

    Raises
    ------
    PatientFileError
        If the file cannot be opened, is empty or binary, or has a header alone. Its message holds no cell.
    """
    text, notices = _decode(_content(source))
    delimiter = _delimiter(text, notices)
    lines = list(io.StringIO(text, newline=""))
    records = _records(text, lines, delimiter)
    header = _without_trailing_blanks(next((cells or [] for _, cells in records if cells is None or _told(cells)), []))
    rows, problems = _whole_rows(records, len(header), (lambda done: on_progress(done, len(lines))) if on_progress else None)
    if not rows.lines and not problems:
        raise PatientFileError("The table has a header and no patient", expected="at least one row", found="none")
    return TextTable(header, rows.lines, rows.columns, problems[:PROBLEMS_KEPT_PER_COLUMN], len(problems), notices, delimiter)


def refuse_twice(name: str, position: int) -> NoReturn:
    """Raise ``PatientFileError`` for a header that names a column again at ``position``, counted from 0."""
    raise PatientFileError(
        f"The header names {name} twice", expected="each column once", found=f"again as column {position + 1}"
    )


def not_used(columns: list[str]) -> str:
    """The notice that names columns which are not read; of many, the first ten."""
    more = f" and {len(columns) - 10:,} more" if len(columns) > 10 else ""
    return f"Columns not used: {', '.join(columns[:10])}{more}."


def refuse_if_unusable(problems: list[RowProblem], left_out: int, kept: int, *, strict: bool) -> None:
    """Raise ``PatientFileError`` where nothing is left to score, or anything was left out and reading is strict."""
    if strict and problems:
        raise PatientFileError(
            "The table has rows that cannot be used",
            expected="no problem in strict reading",
            found=f"{left_out:,} bad rows, the first on line {problems[0].row}",
        )
    if not kept:
        raise PatientFileError(
            "No row of the table can be used",
            expected=EXPECTED,
            found=f"{left_out:,} bad rows, the first on line {problems[0].row} in column {problems[0].column}",
        )


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


def _records(text: str, lines: list[str], delimiter: str) -> Iterator[tuple[int, list[str] | None]]:
    """Yield (first line, cells) of every record; None for cells whose quotes do not close.

    An open quote would swallow the rows below it. Its row alone is given up: reading goes on with the next line. A
    record over several lines that holds the delimiters of two rows is taken for one with an open quote.
    """
    csv.field_size_limit(max(len(text) + 1, csv.field_size_limit()))
    if '"' not in text:
        return enumerate(csv.reader(lines, delimiter=delimiter), start=1)
    return _quoted_records(lines, delimiter)


def _quoted_records(lines: list[str], delimiter: str) -> Iterator[tuple[int, list[str] | None]]:
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
                yield start + 1, cells
                start = end
        except csv.Error:
            yield start + 1, None
            start += 1


def _delimiters(lines: list[str], delimiter: str) -> int:
    return sum(line.count(delimiter) for line in lines)


def _without_trailing_blanks(header: list[str]) -> list[str]:
    return header[: max((position + 1 for position, cell in enumerate(header) if cell.strip()), default=0)]


def _told(cells: list[str]) -> bool:
    """Whether a record holds anything but blanks."""
    return bool("".join(cells).strip())


@dataclass
class _Rows:
    """Rows kept by column."""

    lines: list[int]
    columns: list[list[str]]

    def extend(self, lines: Iterable[int], records: Iterable[list[str]]) -> None:
        self.lines.extend(lines)
        # A row may have blank cells beyond the header's width: zip ends with the columns.
        for column, cells in zip(self.columns, zip(*records, strict=False), strict=False):
            column.extend(cells)


def _whole_rows(
    records: Iterator[tuple[int, list[str] | None]], width: int, on_progress: Callable[[int], None] | None
) -> tuple[_Rows, list[RowProblem]]:
    """Rows of the header's width, blank cells beyond it dropped; the others, if not blank, as problems."""
    rows = _Rows([], [[] for _ in range(width)])
    problems: list[RowProblem] = []
    blocks = iter(lambda: list(islice(records, RECORDS_A_BLOCK)), [])
    for number, block in enumerate(blocks, start=1):
        if on_progress and number % BLOCKS_A_REPORT == 0:
            on_progress(block[-1][0])
        if not all(cells and len(cells) == width and cells[0] for _, cells in block):
            block = [record for record in block if _judged_whole(record, width, problems)]
        if block:
            rows.extend(*zip(*block, strict=True))
    return rows, problems


def _judged_whole(record: tuple[int, list[str] | None], width: int, problems: list[RowProblem]) -> bool:
    line, cells = record
    if cells is None:
        problems.append(RowProblem(line, WHOLE_ROW, "a quote out of place", "quotes in pairs around a cell"))
    elif len(cells) == width or (len(cells) > width and not _told(cells[width:])):
        return _told(cells)
    elif _told(cells):
        problems.append(RowProblem(line, WHOLE_ROW, f"{len(cells)} cells", f"{width} cells, as in the header"))
    return False


def written_text_table(header: Sequence[str], lines: Sequence[int], columns: Sequence[Sequence[str]]) -> bytes:
    """Columns of text as a CSV in UTF-8. Rows keep their lines as far as records are one line each."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    written = 1
    for line, *cells in zip(lines, *columns, strict=True):
        text.write("\n" * (line - written - 1))
        writer.writerow(cells)
        written = line
    return text.getvalue().encode()


def shown(value: str) -> str:
    """A cell as it may stand on a page: cut where it is long."""
    return value if len(value) <= SHOWN_VALUE_LENGTH else f"{value[:SHOWN_VALUE_LENGTH]}…"
