"""A table of patients as columns of text, and the rows that do not fit into them."""

import csv
import io
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import NoReturn

from cervix.errors import PatientFileError
from cervix.patients.visit_vocabulary import visit_column
from cervix.patients.vocabulary import is_patient_id, recognise
from cervix.sources.tables.reader import HEADER_CELLS_LOOKED_AT, LONGEST_HEADER, WantedTable, told
from cervix.sources.tables.registry import open_table

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


def is_patient_header(cell: str) -> bool:
    """Whether a cell names a column of one of the patient tables."""
    return is_patient_id(cell) or visit_column(cell) is not None or recognise(cell) is not None


PATIENT_TABLE = WantedTable(is_patient_header, EXPECTED)


def read_text_table(source: Path | bytes, *, on_progress: OnProgress | None = None) -> TextTable:
    """Read a table of any kind that ``cervix.sources.tables`` knows.

    Parameters
    ----------
    on_progress : callable, optional
        Called every few thousand records with (lines read, lines in all).

    Raises
    ------
    PatientFileError
        If the file cannot be opened, is empty or of another kind, or has a header alone. Its message holds no cell.
    """
    table = open_table(source, PATIENT_TABLE)
    torn = Torn(table.cut_anyhow)
    rows = whole_rows(
        table.rows, len(table.header), torn, (lambda done: on_progress(done, table.lines)) if on_progress else None
    )
    return _text_table(table.header, rows, torn, table.notices)


def header_of(source: Path | bytes) -> list[str]:
    """The header of a table alone, for little time even where the table is long.

    Raises ``PatientFileError`` as ``read_text_table`` does.
    """
    return open_table(source, PATIENT_TABLE, header_alone=True).header


def without_columns(table: TextTable, places: Collection[int]) -> TextTable:
    """The table without some of its columns, its torn rows cut alike."""
    kept = [place for place in range(len(table.header)) if place not in places]
    torn = [[cell for place, cell in enumerate(cells) if place not in places] for cells in table.ragged_cells]
    header, columns = [table.header[place] for place in kept], [table.columns[place] for place in kept]
    return replace(table, header=header, columns=columns, ragged_cells=torn)


def _text_table(header: list[str], rows: "Rows", torn: "Torn", notices: list[str]) -> TextTable:
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


@dataclass
class Rows:
    """Rows kept by column."""

    lines: list[int]
    columns: list[list[str]]

    def extend(self, lines: Iterable[int], records: Iterable[list[str]]) -> None:
        self.lines.extend(lines)
        # A row may have blank cells beyond the header's width: zip ends with the columns.
        for column, cells in zip(self.columns, zip(*records, strict=False), strict=False):
            column.extend(cells)


@dataclass
class Torn:
    """Rows that could not be split into the header's cells."""

    cut_anyhow: Callable[[int], list[str]]
    problems: list[RowProblem] = field(default_factory=list)
    cells: list[list[str]] = field(default_factory=list)

    def add(self, line: int, cells: list[str] | None, found: str, accepted: str) -> None:
        self.problems.append(RowProblem(line, WHOLE_ROW, found, accepted))
        parts = self.cut_anyhow(line) if cells is None else cells
        self.cells.append([part[:LONGEST_HEADER] for part in parts[:HEADER_CELLS_LOOKED_AT]])


def whole_rows(
    records: Iterator[tuple[int, list[str] | None]], width: int, torn: Torn, on_progress: Callable[[int], None] | None
) -> Rows:
    """Rows of the header's width, blank cells beyond it dropped; the others, if not blank, are torn."""
    rows = Rows([], [[] for _ in range(width)])
    blocks = iter(lambda: list(islice(records, RECORDS_A_BLOCK)), [])
    for number, block in enumerate(blocks, start=1):
        if on_progress and number % BLOCKS_A_REPORT == 0:
            on_progress(block[-1][0])
        if not all(cells and len(cells) == width and cells[0] for _, cells in block):
            block = [record for record in block if _judged_whole(record, width, torn)]
        if block:
            rows.extend(*zip(*block, strict=True))
    return rows


def _judged_whole(record: tuple[int, list[str] | None], width: int, torn: Torn) -> bool:
    line, cells = record
    if cells is None:
        torn.add(line, None, "a quote out of place", "quotes in pairs around a cell")
    elif len(cells) == width or (len(cells) > width and not told(cells[width:])):
        return told(cells)
    elif told(cells):
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
