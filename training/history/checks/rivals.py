"""Baselines that an LSTM on screening histories must beat, fitted on the task itself on the same women."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.base import clone
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from cervix.bundle.manifest import DerivedTask
from cervix.patients.sequences import Histories
from cervix.patients.visit_vocabulary import AGE
from training.data.cohort.screening import STATES
from training.history.data import HistoryData

Floats = NDArray[np.float64]

LAST_VISIT, SUMMARY, BOOSTING, ALWAYS_NO, ORACLE = "last-visit", "summary", "boosting", "always-no", "oracle"
# Results that count for "how often abnormal" and "how long ago"; a result is abnormal from its first grade up.
RESULTS = ("cytology_squamous", "cytology_glandular", "hpv", "histology", "colposcopy", "treatment")
PERSISTENCE_YEARS = 3.0
REGULARISATION = (0.1,)
# Numbers of the training women's last and earlier visits to use; more takes time and changes little.
LAST_VISITS, EARLIER_VISITS = 30_000, 24_000


def last_visit_features(histories: Histories) -> Floats:
    """Values of each woman's last visit and when each feature was last measured before it: ``(women, 2F)``."""
    last = histories.last
    return np.concatenate([histories.features[last], histories.gap_years[last]], axis=1).astype(np.float64)


def summary_features(histories: Histories, names: list[str]) -> pd.DataFrame:
    """Summary features that an analyst would derive from a history, one row a woman; NaN if not applicable.

    The last visit. For each feature: the last known value, how long ago it was measured, and the highest value. For each
    test: how often it was done, how often it was abnormal, how often in the last three years, how long ago, and the earlier
    results. Number of visits, years under screening, mean interval.
    """
    count = len(histories)
    rows = histories.rows_of(np.arange(count))
    woman = np.repeat(np.arange(count), histories.lengths)
    last = np.cumsum(histories.lengths) - 1
    since_before = np.nan_to_num(histories.gap_years[rows, names.index(AGE)].astype(np.float64))
    elapsed = np.cumsum(since_before)
    ago = elapsed[last][woman] - elapsed
    years = ago[last - histories.lengths + 1]
    table: dict[str, NDArray[Any]] = {
        "age": histories.features[rows[last], names.index(AGE)],
        "visits": histories.lengths,
        "years": years,
        "interval": years / np.maximum(histories.lengths - 1, 1),
        "last gap": histories.gap_years[rows[last], names.index(AGE)],
    }
    position = np.arange(len(rows))
    for column, name in enumerate(names):
        if name == AGE:
            continue
        values = histories.features[rows, column].astype(np.float64)
        known = ~np.isnan(values)
        table[f"{name} at last visit"] = values[last]
        newest = np.full(count, -1)
        np.maximum.at(newest, woman[known], position[known])
        table[f"{name} last known"] = np.where(newest >= 0, values[newest], np.nan)
        table[f"{name} years ago"] = np.where(newest >= 0, ago[newest], np.nan)
        highest = np.full(count, -np.inf)
        np.maximum.at(highest, woman[known], values[known])
        table[f"{name} highest"] = np.where(np.isfinite(highest), highest, np.nan)
        if name in RESULTS:
            table |= _counts(name, values, known, woman, ago, count)
    return pd.DataFrame(table)


def _counts(
    name: str, values: Floats, known: NDArray[np.bool_], woman: NDArray[np.integer], ago: Floats, count: int
) -> dict[str, NDArray[Any]]:
    abnormal = known & (values > 0)
    recent = ago <= PERSISTENCE_YEARS
    since = np.full(count, np.inf)
    np.minimum.at(since, woman[abnormal], ago[abnormal])
    normal_since = np.bincount(woman[known & ~abnormal & (ago < since[woman])], minlength=count)
    return {
        f"{name} times": np.bincount(woman[known], minlength=count),
        f"{name} abnormal": np.bincount(woman[abnormal], minlength=count),
        f"{name} abnormal lately": np.bincount(woman[abnormal & recent], minlength=count),
        f"{name} abnormal years ago": np.where(np.isfinite(since), since, np.nan),
        f"{name} normal since": normal_since,
    }


