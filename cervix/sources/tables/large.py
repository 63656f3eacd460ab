"""Tables too large to hold, opened some rows at a time. What opens them runs in a process apart."""

import codecs
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cervix.errors import PatientFileError
from cervix.sources.tables.cells import cell_text
from cervix.sources.tables.delimited import records_of, text_layout
from cervix.sources.tables.reader import TableRows, WantedTable, told, without_trailing_blanks

LINES_A_SEGMENT: Final = 100_000
ROWS_A_BATCH: Final = 250_000
HEAD_BYTES: Final = 1 << 20
# A quote that never closes costs its own rows; so many lines are held to see whether one closes.
LINES_OF_A_CELL: Final = 10_000
PARQUET: Final = b"PAR1"
_DECODED_BYTES: Final = 16 << 20


@dataclass(frozen=True)
class Coded:
    """Cells of a column by their distinct texts: which one each holds ``(n,)``, and the texts ``(m,)``."""

    member_of: NDArray[np.int64]
    texts: NDArray[np.object_]


@dataclass(frozen=True)
class LargeTable:
    """A table as it was opened: its header, and what had to be assumed.

    Attributes
    ----------
    segments : callable, optional
        Of delimited text: rows some at a time, each as ``TableReader.open`` gives them.
    batches : callable, optional
        Of Parquet: from positions of columns to the line of the first row and those columns, some rows at a time.
    rows_about : int
        How many rows it may have.
    """

    header: list[str]
    notices: list[str]
    rows_about: int
    segments: Callable[[], Iterator[TableRows]] | None = None
    batches: Callable[[list[int]], Iterator[tuple[int, list[Coded]]]] | None = None


def open_large(path: Path, wanted: WantedTable) -> LargeTable:
    """Open delimited text or Parquet.

    Raises
    ------
    PatientFileError
        If it cannot be opened, is empty or of another kind. The message holds no cell.
    """
    try:
        with path.open("rb") as stream:
            head = stream.read(HEAD_BYTES)
    except OSError as error:
        raise PatientFileError("The table cannot be opened", expected=wanted.expected, found=error.strerror or "") from error
    if not head.strip():
        raise PatientFileError("The file is empty", expected=wanted.expected, found=f"{len(head)} bytes")
    if head.startswith((b"PK\x03\x04", b"\xd0\xcf\x11\xe0")):
        raise PatientFileError("This is a spreadsheet", expected="Parquet or CSV", action="Export the sheet as CSV.")
    return _parquet(path) if head.startswith(PARQUET) else _delimited(path, head, wanted)


def _delimited(path: Path, head: bytes, wanted: WantedTable) -> LargeTable:
    size = path.stat().st_size
    # Not in the middle of a line, nor of a character.
    whole = head if size <= len(head) else head[: max(head.rfind(b"\n"), head.rfind(b"\r")) + 1] or head
    notices, delimiter, start, encoding, lines = text_layout(whole, wanted, lambda guess: _encoding(path, guess))
    header = without_trailing_blanks(
        next(
            (cells or [] for _, cells in records_of(["\n"] * start + lines[start:], delimiter) if cells is None or told(cells)),
            [],
        )
    )

    def segments() -> Iterator[TableRows]:
        with path.open(encoding=encoding, errors="replace", newline="") as stream:
            done = 0
            while lines := _segment(stream):
                count = len(lines)
                if done == 0:
                    lines[:start] = ["\n"] * start
                rows = ((line + done, cells) for line, cells in records_of(lines, delimiter))
                if done == 0:
                    next((None for _, cells in rows if cells is None or told(cells)), None)
                yield TableRows(header, rows, count, cut_anyhow=_cutter(lines, done, delimiter))
                done += count

    bytes_a_line = len(whole) / max(len(lines), 1)
    return LargeTable(header, notices, int(size / max(bytes_a_line, 1)), segments=segments)


def _cutter(lines: list[str], done: int, delimiter: str) -> Callable[[int], list[str]]:
    return lambda line: [cell.strip().strip('"') for cell in lines[line - done - 1].split(delimiter)]


def _segment(stream: Any) -> list[str]:
    """The next lines, cut where no quoted cell is open."""
    lines = list(islice(stream, LINES_A_SEGMENT))
    if sum(line.count('"') for line in lines) % 2:
        for line in islice(stream, LINES_OF_A_CELL):
            lines.append(line)
            if line.count('"') % 2:
                break
    return lines


def _encoding(path: Path, guess: str) -> str:
    """The encoding that reads the file as a whole: the one that its head is in, or Windows-1252, or Latin-1."""
    for encoding in dict.fromkeys((guess, "cp1252")) if guess in ("utf-8", "cp1252") else ():
        decoder = codecs.getincrementaldecoder(encoding)()
        try:
            with path.open("rb") as stream:
                while block := stream.read(_DECODED_BYTES):
                    decoder.decode(block)
                decoder.decode(b"", final=True)
        except UnicodeDecodeError:
            continue
        return encoding
    return "latin-1" if guess in ("utf-8", "cp1252") else guess


def _parquet(path: Path) -> LargeTable:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        file = pq.ParquetFile(path)
        schema = file.schema_arrow
    except (pa.ArrowException, OSError) as error:
        raise PatientFileError(
            "The file cannot be opened as Parquet", expected="Parquet or CSV", found="a damaged file"
        ) from error
    header = [name for name in schema.names if not name.startswith("__index_level_")]
    texts = [field.name for field in schema if pa.types.is_string(field.type) or pa.types.is_large_string(field.type)]

    def batches(columns: list[int]) -> Iterator[tuple[int, list[Coded]]]:
        names, line = [header[at] for at in columns], 2
        try:
            with pq.ParquetFile(path, read_dictionary=[name for name in texts if name in names]) as opened:
                for batch in opened.iter_batches(ROWS_A_BATCH, columns=names, use_threads=False):
                    by_name = dict(zip(batch.schema.names, batch.columns, strict=True))
                    yield line, [_coded(by_name[name]) for name in names]
                    line += batch.num_rows
        except (pa.ArrowException, OSError) as error:
            raise PatientFileError(
                "The Parquet file cannot be read to its end", expected="Parquet or CSV", found=f"damage after row {line - 2:,}"
            ) from error

    return LargeTable(header, [], file.metadata.num_rows, batches=batches)


def _coded(array: Any) -> Coded:
    """An Arrow array as texts, each distinct value put into words once."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if pa.types.is_timestamp(array.type) and array.type.tz is None:
        # No visit is told by its hour, and hours would make every value another.
        array = array.cast(pa.date32(), safe=False)
    if not pa.types.is_dictionary(array.type):
        try:
            array = pc.dictionary_encode(array)
        except pa.ArrowNotImplementedError:  # a list or a record
            member_of, texts = pd.factorize(np.array([cell_text(value) for value in array.to_pylist()], object))
            return Coded(member_of.astype(np.int64), texts)
    words = [cell_text(value) for value in array.dictionary.to_pylist()]
    members = array.indices.fill_null(len(words)).to_numpy(zero_copy_only=False).astype(np.int64)
    # Two values may be one text, and what is missing is the empty one.
    same, texts = pd.factorize(np.array([*words, ""], object))
    return Coded(same[members], texts)
