"""What is lost while a visit table is read: which cell, whose it is, and how much for each woman."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd
import pandera.pandas as pa
from numpy.typing import NDArray

from cervix.patients.cells import Cells
from cervix.patients.codes import CODES
from cervix.patients.completeness import CELLS, CONTRADICTIONS, SET_ASIDE
from cervix.patients.csv_text import AGAINST, CELL_OUT, PROBLEMS_KEPT_PER_COLUMN, ROW_OUT, RowProblem, TextTable, shown
from cervix.patients.questions import FileQuestion
from cervix.patients.schema import unfit
from cervix.patients.spelling import meant_code
from cervix.patients.visit_vocabulary import (
    AGE,
    GENOTYPES,
    LONGEST_CELL,
    VISIT_DATE,
    CodeColumn,
    looks_identifying,
    says_nothing,
)
from cervix.patients.vocabulary import PATIENT_ID

READ_BY_MODELS = frozenset({GENOTYPES, VISIT_DATE, AGE, *(name for name, coded in CODES.items() if coded.features)})
"""Columns whose cells can change an answer; cells of the others cost nothing."""
AT = "_place in the file"
Bools = NDArray[np.bool_]
Ints = NDArray[np.int64]
Values = NDArray[np.object_] | Cells


@dataclass(frozen=True)
class Distinct:
    """A column's distinct texts ``(m,)``, which one each cell holds ``(n,)``, and which of them say something ``(m,)``."""

    member_of: Ints
    texts: pd.Series
    told: Bools


def distinct_texts(cells: Cells, meaningful: Callable[[str], bool] = lambda _: False) -> Distinct:
    """Cells by their distinct texts; a text that says nothing elsewhere may be ``meaningful`` in a column."""
    texts = pd.Series(cells.texts, dtype="str").str.slice(0, LONGEST_CELL).str.strip()
    told = np.array([meaningful(text) or not says_nothing(text) for text in texts], bool)
    return Distinct(cells.member_of, texts, told)