def rival_scores(
    data: HistoryData, names: list[str], tasks: Sequence[DerivedTask], seed: int, women: NDArray[np.int64],
    published: Histories | None = None,
) -> dict[str, Floats]:  # fmt: skip
    """``<rival>__<task>`` -> probability ``(n,)`` for these women, and ``published_<rival>__<task>`` for other histories.

    A rival may learn from the last visits only or, like the LSTM, from earlier visits and from visits of which only the tests
    are known. That choice and the regularisation are made once for each task, by the log loss on the validation women.
    """
    rng = np.random.default_rng(seed)
    index = data.index_visits(data.evaluated("train"))
    index = rng.choice(index, min(LAST_VISITS, len(index)), replace=False)
    earlier = data.histories.rows_of(data.women("train"))
    tested = earlier[data.worked_up[earlier] & data.outcomes.complete[earlier]]
    tested = rng.choice(tested, min(EARLIER_VISITS // 4, len(tested)), replace=False)
    earlier = earlier[data.usable[earlier] & data.outcomes.complete[earlier]]
    both = np.union1d(index, rng.choice(earlier, min(EARLIER_VISITS, len(earlier)), replace=False))
    places = {
        "index": index, "both": both, "validation": data.index_visits(data.evaluated("validation")),
        "asked": data.index_visits(women),
    }  # fmt: skip
    prefixes = {name: data.histories.prefixes(rows) for name, rows in places.items()}
    prefixes["tested"] = data.with_tests_only(tested, names)
    if published is not None:
        prefixes["published"] = published
    last = {name: last_visit_features(part) for name, part in prefixes.items()}
    summary = {name: summary_features(part, names).to_numpy(np.float64) for name, part in prefixes.items()}
    latent = {name: _latent_features(data, rows) for name, rows in places.items()}
    every = np.repeat(data.weight, data.histories.lengths)
    weights = {"index": every[index], "both": np.concatenate([every[both], every[tested]])}
    for table in (last, summary):
        table["both"] = np.concatenate([table["both"], table.pop("tested")])
    kinds = {
        LAST_VISIT: (last, _logistic_candidates()),
        SUMMARY: (summary, _logistic_candidates()),
        BOOSTING: (summary, _boosting_candidates(seed)),
        ORACLE: (latent, _logistic_candidates()),
    }
    scores: dict[str, Floats] = {}
    for task in tasks:
        outcome = data.outcomes.among(task.positive)
        truth = {name: outcome[rows] for name, rows in places.items()}
        scores[f"{ALWAYS_NO}__{task.id}"] = np.full(len(women), truth["index"].mean())
        of_tests = np.concatenate([truth["both"], data.tested.among(task.positive)[tested]])
        for name, (features, candidates) in kinds.items():
            own = truth if name == ORACLE else truth | {"both": of_tests}
            counts = {rows: weights[rows][: len(own[rows])] for rows in ("index", "both")}
            best = _best(features, own, counts, candidates)
            scores[f"{name}__{task.id}"] = best.predict_proba(features["asked"])[:, 1]
            if "published" in features:
                scores[f"published_{name}__{task.id}"] = best.predict_proba(features["published"])[:, 1]
    return scores


def _latent_features(data: HistoryData, rows: NDArray[np.int64]) -> Floats:
    """True state after a visit, true infection and age, which determine the near future in the simulation."""
    latent = data.latent.iloc[rows]
    flags = [latent["state"] == state for state in STATES]
    flags += [latent["infected"] == "yes", latent["glandular"] == "yes"]
    return np.column_stack([*flags, data.histories.features[rows, 0]]).astype(np.float64)


def _best(
    features: Mapping[str, Floats], truth: Mapping[str, NDArray[np.bool_]], weights: Mapping[str, NDArray[np.float32]],
    candidates: list[Any],
) -> Any:  # fmt: skip
    def fitted_on(rows: str, candidate: Any) -> Any:
        name = f"{candidate.steps[-1][0]}__sample_weight" if isinstance(candidate, Pipeline) else "sample_weight"
        return clone(candidate).fit(features[rows], truth[rows], **{name: weights[rows]})

    fitted = [fitted_on(rows, candidate) for candidate in candidates for rows in ("index", "both")]

    def validation_loss(model: Any) -> float:
        score = model.predict_proba(features["validation"])[:, 1]
        return float(log_loss(truth["validation"], score, labels=[False, True]))

    return min(fitted, key=validation_loss)


def _logistic_candidates() -> list[Pipeline]:
    return [
        make_pipeline(
            SimpleImputer(strategy="median", add_indicator=True, keep_empty_features=True),
            StandardScaler(),
            LogisticRegression(C=strength, max_iter=500),
        )
        for strength in REGULARISATION
    ]


def _boosting_candidates(seed: int) -> list[Pipeline]:
    # No feature is negative, so -1 stands for NaN: a column without any value in training cannot be binned.
    return [
        make_pipeline(
            SimpleImputer(strategy="constant", fill_value=-1.0, keep_empty_features=True),
            HistGradientBoostingClassifier(
                learning_rate=rate, max_leaf_nodes=leaves, l2_regularization=penalty, max_iter=400, early_stopping=True,
                validation_fraction=0.1, n_iter_no_change=15, random_state=seed,
            ),
        )
        for rate, leaves, penalty in ((0.05, 6, 1.0), (0.05, 16, 30.0))
    ]  # fmt: skip
