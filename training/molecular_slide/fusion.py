"""Two witnesses of one tumour joined by a small logistic regression, fold by fold."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit
from sklearn.linear_model import LogisticRegression

from training.molecular.data import Cohort
from training.molecular.fit import sensitive_threshold
from training.molecular.held_out import HeldOut
from training.molecular_slide.folds import MolecularFolds
from training.molecular_slide.pairs import require_enough

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]


@dataclass(frozen=True)
class Fused:
    """Out of fold: each witness alone, both joined, and whatever is there.

    A probability is NaN, and nothing is called, where there is no answer.

    Attributes
    ----------
    slide, molecular : HeldOut
    joined : HeldOut
        Where both answer.
    either : HeldOut
        ``joined`` where both answer, else the one that does.
    """

    slide: HeldOut
    molecular: HeldOut
    joined: HeldOut
    either: HeldOut

    @property
    def both_answer(self) -> Bools:
        """Tumours that both witnesses answer in every repeat, ``(n,)``: what the three are compared on."""
        return np.asarray(~np.isnan(self.joined.probability).any(axis=0), np.bool_)


def fuse(
    cohort: Cohort, folds: MolecularFolds, slide: Floats, told: Mapping[str, Any], sensitivity: float
) -> Fused:  # fmt: skip
    """Fit in the training hospitals of every outer fold, and ask about the hospitals that it leaves out.

    Parameters
    ----------
    slide : (n,) the slides' log odds of glandular, NaN without an answer
    told : the recipe's ``[fusion]``
    sensitivity : of glandular tumours among those learned from: where the thresholds of slide and fusion are

    The slide's log odds alone get a logistic regression as well, so that all are probabilities at this cohort's share of
    glandular tumours. Training pairs stand with the molecular log odds of the inner level, by models that did not see them.

    Raises
    ------
    PairsRefused
        If so few pairs are answered that a fold has not enough to learn from.
    """
    shape = folds.logits.shape
    probability = {name: np.full(shape, np.nan) for name in ("slide", "molecular", "joined")}
    called = {name: np.zeros(shape, bool) for name in probability}
    for repeat, fold in np.ndindex(shape[0], folds.folds):
        test = folds.fold_of[repeat] == fold
        inner, outer = folds.inner_logits[repeat, fold], folds.logits[repeat]
        seen = {"slide": [slide], "joined": [inner, slide]}
        asked = {"slide": [slide], "joined": [outer, slide]}
        for name, columns in seen.items():
            learned = ~test & ~np.isnan(np.stack(columns)).any(axis=0)
            given = test & ~np.isnan(np.stack(asked[name])).any(axis=0)
            values, truth = np.stack(columns, axis=1), cohort.glandular
            require_enough(truth[learned], told["each_kind_at_least"])
            model = _Logistic.fitted(values[learned], truth[learned], told["penalty"])
            threshold = sensitive_threshold(model.probability(values[learned]), truth[learned], sensitivity)
            told_of = model.probability(np.stack(asked[name], axis=1)[given])
            probability[name][repeat, given] = told_of
            called[name][repeat, given] = told_of >= threshold
    probability["molecular"] = expit(folds.logits)
    called["molecular"] = folds.logits >= folds.thresholds
    of = {name: HeldOut(probability[name], called[name]) for name in probability}
    return Fused(of["slide"], of["molecular"], of["joined"], _first_that_answers(of["joined"], of["molecular"], of["slide"]))


@dataclass(frozen=True)
class _Logistic:
    """A logistic regression on standardised columns."""

    centre: Floats
    spread: Floats
    weights: Floats
    bias: float

    @classmethod
    def fitted(cls, values: Floats, truth: Bools, penalty: float) -> "_Logistic":
        centre, spread = values.mean(axis=0), values.std(axis=0)
        spread = np.where(spread > 0, spread, 1.0)
        regression = LogisticRegression(C=penalty, max_iter=2000).fit((values - centre) / spread, truth)
        return cls(centre, spread, np.asarray(regression.coef_[0], np.float64), float(regression.intercept_[0]))

    def probability(self, values: Floats) -> Floats:
        return np.asarray(expit((values - self.centre) / self.spread @ self.weights + self.bias), np.float64)


def _first_that_answers(*witnesses: HeldOut) -> HeldOut:
    probability, called = witnesses[0].probability.copy(), witnesses[0].called.copy()
    for witness in witnesses[1:]:
        silent = np.isnan(probability)
        probability[silent], called[silent] = witness.probability[silent], witness.called[silent]
    return HeldOut(probability, called)


def dealt_anew(slide: Floats, within: NDArray[np.int64], rng: np.random.Generator) -> Floats:
    """The slides' answers dealt out anew among the tumours that have one, within each group of ``within (n,)``."""
    dealt = slide.copy()
    for group in np.unique(within):
        at = np.flatnonzero((within == group) & ~np.isnan(slide))
        dealt[at] = slide[rng.permutation(at)]
    return dealt
