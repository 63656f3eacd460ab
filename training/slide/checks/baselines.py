"""Baselines that a good slide model must beat."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from training.data.tissue.tiles import colour_statistics

Scores = dict[str, NDArray[np.float64]]


def fitted_baselines(
    pixels: NDArray[np.uint8],
    features: NDArray[np.floating],
    labels: NDArray[np.str_],
    train: NDArray[np.integer],
    classes: list[str],
) -> Callable[[NDArray[np.uint8], NDArray[np.floating]], Scores]:
    """Each baseline, fitted only on the training tiles: from pixels and features of any tiles to its ``(m, classes)``.

    Parameters
    ----------
    pixels : (n, size, size, 3)
    features : (n, 512) pooled features of the ImageNet network
    """
    share = np.array([(labels[train] == label).mean() for label in classes])
    rivals = {
        name: make_pipeline(StandardScaler(), LogisticRegression(max_iter=5000)).fit(x, labels[train])
        for name, x in (("colour", colour_statistics(pixels[train])), ("logistic", features[train]))
    }

    def score(pixels: NDArray[np.uint8], features: NDArray[np.floating]) -> Scores:
        scores = {"majority": np.tile(share, (len(pixels), 1))}
        for name, x in (("colour", colour_statistics(pixels)), ("logistic", features)):
            order = [list(rivals[name].classes_).index(label) for label in classes]
            scores[name] = rivals[name].predict_proba(x)[:, order]
        return scores

    return score


def baseline_scores(
    pixels: NDArray[np.uint8],
    features: NDArray[np.floating],
    labels: NDArray[np.str_],
    train: NDArray[np.integer],
    test: NDArray[np.integer],
    classes: list[str],
) -> Scores:
    """``fitted_baselines`` on the test tiles: ``(n_test, classes)`` each."""
    return fitted_baselines(pixels, features, labels, train, classes)(pixels[test], features[test])
