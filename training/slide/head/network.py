"""Fitting gated attention to bags: minibatches of padded bags, early stopping on validation bags."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from training.slide.head.bags import Bag
from training.slide.head.weights import CLIP, HeadWeights

Floats = NDArray[np.float32]
UNSEEN = -1e9
"""Score of padding, whose attention is 0."""


def fit_head(
    embedding: Floats, train: Sequence[Bag], validation: Sequence[Bag], settings: Mapping[str, Any], seed: int,
    log: Callable[[str], None],
) -> HeadWeights:  # fmt: skip
    """Fit a head until its log loss on validation bags has not fallen for ``patience`` epochs; the best one is returned.

    Parameters
    ----------
    embedding : (n, size) of all tiles that the bags name
    settings : ``hidden, dropout, learning_rate, weight_decay, batch_size, epochs, patience``
    """
    for name, bags in (("training", train), ("validation", validation)):
        if len({bag.cancerous for bag in bags}) < 2:
            raise ValueError(f"{name} bags are all alike: {len(bags)} of them")
    keras.utils.set_random_seed(seed)
    rng = np.random.default_rng(seed)
    seen = embedding[np.unique(np.concatenate([bag.tiles for bag in train]))]
    spread = np.where(seen.std(axis=0) > 0, seen.std(axis=0), 1.0)
    trained = _Trained(embedding.shape[1], settings)
    standard = np.clip((embedding - seen.mean(axis=0)) / spread, -CLIP, CLIP).astype(np.float32)
    best, best_loss, waited, epochs = trained.arrays(), np.inf, 0, 0
    while epochs < settings["epochs"] and waited < settings["patience"]:
        epochs, waited = epochs + 1, waited + 1
        order = rng.permutation(len(train))
        for start in range(0, len(order), settings["batch_size"]):
            trained.step(*_padded(standard, [train[at] for at in order[start : start + settings["batch_size"]]]))
        loss = trained.loss_of(standard, validation, settings["batch_size"])
        log(f"slide head: epoch {epochs}, log loss {loss:.3f} on validation bags")
        if loss < best_loss:
            best, best_loss, waited = trained.arrays(), loss, 0
    log(f"slide head: {epochs} epochs, log loss {best_loss:.3f} on {len(validation)} validation bags")
    return HeadWeights(seen.mean(axis=0).astype(np.float32), spread.astype(np.float32), **best)


class _Trained:
    """The variables of a head while they are fitted, on standardised embeddings."""

    def __init__(self, size: int, settings: Mapping[str, Any]) -> None:
        hidden, draw = settings["hidden"], keras.initializers.GlorotUniform()
        shapes = {
            "tanh_kernel": (size, hidden), "tanh_bias": (hidden,), "gate_kernel": (size, hidden), "gate_bias": (hidden,),
            "score_kernel": (hidden, 1), "answer_kernel": (size, 1), "answer_bias": (1,),
        }  # fmt: skip
        self.variables = {
            name: tf.Variable(draw(shape) if len(shape) > 1 else tf.zeros(shape), name=name) for name, shape in shapes.items()
        }
        self._dropout = settings["dropout"]
        self._optimizer = keras.optimizers.AdamW(settings["learning_rate"], weight_decay=settings["weight_decay"])
        self._optimizer.build(list(self.variables.values()))
        # Bags of every length come in one traced function.
        shape = (tf.TensorSpec([None, None, size]), tf.TensorSpec([None, None], tf.bool), tf.TensorSpec([None]))
        self._step = tf.function(self._stepped, input_signature=shape)
        self._loss = tf.function(lambda *batch: self._losses(*batch, dropout=0.0), input_signature=shape)

    def arrays(self) -> dict[str, Floats]:
        """The weights as they are now, by name."""
        return {name: variable.numpy().copy() for name, variable in self.variables.items()}

    def step(self, tiles: Floats, there: NDArray[np.bool_], cancerous: Floats) -> None:
        self._step(tiles, there, cancerous)

    def loss_of(self, standard: Floats, bags: Sequence[Bag], batch_size: int) -> float:
        """Mean log loss of bags."""
        parts = [self._loss(*_padded(standard, bags[at : at + batch_size])) for at in range(0, len(bags), batch_size)]
        return float(np.concatenate([part.numpy() for part in parts]).mean())

    def _stepped(self, tiles: tf.Tensor, there: tf.Tensor, cancerous: tf.Tensor) -> None:
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(self._losses(tiles, there, cancerous, dropout=self._dropout))
        variables = list(self.variables.values())
        self._optimizer.apply_gradients(zip(tape.gradient(loss, variables), variables, strict=True))

    def _losses(self, tiles: tf.Tensor, there: tf.Tensor, cancerous: tf.Tensor, *, dropout: float) -> tf.Tensor:
        of = self.variables
        x = tf.nn.dropout(tiles, dropout) if dropout else tiles
        gated = tf.tanh(x @ of["tanh_kernel"] + of["tanh_bias"]) * tf.sigmoid(x @ of["gate_kernel"] + of["gate_bias"])
        score = tf.where(there, (gated @ of["score_kernel"])[..., 0], UNSEEN)
        slide = tf.reduce_sum(tf.nn.softmax(score, axis=1)[..., None] * x, axis=1)
        logit = (slide @ of["answer_kernel"] + of["answer_bias"])[:, 0]
        return tf.nn.sigmoid_cross_entropy_with_logits(labels=cancerous, logits=logit)


def _padded(standard: Floats, bags: Sequence[Bag]) -> tuple[Floats, NDArray[np.bool_], Floats]:
    """Bags as one array ``(bags, longest, size)``, which of it is tiles, and whether each holds carcinoma."""
    longest = max(len(bag.tiles) for bag in bags)
    tiles, there = np.zeros((len(bags), longest, standard.shape[1]), np.float32), np.zeros((len(bags), longest), np.bool_)
    for at, bag in enumerate(bags):
        tiles[at, : len(bag.tiles)], there[at, : len(bag.tiles)] = standard[bag.tiles], True
    return tiles, there, np.array([bag.cancerous for bag in bags], np.float32)
