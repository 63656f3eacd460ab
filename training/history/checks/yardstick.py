"""The yardstick: what the model and its rivals say of histories whose risk in real women is published."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cervix.bundle.manifest import DerivedTask, FeatureEncoding
from cervix.bundle.published_risks import GRADES, YEARS
from cervix.bundle.sessions import CPU_PROVIDER, open_session
from cervix.patients.guideline import rung_of
from cervix.patients.sequences import Histories, encode
from cervix.patients.visits import read_visits
from training.data.cohort.published import synthetic_visits
from training.history.checks.rivals import BOOSTING, SUMMARY
from training.history.data import CLASSES

Floats = NDArray[np.float64]
BATCH = 4096
OF_PUBLISHED = "published_"
RIVALS = {BOOSTING: "boosting", SUMMARY: "logistic"}
RIVALS_ASKED = ("cin3-0y", "cin3-5y")
AGE_OF_THE_STEP = 40.0
"""The tables are of women of 25 and older who are not pregnant."""


@dataclass(frozen=True)
class Yardstick:
    """Published rows and the made-up women who stand for them.

    Attributes
    ----------
    table : (rows,) of ``read_published``
    mixture : (women,) ``row`` and ``weight``
    """

    table: pd.DataFrame
    mixture: pd.DataFrame
    histories: Histories

    @classmethod
    def of(cls, table: pd.DataFrame, encoding: Sequence[FeatureEncoding], episode_days: int | None) -> "Yardstick":
        """Of rows as ``read_published`` gives them, as a model with this declaration reads their histories."""
        visits, mixture = synthetic_visits(table)
        frame = read_visits(visits.to_csv(index=False).encode()).frame
        return cls(table, mixture, encode(frame, encoding, episode_days))

    def measured(self, onnx_bytes: bytes, tasks: Sequence[DerivedTask], rivals: Mapping[str, Floats]) -> pd.DataFrame:
        """The table with the risks by the model and its rivals, and the step that the model alone would give."""
        session = open_session(onnx_bytes, CPU_PROVIDER)
        women = np.arange(len(self.histories))
        probabilities = np.empty((len(women), len(CLASSES)))
        for batch in self.histories.batches(BATCH, women):
            probabilities[batch] = session.run(["probabilities"], self.histories.padded(batch))[0]
        table = self.table.copy()
        asked = {task.id: task for task in tasks}
        for grade in GRADES:
            for years in YEARS:
                positive = [CLASSES.index(name) for name in asked[f"{grade}-{years}y"].positive]
                table[f"model_{grade}_{years}"] = self._by_row(probabilities[:, positive].sum(axis=1))
        for rival, name in RIVALS.items():
            for task in RIVALS_ASKED:
                scores = rivals.get(f"{OF_PUBLISHED}{rival}__{task}")
                if scores is not None:
                    table[f"{name}_{task.removesuffix('y').replace('-', '_')}"] = self._by_row(scores)
        table["model_step"] = [
            rung_of(at_once, in_5_years, age=AGE_OF_THE_STEP, pregnant=False).action
            for at_once, in_5_years in zip(table["model_cin3_0"], table["model_cin3_5"], strict=True)
        ]
        return table

    def _by_row(self, risk: Floats) -> Floats:
        """The weighted mean of the women who stand for each row."""
        of_row = np.bincount(self.mixture["row"], self.mixture["weight"] * risk, minlength=len(self.table))
        return np.clip(np.asarray(of_row, np.float64), 0.0, 1.0)
