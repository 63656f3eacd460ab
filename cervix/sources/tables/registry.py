"""The kinds of files that tables come in. A new one is a file beside this one, and a line here."""

from pathlib import Path

from cervix.sources.tables.delimited import DelimitedText
from cervix.sources.tables.reader import TableReader, TableRows, WantedTable, content_of
from cervix.sources.tables.sheets import ParquetFiles, Spreadsheets

READERS: list[TableReader] = [
    Spreadsheets(),
    ParquetFiles(),
    DelimitedText(),
]
"""In the order in which they are asked. The last takes what no other does, and says what is wrong where it is no text."""


def open_table(source: Path | bytes, wanted: WantedTable, *, header_alone: bool = False) -> TableRows:
    """The table of a file: CSV with comma, semicolon, tab or pipe, in UTF-8, UTF-16 or Windows-1252; XLSX, XLS, ODS; Parquet.

    Raises
    ------
    PatientFileError
        If it cannot be opened, is empty or of another kind. The message holds no cell.
    """
    content = content_of(source, wanted)
    reader = next(reader for reader in READERS if reader.matches(content))
    return reader.open(content, wanted, header_alone=header_alone)
