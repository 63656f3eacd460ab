"""Which labels are probably wrong, by confident learning on the embeddings of the model."""

import numpy as np
import pandas as pd
from cleanlab.filter import find_label_issues
from numpy.typing import NDArray
from sklearn.model_selection import cross_val_predict

from cervix.errors import EvaluationError
from cervix.labels.insight.embedded import FOLDS, folds, small_model


def label_error_candidates(labelled: pd.DataFrame, embeddings: NDArray[np.floating]) -> pd.DataFrame:
    """Labels that a model which never saw them contradicts with more confidence than its class has on average.

    Confident learning (Northcutt, Jiang and Chuang 2021, J Artif Intell Res 70:1373-1411) in cleanlab's default form.
    The probabilities are those of a logistic regression, cross-validated so that no slide is in both halves; where that
    leaves a class untaught, tiles of one slide are split, which makes the model surer than it should be.

    Parameters
    ----------
    labelled : DataFrame
        ``case_id, label, group_id``, as ``embedded_labels`` has them.
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
    parts, _ = folds(label, labelled["group_id"].to_numpy(str))
    given = np.asarray(embeddings, float)
    probability = np.asarray(cross_val_predict(small_model(), given, label, cv=parts, method="predict_proba"))
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
