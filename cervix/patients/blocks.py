"""A table of patients too large to hold: its rows some at a time, by the distinct texts of each whole column."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from cervix.errors import PatientFileError
from cervix.patients.cells import Cells, Ints
from cervix.patients.csv_text import PATIENT_TABLE, RowProblem, Torn, whole_rows
from cervix.sources.tables.large import LargeTable, open_large

MOST_DISTINCT: Final = 1_000_000
"""Texts of one column that are held. Codes have tens, days of a century 36,525."""


@dataclass(frozen=True)
class Block:
    """Some rows.

    Attributes
    ----------
    lines : (n,) first line of each in the file
    columns : position -> its cells ``(n,)``, with the distinct texts of the block alone
    torn : list of RowProblem
        Rows that cannot be cut into cells, and in ``torn_cells`` what they may hold.
    """

    lines: Ints
    columns: dict[int, Cells]
    torn: list[RowProblem] = field(default_factory=list)
    torn_cells: list[list[str]] = field(default_factory=list)


def open_patients(path: Path) -> LargeTable:
    """Open Parquet or delimited text with a table of patients in it; ``PatientFileError`` where it is none."""
    return open_large(path, PATIENT_TABLE)


def blocks(table: LargeTable, positions: Collection[int]) -> Iterator[Block]:
    """All rows with these columns; blank rows are left out, as they are everywhere."""
    wanted = sorted(positions)
    if table.batches is not None:
        for line, coded in table.batches(wanted):
            columns = {
                at: Cells(one.member_of, one.texts, _counts(one.member_of, one.texts))
                for at, one in zip(wanted, coded, strict=True)
            }
            lines = np.arange(line, line + len(coded[0].member_of), dtype=np.int64)
            blank = np.logical_and.reduce(
                [np.array([not text.strip() for text in own.texts], bool)[own.member_of] for own in columns.values()]
            )
            # A row may say something in a column that is not read: then it is somebody's.
            told = len(wanted) < len(table.header) or not blank.any()
            yield Block(lines, columns) if told else _without(blank, lines, columns)
    assert table.segments is not None or table.batches is not None
    for rows in table.segments() if table.segments else ():
        torn = Torn(rows.cut_anyhow)
        whole = whole_rows(rows.rows, len(table.header), torn, None)
        yield Block(
            np.array(whole.lines, np.int64), {at: Cells.of(whole.columns[at]) for at in wanted}, torn.problems, torn.cells
        )


def _without(blank: NDArray[Any], lines: Ints, columns: dict[int, Cells]) -> Block:
    kept = {}
    for at, own in columns.items():
        members = own.member_of[~blank]
        kept[at] = Cells(members, own.texts, _counts(members, own.texts))
    return Block(lines[~blank], kept)


def _counts(member_of: Ints, texts: NDArray[Any]) -> Ints:
    return np.bincount(member_of, minlength=len(texts)).astype(np.int64)


class WholeColumn:
    """The distinct texts of a column, gathered block by block; then the cells of any block among them."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._place_of: dict[str, int] = {}
        self._counts = np.zeros(1024, np.int64)
        self._texts: NDArray[Any] | None = None

    def add(self, cells: Cells) -> None:
        """Those of one more block. Raises ``PatientFileError`` where the column has too many."""
        held = cells.counts > 0
        places = self._places(cells.texts[held])
        if len(self._place_of) > MOST_DISTINCT:
            raise PatientFileError(
                f"The column {self._name} holds too many different texts",
                expected=f"{MOST_DISTINCT:,} at most",
                found="more",
                action="Give days without the time of day, and codes rather than free text.",
            )
        if len(self._place_of) > len(self._counts):
            self._counts = np.append(self._counts, np.zeros(len(self._place_of), np.int64))
        np.add.at(self._counts, places, cells.counts[held])

    def cells_of(self, cells: Cells) -> Cells:
        """The same cells among all texts of the column; every block was added before."""
        if self._texts is None:
            self._texts = np.array([*self._place_of, ""], object)[: len(self._place_of)]
        held = cells.counts > 0
        places = np.zeros(len(cells.texts), np.int64)
        places[held] = self._places(cells.texts[held])
        return Cells(places[cells.member_of], self._texts, self._counts[: len(self._texts)])

    def _places(self, texts: NDArray[Any]) -> Ints:
        known = self._place_of
        return np.array([known.setdefault(text, len(known)) for text in texts], np.int64)
