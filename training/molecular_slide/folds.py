"""What the molecular model says of every tumour, by models that saw no tumour of its hospital, on two levels.

The outer level is what figures are of. The inner level is what the fusion learns from: the answers about the training hospitals
of an outer fold, each by a model that saw neither its hospital nor any of the outer fold.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from training.molecular.data import Cohort, of_one_place
from training.molecular.fit import Answer, Settings, fit_answer, folds_by_hospital
from training.molecular.gaussian import log_rpm
from training.molecular.novelty import Gate, fit_gate
from training.molecular_slide.pairs import MORE_SLIDES, PairsRefused, require_enough
from training.shared.stages import Arrays

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Places = NDArray[np.intp]


@dataclass(frozen=True)
class MolecularFolds:
    """The answers of both levels, NaN where the gate refuses the tumour.

    Attributes
    ----------
    fold_of : (repeats, n) the outer fold that leaves the tumour out
    logits, thresholds : (repeats, n)
        Log odds of glandular, and from which log odds on it is called so, by the model of that fold.
    inner_logits : (repeats, folds, n)
        For fusing in an outer fold; NaN for the tumours that it leaves out.
    """

    fold_of: NDArray[np.int64]
    logits: Floats
    thresholds: Floats
    inner_logits: Floats

    @property
    def folds(self) -> int:
        return int(self.inner_logits.shape[1])


def molecular_folds(cohort: Cohort, molecular: Mapping[str, Any], inner_folds: int) -> Arrays:
    """Fit answer and gate in every fold of both levels; the fields of ``MolecularFolds``.

    Parameters
    ----------
    molecular : the recipe ``molecular``, whose folds and seed these are
    """
    told, seed = molecular["evaluation"], molecular["seed"]
    shape = told["repeats"], told["folds"], len(cohort.patients)
    fold_of = np.full((shape[0], shape[2]), -1)
    logits, thresholds = (np.full((shape[0], shape[2]), np.nan) for _ in range(2))
    inner_logits = np.full(shape, np.nan)
    for repeat in range(shape[0]):
        outer = folds_by_hospital(cohort.glandular, cohort.hospitals, shape[1], seed + repeat)
        for fold, (train, test) in enumerate(outer):
            fold_of[repeat, test] = fold
            logits[repeat, test], thresholds[repeat, test] = _left_out(cohort, train, test, molecular)
            for fitted, asked in folds_by_hospital(cohort.glandular[train], cohort.hospitals[train], inner_folds, seed):
                told_of, _ = _left_out(cohort, train[fitted], train[asked], molecular)
                inner_logits[repeat, fold, train[asked]] = told_of
    return {"fold_of": fold_of, "logits": logits, "thresholds": thresholds, "inner_logits": inner_logits}


def _left_out(cohort: Cohort, train: Places, test: Places, molecular: Mapping[str, Any]) -> tuple[Floats, float]:
    """Log odds of tumours that were not learned from, NaN beyond the gate, and the threshold."""
    logs, truth, hospitals = log_rpm(cohort.rpm[train]), cohort.glandular[train], cohort.hospitals[train]
    allowed, seed = of_one_place(cohort.markers), molecular["seed"]
    answer: Answer = fit_answer(
        logs, truth, hospitals, allowed, Settings.of(dict(molecular)), seed=seed,
        sensitivity=molecular["evaluation"]["sensitivity_inside"],
    )  # fmt: skip
    gate: Gate = fit_gate(logs, truth, hospitals, allowed, molecular["novelty"], seed)
    rpm = cohort.rpm[test]
    logits = np.where(gate.refuses(rpm), np.nan, answer.logits(log_rpm(rpm)))
    return logits, float(np.log(answer.threshold) - np.log1p(-answer.threshold))


def require_pairs_in_every_fold(cohort: Cohort, paired: Bools, molecular: Mapping[str, Any], each_kind_at_least: int) -> None:
    """Refuse pairs of which some fold has too few to learn from, before anything is fetched or fitted.

    Parameters
    ----------
    paired : (n,) which tumours of the cohort have a slide

    Raises
    ------
    PairsRefused
        If a kind is missing, hospitals are fewer than folds, or a fold's training hospitals have too few pairs of a kind.
    """
    told = molecular["evaluation"]
    truth, hospitals = cohort.glandular[paired], cohort.hospitals[paired]
    if truth.all() or not truth.any():
        kind = "glandular" if len(truth) and truth.all() else "squamous"
        raise PairsRefused(
            "All pairs are of one kind", expected="squamous and glandular tumours", found=f"{len(truth)} pairs, {kind} all",
            action=MORE_SLIDES,
        )  # fmt: skip
    if (count := len(set(hospitals.tolist()))) < told["folds"]:
        raise PairsRefused(
            "There are fewer hospitals than folds", expected=f"pairs of at least {told['folds']} hospitals", found=str(count),
            action=MORE_SLIDES,
        )  # fmt: skip
    for repeat in range(told["repeats"]):
        outer = folds_by_hospital(cohort.glandular, cohort.hospitals, told["folds"], molecular["seed"] + repeat)
        for train, _ in outer:
            require_enough(cohort.glandular[train][paired[train]], each_kind_at_least)
