"""How unlike the training tiles a tile is, and from where on the model must not be heard."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.covariance import LedoitWolf

Floats = NDArray[np.float32]
CONFIDENCE = 0.95
REPLICATES = 1000


@dataclass(frozen=True)
class Novelty:
    """Mahalanobis distance to the nearest class centre under one shared covariance.

    Lee et al. 2018 (arXiv:1807.03888), Ledoit-Wolf shrunk, written as a Euclidean distance of whitened features.

    Attributes
    ----------
    whitening : (features, features)
    whitened_centres : (classes, features)
    """

    whitening: Floats
    whitened_centres: Floats

    def distances(self, features: Floats) -> NDArray[np.float64]:
        """What the exported graph calls ``novelty``, in numpy: ``(n, features)`` -> ``(n,)``."""
        whitened = features @ self.whitening
        gaps = np.linalg.norm(whitened[:, None] - self.whitened_centres[None], axis=2)
        return np.asarray(gaps.min(axis=1), np.float64)


def texture(block4: NDArray[np.floating]) -> Floats:
    """Mean over the map of block 4: ``(n, 14, 14, 512)`` -> ``(n, 512)``."""
    return np.asarray(block4.mean(axis=(1, 2), dtype=np.float32), np.float32)


def fit_novelty(features: Floats, target: NDArray[np.integer], classes: int) -> Novelty:
    """Centres and covariance of training features."""
    centres = np.stack([features[target == index].mean(axis=0) for index in range(classes)])
    precision = LedoitWolf().fit(features - centres[target]).precision_
    whitening = np.linalg.cholesky(precision)
    return Novelty(whitening.astype(np.float32), (centres @ whitening).astype(np.float32))


def acceptance_limit(distances: NDArray[np.floating], groups: NDArray[np.str_], share: float) -> float:
    """A novelty limit that rarely rejects more than ``1 - share`` of new tissue of the same kind.

    The upper one-sided 95 % bootstrap limit, over groups, of the quantile ``share`` of held-out distances. The quantile
    itself would reject more than it should on half of all new data sets. In simulations with 100 to 300 independent
    groups the limit was high enough in 87 to 90 % of them, not in 95 %: a bootstrap of an extreme quantile is too narrow.

    Parameters
    ----------
    distances : (n,) novelty of tiles that the distance was not fitted on
    groups : (n,) source image of each
    """
    rng = np.random.default_rng(0)
    members = [distances[groups == group] for group in np.unique(groups)]
    quantiles = [
        np.quantile(np.concatenate([members[index] for index in rng.integers(len(members), size=len(members))]), share)
        for _ in range(REPLICATES)
    ]
    return float(np.quantile(quantiles, CONFIDENCE))
