"""A small class-conditional diffusion model of tiles, trained in steps that survive a kill.

Noise in one cosine schedule over t in (0, 1): ``z = cos(πt/2) x + sin(πt/2) ε``; the network says
``v = cos(πt/2) ε - sin(πt/2) x`` (Salimans and Ho 2022, arXiv:2202.00512). Tiles are made by DDIM (Song et al. 2021,
arXiv:2010.02502) with guidance without a classifier (Ho and Salimans 2022, arXiv:2207.12598).
"""

import time
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from cervix.files import replacing
from training.data.tissue.augment import turned
from training.shared.stages import Log

Floats = NDArray[np.float32]
Tiles = NDArray[np.uint8]
SCALES = 3
FREQUENCIES = 32
CLEAREST, NOISIEST = 0.002, 0.998
"""Ends of the schedule: at 0 and 1 itself one of both parts is nothing."""
LOG_EVERY_STEPS = 100


def network(made_px: int, classes: int, settings: Mapping[str, Any]) -> keras.Model:
    """A U-Net over cells of ``patch_px`` pixels: noisy cells, time and label -> ``v`` of the same shape.

    Parameters
    ----------
    made_px : int
        Side of a tile; a multiple of four cells.
    classes : int
        Labels are 0 … classes - 1, and ``classes`` where none is told.
    settings : the ``[network]`` table of the recipe
    """
    cells, depth = made_px // settings["patch_px"], 3 * settings["patch_px"] ** 2
    noisy, at, label = keras.Input((cells, cells, depth)), keras.Input((1,)), keras.Input((), dtype="int32")
    told = keras.layers.Concatenate()(
        [
            keras.layers.Dense(settings["embedding"], activation="swish")(_waves(at)),
            keras.layers.Embedding(classes + 1, settings["embedding"])(label),
        ]
    )
    told = keras.layers.Dense(settings["embedding"], activation="swish")(told)
    x = keras.layers.Conv2D(settings["width"], 3, padding="same")(noisy)
    kept = []
    for scale in range(SCALES):
        for _ in range(settings["blocks"]):
            x = _block(x, told, settings["width"] * (scale + 1))
            kept.append(x)
        if scale < SCALES - 1:
            x = keras.layers.AveragePooling2D(2)(x)
    for scale in reversed(range(SCALES)):
        for _ in range(settings["blocks"]):
            x = _block(keras.layers.Concatenate()([x, kept.pop()]), told, settings["width"] * (scale + 1))
        if scale:
            x = keras.layers.UpSampling2D(2)(x)
    x = keras.layers.Activation("swish")(keras.layers.GroupNormalization(8)(x))
    return keras.Model([noisy, at, label], keras.layers.Conv2D(depth, 3, padding="same", kernel_initializer="zeros")(x))


def _waves(at: Any) -> Any:
    """Time as sines and cosines of many lengths (Vaswani et al. 2017, arXiv:1706.03762)."""
    angle = at * np.geomspace(1.0, 1000.0, FREQUENCIES, dtype=np.float32)
    return keras.ops.concatenate([keras.ops.sin(angle), keras.ops.cos(angle)], axis=-1)


def _block(x: Any, told: Any, width: int) -> Any:
    """Two convolutions around what is told of time and label, beside a short cut."""
    y = keras.layers.Activation("swish")(keras.layers.GroupNormalization(8)(x))
    y = keras.layers.Conv2D(width, 3, padding="same")(y)
    y = y + keras.layers.Reshape((1, 1, width))(keras.layers.Dense(width)(told))
    y = keras.layers.Activation("swish")(keras.layers.GroupNormalization(8)(y))
    y = keras.layers.Conv2D(width, 3, padding="same", kernel_initializer="zeros")(y)
    return y + (x if x.shape[-1] == width else keras.layers.Conv2D(width, 1)(x))


