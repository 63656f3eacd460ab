"""A bundle's held-out predictions and the tables that came with them."""

from functools import lru_cache
from pathlib import Path

import pandas as pd

from cervix.bundle import Bundle, Model
from cervix.bundle.manifest import DerivedTask, EvaluationTable
from cervix.bundle.tables import read_predictions, read_text_table
from cervix.evaluation.questions import CaseSet, Question


def load_predictions(bundle: Bundle, model: Model) -> pd.DataFrame:
    """The held-out predictions of a model, as ``CaseSet.frame`` wants them, with the columns of baselines and subgroups."""
    return held_out_cases(bundle, model).frame


def held_out_cases(bundle: Bundle, model: Model) -> CaseSet:
    """The same as a set of cases that keeps what was computed of it, once a process.

    Raises ``EvaluationError`` for an unevaluated model, as all here do.
    """
    return _cases(bundle.root, bundle.sha256, model.measured.predictions, tuple(model.class_ids))


@lru_cache(maxsize=16)
def _cases(root: Path, _sha256: str, predictions: str, classes: tuple[str, ...]) -> CaseSet:
    return CaseSet(predictions, read_predictions(root, predictions), list(classes))


def held_out(bundle: Bundle, model: Model, task: DerivedTask, threshold: float, baseline: str = "") -> Question:
    """One question to a model's held-out predictions, or to a baseline's."""
    return Question(held_out_cases(bundle, model), task, threshold, baseline)


def load_table(bundle: Bundle, table: EvaluationTable) -> pd.DataFrame:
    """A table that training put into the bundle, every cell as text."""
    return read_text_table(bundle.root, table.file)
