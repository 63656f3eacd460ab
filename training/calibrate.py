"""Calibration: turning scores into probabilities that can be read as frequencies.

Guo et al. 2017, "On Calibration of Modern Neural Networks" (temperature); Platt 1999, "Probabilistic outputs
for support vector machines" (logistic).
"""

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize, minimize_scalar
from scipy.special import log_softmax

Floats = NDArray[np.floating]


def log_loss(logits: Floats, class_index: NDArray[np.integer]) -> float:
    """Mean negative log-likelihood of the true class, from logits ``(n, classes)``."""
    log_probability = log_softmax(logits.astype(np.float64), axis=1)
    return float(-log_probability[np.arange(len(class_index)), class_index].mean())


def fit_temperature(logits: Floats, class_index: NDArray[np.integer]) -> float:
    """The temperature T > 0 that minimises the negative log-likelihood of ``softmax(logits / T)``.

    Parameters
    ----------
    logits : (n, classes)
    class_index : (n,) true class of each row
    """

    def loss(log_temperature: float) -> float:
        return log_loss(logits / np.exp(log_temperature), class_index)

    return float(np.exp(minimize_scalar(loss, bounds=(-3.0, 3.0), method="bounded").x))


def fit_platt(logits: Floats, positive: NDArray[np.bool_]) -> tuple[float, float]:
    """Slope and intercept (a, b) of ``sigmoid(a * logit + b)``, with Platt's smoothed targets.

    Parameters
    ----------
    logits : (n,)
    positive : (n,) whether each case had the outcome
    """
    n_positive, n_negative = int(positive.sum()), int((~positive).sum())
    target = np.where(positive, (n_positive + 1) / (n_positive + 2), 1 / (n_negative + 2))

    def loss(parameters: Floats) -> float:
        score = parameters[0] * logits + parameters[1]
        return float((np.logaddexp(0.0, score) - target * score).mean())

    slope, intercept = minimize(loss, x0=np.array([1.0, 0.0]), method="Nelder-Mead").x
    return float(slope), float(intercept)
