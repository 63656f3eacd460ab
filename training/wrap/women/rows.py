"""The labelled women that are brought with a model: a table as the app reads it, and the file ``outcomes.csv``.

Its columns are ``patient_id`` (as in the table), ``label`` (id of a class), ``split`` (``validation``, or ``test`` for women by
whom the model is measured) and, where several rows must stay together, ``group``. Messages name rows of it, never pseudonyms.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cervix.bundle.manifest import DerivedTask, FeatureEncoding
from cervix.bundle.sessions import Arrays
from cervix.patients.encoding import encoding_named
from cervix.patients.golden import encoded_table
from cervix.patients.reading import PatientTable
from cervix.patients.visits import VisitTable, read_table
from cervix.patients.vocabulary import COLUMNS as FACTORS
from cervix.patients.vocabulary import PATIENT_ID
from training.data.splits import check_no_leak
from training.wrap.listed import TEST, VALIDATION, list_of, require_values, rows_in_words
from training.wrap.refusal import WrapRefused
from training.wrap.women.about import AboutWomen

COLUMNS = (PATIENT_ID, "label", "split")
WHAT = "outcomes"
VISITS_TO_BE_HERSELF = 2
"""Many women have one visit with the same findings at the same age: only longer histories are told to be the same woman's."""


@dataclass(frozen=True)
class LabelledWomen:
    """Women with their outcomes, none of whom the model learned from.

    Attributes
    ----------
    arrays : input of the bundle's graph -> ``(n, …)``
    labels, groups, split : (n,)
    cases : (n,) name of each woman in the predictions: her row, and nothing of her
    """

    arrays: Arrays
    labels: NDArray[np.str_]
    groups: NDArray[np.str_]
    split: NDArray[np.str_]
    cases: NDArray[np.str_]

    def __len__(self) -> int:
        return len(self.labels)

    def has(self, split: str) -> bool:
        """Whether any is of this split."""
        return bool((self.split == split).any())

    def of(self, split: str) -> "LabelledWomen":
        """The women of one split, in their order."""
        at = self.split == split
        arrays = {name: values[at] for name, values in self.arrays.items()}
        return LabelledWomen(arrays, self.labels[at], self.groups[at], self.split[at], self.cases[at])


def encoding_of(about: AboutWomen) -> list[FeatureEncoding]:
    """How the app makes the model's inputs of a table."""
    return encoding_named(about.input.columns)


def read_labelled_women(table_path: Path, outcomes_path: Path, about: AboutWomen, fewest_groups: int) -> LabelledWomen:
    """Read table and outcomes, and refuse what would make figures look better than they are.

    Parameters
    ----------
    fewest_groups : on each side of each question in each split

    Raises
    ------
    PatientFileError
        A table with a cell that cannot be read.
    WrapRefused
        A column, class or split that is missing; a woman without a row; too few groups; the same woman on both sides.
    LeakError
        A group on both sides.
    """
    outcomes = _outcomes(outcomes_path, about.class_ids)
    groups = outcomes["group"].to_numpy(str)
    check_no_leak(outcomes["split"].to_numpy(str), groups)
    _check_groups(outcomes, about.questions, fewest_groups)
    table = read_table(table_path, strict=True)
    if isinstance(table, VisitTable) != (about.kind == "sequence"):
        raise WrapRefused(
            f"The table is none for a model of kind {about.kind}",
            expected="one row a visit" if about.kind == "sequence" else "the risk-factor table, one row a woman",
            found="one row a visit" if isinstance(table, VisitTable) else "the risk-factor table",
        )
    ids, arrays = _encoded(table, about)
    places = pd.Series(np.arange(len(ids)), index=ids)
    if len(missing := outcomes.loc[~outcomes[PATIENT_ID].isin(places.index), "row"]):
        raise WrapRefused(
            "Women with an outcome are not in the table", expected="a row of hers", found=f"none for {rows_in_words(missing)}"
        )
    at = places.loc[outcomes[PATIENT_ID]].to_numpy()
    _check_equal(outcomes, _marks(table)[at])
    return LabelledWomen(
        {name: values[at] for name, values in arrays.items()},
        outcomes["label"].to_numpy(str),
        groups,
        outcomes["split"].to_numpy(str),
        np.array([f"row {row}" for row in outcomes["row"]]),
    )


