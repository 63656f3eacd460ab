"""Fit LSTMs on screening histories, some with partly known outcomes."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import pandas as pd
import tensorflow as tf
from numpy.typing import NDArray

from cervix.patients.encoding import encoding_named
from cervix.patients.sequences import Histories
from training.history.data import WORK_UP, HistoryData
from training.shared.calibrate import CoursePlatt
from training.shared.lstm import PrepareVisits, history_lstm

Floats = NDArray[np.float32]
PREDICT_BATCH = 2048
# Batches are cut from chunks sorted by length: little padding, and another mix in every epoch.
BATCHES_PER_STRETCH = 16
SMALLEST_SHARE = 1e-5


@dataclass(frozen=True)
class HistorySettings:
    """Settings that the search chooses."""

    units: int
    learning_rate: float
    dropout: float
    batch_size: int


@dataclass(frozen=True)
class FittedHistory:
    """The ensemble and its calibration, before it is exported."""

    members: list[keras.Model]
    platt: CoursePlatt
    settings: HistorySettings
    trials: pd.DataFrame


def possible_loss(possible: tf.Tensor, logits: tf.Tensor) -> tf.Tensor:
    """Cross-entropy with partly known outcomes: minus the log of the probability of all ``possible`` courses.

    With one possible course it is the usual cross-entropy; with several, the likelihood of interval-censored data
    (Turnbull 1976, J R Stat Soc B 38:290-295).
    """
    inside = tf.where(possible > 0, logits, tf.constant(-1e9, logits.dtype))
    return tf.reduce_logsumexp(logits, axis=-1) - tf.reduce_logsumexp(inside, axis=-1)


def possible_squared_error(possible: tf.Tensor, logits: tf.Tensor) -> tf.Tensor:
    """Mean squared error, the other loss in the report: of the probability outside the possible courses."""
    return tf.square(1.0 - tf.reduce_sum(tf.nn.softmax(logits) * possible, axis=-1))


LOSSES = {"cross-entropy": possible_loss, "mse": possible_squared_error}


def preparation(histories: Histories, names: list[str], women: NDArray[np.int64]) -> PrepareVisits:
    """Medians, means and spreads of the visits of these women; the grades that each feature can reach."""
    visits = histories.rows_of(women)
    values, gaps = histories.features[visits], np.log1p(histories.gap_years[visits])
    # A feature without any value in training stays at 0 and is marked as not known by the mask.
    median = _per_column(values, np.median, 0.0)
    imputed = np.where(np.isnan(values), np.array(median, np.float32), values)
    grades = {
        column: sorted({grade for grade in feature.grades.values() if grade})
        for column, feature in enumerate(encoding_named(names))
    }
    return PrepareVisits(
        median=median,
        mean=[float(mean) for mean in imputed.mean(axis=0)],
        spread=[float(spread) if spread > 0 else 1.0 for spread in imputed.std(axis=0)],
        gap_mean=_per_column(gaps, np.mean, 0.0),
        gap_spread=[spread if spread > 0 else 1.0 for spread in _per_column(gaps, np.std, 1.0)],
        steps=[(column, float(grade)) for column, reached in grades.items() for grade in reached],
    )


def _per_column(values: Floats, figure: Any, without: float) -> list[float]:
    columns = (column[~np.isnan(column)] for column in values.T)
    return [float(figure(column)) if len(column) else without for column in columns]


class HistoryBatches(keras.utils.PyDataset):  # type: ignore[misc]  # untyped base class
    """Padded batches of similar length, in a new order every epoch.

    Of some women the history ends, each time, at another visit with a colposcopy, of which only the tests are known yet.
    Each gives ``(features, gap_years)``, the possible courses ``(n, V, classes)`` and the weight of every visit ``(n, V)``.
    """

    def __init__(
        self, data: HistoryData, women: NDArray[np.int64], size: int, seed: int, names: list[str], training: Mapping[str, Any]
    ) -> None:
        super().__init__()
        self._data, self._women, self._size = data, women, size
        weight = np.where(data.usable, np.float32(training["earlier_visits"]), np.float32(0))
        weight[data.index_visits(women)] = 1.0
        self._weight = weight * np.repeat(data.weight, data.histories.lengths)
        self._weight /= self._weight[data.histories.rows_of(women)].mean()
        self._work_up = [names.index(name) for name in WORK_UP if name in names]
        self._share = training["tests_only_share"]
        self._rng = np.random.default_rng(seed)
        self.on_epoch_end()

    def __len__(self) -> int:
        return len(self._batches)

    def __getitem__(self, index: int) -> tuple[tuple[Floats, Floats], Floats, Floats]:
        women = self._batches[index]
        rows = self._ends[women]
        ended, everyone = self._data.histories.prefixes(rows), np.arange(len(rows))
        arrays = ended.padded(everyone)
        places, inside = ended.grid(everyone)
        possible = self._data.outcomes.possible[places].astype(np.float32)
        weight = np.where(inside, self._weight[places], np.float32(0))
        cut = np.flatnonzero(self._tests_only[women])
        last = arrays["lengths"][cut] - 1
        arrays["features"][cut[:, None], last[:, None], self._work_up] = np.nan
        possible[cut, last] = self._data.tested.possible[rows[cut]]
        weight[cut, last] = self._tested_weight[rows[cut]]
        return (arrays["features"], arrays["gap_years"]), possible, weight

    def on_epoch_end(self) -> None:
        order = self._rng.permutation(self._women)
        stretch = self._size * BATCHES_PER_STRETCH
        batches = []
        for start in range(0, len(order), stretch):
            part = order[start : start + stretch]
            part = part[np.argsort(self._data.histories.lengths[part], kind="stable")]
            batches += [part[at : at + self._size] for at in range(0, len(part), self._size)]
        self._batches = [batches[index] for index in self._rng.permutation(len(batches))]
        self._cut()
        # Keras takes the shape of the first two batches for that of all, where they agree.
        visits = [int((self._ends[part] - self._data.histories.first[part]).max()) for part in self._batches]
        for place, at in ((0, int(np.argmax(visits))), (-1, int(np.argmin(visits)))):
            self._batches[place], self._batches[at] = self._batches[at], self._batches[place]
        self._batches.insert(1, self._batches.pop())

    def _cut(self) -> None:
        """Where each woman's history ends this time, and of whom only the tests of that visit are known."""
        histories = self._data.histories
        draw = np.where(self._data.worked_up, self._rng.random(len(self._data.worked_up)), -1.0)
        best = np.maximum.reduceat(draw, histories.first)
        has = best >= 0
        at = np.flatnonzero(draw == np.repeat(best, histories.lengths))
        whose = np.searchsorted(histories.first, at, side="right") - 1
        chosen = np.full(len(histories), -1)
        chosen[whose] = at
        self._tests_only = has & (self._rng.random(len(histories)) < self._share)
        self._ends = np.where(self._tests_only, chosen, histories.last)
        self._tested_weight = np.repeat(self._data.weight, histories.lengths) * (self._weight.max() / self._data.weight.max())


