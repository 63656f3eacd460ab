"""Fit gradient boosting on rows of summaries, and write it as ONNX."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import lightgbm
import numpy as np
import onnx
import onnxmltools
from numpy.typing import NDArray
from onnxmltools.convert.common.data_types import FloatTensorType
from sklearn.model_selection import StratifiedGroupKFold

from training.boosting.rows import ROW

PROBABILITIES = "probabilities"
ML_OPSET = 15
"""What onnxmltools 1.16 writes ensembles of trees in."""
LIBRARY = f"LightGBM {lightgbm.__version__}"
LOSS = "multi_logloss"
ONE_THREAD = 1
"""Trees this small gain nothing from more, and wait for each other on a busy machine."""


@dataclass(frozen=True)
class Trial:
    """A choice of settings and its mean log loss on women left out of folds, after so many rounds."""

    leaves: int
    least_women: int
    rounds: int
    loss: float


def try_settings(
    rows: NDArray[np.float32], target: NDArray[np.int64], women: NDArray[np.int64], settings: Mapping[str, Any], seed: int
) -> list[Trial]:  # fmt: skip
    """Cross-validate each choice of settings, women whole.

    Parameters
    ----------
    rows : (n, summaries), NaN where nothing is known
    target : (n,) place of the class
    women : (n,) whose row it is
    settings : ``[train]`` of the recipe
    """
    folds = StratifiedGroupKFold(settings["folds"], shuffle=True, random_state=seed)
    parts = [(train, held) for train, held in folds.split(rows, target, women)]
    trials = []
    for leaves, least in settings["leaves_and_least_women"]:
        stop = lightgbm.early_stopping(settings["patience"], verbose=False)
        found = lightgbm.cv(
            _parameters(settings, leaves, least, int(target.max()) + 1, seed), lightgbm.Dataset(rows, target),
            settings["rounds"], folds=parts, callbacks=[stop],
        )  # fmt: skip
        losses = found[f"valid {LOSS}-mean"]
        best = int(np.argmin(losses))
        trials.append(Trial(leaves, least, best + 1, float(losses[best])))
    return trials


def fit_trees(
    rows: NDArray[np.float32], target: NDArray[np.int64], trial: Trial, settings: Mapping[str, Any], seed: int
) -> str:  # fmt: skip
    """The ensemble by a trial's settings on all rows, as LightGBM writes it down."""
    parameters = _parameters(settings, trial.leaves, trial.least_women, int(target.max()) + 1, seed)
    return str(lightgbm.train(parameters, lightgbm.Dataset(rows, target), trial.rounds).model_to_string())


def probabilities_of_trees(trees: str, rows: NDArray[np.float32]) -> NDArray[np.float64]:
    """What LightGBM itself answers ``(n, classes)``."""
    return np.asarray(lightgbm.Booster(model_str=trees).predict(rows, num_threads=ONE_THREAD), np.float64)


def trees_as_onnx(trees: str, columns: int) -> onnx.ModelProto:
    """The ensemble as a graph from ``row (N, columns)`` to ``probabilities (N, classes)``."""
    types = [(ROW, FloatTensorType([None, columns]))]
    booster = lightgbm.Booster(model_str=trees)
    model: onnx.ModelProto = onnxmltools.convert_lightgbm(booster, initial_types=types, zipmap=False, target_opset=ML_OPSET)
    return model


def _parameters(settings: Mapping[str, Any], leaves: int, least: int, classes: int, seed: int) -> dict[str, Any]:
    return {
        "objective": "multiclass", "num_class": classes, "metric": LOSS, "num_leaves": leaves, "min_data_in_leaf": least,
        "learning_rate": settings["learning_rate"], "lambda_l2": settings["penalty"],
        "feature_fraction": settings["share_of_columns"], "seed": seed, "deterministic": True, "force_row_wise": True,
        "num_threads": ONE_THREAD, "verbosity": -1,
    }  # fmt: skip
