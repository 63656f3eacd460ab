"""Labels that count beside what a bundle makes of their cases, and the small model that is fitted on the two."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from cervix.labels.store.cases import Kind, Scorer
from cervix.labels.store.label_store import LabelStore

FOLDS = 5
SEED = 0
INVERSE_PENALTY = 0.05
"""There are few labels and 512 numbers for each, so the regression is strongly regularised."""
Fold = tuple[NDArray[np.int64], NDArray[np.int64]]


@dataclass(frozen=True)
class EmbeddedLabels:
    """Labelled cases as a bundle sees them.

    Attributes
    ----------
    table : DataFrame (n,)
        ``case_id, label, group_id, last_event_id, probabilities``, in the order in which the labels became what counts.
    embeddings : (n, dimensions) float32
    without : int
        Labels that count whose case this bundle has not embedded; they are in neither.
    """

    table: pd.DataFrame
    embeddings: NDArray[np.float32]
    without: int

    @property
    def notice(self) -> str:
        """What is missing, in words; empty where nothing is."""
        if not self.without:
            return ""
        return f"Labels left out because the active bundle has not scored their cases: {self.without:,}."


def embedded_labels(store: LabelStore, scorer: Scorer, kind: Kind) -> EmbeddedLabels:
    """The labels that count, with the embeddings by this model; no picture is read."""
    truths = store.truths(kind)
    labelled = truths.loc[truths["label"].notna(), ["case_id", "label", "group_id", "last_event_id"]]
    scores = store.scores(scorer.bundle_sha256, kind)
    known = scores.loc[
        (scores["model_id"] == scorer.model_id) & scores["embedding"].notna(), ["case_id", "probabilities", "embedding"]
    ]
    both = labelled.merge(known, on="case_id").sort_values("last_event_id", ignore_index=True)
    embeddings = np.stack(both["embedding"].to_list()) if len(both) else np.empty((0, 0), np.float32)
    return EmbeddedLabels(both.drop(columns="embedding"), embeddings, len(labelled) - len(both))


def small_model() -> Pipeline:
    """A logistic regression on standardised embeddings, every class weighing the same."""
    return make_pipeline(StandardScaler(), LogisticRegression(C=INVERSE_PENALTY, max_iter=1000, class_weight="balanced"))


def folds(label: NDArray[np.int64], groups: NDArray[np.str_]) -> tuple[list[Fold], bool]:
    """Cut cases into at most ``FOLDS`` parts, each held out once; no group on both sides where that can be.

    Parameters
    ----------
    label : (n,) 0 to classes - 1, each at least ``FOLDS`` times
    groups : (n,) slide or woman

    Returns
    -------
    list of (taught, held out) positions, and whether groups stayed whole
        They are cut where a part would leave a class untaught, as with a single slide; a model is then surer than it should be.
    """
    count = min(FOLDS, len(np.unique(groups)))
    nothing = np.zeros(len(label))
    if count >= 2 and np.bincount(label).min() >= count:
        grouped = list(StratifiedGroupKFold(count, shuffle=True, random_state=SEED).split(nothing, label, groups))
        if all(len(held) and len(np.unique(label[taught])) == label.max() + 1 for taught, held in grouped):
            return grouped, True
    return list(StratifiedKFold(FOLDS, shuffle=True, random_state=SEED).split(nothing, label)), False
