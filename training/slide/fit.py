"""Fit the slide model: a head on frozen features, then block 5 and the head together."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import optuna
from numpy.typing import NDArray

from training.shared.calibrate import log_loss
from training.shared.stages import Log
from training.slide.activations import Activations
from training.slide.vgg16 import last_block, pooled, shipped_classifier

Floats = NDArray[np.float32]
PREDICT_BATCH = 32


@dataclass(frozen=True)
class Trainable:
    """Labelled tiles as the trainable part sees them.

    Attributes
    ----------
    activations : block 4 outputs; ``varied`` in the order of ``train``
    target : (n,) class index
    groups : (n,)
    train, validation : positions of the tiles of each split
    """

    activations: Activations
    target: NDArray[np.int64]
    groups: NDArray[np.str_]
    train: NDArray[np.int64]
    validation: NDArray[np.int64]


@dataclass(frozen=True)
class PooledFeatures:
    """Embeddings ``(…, 512)`` by the frozen block 5: of every tile, and of each augmented copy of the training tiles."""

    clean: Floats
    varied: list[Floats]


@dataclass(frozen=True)
class HeadWeights:
    """A dense head on standardised features, as fitted before fine-tuning."""

    centre: Floats
    spread: Floats
    weights: list[Floats]


@dataclass(frozen=True)
class Settings:
    """What the search decides."""

    optimizer: str
    learning_rate: float
    dropout: float
    batch_size: int


def suggest_settings(trial: optuna.Trial, ranges: Mapping[str, Any]) -> Settings:
    """Settings of one trial; the learning rate's range is that of its optimiser."""
    optimizer = trial.suggest_categorical("optimizer", ["adam", "sgd"])
    low, high = ranges[f"{optimizer}_learning_rate"]
    return Settings(
        optimizer=optimizer,
        learning_rate=trial.suggest_float(f"{optimizer}_learning_rate", low, high, log=True),
        dropout=trial.suggest_float("dropout", *ranges["dropout"]),
        batch_size=trial.suggest_categorical("batch_size", ranges["batch_sizes"]),
    )


@dataclass(frozen=True)
class FineTuned:
    """The best epoch of one run.

    Attributes
    ----------
    model : keras.Model
        Logits of block 4 outputs, with layers as ``shipped_classifier`` names them.
    validation_loss : list of float
        After each epoch; the weights are those of its minimum.
    """

    model: keras.Model
    validation_loss: list[float]

    @property
    def best_epoch(self) -> int:
        return int(np.argmin(self.validation_loss))


def pool_activations(block5: keras.Model, activations: Activations, log: Log) -> PooledFeatures:
    """Embeddings of everything cached, by a block 5 that is not trained yet."""
    embedding = pooled(block5)
    features = []
    for part in (activations.clean, *activations.varied):
        features.append(in_batches(embedding, part))
        log(f"features of {len(part)} tiles")
    return PooledFeatures(features[0], features[1:])


def in_batches(model: keras.Model, block4: NDArray[np.floating]) -> Floats:
    """Outputs of a model over cached activations, converted batch by batch."""
    parts = [
        model.predict_on_batch(block4[start : start + PREDICT_BATCH].astype(np.float32))
        for start in range(0, len(block4), PREDICT_BATCH)
    ]
    return np.concatenate(parts)


def fit_head(features: PooledFeatures, data: Trainable, recipe: Mapping[str, Any], dropout: float) -> HeadWeights:
    """Fit the dense head on frozen features of the training tiles and their copies; stop by validation loss."""
    keras.utils.set_random_seed(recipe["seed"])
    settings = recipe["head"]
    classes = len(recipe["data"]["classes"])
    centre, spread = standardisation(features.clean[data.train])
    x = np.concatenate([features.clean[data.train], *features.varied])
    y = np.tile(data.target[data.train], 1 + len(features.varied))
    entry = keras.Input((features.clean.shape[1],))
    hidden = keras.layers.Dense(settings["hidden"], activation="relu")(entry)
    model = keras.Model(entry, keras.layers.Dense(classes)(keras.layers.Dropout(dropout)(hidden)))
    model.compile(
        keras.optimizers.AdamW(settings["learning_rate"], weight_decay=settings["weight_decay"]),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    )
    model.fit(
        (x - centre) / spread,
        y,
        validation_data=((features.clean[data.validation] - centre) / spread, data.target[data.validation]),
        batch_size=settings["batch_size"],
        epochs=settings["epochs"],
        callbacks=[keras.callbacks.EarlyStopping(patience=settings["patience"], restore_best_weights=True)],
        verbose=0,
    )
    return HeadWeights(centre, spread, model.get_weights())


