"""A header that nobody foresaw: a person says which column is which."""

from collections.abc import Mapping

from cervix.errors import PatientFileError
from cervix.patients.csv_text import read_text_table, written_text_table
from cervix.patients.visit_vocabulary import AGE, SLIDE, VISIT_COLUMNS, VISIT_DATE, identifies, visit_column
from cervix.patients.vocabulary import PATIENT_ID, is_patient_id

MAPPABLE = (PATIENT_ID, VISIT_DATE, AGE, *VISIT_COLUMNS, SLIDE)


def header_of(content: bytes) -> list[str]:
    """The header of a table; ``PatientFileError`` where the file cannot be cut into columns."""
    return read_text_table(content).header


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


def renamed(content: bytes, mapping: Mapping[str, str]) -> bytes:
    """The table as a visit table: the columns of a mapping (ours -> the file's) under our names, all others left out.

    Lines keep their numbers (``written_text_table``), so that problems name the right row.

    Raises
    ------
    PatientFileError
        If a column is named that the file does not have, or one is used twice.
    """
    table = read_text_table(content)
    places = {}
    for name, cell in mapping.items():
        if name not in MAPPABLE or cell not in table.header:
            raise PatientFileError("The choice names a column there is not", expected=", ".join(MAPPABLE), found=f"{name}")
        places[name] = table.header.index(cell)
    if len(set(places.values())) < len(places):
        raise PatientFileError("A column of the file was chosen twice", expected="each column once")
    return written_text_table(list(places), table.lines, [table.columns[place] for place in places.values()])
