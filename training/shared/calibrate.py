"""Calibration: turning scores into probabilities that can be read as frequencies.

Guo et al. 2017, "On Calibration of Modern Neural Networks" (temperature); Genest & Zidek 1986, "Combining Probability
Distributions" (logarithmic opinion pool); Platt 1999, "Probabilistic outputs for support vector machines" (logistic).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import log_softmax, logsumexp

Floats = NDArray[np.floating]
# Perfect logits would have an infinite weight.
LOG_WEIGHT_LIMITS = (-3.0, 3.0)


def log_loss(logits: Floats, class_index: NDArray[np.integer], weights: Floats | None = None) -> float:
    """Mean negative log-likelihood of the true class, from logits ``(n, classes)``; of tiles that count unequally, weighted."""
    log_probability = log_softmax(logits.astype(np.float64), axis=1)
    return float(-np.average(log_probability[np.arange(len(class_index)), class_index], weights=weights))


def fit_opinion_weights(
    logits: Floats, class_index: NDArray[np.integer], case_weights: Floats | None = None
) -> NDArray[np.float64]:
    """The weights w > 0 that minimise the negative log-likelihood of ``softmax(sum_k w_k * logits_k)``.

    A logarithmic opinion pool of several classifiers. With a single classifier the weight is one over the temperature.

    Parameters
    ----------
    logits : (classifiers, n, classes)
    class_index : (n,) true class of each row
    case_weights : (n,) how much each row counts, optional

    Returns
    -------
    (classifiers,)
    """

    def loss(log_weights: Floats) -> float:
        return log_loss(np.tensordot(np.exp(log_weights), logits, axes=1), class_index, case_weights)

    bounds = [LOG_WEIGHT_LIMITS] * len(logits)
    return np.asarray(np.exp(minimize(loss, np.zeros(len(logits)), bounds=bounds).x), np.float64)


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


@dataclass(frozen=True)
class CoursePlatt:
    """Platt scaling for courses of increasing severity: one slope for all logits, and one intercept for each grade reached.

    ``cin2`` is added to every course with CIN2+; ``cin3`` is added as well to every course with CIN3+.
    """

    slope: float
    cin2: float
    cin3: float

    def shifts(self, classes: Sequence[str]) -> NDArray[np.float64]:
        """The number added to the logit of each class, ``(classes,)``."""
        return np.array([self.cin2 * (name != "none") + self.cin3 * ("cin3" in name) for name in classes])


def fit_course_platt(logits: Floats, possible: NDArray[np.bool_], classes: Sequence[str]) -> CoursePlatt:
    """Minimise the negative log-likelihood of the courses that each woman may have taken.

    Parameters
    ----------
    logits, possible : (n, classes)
    """

    def loss(parameters: Floats) -> float:
        platt = CoursePlatt(*(float(value) for value in parameters))
        shares = log_softmax(platt.slope * logits + platt.shifts(classes), axis=1)
        return float(-logsumexp(np.where(possible, shares, -np.inf), axis=1).mean())

    slope, cin2, cin3 = minimize(loss, np.array([1.0, 0.0, 0.0]), method="Nelder-Mead", options={"xatol": 1e-4}).x
    return CoursePlatt(float(slope), float(cin2), float(cin3))
