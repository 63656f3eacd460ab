"""What the boosting learns from: the women that the history model carries for retraining, with their splits and outcomes."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cervix.bundle.loading import read_listed, read_manifest
from cervix.bundle.manifest import Model
from cervix.bundle.tables import predictions_in
from cervix.errors import BundleError
from training.history.data import CLASSES as COURSES
from training.history.data import HistoryData
from training.history.rehearsal import read_history_rehearsal

CIN2, CIN3 = "cin2-3y", "cin3-5y"
"""The questions of the history model that are asked here, too."""
CLASSES = ("neither", "cin3-late", "cin2-only", "cin2-and-cin3")
"""By whether CIN2+ is there within 3 years, then by whether CIN3+ is within 5."""


@dataclass(frozen=True)
class HistoryFiles:
    """The history model's entry, and what of its files is needed.

    Attributes
    ----------
    predictions : DataFrame
        Its held-out predictions.
    """

    model: Model
    rehearsal: bytes
    background: bytes
    predictions: pd.DataFrame

    @classmethod
    def of_bundle(cls, root: Path) -> "HistoryFiles":
        """Of a bundle's first sequence model; ``BundleError`` where it is not what the manifest lists."""
        manifest, _ = read_manifest(root)
        return cls._of(manifest.first_of("sequence"), lambda name: read_listed(root, name))

    @classmethod
    def of_parts(cls, model: Model, parts: Path) -> "HistoryFiles":
        """Of a model that was trained under ``parts`` and is in no bundle yet."""
        return cls._of(model, lambda name: (parts / name).read_bytes())

    @classmethod
    def _of(cls, model: Model, read: Callable[[str], bytes]) -> "HistoryFiles":
        if model.rehearsal is None or model.background is None:
            raise BundleError(
                f"{model.title} does not carry the women that it learned from",
                expected="a rehearsal and a background set",
                found="none",
            )
        predictions = model.measured.predictions
        return cls(model, read(model.rehearsal), read(model.background), predictions_in(read(predictions), predictions))

    @property
    def names(self) -> list[str]:
        """Of the inputs of a visit, in order."""
        return self.model.features.names if self.model.features else []


@dataclass(frozen=True)
class BoostingData:
    """Women and outcomes.

    Attributes
    ----------
    target : (visits,) place in ``CLASSES`` of what came after each visit
    """

    histories: HistoryData
    target: NDArray[np.int64]

    def learned_visits(self) -> NDArray[np.int64]:
        """Every visit of the training women from which one may predict, and after which they were followed to the end."""
        data = self.histories
        visits = data.histories.rows_of(data.women("train"))
        return visits[data.usable[visits] & data.outcomes.complete[visits]]

    def last_visits(self, split: str) -> NDArray[np.int64]:
        """The last visit of each woman of a split who was followed to the end."""
        return self.histories.index_visits(self.histories.evaluated(split))

    def labels(self, visits: NDArray[np.int64]) -> NDArray[np.str_]:
        """The class of each visit."""
        return np.array(CLASSES)[self.target[visits]]


def boosting_data(files: HistoryFiles) -> BoostingData:
    """The women of the history model's rehearsal.

    Raises
    ------
    BundleError
        If the test women are not those of its held-out predictions, one by one: nothing could be compared then.
    """
    data = read_history_rehearsal(files.rehearsal)
    asked = {task.id: task for task in files.model.derived_tasks}
    cin2, cin3 = (data.outcomes.among(asked[name].positive) for name in (CIN2, CIN3))
    found = np.array(COURSES)[data.outcomes.label[data.index_visits(data.evaluated("test"))]]
    if not np.array_equal(found, files.predictions["label"].to_numpy(str)):
        raise BundleError(
            "The history model's predictions are not of the test women that it carries",
            expected=f"{len(found):,} women with the same outcomes, in the same order",
            found=f"{len(files.predictions):,} women",
        )
    return BoostingData(data, (2 * cin2 + cin3).astype(np.int64))