class VisitReading:
    """What is lost on the way: problems by row, of very many in a column the first thousand; and counts by woman."""

    kept_per_column: int | None = PROBLEMS_KEPT_PER_COLUMN

    def __init__(self, lines: Ints, ids: NDArray[np.object_], notices: list[str]) -> None:
        self.lines = lines
        self.ids = ids
        self.woman, self.women = pd.factorize(ids)
        self.notices = notices
        self.bad = np.zeros(len(lines), bool)
        self.cells = np.zeros(len(lines), np.int64)
        self.contradictions = np.zeros(len(lines), np.int64)
        self.set_aside = np.zeros(len(self.women), np.int64)
        self.older = np.empty(0, np.int64)
        self.found: list[RowProblem] = []
        self.questions: list[FileQuestion] = []

    def leave_out(self, rows: Bools, column: str, values: Values, accepted: str) -> None:
        """Rows whose woman or time cannot be known."""
        self.bad |= rows
        self._tell(np.flatnonzero(rows), column, values, accepted, ROW_OUT)

    def not_read(self, rows: Bools, column: str, values: Values, accepted: str, code_column: CodeColumn | None = None) -> None:
        """Cells that could not be read; of a column that no model reads, a notice and nothing else."""
        if not rows.any():
            return
        if column not in READ_BY_MODELS:
            self.notices.append(
                f"{column}: {int(rows.sum()):,} cells that are not {accepted} count as not known; no model reads them."
            )
            return
        self.cells += rows
        self._tell(np.flatnonzero(rows), column, values, accepted, CELL_OUT, code_column)

    def contradict(self, places: Ints, column: str, values: NDArray[np.object_], accepted: str, *, counted: Ints) -> None:
        """Cells, by their place in the file, that contradict others; ``counted`` once each contradiction."""
        np.add.at(self.contradictions, counted, 1)
        self._tell_values(places, column, values, accepted, AGAINST)

    def judge(
        self,
        schema: pa.SeriesSchema,
        column: str,
        cells: Cells,
        distinct: "Distinct",
        code_column: CodeColumn | None = None,
    ) -> None:
        """Note the cells that a schema does not accept."""
        for bad, accepted in unfit(schema, distinct.texts, distinct.told):
            self.not_read(bad[distinct.member_of], column, cells, accepted, code_column)

    def _tell(
        self,
        places: Ints,
        column: str,
        values: Values,
        accepted: str,
        became: str,
        code_column: CodeColumn | None = None,
    ) -> None:
        places = places[: self.kept_per_column]
        self._tell_values(places, column, values[places], accepted, became, code_column)

    def _tell_values(
        self,
        places: Ints,
        column: str,
        values: NDArray[np.object_],
        accepted: str,
        became: str,
        code_column: CodeColumn | None = None,
    ) -> None:
        texts = [str(value) for value in values[: self.kept_per_column]]
        meant = {text: meant_code(text[:LONGEST_CELL], code_column) for text in set(texts)} if code_column else {}
        self.found += [
            RowProblem(
                int(self.lines[place]), column, shown(text), accepted, meant.get(text, ""), became, shown(str(self.ids[place]))
            )
            for place, text in zip(places[: self.kept_per_column], texts, strict=True)
        ]

    def warn_of_identifiers(self) -> None:
        """Texts that are not pseudonyms."""
        if any(looks_identifying(str(value)) for value in self.women[:1000]):
            self.notices.append("Some patient ids look like names, personal numbers or addresses. Use pseudonyms.")

    def own_torn_rows(self, table: TextTable, id_column: int) -> None:
        """Rows that could not be split into cells are visits of somebody: whose, as far as is known."""
        strangers = 0
        for cells in table.ragged_cells:
            woman = self._owner(cells, len(table.header), id_column)
            if woman is None:
                strangers += 1
            else:
                self.set_aside[woman] += 1
        if strangers:
            self.notices.append(f"Of {strangers:,} rows that could not be read as a whole, it is not known whose they are.")

    def torn(self, table: TextTable, id_column: int) -> list[RowProblem]:
        """The problems of those rows with the pseudonyms found in them."""
        problems = []
        for problem, cells in zip(table.problems, table.ragged_cells, strict=False):
            woman = self._owner(cells, len(table.header), id_column)
            name = "" if woman is None else shown(str(self.women[woman]))
            problems.append(RowProblem(problem.row, problem.column, problem.value, problem.accepted, patient=name))
        return problems

    def _owner(self, cells: list[str], width: int, id_column: int) -> int | None:
        # Cells are missing or too many before the pseudonym or behind it.
        for place in (id_column, id_column + len(cells) - width):
            if 0 <= place < len(cells) and (woman := self._place_of.get(cells[place].strip().strip('"'))) is not None:
                return woman
        return None

    @property
    def _place_of(self) -> dict[str, int]:
        if not hasattr(self, "_places"):
            self._places = {str(name): place for place, name in enumerate(self.women) if name}
        return self._places

    def losses(self, frame: pd.DataFrame) -> pd.DataFrame:
        """``VisitTable.losses``."""
        kept = ~self.bad
        sizes = len(self.women)
        counts = pd.DataFrame(
            {
                SET_ASIDE: self.set_aside + np.bincount(self.woman[self.bad], minlength=sizes),
                CELLS: np.bincount(self.woman[kept], self.cells[kept], minlength=sizes).astype(np.int64),
                CONTRADICTIONS: np.bincount(self.woman, self.contradictions, minlength=sizes).astype(np.int64),
            },
            index=pd.Index(self.women.astype(object), name=PATIENT_ID),
        )
        present = np.zeros(sizes, bool)
        present[self.woman[frame[AT].to_numpy(np.int64)]] = True
        return counts[present & counts.to_numpy().any(axis=1)]

    def say_who_is_gone(self, frame: pd.DataFrame) -> None:
        """Women of whom no visit is left."""
        named = self.women.astype(str) != ""
        gone = int(named.sum()) - len(pd.unique(self.woman[frame[AT].to_numpy(np.int64)]))
        if gone > 0:
            self.notices.append(f"{gone:,} women have no usable visit and are not in the list.")
