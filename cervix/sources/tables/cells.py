"""The cells of a spreadsheet or Parquet file as text. Runs in a process apart: what it opens comes from strangers."""

import base64
import importlib
import io
import zipfile
from datetime import date, datetime, time
from typing import Any, Final

from cervix.errors import PatientFileError
from cervix.sources.tables.reader import LONGEST_HEADER

MOST_CELLS: Final = 50_000_000
MOST_UNPACKED_BYTES: Final = 1 << 30
ROWS_LOOKED_AT: Final = 20
# Excel's own limit of characters in a cell.
LONGEST_CELL: Final = 32_767


def of_workbook(content: str, is_header: str) -> dict[str, Any]:
    """Rows of text of the sheet with the most headers that are looked for.

    Parameters
    ----------
    content : str
        The file as base64.
    is_header : str
        ``package.module:function`` of this library that says whether a cell is one.

    Raises ``PatientFileError`` for a file that is none, or is too large.
    """
    from python_calamine import CalamineError, CalamineWorkbook

    data = base64.b64decode(content)
    if data[:2] == b"PK":
        _refuse_bomb(data)
    module, name = is_header.split(":")
    looked_for = getattr(importlib.import_module(module), name)

    def known(cells: list[Any]) -> int:
        return sum(looked_for(cell_text(cell)[:LONGEST_HEADER]) for cell in cells)

    try:
        workbook = CalamineWorkbook.from_filelike(io.BytesIO(data))
        best: list[list[Any]] = []
        chosen, most = 0, -1
        for number in range(len(workbook.sheet_names)):
            sheet = workbook.get_sheet_by_index(number)
            if sheet.total_height * sheet.total_width > MOST_CELLS:
                raise _too_large(sheet.total_height, sheet.total_width)
            rows = sheet.to_python(skip_empty_area=False)
            found = max((known(row) for row in rows[:ROWS_LOOKED_AT]), default=-1)
            if rows and found > most:
                best, chosen, most = rows, number, found
    except CalamineError as error:
        raise PatientFileError(
            "The file cannot be opened as a spreadsheet",
            expected="a table as XLSX, XLS, ODS, Parquet or CSV",
            found="a damaged or protected file, or an archive of another kind",
            action="Save it again without a password, or export the sheet as CSV.",
        ) from error
    sheets = len(workbook.sheet_names)
    notices = [f"Read from sheet {chosen + 1} of {sheets}; the others are not read."] if sheets > 1 else []
    return {"rows": [[cell_text(cell) for cell in row] for row in best], "notices": notices}


def of_parquet(content: str) -> dict[str, Any]:
    """Rows of text of a Parquet file, which is given as base64; ``PatientFileError`` as ``of_workbook``."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    data = base64.b64decode(content)
    try:
        file = pq.ParquetFile(io.BytesIO(data))
        rows, width = file.metadata.num_rows, len(file.schema_arrow.names)
        if rows * width > MOST_CELLS:
            raise _too_large(rows, width)
        table = file.read(use_threads=False)
    except (pa.ArrowException, OSError) as error:
        raise PatientFileError(
            "The file cannot be opened as Parquet",
            expected="a table as XLSX, XLS, ODS, Parquet or CSV",
            found="a damaged file",
        ) from error
    names = [name for name in table.column_names if not name.startswith("__index_level_")]
    columns = [[cell_text(value) for value in table.column(name).to_pylist()] for name in names]
    return {"rows": [names, *(list(row) for row in zip(*columns, strict=True))], "notices": []}


def _refuse_bomb(data: bytes) -> None:
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            unpacked = sum(member.file_size for member in archive.infolist())
    except (zipfile.BadZipFile, NotImplementedError, ValueError):
        return  # opening it as a workbook says what is wrong
    if unpacked > MOST_UNPACKED_BYTES:
        raise PatientFileError(
            "The spreadsheet is too large to be opened",
            expected=f"at most {MOST_UNPACKED_BYTES >> 20} MB unpacked",
            found=f"{unpacked >> 20:,} MB",
        )


def cell_text(cell: object) -> str:
    """A cell as it would stand in a CSV; one that is longer than a spreadsheet's can be is cut."""
    return _cell_text(cell)[:LONGEST_CELL]


def _cell_text(cell: object) -> str:
    if cell is None:
        return ""
    if isinstance(cell, bool):
        return "1" if cell else "0"
    if isinstance(cell, float):
        return "" if cell != cell else str(int(cell)) if cell.is_integer() and abs(cell) < 1e15 else repr(cell)
    if isinstance(cell, datetime):
        return cell.date().isoformat() if cell.time() == time() else cell.isoformat(sep=" ", timespec="seconds")
    return cell.isoformat() if isinstance(cell, date) else str(cell)


def _too_large(rows: int, columns: int) -> PatientFileError:
    return PatientFileError(
        "The table is too large to be opened", expected=f"at most {MOST_CELLS:,} cells", found=f"{rows:,} rows of {columns:,}"
    )