def _encoded(table: VisitTable | PatientTable, about: AboutWomen) -> tuple[list[str], Arrays]:
    if isinstance(table, PatientTable) and PATIENT_ID not in table.frame:
        raise WrapRefused("The table names no woman", expected=f"a column {PATIENT_ID}, as in the outcomes", found="none")
    days = about.input.episode_days if about.kind == "sequence" else None
    return encoded_table(table, encoding_of(about), days)


def _outcomes(path: Path, classes: Sequence[str]) -> pd.DataFrame:
    """The outcomes, with ``row`` and ``group``."""
    table = list_of(path, COLUMNS, WHAT)
    require_values(table, {"label": classes, "split": (VALIDATION, TEST)}, WHAT)
    table[PATIENT_ID] = table[PATIENT_ID].str.strip()
    if len(twice := table.loc[table[PATIENT_ID].duplicated(), "row"]):
        raise WrapRefused("A woman has several outcomes", expected="one row a woman", found=rows_in_words(twice))
    # From here on a group is named by its first row: a name may say whose it is.
    of_group = table[PATIENT_ID]
    if "group" in table:
        of_group = table["group"].where(table["group"].str.strip() != "", of_group)
    table["group"] = "group of row " + table.groupby(of_group)["row"].transform("min").astype(str)
    return table


def _check_groups(outcomes: pd.DataFrame, questions: Sequence[DerivedTask], fewest: int) -> None:
    few = []
    for split in sorted(outcomes["split"].unique(), reverse=True):
        for question in questions:
            for answer, classes in (("yes", question.positive), ("no", question.negative)):
                there = outcomes.loc[(outcomes["split"] == split) & outcomes["label"].isin(classes), "group"].nunique()
                few += [f"{there} with {answer} to {question.id} in {split}"] * (there < fewest)
    if few:
        raise WrapRefused(
            "There are too few outcomes to fit or to measure a question",
            expected=f"at least {fewest} groups with either answer in {VALIDATION} and, where there are any, in {TEST}",
            found=", ".join(few),
            action="Add women, or leave the question out.",
        )


def _marks(table: VisitTable | PatientTable) -> NDArray[np.object_]:
    """Of each woman what tells that two are the same, in the order of the table; None where nothing can."""
    if isinstance(table, PatientTable):
        # All columns that the app reads: a model of few inputs is given equal ones of many women.
        whole = table.frame[list(FACTORS)].to_numpy(np.float32)
        return np.array([row.tobytes() for row in np.nan_to_num(whole, nan=-1.0)], object)
    rows = pd.util.hash_pandas_object(table.frame.drop(columns=PATIENT_ID), index=False)
    visits = rows.groupby(table.frame[PATIENT_ID].to_numpy(object), sort=False).agg(tuple)
    return np.array([found if len(found) >= VISITS_TO_BE_HERSELF else None for found in visits], object)


def _check_equal(outcomes: pd.DataFrame, marks: NDArray[np.object_]) -> None:
    """Refuse a woman whose values stand on both sides."""
    known = np.array([mark is not None for mark in marks])
    sides = outcomes.loc[known].assign(mark=[hash(mark) for mark in marks[known]])
    both = sides.groupby("mark")["split"].transform("nunique") > 1
    if both.any():
        first = sides.loc[sides["mark"] == sides.loc[both, "mark"].iloc[0], "row"]
        raise WrapRefused(
            "Equal women are on both sides of the split",
            expected="women in test of whom nothing was fitted",
            found=f"{int(both.sum())} women, for example {rows_in_words(first)}",
            action="Give equal rows one group, and each group one split.",
        )
