"""Recipe ``shipped``: real tiles -> VGG16 with block 5 fine-tuned -> one proven ONNX graph in two variants."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cervix.bundle.manifest import DerivedTask
from cervix.evaluation.questions import task_scores
from training.data.splits import SPLITS, check_no_near_duplicates, grouped_split
from training.data.tissue.tiles import TileSet, load_tile_folder
from training.shared.calibrate import fit_opinion_weights, log_loss
from training.shared.declared import declared_tasks, declared_thresholds, read_recipe
from training.shared.manifest_parts import add_probabilities
from training.shared.search import search
from training.shared.stages import Arrays, Log, Stages, array_digest
from training.slide.activations import cached_activations
from training.slide.checks.remedies import remedies_table
from training.slide.entry import SlideFigures
from training.slide.export import Fitted, Split, export_and_evaluate
from training.slide.fit import (
    FineTuned,
    HeadWeights,
    PooledFeatures,
    Settings,
    Trainable,
    fine_tune,
    fit_head,
    in_batches,
    pool_activations,
    suggest_settings,
)
from training.slide.functions import SlideParameters, network_logits, pooled_logits
from training.slide.novelty import fit_novelty, texture
from training.slide.texture_path import fit_linear_path
from training.slide.vgg16 import LAST_CONVOLUTION, backbone, last_block, pooled, shipped_classifier, with_last_block

ROUNDING = 1e-6
"""Within this, two losses are of the same weights: they are computed in another order when a network trains."""


def train_slide_model(recipe_path: Path, tiles_dir: Path, weights: Path | None, out_dir: Path, log: Log) -> SlideFigures:
    """Run the recipe and write ``slide/`` under ``out_dir``. Returns what its manifest entry is made of.

    An interrupted run goes on after its last finished stage (``out_dir/stages``).

    Raises
    ------
    TileFolderError, WeightsMissing
        If the data or the ImageNet weights are not there.
    GroupError, LeakError
        If the groups cannot be split, or something stands on two sides of the split.
    VariantRefused
        If a variant is not the model that fp32 is, by the limits of the recipe.
    """
    recipe = read_recipe(recipe_path)
    stages = Stages(out_dir / "stages", log)
    network = backbone(weights)
    tiles = load_tile_folder(tiles_dir, recipe["data"]["classes"], recipe["tiles"]["size_px"])
    log(f"{len(tiles.labels)} tiles, {len(tiles.skipped)} skipped {tiles.skipped}")
    assigned = grouped_split(tiles.labels, tiles.groups, tenths=tuple(recipe["data"]["tenths"]), seed=recipe["seed"])
    split = Split(assigned, *(np.flatnonzero(assigned == name) for name in SPLITS))
    fitted = fit(network, tiles, split, recipe, stages, log)
    return export_and_evaluate(tiles, split, fitted, recipe, out_dir, log)


def fit(network: keras.Model, tiles: TileSet, split: Split, recipe: Mapping[str, Any], stages: Stages, log: Log) -> Fitted:
    """Search, fine-tune, calibrate and set the novelty limit, all on training and validation tiles."""
    classes = list(recipe["data"]["classes"])
    activations = cached_activations(network, tiles, split.train, recipe["augment"], stages, log)
    target = np.array([classes.index(label) for label in tiles.labels])
    data = Trainable(activations, target, tiles.groups, split.train, split.validation)
    depends_on = {
        "pixels": array_digest(tiles.pixels),
        "split": array_digest(split.assigned),
        "weights": array_digest(*network.get_weights()),
        **{key: recipe[key] for key in ("seed", "augment", "head", "fine_tune")},
    }
    pooled_before = stages.arrays(
        "features", depends_on, lambda: _as_arrays(pool_activations(last_block(network), activations, log))
    )
    features = PooledFeatures(pooled_before["clean"], [pooled_before[f"copy{i}"] for i in range(recipe["augment"]["copies"])])
    closest = check_no_near_duplicates(features.clean, split.assigned, tiles.paths)
    log(f"no leak: largest cosine between tiles of different splits {closest:.3f}")

    def run(settings: Settings, start: HeadWeights, part: str, seed: int) -> FineTuned:
        chosen = recipe[part]
        return fine_tune(
            network, start, data, settings, recipe,
            epochs=chosen["epochs"], tiles_per_group=chosen["tiles_per_group"], seed=seed, log=log,
        )  # fmt: skip

    def try_out(settings: Settings) -> dict[str, float]:
        tuned = run(settings, fit_head(features, data, recipe, settings.dropout), "search", recipe["seed"])
        return {"best_epoch": tuned.best_epoch + 1, "validation_loss": min(tuned.validation_loss)}

    settings, trials = search(try_out, suggest_settings, recipe, {**depends_on, "search": recipe["search"]}, stages, log)
    log(f"chosen: {settings}")
    start = fit_head(features, data, recipe, settings.dropout)
    tuned: list[FineTuned] = []
    for number in range(1, recipe["fine_tune"]["runs"] + 1):
        seed = recipe["seed"] + number - 1
        finished = stages.arrays(
            f"run-{number}",
            {**depends_on, "settings": vars(settings), "seed": seed},
            lambda seed=seed: _run_as_arrays(run(settings, start, "fine_tune", seed)),  # type: ignore[misc]
        )
        model = _blank(network, start, settings, recipe)
        model.set_weights([finished[f"w{index}"] for index in range(len(model.weights))])
        tuned.append(FineTuned(model, finished["validation_loss"].tolist()))
    tuned.append(averaged(tuned, _blank(network, start, settings, recipe), data))
    runs = runs_table(tuned, data, split, tiles, recipe)
    log(runs.to_string(index=False))
    best, of_type = tuned[best_run(tuned)], declared_tasks(recipe)[-1]
    return _fitted(network, best, start, data, tiles, split, classes, of_type, features.clean, trials, runs, log)


def _fitted(
    network: keras.Model, best: FineTuned, start: HeadWeights, data: Trainable,
    tiles: TileSet, split: Split, classes: list[str], of_type: DerivedTask,
    reference_features: NDArray[np.float32], trials: pd.DataFrame, runs: pd.DataFrame, log: Log,
) -> Fitted:  # fmt: skip
    block5 = keras.Model(best.model.input, best.model.get_layer(LAST_CONVOLUTION).output)
    embeddings = in_batches(pooled(block5), data.activations.clean)
    kernel, bias = best.model.get_layer("hidden").get_weights()
    logit_kernel, logit_bias = best.model.get_layer("logits").get_weights()
    textures = texture(data.activations.clean)
    novelty = fit_novelty(textures[data.train], data.target[data.train], len(classes))
    unweighted = SlideParameters(
        classes=classes,
        backbone=with_last_block(network, block5),
        hidden_kernel=(kernel / start.spread[:, None]).astype(np.float32),
        hidden_bias=(bias - (start.centre / start.spread) @ kernel).astype(np.float32),
        logit_kernel=logit_kernel,
        logit_bias=logit_bias,
        texture_path=fit_linear_path(textures[data.train], data.target[data.train]),
        network_weight=1.0,
        texture_weight=1.0,
        novelty=novelty,
    )
    network_alone = network_logits(unweighted, embeddings)
    paths = np.stack([network_alone, unweighted.texture_path.logits(textures)])
    weights = fit_opinion_weights(paths[:, data.validation], data.target[data.validation])
    log(f"weights of block 5 and block 4: {weights.round(3)}")
    parameters = replace(unweighted, network_weight=float(weights[0]), texture_weight=float(weights[1]))
    shipped = pooled_logits(parameters, embeddings, textures)
    tries = remedies_table(
        network_alone, shipped, embeddings, textures, tiles.labels, tiles.groups, split.assigned, classes, of_type
    )
    log(tries.to_string(index=False))
    return Fitted(parameters, embeddings, textures, reference_features, trials, runs, tries)


def averaged(tuned: list[FineTuned], blank: keras.Model, data: Trainable) -> FineTuned:
    """The mean of the runs' weights as one more candidate (Wortsman et al. 2022, "Model soups", arXiv:2203.05482).

    The runs start from the same weights, so their mean is a network of its own, at the cost of one.

    Parameters
    ----------
    blank : a model of the same shape, which gets the mean
    """
    weights = zip(*(run.model.get_weights() for run in tuned), strict=True)
    blank.set_weights([np.mean(values, axis=0) for values in weights])
    logits = in_batches(blank, data.activations.clean[data.validation])
    return FineTuned(blank, [log_loss(logits, data.target[data.validation])])


def best_run(tuned: list[FineTuned]) -> int:
    """The place of the lowest validation loss; of equal ones, such as a run and the mean of that run alone, the first."""
    losses = np.array([min(run.validation_loss) for run in tuned])
    return int(np.argmax(losses <= losses.min() + ROUNDING))


def runs_table(
    tuned: list[FineTuned], data: Trainable, split: Split, tiles: TileSet, recipe: Mapping[str, Any]
) -> pd.DataFrame:
    """One row per equal run and one for their mean: the spread in plain sight. The test columns choose nothing."""
    best = best_run(tuned)
    classes, thresholds = list(recipe["data"]["classes"]), declared_thresholds(recipe)
    rows = []
    for number, run in enumerate(tuned):
        mean = number == len(tuned) - 1
        row: dict[str, object] = {
            "run": "mean of the weights" if mean else str(number + 1),
            "seed": "–" if mean else str(recipe["seed"] + number),
            "best epoch": "–" if mean else str(run.best_epoch + 1),
            "validation loss": round(min(run.validation_loss), 4),
        }
        frame = pd.DataFrame({"label": tiles.labels[split.test], "group": tiles.groups[split.test]})
        logits = in_batches(run.model, data.activations.clean[split.test])
        add_probabilities(frame, "p_", classes, np.exp(logits - np.logaddexp.reduce(logits, axis=1, keepdims=True)))
        for task in declared_tasks(recipe):
            report = task_scores(frame, task).report(thresholds[task.id])
            row[f"{task.title}: test accuracy"] = f"{report.metrics['accuracy'].value:.1%}"
            row[f"{task.title}: test AUROC"] = f"{report.metrics['auroc'].value:.4f}"
        rows.append(row | {"shipped": "yes" if number == best else "no"})
    return pd.DataFrame(rows)


def _as_arrays(features: PooledFeatures) -> Arrays:
    return {"clean": features.clean, **{f"copy{index}": part for index, part in enumerate(features.varied)}}


def _run_as_arrays(run: FineTuned) -> Arrays:
    weights = {f"w{index}": value for index, value in enumerate(run.model.get_weights())}
    return {**weights, "validation_loss": np.array(run.validation_loss)}


def _blank(network: keras.Model, start: HeadWeights, settings: Settings, recipe: Mapping[str, Any]) -> keras.Model:
    """A model of the shape of every run, its weights still to be set."""
    classes = len(recipe["data"]["classes"])
    return shipped_classifier(
        last_block(network), start.centre, start.spread, recipe["head"]["hidden"], settings.dropout, classes
    )
