"""Choosing markers and fitting the answer to them, from training tumours alone."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit
from scipy.stats import rankdata
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedGroupKFold
from sklearn.neural_network import MLPClassifier

from training.molecular.gaussian import Joint, fit_joint
from training.shared.calibrate import fit_platt

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Places = NDArray[np.intp]
Texts = NDArray[np.str_]
ROUNDING = 1e-9
"""So that a share of one in five of five is one."""


@dataclass(frozen=True)
class Settings:
    """What the recipe says of fitting.

    Attributes
    ----------
    marker_counts, penalties : what the inner folds choose between; a penalty is C of scikit-learn, smaller is stronger
    least_rpm, expressed_share : a marker is looked at where so large a share of training tumours has so many reads per million
    inner_folds : int
    """

    marker_counts: tuple[int, ...]
    penalties: tuple[float, ...]
    least_rpm: float
    expressed_share: float
    inner_folds: int

    @classmethod
    def of(cls, recipe: dict[str, Any]) -> "Settings":
        told = recipe["model"]
        return cls(
            tuple(told["marker_counts"]),
            tuple(told["penalties"]),
            told["least_rpm"],
            told["expressed_share"],
            told["inner_folds"],
        )


@dataclass(frozen=True)
class Answer:
    """Chosen markers and the logistic answer to them.

    Attributes
    ----------
    places : (k,) which columns
    joint : of both kinds of tumour, each weighing half, so that what is filled in leans to neither
    weights : (k,) log odds of glandular for a spread of each marker
    bias : float
    threshold : float
        On the probability: chosen on inner folds.
    """

    places: Places
    joint: Joint
    weights: Floats
    bias: float
    threshold: float
    penalty: float

    def logits(self, logs: Floats) -> Floats:
        """Log odds of glandular ``(n,)`` from logarithms ``(n, m)`` of all markers."""
        return self.joint.solved(logs[:, self.places])[0] @ self.weights + self.bias

    def probability(self, logs: Floats) -> Floats:
        return np.asarray(expit(self.logits(logs)), np.float64)


def folds_by_hospital(glandular: Bools, hospitals: Texts, folds: int, seed: int) -> Iterator[tuple[Places, Places]]:
    """Training and held-out places; no hospital is on both sides."""
    splitter = StratifiedGroupKFold(folds, shuffle=True, random_state=seed)
    yield from splitter.split(np.zeros(len(glandular)), glandular, hospitals)


def aurocs(logs: Floats, glandular: Bools) -> Floats:
    """AUROC of every column by itself, ``(m,)``: above one half where glandular tumours have more of it."""
    ranks = rankdata(logs, axis=0)
    count = int(glandular.sum())
    return np.asarray((ranks[glandular].sum(axis=0) - count * (count + 1) / 2) / (count * (len(glandular) - count)), np.float64)


def ranked_markers(logs: Floats, glandular: Bools, allowed: Bools, settings: Settings) -> Places:
    """Columns from the one that separates best, by itself, to the worst; only those allowed and expressed."""
    expressed = (logs >= np.log2(settings.least_rpm + 1)).mean(axis=0) >= settings.expressed_share
    worth = np.where(allowed & expressed, np.abs(aurocs(logs, glandular) - 0.5), -1.0)
    order = np.argsort(-worth, kind="stable")
    return order[: int((worth >= 0).sum())]


def fit_answer(
    logs: Floats, glandular: Bools, hospitals: Texts, allowed: Bools, settings: Settings, *, seed: int, sensitivity: float
) -> Answer:
    """Choose the number of markers, the penalty and the threshold on inner folds, then fit to all that was given.

    Parameters
    ----------
    logs : (n, m)
    allowed : (m,) columns that may be chosen
    sensitivity : the threshold is the highest at which so large a share of glandular tumours is found, on inner folds

    The penalty and number are those of the smallest log loss on inner folds.
    """
    choices = list(product(settings.marker_counts, settings.penalties))
    inner = np.full((len(choices), len(logs)), np.nan)
    for train, held_out in folds_by_hospital(glandular, hospitals, settings.inner_folds, seed):
        ranked = ranked_markers(logs[train], glandular[train], allowed, settings)
        for number, (count, penalty) in enumerate(choices):
            joint, weights, bias = _fit(logs[train][:, ranked[:count]], glandular[train], penalty)
            inner[number, held_out] = joint.standardised(logs[held_out][:, ranked[:count]]) @ weights + bias
    losses = np.logaddexp(0.0, np.where(glandular, -inner, inner)).mean(axis=1)
    best = int(np.argmin(losses))
    count, penalty = choices[best]
    places = ranked_markers(logs, glandular, allowed, settings)[:count]
    joint, weights, bias = _fit(logs[:, places], glandular, penalty)
    threshold = sensitive_threshold(expit(inner[best]), glandular, sensitivity)
    return Answer(places, joint, weights, bias, threshold, penalty)


def sensitive_threshold(probability: Floats, glandular: Bools, sensitivity: float) -> float:
    """The highest threshold at which at least so large a share of glandular tumours lies at or above it."""
    found = np.sort(probability[glandular])
    missed = int(np.floor((1 - sensitivity) * len(found) + ROUNDING))
    return float(found[missed])


def _fit(logs: Floats, glandular: Bools, penalty: float) -> tuple[Joint, Floats, float]:
    half_each = np.where(glandular, 0.5 / glandular.sum(), 0.5 / (~glandular).sum())
    joint = fit_joint(logs, half_each)
    regression = LogisticRegression(C=penalty, max_iter=2000).fit(joint.standardised(logs), glandular)
    return joint, np.asarray(regression.coef_[0], np.float64), float(regression.intercept_[0])


def network_probability(
    answer: Answer, logs: Floats, glandular: Bools, hospitals: Texts, asked: Floats, *, hidden: Sequence[int], seed: int,
    inner_folds: int,
) -> Floats:  # fmt: skip
    """What a small network makes of the markers that the answer chose, calibrated by Platt on inner folds: ``(asked,)``."""

    def network(train: Floats, truth: Bools) -> MLPClassifier:
        return MLPClassifier(tuple(hidden), solver="lbfgs", alpha=1.0, max_iter=500, random_state=seed).fit(train, truth)

    z, wanted = (answer.joint.standardised(values[:, answer.places]) for values in (logs, asked))
    inner = np.zeros(len(logs))
    for train, held_out in folds_by_hospital(glandular, hospitals, inner_folds, seed):
        inner[held_out] = _log_odds(network(z[train], glandular[train]).predict_proba(z[held_out])[:, 1])
    slope, intercept = fit_platt(inner, glandular)
    whole = network(z, glandular).predict_proba(wanted)[:, 1]
    return np.asarray(expit(slope * _log_odds(whole) + intercept), np.float64)


def _log_odds(probability: Floats) -> Floats:
    kept = np.clip(probability, 1e-6, 1 - 1e-6)
    return np.asarray(np.log(kept / (1 - kept)), np.float64)
