"""What was tried because SCC versus AC missed its target, each with validation and test figures."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import expit
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from cervix.bundle.manifest import DerivedTask
from cervix.evaluation.comparison import percent
from cervix.evaluation.metrics import binary_report
from training.slide.texture_path import REGULARISATION

Scores = NDArray[np.float64]


def remedies_table(
    network: NDArray[np.floating],
    shipped: NDArray[np.floating],
    embeddings: NDArray[np.floating],
    textures: NDArray[np.floating],
    labels: NDArray[np.str_],
    groups: NDArray[np.str_],
    assigned: NDArray[np.str_],
    classes: list[str],
    task: DerivedTask,
) -> pd.DataFrame:
    """One row for each try, on the tiles that the question is about; no threshold was chosen on test tiles.

    Parameters
    ----------
    network, shipped : (n, classes) logits of every tile: block 5 and its head alone, and joined with block 4's linear path
    embeddings, textures : (n, 512) its pooled block 5, and the mean of the frozen block 4
    labels, groups, assigned : (n,)
    task : one class against another, SCC versus AC
    """
    cancer = np.isin(labels, [*task.positive, *task.negative])
    positive = np.isin(labels[cancer], task.positive)
    split, of = assigned[cancer], groups[cancer]
    scc, ac = (classes.index(side[0]) for side in (task.positive, task.negative))
    alone, joined = (expit((logits[:, scc] - logits[:, ac])[cancer].astype(np.float64)) for logits in (network, shipped))
    both = np.concatenate([embeddings, textures], axis=1)
    tries: Mapping[str, tuple[Scores, float]] = {
        "fine-tuned block 5 alone, called at 0.5": (alone, 0.5),
        "threshold with the best validation accuracy": (alone, best_threshold(positive, alone, split == "validation")),
        "linear classifier in place of the head, on the fine-tuned features": (
            _linear(embeddings[cancer], positive, split == "train"),
            0.5,
        ),
        "the same, with the features of block 4 as well": (_linear(both[cancer], positive, split == "train"), 0.5),
        "linear classifier on block 4 alone, no fine-tuning": (
            _linear(textures[cancer], positive, split == "train"),
            0.5,
        ),
        "block 5 and a linear path from block 4, weighed on validation: shipped": (joined, 0.5),
    }
    rows = []
    for name, (score, threshold) in tries.items():
        row: dict[str, str] = {"try": name, "threshold": f"{threshold:.2f}"}
        for part in ("validation", "test"):
            here = split == part
            accuracy = binary_report(positive[here], score[here], of[here], threshold).metrics["accuracy"]
            row[f"{part} accuracy"] = percent(accuracy)
            row[f"{part} AUROC"] = f"{roc_auc_score(positive[here], score[here]):.3f}"
        rows.append(row)
    return pd.DataFrame(rows)


def best_threshold(positive: NDArray[np.bool_], score: Scores, here: NDArray[np.bool_]) -> float:
    """The threshold with the highest accuracy on the cases ``here``; among equals the nearest to 0.5."""
    candidates = np.linspace(0.05, 0.95, 91)
    accuracy = ((score[here, None] >= candidates) == positive[here, None]).mean(axis=0)
    best = candidates[accuracy == accuracy.max()]
    return float(best[np.argmin(np.abs(best - 0.5))])


def _linear(features: NDArray[np.floating], positive: NDArray[np.bool_], train: NDArray[np.bool_]) -> Scores:
    model = make_pipeline(StandardScaler(), LogisticRegression(C=REGULARISATION, max_iter=1000))
    scores = model.fit(features[train], positive[train]).predict_proba(features)[:, 1]
    return np.asarray(scores, np.float64)
