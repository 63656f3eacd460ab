"""Rows of text from a spreadsheet or a Parquet file, which are opened in a process of its own."""

import base64
from typing import Final

from cervix.errors import LostApart, PatientFileError
from cervix.sources.apart import Limits, run_apart

MAGIC: Final = {b"PK\x03\x04": "a spreadsheet", b"\xd0\xcf\x11\xe0": "a spreadsheet", b"PAR1": "a Parquet file"}
# A spreadsheet of a million rows and ten columns takes about 1 GB; pyarrow reserves address space before it reads.
LIMITS: Final = Limits(memory_bytes=4 << 30, seconds=90.0, file_bytes=1 << 30)


def is_sheet(content: bytes) -> bool:
    """Whether these bytes begin as a spreadsheet (XLSX, XLS, ODS) or a Parquet file does."""
    return content[:4] in MAGIC


def sheet_rows(content: bytes) -> tuple[list[list[str]], list[str]]:
    """Every row of the sheet that holds the most headers we know, the header among them, and what was assumed.

    Raises
    ------
    PatientFileError
        If it cannot be opened within the limits, or holds no table.
    """
    try:
        told = run_apart(
            "cervix.sources.sheets:rows_of", {"content": base64.b64encode(content).decode()}, LIMITS, subject="table"
        )
    except LostApart as error:
        raise PatientFileError(
            f"This is {MAGIC[content[:4]]} that cannot be opened safely",
            expected="a table of at most a few million cells, as XLSX, Parquet or CSV",
            found=error.found,
            action="Export the sheet as CSV.",
        ) from error
    return told["rows"], told["notices"]
