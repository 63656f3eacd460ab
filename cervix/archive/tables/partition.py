"""One file of a table: every cell read by the rules of the page, every row put into the bucket of its woman.

It is read twice. What a column proves, such as the order of its dates, it proves as a whole: first all distinct texts of each
column are gathered, then each block of rows is read by them. Memory does not grow with the file.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd
import pyarrow as pa

from cervix.archive.tables.problems import TORN, AllProblems, ProblemFile, told_of, written
from cervix.archive.tables.rows import FACTORS, VISITS, bucket_of, in_buckets, torn_table, visits_table
from cervix.bundle.manifest import ModelKind
from cervix.errors import PatientFileError
from cervix.files import replacing
from cervix.patients.blocks import Block, WholeColumn, blocks, open_patients
from cervix.patients.cells import Cells
from cervix.patients.csv_text import EXPECTED, RowProblem
from cervix.patients.questions import Answers
from cervix.patients.reading import PatientTable, factor_columns_of, parsed_numbers_of
from cervix.patients.schema import id_schema, unfit
from cervix.patients.visit_cells import parsed_cells
from cervix.patients.visits import VisitTable, is_visit_header, visit_columns_of
from cervix.patients.vocabulary import COLUMNS, PATIENT_ID
from cervix.sources.tables.large import LargeTable

VISIT_KIND, FACTOR_KIND = "visits", "risk-factors"
MODEL_KINDS: Final[dict[str, ModelKind]] = {VISIT_KIND: VisitTable.model_kind, FACTOR_KIND: PatientTable.model_kind}
"""Kind of table -> kind of the models that read it."""
ROWS_SUFFIX, PROBLEMS_SUFFIX = ".arrow", ".parquet"


@dataclass
class _Part:
    """A part on its way: what is counted, and the file that its rows go to."""

    number: int
    buckets: int
    rows: pa.ipc.RecordBatchFileWriter
    problems: ProblemFile
    batches: list[int] = field(default_factory=list)
    count: int = 0
    set_aside: int = 0
    notices: dict[str, None] = field(default_factory=dict)

    def put(self, table: pa.Table, ids: Any, lines: Any) -> None:
        """Into the buckets of their women; rows without one each by itself."""
        named = np.array([bool(text) for text in ids], bool)
        bucket = np.where(named, bucket_of(ids, self.buckets), np.asarray(lines) % self.buckets)
        for number, batch in in_buckets(table, bucket):
            self.rows.write_batch(batch)
            self.batches.append(number)


def kind_of_header(header: list[str]) -> str:
    """``visits`` or ``risk-factors``; ``PatientFileError`` where it is neither."""
    kind = VISIT_KIND if is_visit_header(header) else FACTOR_KIND
    (visit_columns_of if kind == VISIT_KIND else factor_columns_of)(header, [])
    return kind


def partition(
    path: str, number: int, folder: str, buckets: int, today: str, dates: str | None = None, minus: str | None = None
) -> dict[str, Any]:
    """Read a part into ``<number>.arrow`` and ``<number>.parquet`` of problems in a folder; both whole or not there.

    It runs in a process apart: all that goes in and comes out is JSON.

    Returns
    -------
    ``kind``; ``rows`` of the file; ``set_aside`` of them; ``problems``; ``notices``; ``batches``: bucket of each record batch.

    Raises ``PatientFileError`` where the file cannot be read as a whole.
    """
    table = open_patients(Path(path))
    kind = kind_of_header(table.header)
    stem = f"{number:06d}"
    with (
        written(Path(folder, f"{stem}{PROBLEMS_SUFFIX}")) as problems,
        _writing(Path(folder, f"{stem}{ROWS_SUFFIX}"), VISITS if kind == VISIT_KIND else FACTORS) as rows,
    ):
        part = _Part(number, buckets, rows, problems, notices=dict.fromkeys(table.notices))
        if kind == VISIT_KIND:
            _visits(table, part, date.fromisoformat(today), Answers(dates, minus))  # type: ignore[arg-type]
        else:
            _factors(table, part)
        if not part.count:
            raise PatientFileError("The table has a header but no rows", expected=EXPECTED, found="none")
    return {
        "kind": kind, "rows": part.count, "set_aside": part.set_aside, "problems": problems.count,
        "notices": list(part.notices), "batches": part.batches,
    }  # fmt: skip


@contextmanager
def _writing(path: Path, schema: pa.Schema) -> Iterator[pa.ipc.RecordBatchFileWriter]:
    options = pa.ipc.IpcWriteOptions(compression="lz4")
    with (
        replacing(path) as temporary,
        pa.OSFile(str(temporary), "wb") as sink,
        pa.ipc.new_file(sink, schema, options=options) as rows,
    ):
        yield rows


def _gathered(table: LargeTable, names: dict[int, str]) -> dict[str, WholeColumn]:
    """All texts of these columns but the pseudonyms."""
    whole = {name: WholeColumn(name) for name in names.values() if name != PATIENT_ID}
    for block in blocks(table, names):
        for at, name in names.items():
            if name != PATIENT_ID:
                whole[name].add(block.columns[at])
    return whole


def _visits(table: LargeTable, part: _Part, today: date, answers: Answers) -> None:
    notices: list[str] = []
    columns = visit_columns_of(table.header, notices)
    part.notices |= dict.fromkeys(notices)
    whole = _gathered(table, {at: name for name, at in columns.items()})
    torn: list[tuple[RowProblem, list[str]]] = []
    women: set[str] = set()
    suspected: set[str] = set()
    for block in blocks(table, columns.values()):
        cells = {name: whole[name].cells_of(block.columns[at]) for name, at in columns.items() if name != PATIENT_ID}
        cells[PATIENT_ID] = block.columns[columns[PATIENT_ID]]
        _visit_block(block, cells, part, today, answers)
        for problem, parts in zip(block.torn, block.torn_cells, strict=True):
            torn.append((problem, parts))
            suspected |= set(_owners(parts, len(table.header), columns[PATIENT_ID]))
    if torn:
        for block in blocks(table, [columns[PATIENT_ID]]):
            women |= suspected & set(block.columns[columns[PATIENT_ID]].stripped.tolist())
        _torn(torn, women, len(table.header), columns[PATIENT_ID], part)


def _visit_block(block: Block, cells: dict[str, Cells], part: _Part, today: date, answers: Answers) -> None:
    reading = AllProblems(block.lines, cells[PATIENT_ID].stripped)
    reading.warn_of_identifiers()
    frame = parsed_cells(cells, reading, today, answers)
    part.notices |= dict.fromkeys(reading.notices)
    part.notices |= {f"{question.title} Say --{question.name}.": None for question in reading.questions}
    for told in reading.told:
        part.problems.add(told, part.number)
    part.count += len(block.lines)
    part.set_aside += int(reading.bad.sum())
    # A row whose pseudonym is none is nobody's; another row that is no visit still counts as one that she lost.
    nobody = _is_nobody(reading)
    kept = ~nobody
    rows = visits_table(frame, reading.ids, block.lines, reading.bad, reading.cells)
    if nobody.any():
        rows = rows.filter(pa.array(kept))
    part.put(rows, reading.ids[kept], block.lines[kept])


def _is_nobody(reading: AllProblems) -> Any:
    women = np.zeros(len(reading.women), bool)
    names = pd.Series(reading.women, dtype="str")
    for bad, _ in unfit(id_schema(), names, np.ones(len(names), bool)):
        women |= bad
    return women[reading.woman]


def _owners(parts: list[str], width: int, at: int) -> list[str]:
    """Where the pseudonym of a torn row may stand: cells are missing or too many before it or behind it."""
    places = (at, at + len(parts) - width)
    return [parts[place].strip().strip('"') for place in places if 0 <= place < len(parts)]


def _torn(torn: list[tuple[RowProblem, list[str]]], women: set[str], width: int, at: int, part: _Part) -> None:
    """Rows that could not be cut are visits of somebody: whose, as far as is known."""
    owners = [next((name for name in _owners(parts, width, at) if name and name in women), "") for _, parts in torn]
    rows = np.array([problem.row for problem, _ in torn], np.int64)
    told = told_of(problem for problem, _ in torn) | {"code": TORN, "patient_id": owners}
    part.problems.add(told, part.number)
    part.count += len(torn)
    part.set_aside += len(torn)
    if strangers := owners.count(""):
        part.notices[f"Of {strangers:,} rows that could not be read as a whole, it is not known whose they are."] = None
    known = np.array([bool(name) for name in owners], bool)
    if known.any():
        ids = np.array(owners, object)[known]
        part.put(torn_table(ids.tolist(), rows[known].tolist()), ids, rows[known])


def _factors(table: LargeTable, part: _Part) -> None:
    notices: list[str] = []
    columns = factor_columns_of(table.header, notices)
    part.notices |= dict.fromkeys(notices)
    whole = _gathered(table, columns)
    for block in blocks(table, {0, *columns}):
        cells = {
            name: block.columns[at] if name == PATIENT_ID else whole[name].cells_of(block.columns[at])
            for at, name in columns.items()
        }
        said: list[str] = []
        numbers = parsed_numbers_of(block.lines, cells, block.columns[0], said, kept_per_column=None)
        part.notices |= dict.fromkeys(said)
        part.problems.add(told_of(numbers.problems), part.number)
        part.problems.add(told_of(block.torn) | {"code": TORN}, part.number)
        part.count += len(block.lines) + len(block.torn)
        part.set_aside += len(block.lines) - len(numbers.frame) + len(block.torn)
        frame = numbers.frame
        lines = frame.index.to_numpy(np.int64)
        not_read = np.zeros(len(frame), np.uint64)
        for place, name in enumerate(COLUMNS):
            if name in numbers.not_read:
                not_read |= np.isin(lines, numbers.not_read[name]).astype(np.uint64) << np.uint64(place)
        ids = frame[PATIENT_ID].to_numpy(object) if PATIENT_ID in frame else np.full(len(frame), "", object)
        rows = pa.table(
            {PATIENT_ID: pa.array(ids, pa.string()), "line": lines, "not_read": not_read}
            | {name: frame[name].to_numpy(np.float32) for name in COLUMNS},
            schema=FACTORS,
        )
        if len(frame):
            part.put(rows, ids, lines)
