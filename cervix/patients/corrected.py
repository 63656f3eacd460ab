"""A copy of a patient file with unambiguous misspellings corrected."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from cervix.patients.csv_text import TextTable, read_text_table, written_text_table
from cervix.patients.mapping import with_columns
from cervix.patients.spelling import meant_code, meant_number
from cervix.patients.visit_vocabulary import LONGEST_CELL, VISIT_COLUMNS, identifies, says_nothing, visit_column
from cervix.patients.visits import is_visit_header
from cervix.patients.vocabulary import recognise


@dataclass(frozen=True)
class Correction:
    """One spelling corrected, wherever it was in its column."""

    column: str
    found: str
    put: str
    cells: int


@dataclass(frozen=True)
class CorrectedCopy:
    """The copy and what differs from the original.

    Attributes
    ----------
    content : bytes
        CSV in UTF-8, comma-separated, every line where it was.
    dropped_columns : list of str
        Headers that look like personal data.
    lost_rows : int
        Rows that could not be split into cells, so that they are not in the copy.
    """

    content: bytes
    corrections: list[Correction]
    dropped_columns: list[str]
    lost_rows: int


def corrected_copy(content: bytes, columns: Mapping[str, str] | None = None) -> CorrectedCopy:
    """Correct what ``cervix.patients.spelling`` is sure of; every other cell stays as it was.

    ``columns``: which column is which, as for ``read_table``; the copy then has them under our names and no others.

    Raises ``PatientFileError`` where the file cannot be split into columns.
    """
    table = read_text_table(content)
    if columns:
        table = with_columns(table, columns)
    visits = is_visit_header(table.header)
    kept = [place for place, cell in enumerate(table.header) if not identifies(cell)]
    counts: Counter[tuple[int, str, str]] = Counter()
    copied = {place: table.columns[place] for place in kept}
    for place in kept:
        if meant := _meant(table, place, visits=visits):
            counts.update((place, text, meant[text]) for text in copied[place] if text in meant)
            copied[place] = [meant.get(text, text) for text in copied[place]]
    return CorrectedCopy(
        content=written_text_table([table.header[place] for place in kept], table.lines, list(copied.values())),
        corrections=[Correction(table.header[place], found, put, count) for (place, found, put), count in counts.most_common()],
        dropped_columns=[cell for cell in table.header if identifies(cell)],
        lost_rows=table.ragged,
    )


def _meant(table: TextTable, place: int, *, visits: bool) -> dict[str, str]:
    """The texts of one column that are misspelt and what each means."""
    header = table.header[place]
    texts = set(table.columns[place])
    if visits:
        code_column = VISIT_COLUMNS.get(visit_column(header) or "")
        if code_column is None:
            return {}
        unknown = (text for text in texts if code_column.code_of(text) is None and not says_nothing(text))
        return {text: put for text in unknown if (put := meant_code(text[:LONGEST_CELL], code_column))}
    column = recognise(header)
    return {text: put for text in texts if column and (put := meant_number(text, column))}
