"""Fit the slide model's head, calibration and novelty on frozen features."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray
from sklearn.covariance import LedoitWolf

from training.calibrate import fit_temperature
from training.models.vgg16 import head

Log = Callable[[str], None]
Floats = NDArray[np.float32]
FEATURE_BATCH_SIZE = 16


@dataclass(frozen=True)
class SlideParameters:
    """Everything the exported slide graph holds.

    Attributes
    ----------
    backbone : keras.Model
        ``(N, 224, 224, 3)`` BGR minus means -> ``(N, 14, 14, 512)``.
    hidden_kernel, hidden_bias, logit_kernel, logit_bias
        The head on raw pooled features; the standardisation it was trained with is folded in.
    temperature : float
        Calibration of the logits.
    whitening : (512, 512), whitened_centres : (classes, 512)
        Mahalanobis distance to the nearest class centre under one shared covariance (Lee et al. 2018,
        arXiv:1807.03888), Ledoit-Wolf shrunk, as a Euclidean distance of whitened features.
    """

    classes: list[str]
    backbone: keras.Model
    hidden_kernel: Floats
    hidden_bias: Floats
    logit_kernel: Floats
    logit_bias: Floats
    temperature: float
    whitening: Floats
    whitened_centres: Floats


def pooled_features(backbone: keras.Model, pixels: NDArray[np.uint8], log: Log) -> Floats:
    """Features of the last block after max-pool and global average: ``(n, 512)``."""
    pool = keras.Sequential([backbone, keras.layers.MaxPooling2D(), keras.layers.GlobalAveragePooling2D()])
    parts = []
    for start in range(0, len(pixels), FEATURE_BATCH_SIZE):
        batch = keras.applications.vgg16.preprocess_input(pixels[start : start + FEATURE_BATCH_SIZE].astype(np.float32))
        parts.append(pool.predict_on_batch(batch))
        done = start + len(batch)
        if (start // FEATURE_BATCH_SIZE) % 20 == 0 or done == len(pixels):
            log(f"features {done}/{len(pixels)}")
    return np.concatenate(parts)


def fit_slide_model(
    backbone: keras.Model,
    features: Floats,
    labels: NDArray[np.str_],
    assigned: NDArray[np.str_],
    recipe: dict[str, Any],
    log: Log,
) -> SlideParameters:
    """Train the head on the training split; stop, calibrate on the validation split. Test is never seen.

    Parameters
    ----------
    features : (n, 512) pooled features
    labels, assigned : (n,) class and split of each tile
    """
    keras.utils.set_random_seed(recipe["seed"])
    classes = list(recipe["data"]["classes"])
    target = np.array([classes.index(label) for label in labels])
    train, validation = assigned == "train", assigned == "validation"
    centre, spread = features[train].mean(axis=0), features[train].std(axis=0)
    # A channel that hardly varies in training must not blow up when it does elsewhere.
    spread = np.maximum(spread, 0.1 * np.median(spread))
    standardised = (features - centre) / spread

    settings = recipe["head"]
    model = head(features.shape[1], settings["hidden"], settings["dropout"], len(classes))
    model.compile(
        keras.optimizers.AdamW(settings["learning_rate"], weight_decay=settings["weight_decay"]),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    )
    stop = keras.callbacks.EarlyStopping(patience=settings["patience"], restore_best_weights=True)
    history = model.fit(
        standardised[train],
        target[train],
        validation_data=(standardised[validation], target[validation]),
        batch_size=settings["batch_size"],
        epochs=settings["epochs"],
        callbacks=[stop],
        verbose=0,
    )
    log(f"head: best epoch {stop.best_epoch + 1}, validation loss {min(history.history['val_loss']):.4f}")
    kernel, bias = model.get_layer("hidden").get_weights()
    logit_kernel, logit_bias = model.get_layer("logits").get_weights()
    temperature = fit_temperature(model.predict(standardised[validation], verbose=0), target[validation])
    log(f"temperature {temperature:.3f}")
    whitening, centres = fit_novelty(features[train], target[train], len(classes))
    return SlideParameters(
        classes=classes,
        backbone=backbone,
        hidden_kernel=(kernel / spread[:, None]).astype(np.float32),
        hidden_bias=(bias - (centre / spread) @ kernel).astype(np.float32),
        logit_kernel=logit_kernel,
        logit_bias=logit_bias,
        temperature=temperature,
        whitening=whitening,
        whitened_centres=centres,
    )


def fit_novelty(features: Floats, target: NDArray[np.integer], classes: int) -> tuple[Floats, Floats]:
    """Whitening matrix and whitened class centres from training features."""
    centres = np.stack([features[target == index].mean(axis=0) for index in range(classes)])
    precision = LedoitWolf().fit(features - centres[target]).precision_
    whitening = np.linalg.cholesky(precision)
    return whitening.astype(np.float32), (centres @ whitening).astype(np.float32)
