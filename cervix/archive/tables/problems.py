"""What of tables of many women was lost: one row for each cell, row, visit or file that no answer rests on."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from cervix.files import replacing
from cervix.patients.csv_text import AGAINST, CELL_OUT, ROW_OUT, RowProblem, shown
from cervix.patients.spelling import meant_code
from cervix.patients.visit_losses import VisitReading
from cervix.patients.visit_vocabulary import LONGEST_CELL, CodeColumn

SCHEMA: Final = pa.schema(
    [
        ("part", pa.int32()),
        ("row", pa.int64()),
        ("code", pa.dictionary(pa.int32(), pa.string())),
        ("column", pa.dictionary(pa.int32(), pa.string())),
        ("value", pa.string()),
        ("accepted", pa.dictionary(pa.int32(), pa.string())),
        ("meant", pa.dictionary(pa.int32(), pa.string())),
        ("patient_id", pa.string()),
    ]
)
"""``part`` and ``row``: which file, and the first line of the row in it. ``value`` and ``patient_id`` are patient data."""
TORN, LEFT_OUT, NOT_KNOWN, CONTRADICTION = "row-torn", "row-left-out", "cell-not-known", "contradiction"
OLDER, REFUSED, TWICE = "visit-not-read", "file-refused", "file-twice"
CODES: Final = {ROW_OUT: LEFT_OUT, CELL_OUT: NOT_KNOWN, AGAINST: CONTRADICTION}


class AllProblems(VisitReading):
    """What is lost of some rows, all of it, held by column rather than by cell."""

    kept_per_column = None

    def __init__(self, lines: NDArray[np.int64], ids: NDArray[np.object_]) -> None:
        super().__init__(lines, ids, [])
        self.told: list[dict[str, Any]] = []

    def _tell_values(
        self,
        places: NDArray[np.int64],
        column: str,
        values: NDArray[np.object_],
        accepted: str,
        became: str,
        code_column: CodeColumn | None = None,
    ) -> None:
        texts = [str(value) for value in values]
        meant = {text: meant_code(text[:LONGEST_CELL], code_column) for text in set(texts)} if code_column else {}
        self.told.append(
            {
                "row": self.lines[places],
                "code": CODES[became],
                "column": column,
                "value": [shown(text) for text in texts],
                "accepted": accepted,
                "meant": [meant.get(text, "") for text in texts],
                "patient_id": [shown(str(text)) for text in self.ids[places]],
            }
        )


def table_of(told: dict[str, Any], part: int | NDArray[np.integer[Any]]) -> pa.Table:
    """Problems as a table; a text that stands alone is that of every row."""
    count = len(told["row"])
    columns = {"part": part, **told}
    arrays = []
    for field in SCHEMA:
        values = columns[field.name]
        if isinstance(values, str | int):
            values = (
                pa.DictionaryArray.from_arrays(np.zeros(count, np.int32), [values])
                if isinstance(values, str)
                else np.full(count, values, np.int32)
            )
        array = values if isinstance(values, pa.DictionaryArray) else pa.array(values)
        if pa.types.is_dictionary(field.type) and not pa.types.is_dictionary(array.type):
            array = array.cast(pa.string()).dictionary_encode()
        arrays.append(array.cast(field.type))
    return pa.Table.from_arrays(arrays, schema=SCHEMA)


def told_of(problems: Iterable[RowProblem]) -> dict[str, Any]:
    """Problems as the page has them, as columns for ``table_of``."""
    listed = list(problems)
    return {
        "row": np.array([one.row for one in listed], np.int64),
        "code": [CODES[one.became] for one in listed],
        "column": [one.column for one in listed],
        "value": [one.value for one in listed],
        "accepted": [one.accepted for one in listed],
        "meant": [one.meant for one in listed],
        "patient_id": [one.patient for one in listed],
    }


@contextmanager
def written(path: Path) -> Iterator["ProblemFile"]:
    """A file of problems that is there when the block ends, whole, with no row where nothing was lost."""
    with replacing(path) as temporary, pq.ParquetWriter(temporary, SCHEMA, compression="zstd") as writer:
        yield ProblemFile(writer)


class ProblemFile:
    """Problems on their way to a file."""

    def __init__(self, writer: pq.ParquetWriter) -> None:
        self._writer = writer
        self.count = 0

    def add(self, told: dict[str, Any], part: int | NDArray[np.integer[Any]]) -> None:
        if len(told["row"]):
            self._writer.write_table(table_of(told, part))
            self.count += len(told["row"])
