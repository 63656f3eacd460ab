"""The UCI risk-factor table as training data: without duplicates, rows with equal inputs in one group."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cervix.errors import PatientFileError
from cervix.patients.reading import read_patients
from cervix.patients.vocabulary import COLUMNS, OUTCOME


@dataclass(frozen=True)
class RiskTable:
    """Rows with a known outcome.

    Attributes
    ----------
    frame : DataFrame
        As ``PatientTable.frame``, without exact duplicates.
    positive : (n,) bool biopsy result
    groups : (n,) rows with equal inputs of the model share a group, whatever their outcome and other columns
    duplicates_removed : int
    """

    frame: pd.DataFrame
    positive: NDArray[np.bool_]
    groups: NDArray[np.str_]
    duplicates_removed: int


def load_risk_table(path: Path, inputs: Sequence[str]) -> RiskTable:
    """Read the table with the same reader as scoring. Every row must be readable and have an outcome.

    Parameters
    ----------
    inputs : columns that the model reads
    """
    table = read_patients(path, strict=True)
    frame = table.frame[list(COLUMNS)]
    if frame[OUTCOME.name].isna().any():
        raise PatientFileError("Training needs the outcome of every row", expected=f"{OUTCOME.name} 0 or 1", found="gaps")
    unique = frame.drop_duplicates()
    return RiskTable(
        frame=unique,
        positive=unique[OUTCOME.name].to_numpy() == 1,
        groups=unique.groupby(list(inputs), dropna=False, sort=False).ngroup().to_numpy().astype(str),
        duplicates_removed=len(frame) - len(unique),
    )
