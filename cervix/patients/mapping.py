"""An unknown header: a person says which column is which."""

from collections.abc import Mapping
from dataclasses import replace

from cervix.errors import PatientFileError
from cervix.patients.csv_text import TextTable
from cervix.patients.visit_vocabulary import AGE, SLIDE, VISIT_COLUMNS, VISIT_DATE, identifies, visit_column
from cervix.patients.vocabulary import PATIENT_ID, is_patient_id

MAPPABLE = (PATIENT_ID, VISIT_DATE, AGE, *VISIT_COLUMNS, SLIDE)


def suggested(header: list[str]) -> dict[str, str]:
    """Column of ours -> column of the file, as far as the header's spellings say it."""
    found: dict[str, str] = {}
    for cell in header:
        name = PATIENT_ID if is_patient_id(cell) else visit_column(cell)
        if name in MAPPABLE and name not in found:
            found[name] = cell
    return found


def choosable(header: list[str]) -> list[str]:
    """Columns that may be chosen: those that do not look like a person's name, birth date, address or number."""
    return [cell for cell in header if cell.strip() and not identifies(cell)]


def with_columns(table: TextTable, mapping: Mapping[str, str]) -> TextTable:
    """The table as a visit table: the columns of a mapping (ours -> the file's) under our names, all others left out.

    Raises
    ------
    PatientFileError
        If a column is named that the file does not have, or one is used twice.
    """
    places = {}
    for name, cell in mapping.items():
        if name not in MAPPABLE or cell not in table.header:
            raise PatientFileError(
                "The choice names a column that is not in the file", expected=", ".join(MAPPABLE), found=f"{name}"
            )
        places[name] = table.header.index(cell)
    if len(set(places.values())) < len(places):
        raise PatientFileError("A column of the file was chosen twice", expected="each column once")
    columns = [table.columns[place] for place in places.values()]
    # Torn rows are cut as the file is: whose they are is told by where its pseudonyms stand.
    torn = [_chosen(cells, list(places.values())) for cells in table.ragged_cells]
    return replace(table, header=list(places), columns=columns, ragged_cells=torn)


def _chosen(cells: list[str], places: list[int]) -> list[str]:
    return [cells[place] if place < len(cells) else "" for place in places]
