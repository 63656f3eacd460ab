"""Which labels are probably wrong, by confident learning on the embeddings of the slide model."""

import numpy as np
import pandas as pd
from cleanlab.filter import find_label_issues
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from cervix.errors import EvaluationError

FOLDS = 5
SEED = 0
INVERSE_PENALTY = 0.05
"""Few labels stand against 512 numbers each, so the regression is held back strongly."""


def label_error_candidates(labelled: pd.DataFrame, embeddings: NDArray[np.floating]) -> pd.DataFrame:
    """Labels that a model which never saw them contradicts with more confidence than its class has on average.

    Confident learning (Northcutt, Jiang and Chuang 2021, J Artif Intell Res 70:1373-1411) in cleanlab's default form.
    The probabilities are those of a logistic regression, cross-validated so that no slide is in both halves; with fewer
    slides than folds, tiles of one slide are split, which makes the model surer than it should be.

    Parameters
    ----------
    labelled : DataFrame
        ``LabelStore.labelled_cases``: ``case_id, label, group_id``.
    embeddings : (n, dimensions)
        Of these cases, in this order.

    Returns
    -------
    DataFrame
        ``case_id, label, suggested, label_probability, suggested_probability``, the least probable label first. They are
        candidates to look at, not corrections.

    Raises
    ------
    EvaluationError
        If there are fewer than two classes, or a class has fewer than ``FOLDS`` labels.
    """
    if len(embeddings) != len(labelled):
        raise ValueError(f"{len(embeddings)} embeddings of {len(labelled)} cases")
    counts = labelled["label"].value_counts()
    if len(counts) < 2 or counts.min() < FOLDS:
        raise EvaluationError(
            "There are too few labels to look for wrong ones",
            expected=f"two classes with {FOLDS} labels each",
            found=", ".join(f"{count} {name}" for name, count in counts.items()) or "none",
        )
    names, label = np.unique(labelled["label"].to_numpy(str), return_inverse=True)
    probability = _unseen_probabilities(np.asarray(embeddings, float), label, labelled["group_id"].to_numpy(str))
    suspects = find_label_issues(label, probability, return_indices_ranked_by="self_confidence", n_jobs=1)
    suggested = probability[suspects].argmax(axis=1)
    return pd.DataFrame(
        {
            "case_id": labelled["case_id"].to_numpy()[suspects],
            "label": names[label[suspects]],
            "suggested": names[suggested],
            "label_probability": probability[suspects, label[suspects]],
            "suggested_probability": probability[suspects, suggested],
        }
    )


def _unseen_probabilities(
    embeddings: NDArray[np.float64], label: NDArray[np.int64], groups: NDArray[np.str_]
) -> NDArray[np.float64]:
    """Class probabilities ``(n, classes)`` of each case by a model fitted without its group."""
    model = make_pipeline(StandardScaler(), LogisticRegression(C=INVERSE_PENALTY, max_iter=1000, class_weight="balanced"))
    grouped = list(StratifiedGroupKFold(FOLDS, shuffle=True, random_state=SEED).split(embeddings, label, groups)) if (
        len(np.unique(groups)) >= FOLDS
    ) else []  # fmt: skip
    # A fold that leaves a class untaught would say nothing of it.
    usable = len(grouped) == FOLDS and all(len(np.unique(label[taught])) == label.max() + 1 for taught, _ in grouped)
    folds = grouped if usable else StratifiedKFold(FOLDS, shuffle=True, random_state=SEED)
    return np.asarray(cross_val_predict(model, embeddings, label, cv=folds, method="predict_proba"))
