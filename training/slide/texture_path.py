"""The second path of the model: a linear classifier on the mean of block 4, beside the fine-tuned block 5."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

Floats = NDArray[np.float32]
# Strong regularisation: there are more features than source images.
REGULARISATION = 0.01


@dataclass(frozen=True)
class LinearPath:
    """``logits = features @ kernel + bias``, standardisation folded in: shapes ``(features, classes)``, ``(classes,)``."""

    kernel: Floats
    bias: Floats

    def logits(self, features: NDArray[np.floating]) -> Floats:
        """``(n, features)`` -> ``(n, classes)``."""
        return np.asarray(features @ self.kernel + self.bias, np.float32)


def fit_linear_path(
    features: NDArray[np.floating], target: NDArray[np.integer], weights: NDArray[np.floating] | None = None
) -> LinearPath:
    """Multinomial logistic regression on standardised features of training tiles.

    Parameters
    ----------
    features : (n, features)
    target : (n,) class index, every class of 0 … classes - 1 at least once, three classes or more
    weights : (n,) how much each tile counts, with a mean of 1; all alike where not given
    """
    scaler = StandardScaler().fit(features, sample_weight=weights)
    model = LogisticRegression(C=REGULARISATION, max_iter=3000)
    model.fit(scaler.transform(features), target, sample_weight=weights)
    kernel = (model.coef_ / scaler.scale_).T
    bias = model.intercept_ - scaler.mean_ @ kernel
    return LinearPath(kernel.astype(np.float32), bias.astype(np.float32))
