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
from training.slide.vgg16 import fast_precision, last_block, pooled, shipped_classifier

Floats = NDArray[np.float32]
PREDICT_BATCH = 32


@dataclass(frozen=True)
class Trainable:
    """Labelled tiles as the trainable part sees them.

    Attributes
    ----------
    activations : block 4 outputs
    target : (n,) class index; -1 for tiles that are of no class
    weights : (n,)
        How much a tile counts; those of each split sum to 1.
    smoothing : (n,)
        Share of a tile's label that goes to all classes alike, more where a laboratory's labels are noisy.
    train, validation : positions of the tiles of each split
    """

    activations: Activations
    target: NDArray[np.int64]
    weights: NDArray[np.float64]
    smoothing: NDArray[np.float64]
    train: NDArray[np.int64]
    validation: NDArray[np.int64]


@dataclass(frozen=True)
class PooledFeatures:
    """Embeddings ``(n, 512)`` by the frozen block 5: of every tile, and of each augmented copy of them."""

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
    train, validation = data.train, data.validation
    centre, spread = standardisation(features.clean[train])
    x = np.concatenate([part[train] for part in (features.clean, *features.varied)])
    y = np.tile(data.target[train], 1 + len(features.varied))
    weights = np.tile(data.weights[train] * len(train), 1 + len(features.varied))
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
        sample_weight=weights,
        validation_data=(
            (features.clean[validation] - centre) / spread,
            data.target[validation],
            data.weights[validation] * len(validation),
        ),
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


def started(
    network: keras.Model, start: HeadWeights, settings: Settings, recipe: Mapping[str, Any], precision: str = "float32"
) -> keras.Model:
    """Block 5 as ImageNet left it under the head that was fitted on its features: where every run begins."""
    classes = len(recipe["data"]["classes"])
    model = shipped_classifier(
        last_block(network, precision), start.centre, start.spread, recipe["head"]["hidden"], settings.dropout, classes
    )
    for name, weights in (("hidden", start.weights[:2]), ("logits", start.weights[2:])):
        model.get_layer(name).set_weights(weights)
    return model


def fine_tune(
    network: keras.Model, start: HeadWeights, data: Trainable, settings: Settings, recipe: Mapping[str, Any], *,
    epochs: int, tiles: int, seed: int, log: Log,
) -> FineTuned:  # fmt: skip
    """Train block 5 and the head on cached block 4 outputs; keep the epoch with the lowest validation loss.

    Each epoch draws ``tiles`` training tiles by their weights, each as it is or in one of its copies. The learning rate falls
    along half a cosine.
    """
    keras.utils.set_random_seed(seed)
    model = started(network, start, settings, recipe, fast_precision())
    steps = max(1, tiles // settings.batch_size)
    rate = keras.optimizers.schedules.CosineDecay(settings.learning_rate, decay_steps=steps * epochs)
    model.compile(
        keras.optimizers.Adam(rate)
        if settings.optimizer == "adam"
        else keras.optimizers.SGD(rate, momentum=recipe["fine_tune"]["momentum"], nesterov=True),
        keras.losses.CategoricalCrossentropy(from_logits=True),
        jit_compile=fast_precision() == "float32",
    )
    rng = np.random.default_rng(seed)
    classes = len(recipe["data"]["classes"])
    versions = (data.activations.clean, *data.activations.varied)
    target = smoothed(data.target, data.smoothing, classes)
    losses: list[float] = []
    best: list[Floats] = []
    for epoch in range(epochs):
        position, version = draw_epoch(data.weights[data.train], len(versions), steps * settings.batch_size, rng)
        position = data.train[position]
        for step in range(steps):
            batch = slice(step * settings.batch_size, (step + 1) * settings.batch_size)
            x = np.stack([versions[v][p] for p, v in zip(position[batch], version[batch], strict=True)])
            model.train_on_batch(x.astype(np.float32), target[position[batch]])
        loss = validation_loss(in_batches(model, data.activations.clean[data.validation]), data)
        losses.append(loss if np.isfinite(loss) else np.inf)  # a run that diverged is the worst, not an error
        log(f"epoch {epoch + 1}/{epochs}: validation loss {losses[-1]:.4f}")
        if epoch == int(np.argmin(losses)):
            best = model.get_weights()
        elif epoch - int(np.argmin(losses)) >= recipe["fine_tune"]["patience"]:
            break
    model.set_weights(best)
    return FineTuned(model, losses)


def validation_loss(logits: Floats, data: Trainable) -> float:
    """Log loss of the validation tiles, each counted by its weight."""
    return log_loss(logits, data.target[data.validation], data.weights[data.validation])


def smoothed(target: NDArray[np.integer], smoothing: NDArray[np.floating], classes: int) -> Floats:
    """Labels ``(n, classes)`` of which a share goes to all classes alike; of a tile of no class, all of it."""
    known = np.eye(classes)[np.maximum(target, 0)]
    share = np.where(target < 0, 1.0, smoothing)[:, None]
    return np.asarray((1 - share) * known + share / classes, np.float32)


def draw_epoch(
    weights: NDArray[np.floating], versions: int, tiles: int, rng: np.random.Generator
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Positions and versions ``(tiles,)`` of one epoch, drawn by weight with repetition; the versions alike."""
    return rng.choice(len(weights), tiles, p=weights / weights.sum()), rng.integers(versions, size=tiles)