def standardisation(features: Floats) -> tuple[Floats, Floats]:
    """Mean and spread per channel. A channel that hardly varies in training must not blow up when it does elsewhere."""
    spread = features.std(axis=0)
    return features.mean(axis=0), np.maximum(spread, 0.1 * np.median(spread))


def fine_tune(
    network: keras.Model,
    start: HeadWeights,
    data: Trainable,
    settings: Settings,
    recipe: Mapping[str, Any],
    *,
    epochs: int,
    tiles_per_group: int,
    seed: int,
    log: Log,
) -> FineTuned:
    """Train block 5 and the head on cached block 4 outputs; keep the epoch with the lowest validation loss.

    Each epoch draws ``tiles_per_group`` of the tiles and augmented copies of every source image, so that an image
    with many copies weighs no more than another. The learning rate falls along half a cosine.
    """
    keras.utils.set_random_seed(seed)
    classes = len(recipe["data"]["classes"])
    model = shipped_classifier(
        last_block(network), start.centre, start.spread, recipe["head"]["hidden"], settings.dropout, classes
    )
    for name, weights in (("hidden", start.weights[:2]), ("logits", start.weights[2:])):
        model.get_layer(name).set_weights(weights)
    groups = np.unique(data.groups[data.train])
    steps = max(1, len(groups) * tiles_per_group // settings.batch_size)
    rate = keras.optimizers.schedules.CosineDecay(settings.learning_rate, decay_steps=steps * epochs)
    smoothing = recipe["fine_tune"]["label_smoothing"]
    model.compile(
        keras.optimizers.Adam(rate)
        if settings.optimizer == "adam"
        else keras.optimizers.SGD(rate, momentum=recipe["fine_tune"]["momentum"], nesterov=True),
        keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=smoothing),
        jit_compile=True,
    )
    rng = np.random.default_rng(seed)
    versions = (data.activations.clean[data.train], *data.activations.varied)
    target = np.eye(classes, dtype=np.float32)[data.target[data.train]]
    losses: list[float] = []
    best: list[Floats] = []
    for epoch in range(epochs):
        position, version = draw_epoch(data.groups[data.train], len(versions), tiles_per_group, rng)
        for step in range(steps):
            batch = slice(step * settings.batch_size, (step + 1) * settings.batch_size)
            x = np.stack([versions[v][p] for p, v in zip(position[batch], version[batch], strict=True)])
            model.train_on_batch(x.astype(np.float32), target[position[batch]])
        logits = in_batches(model, data.activations.clean[data.validation])
        loss = log_loss(logits, data.target[data.validation])
        losses.append(loss if np.isfinite(loss) else np.inf)  # a run that diverged is the worst, not an error
        log(f"epoch {epoch + 1}/{epochs}: validation loss {losses[-1]:.4f}")
        if epoch == int(np.argmin(losses)):
            best = model.get_weights()
        elif epoch - int(np.argmin(losses)) >= recipe["fine_tune"]["patience"]:
            break
    model.set_weights(best)
    return FineTuned(model, losses)


def draw_epoch(
    groups: NDArray[np.str_], versions: int, tiles_per_group: int, rng: np.random.Generator
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Shuffled positions and versions of one epoch: ``tiles_per_group`` of every group, without repetition if it has enough."""
    position, version = [], []
    for group in np.unique(groups):
        members = np.flatnonzero(groups == group)
        choices = len(members) * versions
        drawn = rng.choice(choices, tiles_per_group, replace=tiles_per_group > choices)
        position.append(members[drawn // versions])
        version.append(drawn % versions)
    order = rng.permutation(sum(map(len, position)))
    return np.concatenate(position)[order], np.concatenate(version)[order]
