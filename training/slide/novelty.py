"""How unlike the training tiles a tile is, and from where on the model must not be heard."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.covariance import LedoitWolf

from cervix.bundle.classes import ClassInfo

Floats = NDArray[np.float32]
SMALLEST_DOUBT = 1e-3
ROUNDING = 1e-9
"""Of a sum of shares."""


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


@dataclass(frozen=True)
class Refusal:
    """What the graph calls ``novelty``: the larger of how far a tile is from known tissue and how much its answer is in doubt.

    Doubt is ``1 - |P(malignant) - P(benign)|``: near 1 where the model wavers, and where it takes a tile for other tissue.
    One number with one limit thus refuses for either reason.

    Attributes
    ----------
    novelty : distance of the texture to the nearest type of tissue
    signs : (classes,) of the classes' roles, see ``role_signs``
    doubt_scale : float
        The distance that full doubt counts as.
    """

    novelty: Novelty
    signs: Floats
    doubt_scale: float

    def values(self, features: Floats, probabilities: NDArray[np.floating]) -> NDArray[np.float64]:
        """``(n, features)`` and ``(n, classes)`` -> ``(n,)``."""
        return np.maximum(self.novelty.distances(features), self.doubt_scale * doubt(probabilities, self.signs))


def role_signs(classes: Sequence[ClassInfo]) -> Floats:
    """1 for malignant classes, -1 for benign ones and 0 for other tissue: ``(classes,)``."""
    return np.array([{"malignant": 1, "benign": -1}.get(item.role, 0) for item in classes], np.float32)


def doubt(probabilities: NDArray[np.floating], signs: Floats) -> NDArray[np.float64]:
    """``1 - |P(malignant) - P(benign)|`` of each row: ``(n,)``."""
    return np.asarray(1 - np.abs(probabilities @ signs), np.float64)


@dataclass(frozen=True)
class RefusalLimits:
    """From where on a tile is refused: by distance, and by doubt."""

    distance: float
    doubt: float

    @property
    def doubt_scale(self) -> float:
        """The distance that full doubt counts as, so that both limits are one."""
        return self.distance / max(self.doubt, SMALLEST_DOUBT)


def fit_limits(
    distance: NDArray[np.floating], doubts: NDArray[np.floating], shared: NDArray[np.bool_], wrong: NDArray[np.bool_],
    laboratory: NDArray[np.str_], groups: NDArray[np.str_], settings: Mapping[str, Any],
) -> RefusalLimits:  # fmt: skip
    """Limits from tiles that were each scored without their laboratory, of types of tissue that another laboratory has too.

    The limit of distance keeps ``accepted_share`` of every laboratory's tiles. That of doubt is the largest at which, in the
    mean over laboratories, ``wrong_share`` of the tiles are answered and wrong. What only one laboratory has sets no limit: a
    model that never saw it can be sure of anything there. Laboratories of fewer than
    ``fewest_groups`` source groups set none either.

    Parameters
    ----------
    distance, doubts, laboratory, groups : (n,)
    settings : ``accepted_share, wrong_share, fewest_groups``
    shared : (n,) whether another laboratory has that type of tissue
    wrong : (n,) whether the tile is called carcinoma and is none, or the other way round
    """
    cells = [shared & (laboratory == name) for name in np.unique(laboratory[shared])]
    cells = [here for here in cells if len(np.unique(groups[here])) >= settings["fewest_groups"]]
    far = max(float(np.quantile(distance[here], settings["accepted_share"])) for here in cells)
    counts = np.sum([here / here.sum() for here in cells], axis=0) / len(cells)
    failing = np.flatnonzero((counts > 0) & wrong & (distance <= far))
    failing = failing[np.argsort(doubts[failing], kind="stable")]
    beyond = np.cumsum(counts[failing]) > settings["wrong_share"] + ROUNDING
    return RefusalLimits(far, float(np.nextafter(doubts[failing[beyond.argmax()]], -1)) if beyond.any() else 1.0)


def texture(block4: NDArray[np.floating]) -> Floats:
    """Mean over the map of block 4: ``(n, 14, 14, 512)`` -> ``(n, 512)``."""
    return np.asarray(block4.mean(axis=(1, 2), dtype=np.float32), np.float32)


def fit_novelty(features: Floats, target: NDArray[np.integer], classes: int) -> Novelty:
    """Centres and covariance of training features."""
    centres = np.stack([features[target == index].mean(axis=0) for index in range(classes)])
    # In double precision: tiles of many laboratories leave directions in which single precision finds a negative spread.
    precision = LedoitWolf().fit((features - centres[target]).astype(np.float64)).precision_
    whitening = np.linalg.cholesky(precision)
    return Novelty(whitening.astype(np.float32), (centres @ whitening).astype(np.float32))