def fit_history(
    data: HistoryData, women: NDArray[np.int64], names: list[str], settings: HistorySettings, training: Mapping[str, Any],
    seed: int,
) -> tuple[keras.Model, float]:  # fmt: skip
    """Fit one LSTM by backpropagation through time and Adam on every visit, with early stopping on validation.

    Parameters
    ----------
    women : positions of training women
    training : ``[train]`` of the recipe

    Returns
    -------
    The network with the weights of its best epoch, and its validation loss.
    """
    keras.utils.set_random_seed(seed)
    network = untrained(data, names, settings)
    network.compile(keras.optimizers.Adam(settings.learning_rate, clipnorm=1.0), LOSSES[training["loss"]])
    stop = keras.callbacks.EarlyStopping(patience=training["patience"], restore_best_weights=True)
    slower = keras.callbacks.ReduceLROnPlateau(factor=0.3, patience=training["patience_rate"])
    network.fit(
        HistoryBatches(data, women, settings.batch_size, seed, names, training),
        validation_data=HistoryBatches(data, data.women("validation"), PREDICT_BATCH, seed, names, training),
        epochs=training["epochs"],
        callbacks=[stop, slower],
        verbose=0,
    )
    return network, float(min(network.history.history["val_loss"]))


def untrained(data: HistoryData, names: list[str], settings: HistorySettings) -> keras.Model:
    """A network before training: medians and scales are those of the training women, the last bias their outcome shares."""
    women = data.women("train")
    possible = data.outcomes.possible[data.index_visits(women)]
    prior = np.log(np.maximum((possible / possible.sum(axis=1, keepdims=True)).mean(axis=0), SMALLEST_SHARE))
    return history_lstm(preparation(data.histories, names, women), len(names), settings.units, settings.dropout, prior.tolist())


def logits_of(network: keras.Model, histories: Histories, women: NDArray[np.int64]) -> NDArray[np.float64]:
    """Logits after each woman's last visit ``(n, classes)``, in the order of ``women``."""
    out: NDArray[np.float64] | None = None
    for batch in histories.batches(PREDICT_BATCH, women):
        arrays = histories.padded(women[batch])
        logits = np.asarray(network((arrays["features"], arrays["gap_years"]), training=False), np.float64)
        if out is None:
            out = np.empty((len(women), logits.shape[2]))
        out[batch] = logits[np.arange(len(batch)), arrays["lengths"] - 1]
    if out is None:
        raise ValueError("no women to predict for")
    return out
