"""From the bytes of a table to rows of text, whatever its encoding, delimiter and small damage."""

import csv
import io
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import NoReturn

from cervix.errors import PatientFileError
from cervix.patients.sheets import is_sheet, sheet_rows
from cervix.patients.visit_vocabulary import visit_column
from cervix.patients.vocabulary import is_patient_id, recognise

DELIMITERS = {",": "comma", ";": "semicolon", "\t": "tab", "|": "pipe"}
BYTE_ORDER_MARKS = {b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16", b"\xef\xbb\xbf": "utf-8-sig"}
TITLE_ROWS = 20
HEADER_CELLS_LOOKED_AT, LONGEST_HEADER, HEADER_AT_MOST = 500, 100, 1 << 20
SHOWN_VALUE_LENGTH = 40
WHOLE_ROW = "(whole row)"
PROBLEMS_KEPT_PER_COLUMN = 1_000
# Fewer lists at once than wake the garbage collector, which would walk every cell read so far, again and again.
RECORDS_A_BLOCK = 250
BLOCKS_A_REPORT = 20
EXPECTED = (
    "a table with a header as CSV, TSV, XLSX, XLS, ODS or Parquet: the UCI risk-factor table (Age, Smokes, …), or one row a "
    "visit (patient_id, visit_date or age, and results such as cytology and hpv_result)"
)
ROW_OUT, CELL_OUT, AGAINST = "row left out", "not known", "contradictory: not known"


OnProgress = Callable[[int, int], None]
"""Called with how many are done, and how many there are."""


@dataclass(frozen=True)
class RowProblem:
    """What is wrong in a row. ``value`` and ``patient`` are patient data: for the page, never for a log.

    ``meant`` is what a misspelt code surely stands for; empty where that is not sure. ``became`` says what became of it:
    one of ``ROW_OUT``, ``CELL_OUT``, ``AGAINST``. ``patient`` is her pseudonym, where it is known.
    """

    row: int
    column: str
    value: str
    accepted: str
    meant: str = ""
    became: str = ROW_OUT
    patient: str = ""

    def __str__(self) -> str:
        who = f", patient {self.patient}" if self.patient else ""
        return f"row {self.row}{who}, column {self.column}: found {self.value!r}, accepted is {self.accepted} ({self.became})"


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
        Rows that could not be split into cells; of very many, the first thousand.
    ragged : int
        How many those are.
    notices : list of str
        What had to be assumed.
    ragged_cells : list of list of str
        The cells of those rows, split as well as possible: it may still be clear whose they are.
    """

    header: list[str]
    lines: list[int]
    columns: list[list[str]]
    problems: list[RowProblem]
    ragged: int
    notices: list[str]
    ragged_cells: list[list[str]] = field(default_factory=list)


def read_text_table(source: Path | bytes, *, on_progress: OnProgress | None = None) -> TextTable:
    """Read a table: CSV with comma, semicolon, tab or pipe, in UTF-8, UTF-16 or Windows-1252; XLSX, XLS, ODS; Parquet.

    A ``sep=`` line and rows of titles above the header are skipped.

    Parameters
    ----------
    on_progress : callable, optional
        Called every few thousand records with (lines read, lines in all).

    Raises
    ------
    PatientFileError
        If the file cannot be opened, is empty or of another kind, or has a header alone. Its message holds no cell.
    """
    content = _content(source)
    if is_sheet(content):
        return _of_sheet(content)
    text, notices = _decode(content)
    lines = list(io.StringIO(text, newline=""))
    delimiter, start = _layout(lines, notices)
    lines[:start] = ["\n"] * start
    records = _records(text, lines, delimiter)
    header = _without_trailing_blanks(next((cells or [] for _, cells in records if cells is None or _told(cells)), []))
    torn = _Torn(lines, delimiter)
    rows = _whole_rows(records, len(header), torn, (lambda done: on_progress(done, len(lines))) if on_progress else None)
    return _text_table(header, rows, torn, notices)


def delimited_text(content: bytes, is_header: Callable[[str], bool]) -> tuple[str, str, int]:
    """The text of a CSV from its header on, its delimiter, and how many lines are above the header.

    Parameters
    ----------
    is_header : callable
        Whether a cell is a header of the table that is looked for.

    Raises
    ------
    PatientFileError
        If it is empty or no text.
    """
    text, notices = _decode(_content(content))
    lines = list(io.StringIO(text, newline=""))
    delimiter, start = _layout(lines, notices, is_header)
    return "".join(lines[start:]), delimiter, start


def header_of(source: Path | bytes) -> list[str]:
    """The header of a table alone, for little time even where the table is long.

    Raises ``PatientFileError`` as ``read_text_table`` does.
    """
    content = _content(source)
    if is_sheet(content):
        return _of_sheet(content).header
    text, notices = _decode(content)
    lines = text[:HEADER_AT_MOST].splitlines(keepends=True)
    delimiter, start = _layout(lines, notices)
    records = _records("".join(lines), lines[start:], delimiter)
    return _without_trailing_blanks(next((cells or [] for _, cells in records if cells is None or _told(cells)), []))


def without_columns(table: TextTable, places: Collection[int]) -> TextTable:
    """The table without some of its columns, its torn rows cut alike."""
    kept = [place for place in range(len(table.header)) if place not in places]
    torn = [[cell for place, cell in enumerate(cells) if place not in places] for cells in table.ragged_cells]
    header, columns = [table.header[place] for place in kept], [table.columns[place] for place in kept]
    return replace(table, header=header, columns=columns, ragged_cells=torn)


def _of_sheet(content: bytes) -> TextTable:
    cells, notices = sheet_rows(content)
    start = _start(cells)
    if start:
        notices.append(f"{start} rows above the header were skipped.")
    header = _without_trailing_blanks(cells[start]) if cells else []
    torn = _Torn([], ",")
    rows = _whole_rows(enumerate(cells[start + 1 :], start=start + 2), len(header), torn, None)
    return _text_table(header, rows, torn, notices)


def _text_table(header: list[str], rows: "_Rows", torn: "_Torn", notices: list[str]) -> TextTable:
    if not rows.lines and not torn.problems:
        raise PatientFileError(
            "The table has a header but no rows",
            expected=f"at least one row below the header; {EXPECTED}",
            found="none",
        )
    problems = torn.problems[:PROBLEMS_KEPT_PER_COLUMN]
    return TextTable(header, rows.lines, rows.columns, problems, len(torn.problems), notices, torn.cells)


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
    """Raise ``PatientFileError`` where nothing is left to score, or anything was lost and reading is strict."""
    if strict and problems:
        rows = len({problem.row for problem in problems})
        raise PatientFileError(
            "The table has rows that cannot be used in full",
            expected="no problem in strict reading",
            found=f"{max(rows, left_out):,} bad rows, the first on line {problems[0].row} in column {problems[0].column}; "
            f"accepted is {problems[0].accepted}",
        )
    if not kept:
        first = problems[0] if problems else None
        raise PatientFileError(
            "No row of the table can be used",
            expected=f"{first.column} to hold {first.accepted}" if first else EXPECTED,
            found=f"{left_out:,} bad rows" + (f", the first on line {first.row} in column {first.column}" if first else ""),
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
                    "The file ends in the middle of a character", expected=encoding.upper(), found="truncated text"
                ) from error
    if encoding := _utf_16_without_mark(content):
        return content.decode(encoding, errors="replace"), ["Read as UTF-16 (no byte-order mark)."]
    if b"\0" in content[:4096]:
        raise PatientFileError("This is not a text file", expected=EXPECTED, found="binary content")
    if re.match(rb"\s*(<!doctype html|<html|<table|<\?xml)", content[:200], re.IGNORECASE):
        raise PatientFileError(
            "This is a web page, not a table",
            expected=EXPECTED,
            found="HTML or XML, which some programs save under the name of a spreadsheet",
            action="Open it in a spreadsheet program and save it as XLSX or CSV.",
        )
    try:
        return content.decode("utf-8"), []
    except UnicodeDecodeError:
        pass
    try:
        return content.decode("cp1252"), ["Not UTF-8; read as Windows-1252: check accents in the patient ids."]
    except UnicodeDecodeError:
        return content.decode("latin-1"), ["Not UTF-8; read as Latin-1: check accents in the patient ids."]


def _utf_16_without_mark(content: bytes) -> str:
    """The encoding of text in which every other byte is empty; none where it is otherwise."""
    head = content[:4096]
    half = len(head) // 2
    for encoding, empty, full in (("utf-16-le", head[1::2], head[::2]), ("utf-16-be", head[::2], head[1::2])):
        if half and empty.count(0) > 0.7 * half and full.count(0) == 0:
            return encoding
    return ""


def _is_patient_header(cell: str) -> bool:
    return is_patient_id(cell) or visit_column(cell) is not None or recognise(cell) is not None


def _layout(
    lines: list[str], notices: list[str], is_header: Callable[[str], bool] = _is_patient_header
) -> tuple[str, int]:  # fmt: skip
    """The delimiter, and how many lines are above the header."""
    first = next((at for at, line in enumerate(lines) if line.strip()), 0)
    if said := re.fullmatch(r"\s*\"?sep=(.)\"?\s*", lines[first] if lines else ""):
        if said[1] in DELIMITERS and said[1] != ",":
            notices.append(f"Read as {DELIMITERS[said[1]]}-separated.")
        return said[1], first + 1
    head = lines[first : first + TITLE_ROWS]
    named = {mark: max((_named(_cut(line, mark), is_header) for line in head), default=0) for mark in DELIMITERS}
    delimiter = max(DELIMITERS, key=lambda mark: (named[mark], head[0].count(mark) if head else 0))
    start = _start([_cut(line, delimiter) for line in head], is_header)
    if head and head[start].count(delimiter) and delimiter != ",":
        notices.append(f"Read as {DELIMITERS[delimiter]}-separated.")
    if start:
        notices.append(f"{first + start} lines above the header were skipped.")
    return delimiter, first + start


def _cut(line: str, delimiter: str) -> list[str]:
    return [cell.strip().strip('"') for cell in line.split(delimiter, HEADER_CELLS_LOOKED_AT)]


def _named(cells: Sequence[str], is_header: Callable[[str], bool]) -> int:
    """How many cells are headers of a table that can be read."""
    return sum(is_header(cell) for cell in cells[:HEADER_CELLS_LOOKED_AT] if 0 < len(cell) < LONGEST_HEADER)


def _start(rows: Sequence[Sequence[str]], is_header: Callable[[str], bool] = _is_patient_header) -> int:
    """Which of the first rows is the header: the first unless it names no columns and one below names two or more."""
    names = [_named(cells, is_header) for cells in rows[:TITLE_ROWS]]
    if not names or names[0] >= 2:
        return 0
    return next((at for at, count in enumerate(names) if count >= 2 and count > names[0]), 0)


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


@dataclass
class _Torn:
    """Rows that could not be split into the header's cells."""

    raw: list[str]
    delimiter: str
    problems: list[RowProblem] = field(default_factory=list)
    cells: list[list[str]] = field(default_factory=list)

    def add(self, line: int, cells: list[str] | None, found: str, accepted: str) -> None:
        self.problems.append(RowProblem(line, WHOLE_ROW, found, accepted))
        parts = _cut(self.raw[line - 1], self.delimiter) if cells is None else cells
        self.cells.append([part[:LONGEST_HEADER] for part in parts[:HEADER_CELLS_LOOKED_AT]])


def _whole_rows(
    records: Iterator[tuple[int, list[str] | None]], width: int, torn: _Torn, on_progress: Callable[[int], None] | None
) -> _Rows:
    """Rows of the header's width, blank cells beyond it dropped; the others, if not blank, are torn."""
    rows = _Rows([], [[] for _ in range(width)])
    blocks = iter(lambda: list(islice(records, RECORDS_A_BLOCK)), [])
    for number, block in enumerate(blocks, start=1):
        if on_progress and number % BLOCKS_A_REPORT == 0:
            on_progress(block[-1][0])
        if not all(cells and len(cells) == width and cells[0] for _, cells in block):
            block = [record for record in block if _judged_whole(record, width, torn)]
        if block:
            rows.extend(*zip(*block, strict=True))
    return rows


def _judged_whole(record: tuple[int, list[str] | None], width: int, torn: _Torn) -> bool:
    line, cells = record
    if cells is None:
        torn.add(line, None, "a quote out of place", "quotes in pairs around a cell")
    elif len(cells) == width or (len(cells) > width and not _told(cells[width:])):
        return _told(cells)
    elif _told(cells):
        torn.add(line, cells, f"{len(cells)} cells", f"{width} cells, as in the header")
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
    """A cell as it is shown on a page: shortened where it is long."""
    return value if len(value) <= SHOWN_VALUE_LENGTH else f"{value[:SHOWN_VALUE_LENGTH]}…"
