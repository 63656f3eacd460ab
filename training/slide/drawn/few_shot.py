"""What drawn tiles are worth beside few real ones."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import keras
import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

from training.data.tissue.sources import tiles_of_recipe
from training.data.tissue.tiles import TileSet, first_of_groups
from training.shared.declared import read_recipe
from training.shared.stages import Log, Stages, array_digest
from training.slide.activations import outputs_for_tiles
from training.slide.drawn.tiles import TISSUES_OF_A_CLASS, tiles_by_class
from training.slide.texture_path import fit_linear_path
from training.slide.vgg16 import LAST_FROZEN, backbone, fast_precision

GROUPS_A_CLASS = (2, 5, 10, 20, 60)
TEST_GROUPS = 100
TILES_A_GROUP = 8
"""At most, so that no source image decides."""
REPEATS = 24
DRAWN_A_CLASS = 40
Labelled = tuple[NDArray[np.floating], NDArray[np.str_]]
"""Features ``(n, d)`` and labels ``(n,)``."""


def frozen_features(network: keras.Model, pixels: NDArray[np.uint8], log: Log) -> NDArray[np.float32]:
    """Means of block 4 and of block 5 of the ImageNet network: ``(n, 1024)``.

    Parameters
    ----------
    network : as ``training.slide.vgg16.backbone`` makes it
    pixels : (n, 224, 224, 3) uint8
    """
    average = keras.layers.GlobalAveragePooling2D()
    block5 = average(keras.layers.MaxPooling2D()(network.output))
    both = keras.layers.Concatenate()([average(network.get_layer(LAST_FROZEN).output), block5])
    return outputs_for_tiles(keras.Model(network.input, both), pixels, np.float32, "frozen features", log)


def measure_gain(recipe_path: Path, tiles_dir: Path, weights: Path | None, out_dir: Path, log: Log) -> pd.DataFrame:
    """``gain_table`` of every laboratory that has all the classes that are drawn, with the laboratory in the first column.

    Features are kept on disk (``out_dir/stages``).

    Raises
    ------
    TileFolderError, WeightsMissing
        If the data or the ImageNet weights are not there.
    """
    recipe = read_recipe(recipe_path)
    stages, network = Stages(out_dir / "stages", log), backbone(weights, fast_precision())
    found, _ = tiles_of_recipe(recipe_path, recipe, tiles_dir)
    drawn = tiles_by_class(DRAWN_A_CLASS, recipe["tiles"]["size_px"], recipe["seed"])

    def features_of(tiles: TileSet, name: str) -> NDArray[np.float32]:
        depends_on = {"pixels": array_digest(tiles.pixels), "weights": array_digest(*network.get_weights())}
        return stages.arrays(name, depends_on, lambda: {"features": frozen_features(network, tiles.pixels, log)})["features"]

    drawn_features, tables = features_of(drawn, "drawn-features"), []
    for laboratory in np.unique(found.laboratory):
        here = np.flatnonzero((found.laboratory == laboratory) & np.isin(found.tiles.labels, list(TISSUES_OF_A_CLASS)))
        tiles = found.tiles.of(here)
        if set(tiles.labels) == set(TISSUES_OF_A_CLASS):
            features = features_of(tiles, f"frozen-{laboratory.lower().replace(' ', '-')}")
            table = gain_table(features, tiles.labels, tiles.groups, drawn_features, drawn.labels, seed=recipe["seed"])
            table.insert(0, "laboratory", laboratory)
            tables.append(table)
    return pd.concat(tables, ignore_index=True)


def gain_table(
    features: NDArray[np.floating], labels: NDArray[np.str_], groups: NDArray[np.str_],
    drawn_features: NDArray[np.floating], drawn_labels: NDArray[np.str_],
    *, seed: int, groups_a_class: Sequence[int] = GROUPS_A_CLASS,
) -> pd.DataFrame:  # fmt: skip
    """Balanced accuracy of one laboratory's unseen groups, with and without drawn tiles among the training tiles.

    A logistic regression on frozen features learns from so many source groups of each class, ``REPEATS`` times from others; and
    again with drawn tiles, which count as much as the real ones together; and with those, their labels shuffled, which must not
    help.

    Parameters
    ----------
    features, labels, groups : (n, d), (n,), (n,) of real tiles of one laboratory, of classes that are drawn too
    drawn_features, drawn_labels : (m, d), (m,)

    Returns
    -------
    DataFrame
        ``groups a class, real alone, with drawn, gain, gain with shuffled labels, n``. Gains are in accuracy, 0..1, with
        95 % intervals (Student's t) over the repeats, which share tiles: they are narrower than the truth.
    """
    classes = list(np.unique(labels))
    drawn_of = np.isin(drawn_labels, classes)
    drawn = drawn_features[drawn_of], drawn_labels[drawn_of]
    kept = first_of_groups(groups, TILES_A_GROUP)
    features, labels, groups = features[kept], labels[kept], groups[kept]
    rows = []
    for number in groups_a_class:
        found: dict[str, list[float]] = {"real": [], "drawn": [], "shuffled": []}
        tested = 0
        for repeat in range(REPEATS):
            rng = np.random.default_rng([seed, number, repeat])
            train, test = _dealt(labels, groups, number, rng)
            if not len(train):
                break
            real, unseen = (features[train], labels[train]), (features[test], labels[test])
            shuffled = drawn[0], rng.permutation(drawn[1])
            for name, more in (("real", None), ("drawn", drawn), ("shuffled", shuffled)):
                found[name].append(_balanced_accuracy(real, more, unseen, classes))
            tested = len(np.unique(groups[test]))
        if found["real"]:
            rows.append({"groups a class": number, **_told(found), "n": f"{tested} groups, {REPEATS} repeats"})
    return pd.DataFrame(rows)


def _told(found: Mapping[str, list[float]]) -> dict[str, str]:
    real, drawn, shuffled = (np.array(found[name]) for name in ("real", "drawn", "shuffled"))
    return {
        "real alone": f"{real.mean():.3f}", "with drawn": f"{drawn.mean():.3f}",
        "gain": _with_interval(drawn - real), "gain with shuffled labels": _with_interval(shuffled - real),
    }  # fmt: skip


def _with_interval(differences: NDArray[np.float64]) -> str:
    half = stats.t.ppf(0.975, len(differences) - 1) * stats.sem(differences)
    return f"{differences.mean():+.3f} [{differences.mean() - half:+.3f}, {differences.mean() + half:+.3f}]"


def _dealt(
    labels: NDArray[np.str_], groups: NDArray[np.str_], number: int, rng: np.random.Generator
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Positions for training, ``number`` groups of each class, and for testing, of others; none where they are too few."""
    taken: list[str] = []
    for label in np.unique(labels):
        there = rng.permutation(np.unique(groups[labels == label]))
        if len(there) < 2 * number and len(there) < number + TEST_GROUPS // 5:
            return np.array([], np.int64), np.array([], np.int64)
        taken += list(there[:number])
    train = np.isin(groups, taken)
    others = rng.permutation(np.unique(groups[~train]))[:TEST_GROUPS]
    return np.flatnonzero(train), np.flatnonzero(np.isin(groups, others))


def _balanced_accuracy(real: Labelled, drawn: Labelled | None, unseen: Labelled, classes: list[str]) -> float:
    """Of a model that learned from real tiles and, where given, from drawn ones that count as much as they together."""
    x, y, weights = *real, np.ones(len(real[1]))
    if drawn is not None:
        x, y = np.concatenate([x, drawn[0]]), np.concatenate([y, drawn[1]])
        weights = np.append(weights, np.full(len(drawn[1]), len(real[1]) / len(drawn[1])))
    path = fit_linear_path(x, np.array([classes.index(label) for label in y]), weights / weights.mean())
    said = np.array(classes)[path.logits(unseen[0]).argmax(axis=1)]
    return float(np.mean([(said[unseen[1] == label] == label).mean() for label in classes if (unseen[1] == label).any()]))
