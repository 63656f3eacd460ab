"""What validation tiles decide of a model from elsewhere: temperature, novelty and its limit, thresholds, slide rule."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_curve
from sklearn.model_selection import StratifiedGroupKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from cervix.bundle.manifest import Baseline, DerivedTask
from training.data.tissue.tiles import colour_statistics
from training.shared.calibrate import fit_opinion_weights
from training.shared.manifest_parts import add_probabilities
from training.slide.novelty import fit_novelty
from training.wrap.tiles import HeldOutTiles

Floats = NDArray[np.floating]
SMALLEST_MASS = 1e-12
BASELINES = [
    Baseline(id="majority", title="Share of each class in validation"),
    Baseline(id="colour", title="Colour statistics, logistic regression on validation tiles"),
]


def class_index(labels: NDArray[np.str_], classes: Sequence[str]) -> NDArray[np.int64]:
    """Place of each label in the model's classes: ``(n,)``."""
    return np.asarray([list(classes).index(label) for label in labels], np.int64)


def fit_temperature(logits: Floats, target: NDArray[np.int64]) -> float:
    """The weight of the logits, one over the temperature (Guo et al. 2017), every tile alike."""
    return float(fit_opinion_weights(logits[None].astype(np.float64), target)[0])


def novelty_limit(
    embedding: NDArray[np.float32],
    target: NDArray[np.int64],
    groups: NDArray[np.str_],
    settings: Mapping[str, Any],
    accepted_share: float,
    seed: int,
) -> float:
    """The distance within which ``accepted_share`` of validation tiles lie, each measured without the groups of its fold.

    Distances to centres that a tile helped to make would be too short, the more so the wider the embedding.

    Parameters
    ----------
    embedding : (n, features)
    """
    folds = StratifiedGroupKFold(n_splits=settings["folds"], shuffle=True, random_state=seed)
    distances = np.empty(len(target))
    for fitted, left_out in folds.split(embedding, target, groups):
        known, of_known = np.unique(target[fitted], return_inverse=True)
        distances[left_out] = fit_novelty(embedding[fitted], of_known, len(known)).distances(embedding[left_out])
    return float(np.quantile(distances, accepted_share))


def youden_threshold(probabilities: Floats, labels: NDArray[np.str_], classes: Sequence[str], task: DerivedTask) -> float:
    """The score with the highest Youden's J (Youden 1950, Cancer 3:32-35), midway to the next lower one.

    Where both sides are told apart wholly, any score between them does; the middle leaves most room to either.
    """
    asked = np.isin(labels, task.positive + task.negative)
    positive, negative = (
        probabilities[asked][:, np.isin(classes, side)].sum(axis=1) for side in (task.positive, task.negative)
    )
    score = positive / np.maximum(positive + negative, SMALLEST_MASS)
    false, true, limits = roc_curve(np.isin(labels[asked], task.positive), score, drop_intermediate=False)
    at = max(1, int(np.argmax(true - false)))  # the first limit lies above every score
    below = limits[at + 1] if at + 1 < len(limits) else 0.0
    return float((limits[at] + below) / 2)


def rival_scores(validation: HeldOutTiles, test: HeldOutTiles, classes: Sequence[str]) -> dict[str, Floats]:
    """What ``BASELINES`` say of the test tiles: ``(n, classes)`` each, fitted on validation tiles."""
    share = np.array([(validation.labels == label).mean() for label in classes])
    colour = make_pipeline(StandardScaler(), LogisticRegression(max_iter=5000))
    colour.fit(colour_statistics(validation.pixels), validation.labels)
    order = [list(colour.classes_).index(label) for label in classes]
    told = colour.predict_proba(colour_statistics(test.pixels))[:, order]
    return {"majority": np.tile(share, (len(test.labels), 1)), "colour": told}


def predictions_frame(
    tiles: HeldOutTiles, classes: Sequence[str], scores: Mapping[str, Floats], novelty: Floats
) -> pd.DataFrame:
    """The held-out predictions as the manifest describes them.

    Parameters
    ----------
    scores : prefix of the columns -> ``(n, classes)``
    novelty : (n,)
    """
    frame = pd.DataFrame({"case": tiles.cases, "group": tiles.groups, "label": tiles.labels})
    for prefix, values in scores.items():
        add_probabilities(frame, prefix, list(classes), values)
    frame["novelty"] = novelty
    if len(np.unique(tiles.laboratory)) > 1:
        frame["by_laboratory"] = tiles.laboratory
    return frame
