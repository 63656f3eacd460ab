"""Repeated grouped cross-validation: honest figures for a small table."""

from collections.abc import Callable, Iterator
from typing import Any, Literal

import keras
import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import expit
from scipy.stats import rankdata
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedGroupKFold
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from cervix.evaluation.comparison import decimal, signed
from cervix.evaluation.metrics import bootstrap_mean, ranking_interval
from training.data.uci import RiskTable
from training.shared.calibrate import fit_platt

Bools = NDArray[np.bool_]
Floats = NDArray[np.float32]
Scores = NDArray[np.float64]
Fit = Callable[[Bools, Bools], keras.Model]
RANKINGS: tuple[tuple[Literal["auroc", "average_precision"], str], ...] = (
    ("auroc", "AUROC"),
    ("average_precision", "average precision"),
)


def cross_validation_table(
    features: Floats, table: RiskTable, fit: Fit, *, folds: int, repeats: int, seed: int
) -> pd.DataFrame:
    """The network, a logistic regression and always-no on the same folds, and the network's gain over the regression.

    Parameters
    ----------
    features : (n, 1, f)
    fit : masks of training and early-stopping rows -> network
    folds : 3 or more: one to test, one to stop and calibrate on, the rest to train
    """
    if folds < 3:
        raise ValueError("cross-validation needs 3 folds or more: one to test, one to stop on, the rest to train")
    n, positive, groups = len(features), table.positive, table.groups
    ranks = {name: np.empty((repeats, n)) for name in ("network", "logistic")}
    risks = {name: np.empty((repeats, n)) for name in ("network", "logistic", "always no")}
    for repeat in range(repeats):
        for train, stop, held_out in _folds(table, folds, seed + repeat):
            logits = {
                "network": _logits(fit(train, stop), features),
                "logistic": logistic().fit(features[train, 0], positive[train]).decision_function(features[:, 0]),
            }
            for name, values in logits.items():
                slope, intercept = fit_platt(values[stop], positive[stop])
                # Each fold has its own model and scale; ranks within the fold make the scores comparable.
                ranks[name][repeat, held_out] = rankdata(values[held_out]) / held_out.sum()
                risks[name][repeat, held_out] = expit(slope * values[held_out] + intercept)
            risks["always no"][repeat, held_out] = positive[train].mean()
    network, regression = (_squared(positive, risks[name]) for name in ("network", "logistic"))
    gain = {
        title: signed(ranking_interval(name, positive, ranks["network"], groups, rival=ranks["logistic"]))
        for name, title in RANKINGS
    }
    rows = [
        {"classifier": "LSTM", **_rankings(positive, ranks["network"], groups), **_brier(network, groups)},
        {"classifier": "Logistic regression", **_rankings(positive, ranks["logistic"], groups), **_brier(regression, groups)},
        {"classifier": "Always no", **_brier(_squared(positive, risks["always no"]), groups)},
        {"classifier": "LSTM minus regression", **gain, "Brier score": signed(bootstrap_mean(network - regression, groups))},
    ]
    frame = pd.DataFrame(rows).fillna("–")
    frame["n"] = f"{n} rows, {int(positive.sum())} positive, {repeats} × {folds} folds"
    return frame


def logistic() -> Pipeline:
    """The simple rival: median imputation, standardisation, weak regularisation."""
    return make_pipeline(
        SimpleImputer(strategy="median", keep_empty_features=True),
        StandardScaler(),
        LogisticRegression(max_iter=5000, C=0.1),
    )


def _folds(table: RiskTable, folds: int, seed: int) -> Iterator[tuple[Bools, Bools, Bools]]:
    """Masks of training, early-stopping and held-out rows; no group is on two sides."""
    splitter = StratifiedGroupKFold(folds, shuffle=True, random_state=seed)
    members = [held_out for _, held_out in splitter.split(table.frame, table.positive, table.groups)]
    for index, held_out in enumerate(members):
        stop, test = np.zeros(len(table.frame), bool), np.zeros(len(table.frame), bool)
        stop[members[(index + 1) % folds]] = True
        test[held_out] = True
        yield ~(stop | test), stop, test


def _rankings(positive: Bools, ranks: Scores, groups: NDArray[np.str_]) -> dict[str, Any]:
    single = [ranking_interval("auroc", positive, one, groups).value for one in ranks]
    figures = {title: decimal(ranking_interval(name, positive, ranks, groups)) for name, title in RANKINGS}
    return figures | {"AUROC of the repeats": f"{min(single):.3f} to {max(single):.3f}"}


def _brier(squared: Scores, groups: NDArray[np.str_]) -> dict[str, str]:
    return {"Brier score": decimal(bootstrap_mean(squared, groups))}


def _squared(positive: Bools, risks: Scores) -> Scores:
    """Squared error of each row, averaged over the repeats."""
    return np.asarray(np.square(risks - positive).mean(axis=0), np.float64)


def _logits(network: keras.Model, features: Floats) -> Scores:
    return np.asarray(network.predict(features, verbose=0)[:, 0], np.float64)