class Diffusion:
    """A network with its optimiser, and where both are kept.

    Parameters
    ----------
    checkpoint : Path
        Holds weights, optimiser, steps and seconds; a training goes on from it. It is replaced whole.
    """

    def __init__(self, recipe: Mapping[str, Any], checkpoint: Path) -> None:
        self._recipe, self._checkpoint = recipe, checkpoint
        self._classes, self._made_px = len(recipe["data"]["classes"]), int(recipe["tiles"]["made_px"])
        keras.utils.set_random_seed(recipe["seed"])
        self._model = network(self._made_px, self._classes, recipe["network"])
        train = recipe["train"]
        self._optimizer = keras.optimizers.Adam(train["learning_rate"], use_ema=True, ema_momentum=train["average"])
        self._optimizer.build(self._model.trainable_variables)
        self._model.compile(self._optimizer, "mse")
        self.steps, self.seconds = 0, 0.0

    def train(self, small: Tiles, target: NDArray[np.integer], weights: NDArray[np.floating], log: Log) -> None:
        """Go on from the checkpoint, if there is one, until the steps or the minutes of the recipe are used up.

        Parameters
        ----------
        small : (n, made_px, made_px, 3)
        target : (n,) label
        weights : (n,) how often a tile is drawn
        """
        settings = self._recipe["train"]
        self._read()
        log(f"made tiles: {self._model.count_params():,} weights, {self.steps} steps in {self.seconds / 60:.1f} min so far")
        saved_s = mark_s = time.monotonic()
        losses = []
        while self.steps < settings["steps"] and self.seconds < 60 * settings["minutes"]:
            # Every step draws by its own number, so that a run that was broken off goes on as if it had not been.
            losses.append(self._step(small, target, weights, np.random.default_rng([self._recipe["seed"], self.steps])))
            self.steps += 1
            now_s = time.monotonic()
            self.seconds, mark_s = self.seconds + now_s - mark_s, now_s
            if self.steps % LOG_EVERY_STEPS == 0:
                log(f"step {self.steps}: loss {np.mean(losses[-LOG_EVERY_STEPS:]):.4f}, {self.seconds / 60:.1f} min")
            if now_s - saved_s >= 60 * settings["checkpoint_minutes"]:
                self._write()
                saved_s = now_s
        self._write()

    def _step(
        self, small: Tiles, target: NDArray[np.integer], weights: NDArray[np.floating], rng: np.random.Generator
    ) -> float:
        settings = self._recipe["train"]
        drawn = rng.choice(len(small), settings["batch_size"], p=weights / weights.sum())
        tiles = np.stack([turned(tile, int(rng.integers(8))) for tile in small[drawn]])
        x = self._cells(tiles.astype(np.float32) / 127.5 - 1)
        at = rng.uniform(CLEAREST, NOISIEST, len(x)).astype(np.float32)
        label = np.where(rng.random(len(x)) < settings["no_label_share"], self._classes, target[drawn])
        noise = rng.standard_normal(x.shape, np.float32)
        clear, noisy = (part[:, None, None, None] for part in _parts(at))
        seen = [clear * x + noisy * noise, at[:, None], label.astype(np.int32)]
        return float(self._model.train_on_batch(seen, clear * noise - noisy * x))

    def make(self, label: int, count: int, seed: int) -> Tiles:
        """Tiles ``(count, made_px, made_px, 3)`` of a label, by the averaged weights."""
        settings, size = self._recipe["make"], self._recipe["train"]["batch_size"]
        trained = self._model.get_weights()
        self._optimizer.finalize_variable_values(self._model.trainable_variables)
        parts = [
            self._made(label, min(size, count - start), settings, np.random.default_rng([seed, label, start]))
            for start in range(0, count, size)
        ]
        self._model.set_weights(trained)
        return np.concatenate(parts)

    def _made(self, label: int, count: int, settings: Mapping[str, Any], rng: np.random.Generator) -> Tiles:
        shape = (count, *self._model.input_shape[0][1:])
        z = rng.standard_normal(shape, np.float32)
        times = np.linspace(NOISIEST, CLEAREST, settings["steps"] + 1, dtype=np.float32)
        both = np.repeat([label, self._classes], count).astype(np.int32)
        for here, there in pairwise(times):
            said = self._model.predict_on_batch([np.concatenate([z, z]), np.full((2 * count, 1), here), both])
            v = said[count:] + settings["guidance"] * (said[:count] - said[count:])
            clear, noisy = _parts(here)
            x, noise = np.clip(clear * z - noisy * v, -1, 1), noisy * z + clear * v
            clear, noisy = _parts(there)
            z = clear * x + noisy * noise
        return np.clip(np.round(127.5 * (self._pixels(x) + 1)), 0, 255).astype(np.uint8)

    def _cells(self, pixels: Floats) -> Floats:
        """Squares of pixels as depth: ``(n, side, side, 3)`` -> ``(n, cells, cells, 3 patch_px²)``."""
        patch, cells = self._recipe["network"]["patch_px"], self._made_px // self._recipe["network"]["patch_px"]
        split = pixels.reshape(-1, cells, patch, cells, patch, 3).transpose(0, 1, 3, 2, 4, 5)
        return split.reshape(-1, cells, cells, 3 * patch * patch)

    def _pixels(self, cells: Floats) -> Floats:
        """The way back of ``_cells``."""
        patch, side = self._recipe["network"]["patch_px"], cells.shape[1]
        split = cells.reshape(-1, side, side, patch, patch, 3).transpose(0, 1, 3, 2, 4, 5)
        return split.reshape(-1, side * patch, side * patch, 3)

    def _read(self) -> None:
        if not self._checkpoint.is_file():
            return
        with np.load(self._checkpoint, allow_pickle=False) as stored:
            self._model.set_weights([stored[f"w{index}"] for index in range(len(self._model.weights))])
            for index, variable in enumerate(self._optimizer.variables):
                variable.assign(stored[f"o{index}"])
            self.steps, self.seconds = int(stored["steps"]), float(stored["seconds"])

    def _write(self) -> None:
        arrays = {f"w{index}": value for index, value in enumerate(self._model.get_weights())}
        arrays |= {f"o{index}": np.asarray(variable) for index, variable in enumerate(self._optimizer.variables)}
        with replacing(self._checkpoint) as temporary, temporary.open("wb") as stream:
            np.savez(stream, allow_pickle=False, steps=self.steps, seconds=self.seconds, **arrays)


def _parts(at: Any) -> tuple[Any, Any]:
    """How much of the tile and of the noise there is at a time."""
    return np.cos(np.pi / 2 * at), np.sin(np.pi / 2 * at)
