"""Baselines that a good slide model must beat."""

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from training.data.tissue.tiles import colour_statistics


def baseline_scores(
    pixels: NDArray[np.uint8],
    features: NDArray[np.floating],
    labels: NDArray[np.str_],
    train: NDArray[np.integer],
    test: NDArray[np.integer],
    classes: list[str],
) -> dict[str, NDArray[np.float64]]:
    """Test probabilities ``(n_test, classes)`` of each baseline, fitted only on the training tiles.

    Parameters
    ----------
    pixels : (n, size, size, 3)
    features : (n, 512) pooled features of the ImageNet network
    """
    share = np.array([(labels[train] == label).mean() for label in classes])
    scores = {"majority": np.tile(share, (len(test), 1))}
    for name, x in (("colour", colour_statistics(pixels)), ("logistic", features)):
        rival = make_pipeline(StandardScaler(), LogisticRegression(max_iter=5000)).fit(x[train], labels[train])
        order = [list(rival.classes_).index(label) for label in classes]
        scores[name] = rival.predict_proba(x[test])[:, order]
    return scores
