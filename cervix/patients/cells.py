"""A column of cells by its distinct texts: each is looked at once, however many cells hold it."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Cells:
    """Some cells of a column, and all distinct texts of it.

    Attributes
    ----------
    member_of : (n,) which text each cell holds
    texts : (m,) str
        Distinct; also those of the column that none of these cells holds, for what a column proves it proves as a whole.
    counts : (m,) how many cells of the whole column hold each
    """

    member_of: Ints
    texts: NDArray[np.object_]
    counts: Ints

    @classmethod
    def of(cls, cells: Sequence[str] | NDArray[np.object_]) -> "Cells":
        """A whole column."""
        member_of, texts = pd.factorize(np.array(cells, dtype=object))
        return cls(member_of.astype(np.int64), texts, np.bincount(member_of, minlength=len(texts)).astype(np.int64))

    @classmethod
    def empty(cls, rows: int) -> "Cells":
        """A column that the file does not have."""
        return cls(np.zeros(rows, np.int64), np.array([""], object), np.array([rows], np.int64))

    def __len__(self) -> int:
        return len(self.member_of)

    def __getitem__(self, places: NDArray[np.integer]) -> NDArray[np.object_]:
        return np.asarray(self.texts[self.member_of[places]], object)

    @property
    def stripped(self) -> NDArray[np.object_]:
        """Every cell without the blanks around it ``(n,)``."""
        return np.array([text.strip() for text in self.texts], object)[self.member_of]
