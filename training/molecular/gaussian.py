"""Markers as one joint normal distribution of their logarithms: what a missing one would be, and how unusual a tumour is."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
SHRINKAGE = 0.1
"""Share of independence mixed into the correlations, so that a near copy of another marker tells no more than it."""


def log_rpm(rpm: Floats) -> Floats:
    """``log2(rpm + 1)``; NaN where not measured, or negative, which no measurement is."""
    with np.errstate(invalid="ignore"):
        return np.asarray(np.log2(np.where(rpm >= 0, rpm, np.nan) + 1.0), np.float64)


@dataclass(frozen=True)
class Joint:
    """Centre ``(k,)``, spread ``(k,)`` and correlations ``(k, k)`` of logarithms."""

    centre: Floats
    spread: Floats
    correlations: Floats

    def standardised(self, logs: Floats) -> Floats:
        """``(n, k)`` in spreads from the centre, NaN kept."""
        return (logs - self.centre) / self.spread

    def solved(self, logs: Floats) -> tuple[Floats, Floats]:
        """What is expected of every marker given the measured ones, and how unusual those are.

        Returns
        -------
        filled : (n, k)
            Standardised: as measured, or the conditional mean.
        distance : (n,)
            Root of the squared Mahalanobis distance of the measured ones over their number: about 1 for a usual tumour,
            however many are measured; 0 where none is.
        """
        z = self.standardised(logs)
        known = ~np.isnan(z)
        value = np.where(known, z, 0.0)
        both = known[:, :, None] & known[:, None, :]
        matrix = np.where(both, self.correlations, np.eye(len(self.centre)))
        weights = np.linalg.solve(matrix, value[..., None])[..., 0]
        expected = weights @ self.correlations
        squared = (value * weights).sum(axis=1) / np.maximum(known.sum(axis=1), 1)
        return np.where(known, z, expected), np.sqrt(np.maximum(squared, 0.0))


def fit_joint(logs: Floats, weights: Floats | None = None) -> Joint:
    """Fit to logarithms ``(n, k)``; ``weights (n,)`` say how much a tumour counts, by default all alike."""
    share = np.full(len(logs), 1.0 / len(logs)) if weights is None else weights / weights.sum()
    centre = share @ logs
    excess = logs - centre
    covariance = (excess * share[:, None]).T @ excess
    spread = np.sqrt(np.diag(covariance))
    spread = np.where(spread > 0, spread, 1.0)
    correlations = covariance / np.outer(spread, spread)
    count = len(centre)
    return Joint(centre, spread, (1 - SHRINKAGE) * correlations + SHRINKAGE * np.eye(count))
