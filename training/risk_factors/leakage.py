"""How 0.99 arises on the UCI table: the steps of often-quoted notebooks, each compared with the honest protocol."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.ensemble import RandomForestClassifier
from sklearn.impute import SimpleImputer
from sklearn.model_selection import StratifiedGroupKFold
from sklearn.pipeline import make_pipeline

from cervix.evaluation.comparison import decimal, percent
from cervix.evaluation.metrics import binary_report
from cervix.patients.reading import read_patients
from cervix.patients.vocabulary import OTHER_TESTS, OUTCOME, RISK_FACTORS
from training.data.uci import load_risk_table
from training.shared.stages import Log

TREES = 300


@dataclass(frozen=True)
class Step:
    """One way to evaluate.

    Attributes
    ----------
    tests_among_inputs : bool
        Colposcopy, Schiller and cytology of the same examination are inputs.
    duplicates_kept : bool
        Repeated rows are kept and may be on both sides.
    copies_before_split : bool
        Positive rows are copied until they are half of all rows, before the split.
    """

    title: str
    tests_among_inputs: bool = False
    duplicates_kept: bool = False
    copies_before_split: bool = False

    @property
    def leaked(self) -> bool:
        return self.duplicates_kept or self.copies_before_split


STEPS = (
    Step("Honest: risk factors alone, groups kept whole"),
    Step("The other tests among the inputs, groups kept whole", tests_among_inputs=True),
    Step("Risk factors alone, repeated rows kept and split", duplicates_kept=True),
    Step("Risk factors alone, positives copied before the split", duplicates_kept=True, copies_before_split=True),
    Step("The notebooks' way: other tests, positives copied before the split", True, True, True),
)


def leakage_table(table_csv: Path, recipe: Mapping[str, Any], log: Log) -> pd.DataFrame:
    """Run every step; one row each, with n and what it counts."""
    rows = []
    for step in STEPS:
        features, positive, groups = _cases(step, table_csv, recipe["seed"])
        score = _out_of_fold(features, positive, groups, recipe)
        figures = binary_report(positive, score, groups, 0.5).metrics
        rows.append(
            {
                "protocol": step.title,
                "leaked": "LEAKED" if step.leaked else "no",
                "AUROC": decimal(figures["auroc"]),
                "accuracy": percent(figures["accuracy"]),
                "accuracy of always no": f"{1 - positive.mean():.1%}",
                "sensitivity": percent(figures["recall"]),
                "average precision": decimal(figures["average_precision"]),
                "n": f"{len(positive):,} rows" + (", copies counted as cases" if step.copies_before_split else ""),
            }
        )
    frame = pd.DataFrame(rows)
    log(f"leakage\n{frame.to_string(index=False)}")
    return frame


def _cases(step: Step, table_csv: Path, seed: int) -> tuple[NDArray[np.float32], NDArray[np.bool_], NDArray[np.str_]]:
    """Inputs, outcomes and groups: equal rows in the honest steps, each row by itself in the leaked ones."""
    names = [column.name for column in (*RISK_FACTORS, *(OTHER_TESTS if step.tests_among_inputs else ()))]
    if not step.leaked:
        table = load_risk_table(table_csv, names)
        return table.frame[names].to_numpy(np.float32), table.positive, table.groups
    frame = read_patients(table_csv, strict=True).frame
    positive = frame[OUTCOME.name].to_numpy() == 1
    chosen = np.arange(len(frame))
    if step.copies_before_split:
        copies = np.random.default_rng(seed).choice(np.flatnonzero(positive), int((~positive).sum() - positive.sum()))
        chosen = np.append(chosen, copies)
    return frame[names].to_numpy(np.float32)[chosen], positive[chosen], np.arange(len(chosen)).astype(str)


def _out_of_fold(
    features: NDArray[np.float32], positive: NDArray[np.bool_], groups: NDArray[np.str_], recipe: Mapping[str, Any]
) -> NDArray[np.float64]:
    score = np.empty(len(positive))
    folds = StratifiedGroupKFold(recipe["evaluation"]["folds"], shuffle=True, random_state=recipe["seed"])
    for train, held_out in folds.split(features, positive, groups):
        forest = make_pipeline(
            SimpleImputer(strategy="median", keep_empty_features=True),
            RandomForestClassifier(TREES, random_state=recipe["seed"], n_jobs=-1),
        ).fit(features[train], positive[train])
        score[held_out] = forest.predict_proba(features[held_out])[:, 1]
    return score
