"""Recipe ``shipped``: real tiles -> VGG16 with block 5 fine-tuned -> one proven ONNX graph in two variants."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import softmax

from cervix.evaluation.questions import task_scores
from training.data.splits import SPLITS, check_no_near_duplicates
from training.data.tissue.sources import APART, PREMALIGNANT, SourceTiles, shared_tissue, tiles_of_recipe
from training.data.tissue.tiles import TileSet, colour_statistics
from training.shared.calibrate import fit_opinion_weights
from training.shared.declared import declared_classes, declared_tasks, declared_thresholds, read_recipe
from training.shared.manifest_parts import add_probabilities
from training.shared.search import search
from training.shared.stages import Arrays, Log, Stages, array_digest
from training.slide.activations import cached_activations
from training.slide.balance import tile_weights
from training.slide.checks.laboratories import (
    BASELINES,
    REMEDIES,
    Cases,
    figures_of,
    laboratories_table,
    leave_one_out,
    remedies_table,
)
from training.slide.drawn.tiles import with_drawn
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
    started,
    suggest_settings,
    validation_loss,
)
from training.slide.functions import SlideParameters, network_logits, pooled_logits
from training.slide.novelty import Refusal, RefusalLimits, doubt, fit_limits, fit_novelty, role_signs, texture
from training.slide.slide_level import ScoredTiles
from training.slide.texture_path import fit_linear_path
from training.slide.vgg16 import (
    LAST_CONVOLUTION,
    backbone,
    fast_precision,
    last_block,
    pooled,
    with_last_block,
)

WAYS = {
    "frozen": "block 5 as ImageNet left it, with a linear path from block 4",
    "tuned": "block 5 fine-tuned, with a linear path from block 4",
    "shipped": "the mean of both these weights, with a linear path from block 4: shipped",
}
"""How far from the start block 5 and its head may go -> what it is called."""


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
    found, assigned = tiles_of_recipe(recipe_path, recipe, tiles_dir)
    log(f"{len(found.tiles.labels)} tiles, {len(found.tiles.skipped)} skipped {found.tiles.skipped}")
    of_a_class, apart = np.flatnonzero(assigned != APART), found.of(np.flatnonzero(found.tiles.labels == PREMALIGNANT))
    known, assigned = with_drawn(found.of(of_a_class), assigned[of_a_class], recipe)
    split = Split(assigned, *(np.flatnonzero(assigned == name) for name in SPLITS))
    fast = backbone(weights, fast_precision())
    fitted = fit(network, fast, known, split, recipe, stages, log)
    as_it_is = cached_activations(fast, apart.tiles, {"copies": 0}, stages, log)
    apart_features = pool_activations(last_block(network, fast_precision()), as_it_is, log).clean
    return export_and_evaluate(known, apart, apart_features, split, fitted, recipe, out_dir, log)


def fit(
    network: keras.Model, fast: keras.Model, known: SourceTiles, split: Split, recipe: Mapping[str, Any], stages: Stages,
    log: Log,
) -> Fitted:  # fmt: skip
    """Search, fine-tune, calibrate and set the limit of what is recognised, all on training and validation tiles.

    Parameters
    ----------
    network, fast : the backbone in single precision, and in the precision that training runs in
    """
    classes, tiles = list(recipe["data"]["classes"]), known.tiles
    magnify = known.spacing_um_px / recipe["tiles"]["spacing_um_px"]
    activations = cached_activations(fast, tiles, recipe["augment"], stages, log, magnify)
    target = np.array([classes.index(label) for label in tiles.labels])
    hard = np.isin(known.tissue, recipe["data"]["hard_tissue"])
    weights = np.zeros(len(target))
    for here in (split.train, split.validation, split.test):
        weights[here] = tile_weights(
            target[here], known.laboratory[here], tiles.groups[here], hard[here], recipe["data"]["hard_factor"]
        )
    noisy = np.isin(known.laboratory, recipe["data"]["noisy_laboratories"])
    smoothing = recipe["fine_tune"]["label_smoothing"] + np.where(noisy, recipe["data"]["label_noise"], 0.0)
    data = Trainable(activations, target, weights, smoothing, split.train, split.validation)
    seen = {
        "pixels": array_digest(tiles.pixels),
        "weights": array_digest(*network.get_weights()),
        "augment": recipe["augment"],
        "precision": fast_precision(),
    }
    depends_on = {
        **seen,
        "split": array_digest(split.assigned),
        "balance": array_digest(weights, smoothing),
        **{key: recipe[key] for key in ("seed", "head", "fine_tune")},
    }
    pooled_before = stages.arrays(
        "features", seen, lambda: _as_arrays(pool_activations(last_block(network, fast_precision()), activations, log))
    )
    features = PooledFeatures(pooled_before["clean"], [pooled_before[f"copy{i}"] for i in range(recipe["augment"]["copies"])])
    closest = check_no_near_duplicates(of_its_laboratory(features.clean, known.laboratory), split.assigned, tiles.paths)
    log(f"no leak: largest cosine between tiles of different splits {closest:.3f}")

    def run(settings: Settings, start: HeadWeights, part: str, seed: int) -> FineTuned:
        chosen = recipe[part]
        return fine_tune(
            network, start, data, settings, recipe,
            epochs=chosen["epochs"], tiles=chosen["tiles"], seed=seed, log=log,
        )  # fmt: skip

    def try_out(settings: Settings) -> dict[str, float]:
        tuned = run(settings, fit_head(features, data, recipe, settings.dropout), "search", recipe["seed"])
        return {"best_epoch": tuned.best_epoch + 1, "validation_loss": min(tuned.validation_loss)}

    textures = [texture(part) for part in (activations.clean, *activations.varied)]
    signs = role_signs(declared_classes(recipe, classes))
    cases = Cases(
        clean=np.concatenate([textures[0], features.clean], axis=1),
        varied=[np.concatenate(pair, axis=1) for pair in zip(textures[1:], features.varied, strict=True)],
        colours=colour_statistics(tiles.pixels).astype(np.float32),
        target=target,
        signs=signs,
        laboratory=known.laboratory,
        source=known.source,
        tissue=known.tissue,
        groups=tiles.groups,
        hard=hard,
    )
    settings_left_out = Settings(**recipe["left_out"]["settings"])
    left_out: Arrays = {name: np.empty((len(target), len(classes)), np.float32) for name in WAYS}
    left_out["distance"] = np.empty(len(target))
    for name in np.unique(known.laboratory):
        out = known.laboratory == name
        answers = stages.arrays(
            f"laboratory-{name.lower().replace(' ', '-')}",
            {**depends_on, "left_out": recipe["left_out"]},
            lambda name=name: _without(  # type: ignore[misc]
                name, network, features, textures[0], data, cases, settings_left_out, recipe, log
            ),
        )
        for key, values in left_out.items():
            values[out] = answers[key]
        log("\n".join(f"{way}: {figures_of(cases.of(out), answers[way])}" for way in WAYS))
        keras.utils.clear_session()  # else the networks of every laboratory stay in memory
    cells = {**seen, "labels": array_digest(target, known.laboratory)}
    tried = {}
    for number, (name, learn) in enumerate(REMEDIES.items(), start=1):
        tried[name] = stages.arrays(
            f"remedy-{number}",
            cells,
            lambda learn=learn: {"probabilities": leave_one_out(cases, learn)},  # type: ignore[misc]
        )["probabilities"]
        log(f"tried: {name}")
    titles = {source.id: source.title for source in known.sources}
    tries = remedies_table(cases, {**tried, **{title: left_out[way] for way, title in WAYS.items()}}, titles)
    log(tries.to_string(index=False))
    elsewhere = shared_tissue(known.tissue, known.laboratory)
    doubts = doubt(left_out["shipped"], signs)
    limits = fit_limits(
        left_out["distance"], doubts, elsewhere, cases.called(left_out["shipped"]) != cases.cancerous,
        known.laboratory, tiles.groups, recipe["novelty"],
    )  # fmt: skip
    log(f"limits: {limits}")
    elsewhere_scored = ScoredTiles(
        left_out["shipped"], np.maximum(left_out["distance"], limits.doubt_scale * doubts), tiles.labels, tiles.groups,
        known.laboratory,
    )  # fmt: skip
    refused = (left_out["distance"] > limits.distance) | (doubts > limits.doubt)
    rivals = {words: tried[name] for name, words in BASELINES.items()}
    laboratories = laboratories_table(cases, left_out["shipped"], refused, titles, rivals)
    log(laboratories.to_string(index=False))
    settings, trials = search(try_out, suggest_settings, recipe, {**depends_on, "search": recipe["search"]}, stages, log)
    log(f"chosen: {settings}")
    start = fit_head(features, data, recipe, settings.dropout)
    runs: list[FineTuned] = []
    for number in range(1, recipe["fine_tune"]["runs"] + 1):
        seed = recipe["seed"] + number - 1
        finished = stages.arrays(
            f"run-{number}",
            {**depends_on, "settings": vars(settings), "seed": seed},
            lambda seed=seed: _run_as_arrays(run(settings, start, "fine_tune", seed)),  # type: ignore[misc]
        )
        model = started(network, start, settings, recipe)
        model.set_weights([finished[f"w{index}"] for index in range(len(model.weights))])
        runs.append(FineTuned(model, finished["validation_loss"].tolist()))
    shipped = halfway(started(network, start, settings, recipe), [run.model for run in runs])
    loss = validation_loss(in_batches(shipped, activations.clean[split.validation]), data)
    table = runs_table([*runs, FineTuned(shipped, [loss])], data, split, tiles, recipe)
    log(table.to_string(index=False))
    parameters = slide_parameters(network, shipped, start, data, textures[0], cases, classes, limits)
    embeddings = in_batches(pooled(_block5_of(shipped)), activations.clean)
    parameters = with_opinions(parameters, embeddings, textures[0], data, log)
    return Fitted(
        parameters, embeddings, textures[0], features.clean, limits, trials, table, tries, laboratories, elsewhere_scored
    )


def of_its_laboratory(features: NDArray[np.float32], laboratory: NDArray[np.str_]) -> NDArray[np.float32]:
    """Features less the mean of their laboratory, in its spreads: a stain that all its tiles share makes no two alike."""
    found = np.empty_like(features)
    for name in np.unique(laboratory):
        here = laboratory == name
        found[here] = (features[here] - features[here].mean(axis=0)) / np.maximum(features[here].std(axis=0), 1e-6)
    return found


def _without(
    name: str, network: keras.Model, features: PooledFeatures, textures: NDArray[np.float32], data: Trainable,
    cases: Cases, settings: Settings, recipe: Mapping[str, Any], log: Log,
) -> Arrays:  # fmt: skip
    """What each of ``WAYS`` makes of a laboratory's tiles when they had no part in it: probabilities; and their distance.

    Settings are fixed and early stopping looks at other laboratories alone.
    """
    out = cases.laboratory == name
    validation = np.setdiff1d(data.validation, np.flatnonzero(out))
    train = np.setdiff1d(np.flatnonzero(~out), validation)
    weights = np.zeros(len(data.target))
    for here in (train, validation):
        weights[here] = cases.weights(here, recipe["data"]["hard_factor"])
    part = replace(data, weights=weights, train=train, validation=validation)
    log(f"without {name}: {len(train)} tiles to learn from")
    start = fit_head(features, part, recipe, settings.dropout)
    tuned = fine_tune(
        network, start, part, settings, recipe,
        epochs=recipe["left_out"]["epochs"], tiles=recipe["left_out"]["tiles"], seed=recipe["seed"], log=log,
    )  # fmt: skip
    models = {
        "frozen": started(network, start, settings, recipe, fast_precision()),
        "tuned": tuned.model,
        "shipped": halfway(started(network, start, settings, recipe, fast_precision()), [tuned.model]),
    }
    needed = np.concatenate([validation, np.flatnonzero(out)])
    found: Arrays = {}
    for way in WAYS:
        embedding = np.zeros((len(data.target), textures.shape[1]), np.float32)
        embedding[needed] = in_batches(pooled(_block5_of(models[way])), data.activations.clean[needed])
        fitted = slide_parameters(
            network, models[way], start, part, textures, cases, recipe["data"]["classes"], RefusalLimits(1.0, 1.0)
        )
        fitted = with_opinions(fitted, embedding, textures, part, log)
        found[way] = softmax(pooled_logits(fitted, embedding[out], textures[out]), axis=1)
    return {**found, "distance": fitted.refusal.novelty.distances(textures[out])}


def _block5_of(model: keras.Model) -> keras.Model:
    return keras.Model(model.input, model.get_layer(LAST_CONVOLUTION).output)


def slide_parameters(
    network: keras.Model, shipped: keras.Model, start: HeadWeights, data: Trainable, textures: NDArray[np.float32],
    cases: Cases, classes: list[str], limits: RefusalLimits,
) -> SlideParameters:  # fmt: skip
    """Everything the graph holds but the weights of its two paths, which are 1.

    The linear path learns from tiles as they are: augmented copies made it worse on laboratories left out.

    Parameters
    ----------
    textures : (n, 512) of every tile as it is
    """
    block5 = last_block(network)
    block5.set_weights(_block5_of(shipped).get_weights())
    kernel, bias = shipped.get_layer("hidden").get_weights()
    logit_kernel, logit_bias = shipped.get_layer("logits").get_weights()
    train = data.train
    _, tissue = np.unique(cases.tissue[train], return_inverse=True)
    nearest = fit_novelty(textures[train], tissue, int(tissue.max()) + 1)
    return SlideParameters(
        classes=classes,
        backbone=with_last_block(network, block5),
        hidden_kernel=(kernel / start.spread[:, None]).astype(np.float32),
        hidden_bias=(bias - (start.centre / start.spread) @ kernel).astype(np.float32),
        logit_kernel=logit_kernel,
        logit_bias=logit_bias,
        texture_path=fit_linear_path(textures[train], data.target[train], data.weights[train] * len(train)),
        network_weight=1.0,
        texture_weight=1.0,
        refusal=Refusal(nearest, cases.signs, limits.doubt_scale),
    )


def with_opinions(
    parameters: SlideParameters, embeddings: NDArray[np.float32], textures: NDArray[np.float32], data: Trainable, log: Log
) -> SlideParameters:
    """The same with the weights of both paths, fitted on validation tiles."""
    paths = np.stack([network_logits(parameters, embeddings), parameters.texture_path.logits(textures)])
    here = data.validation
    weights = fit_opinion_weights(paths[:, here], data.target[here], data.weights[here])
    log(f"weights of block 5 and block 4: {weights.round(3)}")
    return replace(parameters, network_weight=float(weights[0]), texture_weight=float(weights[1]))


def halfway(start: keras.Model, tuned: list[keras.Model]) -> keras.Model:
    """``start`` with weights half way from its own to the mean of the tuned ones: one network, at the cost of one.

    The mean over runs is that of Wortsman et al. 2022 ("Model soups", arXiv:2203.05482). Staying near the start keeps what
    ImageNet knew of tissue that fine-tuning did not see (Wortsman et al. 2022, "Robust fine-tuning", arXiv:2109.01903, with its
    recommended half; nothing here chose it).
    """
    runs = zip(*(model.get_weights() for model in tuned), strict=True)
    start.set_weights([(own + np.mean(values, axis=0)) / 2 for own, values in zip(start.get_weights(), runs, strict=True)])
    return start


def runs_table(
    tuned: list[FineTuned], data: Trainable, split: Split, tiles: TileSet, recipe: Mapping[str, Any]
) -> pd.DataFrame:
    """One row per equal run, then one for what ships: the spread in plain sight. The test columns choose nothing."""
    classes, thresholds = list(recipe["data"]["classes"]), declared_thresholds(recipe)
    rows = []
    for number, run in enumerate(tuned):
        shipped = number == len(tuned) - 1
        row: dict[str, object] = {
            "run": "half way from the start to their mean" if shipped else str(number + 1),
            "seed": "–" if shipped else str(recipe["seed"] + number),
            "best epoch": "–" if shipped else str(run.best_epoch + 1),
            "validation loss": round(min(run.validation_loss), 4),
        }
        frame = pd.DataFrame({"label": tiles.labels[split.test], "group": tiles.groups[split.test]})
        logits = in_batches(run.model, data.activations.clean[split.test])
        add_probabilities(frame, "p_", classes, np.exp(logits - np.logaddexp.reduce(logits, axis=1, keepdims=True)))
        for task in declared_tasks(recipe):
            report = task_scores(frame, task).report(thresholds[task.id])
            row[f"{task.title}: test accuracy"] = f"{report.metrics['accuracy'].value:.1%}"
            row[f"{task.title}: test AUROC"] = f"{report.metrics['auroc'].value:.4f}"
        rows.append(row | {"shipped": "yes" if shipped else "no"})
    return pd.DataFrame(rows)


def _as_arrays(features: PooledFeatures) -> Arrays:
    return {"clean": features.clean, **{f"copy{index}": part for index, part in enumerate(features.varied)}}


def _run_as_arrays(run: FineTuned) -> Arrays:
    weights = {f"w{index}": value for index, value in enumerate(run.model.get_weights())}
    return {**weights, "validation_loss": np.array(run.validation_loss)}
