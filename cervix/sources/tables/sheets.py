"""Spreadsheets and Parquet files, which are opened in a process of its own."""

import base64
from typing import Any, Final

from cervix.errors import LostApart, PatientFileError
from cervix.sources.apart import Limits, run_apart
from cervix.sources.tables.reader import TableRows, WantedTable, header_at, without_trailing_blanks

# A spreadsheet of a million rows and ten columns takes about 1 GB; pyarrow reserves address space before it reads.
LIMITS: Final = Limits(memory_bytes=4 << 30, seconds=90.0, file_bytes=1 << 30)


class Spreadsheets:
    """XLSX, XLS and ODS: the sheet that holds the most headers of the table looked for."""

    magic = (b"PK\x03\x04", b"\xd0\xcf\x11\xe0")

    def matches(self, content: bytes) -> bool:
        return content.startswith(self.magic)

    def open(self, content: bytes, wanted: WantedTable, *, header_alone: bool = False) -> TableRows:  # noqa: ARG002 - is read whole
        order = {"is_header": wanted.is_header_name}
        return _opened("cervix.sources.tables.cells:of_workbook", content, order, wanted, "a spreadsheet")


class ParquetFiles:
    """Parquet."""

    magic = b"PAR1"

    def matches(self, content: bytes) -> bool:
        return content.startswith(self.magic)

    def open(self, content: bytes, wanted: WantedTable, *, header_alone: bool = False) -> TableRows:  # noqa: ARG002 - is read whole
        return _opened("cervix.sources.tables.cells:of_parquet", content, {}, wanted, "a Parquet file")


def _opened(function: str, content: bytes, order: dict[str, Any], wanted: WantedTable, kind: str) -> TableRows:
    try:
        found = run_apart(function, order | {"content": base64.b64encode(content).decode()}, LIMITS, subject="table")
    except LostApart as error:
        raise PatientFileError(
            f"This is {kind} that cannot be opened safely",
            expected="a table of at most a few million cells, as XLSX, Parquet or CSV",
            found=error.found,
            action="Export the sheet as CSV.",
        ) from error
    cells, notices = found["rows"], found["notices"]
    start = header_at(cells, wanted)
    if start:
        notices.append(f"{start} rows above the header were skipped.")
    header = without_trailing_blanks(cells[start]) if cells else []
    return TableRows(header, enumerate(cells[start + 1 :], start=start + 2), len(cells), notices)
