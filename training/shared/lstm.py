"""LSTMs over visits that read raw values and know which were not measured."""

from collections.abc import Callable

import keras
import tensorflow as tf
from keras import ops


@keras.saving.register_keras_serializable("cervix")
class ImputeAndScale(keras.layers.Layer):  # type: ignore[misc]  # untyped base class
    """Raw values with NaN -> standardised values beside a measured-or-not mask: ``(N, V, F) -> (N, V, 2F)``.

    Missing values become the training median. The mask keeps "not known" apart from every value.
    """

    def __init__(self, median: list[float], mean: list[float], spread: list[float], **kwargs: object) -> None:
        super().__init__(**kwargs)
        self.median, self.mean, self.spread = median, mean, spread

    def call(self, features):  # type: ignore[no-untyped-def]
        missing = ops.isnan(features)
        known = ops.where(missing, ops.convert_to_tensor(self.median, "float32"), features)
        scaled = (known - ops.convert_to_tensor(self.mean, "float32")) / ops.convert_to_tensor(self.spread, "float32")
        return ops.concatenate([scaled, ops.cast(missing, "float32")], axis=-1)


def risk_lstm(
    prepare: keras.layers.Layer, visits: int, features: int, units: int, dropout: float, weight_decay: float
) -> keras.Model:
    """Raw visits ``(N, visits, features)``, NaN where not known -> logit ``(N, 1)`` after the last visit."""
    raw = keras.Input((visits, features), name="features")
    regulariser = keras.regularizers.L2(weight_decay)
    x = keras.layers.LSTM(units, kernel_regularizer=regulariser, name="lstm")(prepare(raw))
    x = keras.layers.Dropout(dropout)(x)
    return keras.Model(raw, keras.layers.Dense(1, kernel_regularizer=regulariser, name="logit")(x), name="risk")


@keras.saving.register_keras_serializable("cervix")
class PrepareVisits(keras.layers.Layer):  # type: ignore[misc]  # untyped base class
    """Raw visits and gaps to what the LSTM reads: ``(N, V, F)`` twice -> ``(N, V, 4F + steps)``.

    Per feature the value (missing: the training median), standardised and cut at three standard deviations; whether it
    is missing; the logarithm of one plus the years since it was last measured, standardised; whether it never was. And
    for every grade above the lowest whether the value reaches it: a rare grade then is a step, not an outlier.
    """

    def __init__(
        self, median: list[float], mean: list[float], spread: list[float], gap_mean: list[float], gap_spread: list[float],
        steps: list[tuple[int, float]], **kwargs: object,
    ) -> None:  # fmt: skip
        super().__init__(**kwargs)
        self.median, self.mean, self.spread = median, mean, spread
        self.gap_mean, self.gap_spread = gap_mean, gap_spread
        self.steps = steps

    def call(self, features, gap_years):  # type: ignore[no-untyped-def]
        missing, never = ops.isnan(features), ops.isnan(gap_years)
        known = ops.where(missing, _constant(self.median), features)
        scaled = ops.clip((known - _constant(self.mean)) / _constant(self.spread), -3.0, 3.0)
        gap = ops.log(1.0 + ops.maximum(ops.where(never, 0.0, gap_years), 0.0))  # Log1p has no ONNX operator
        gap = ops.where(never, 0.0, (gap - _constant(self.gap_mean)) / _constant(self.gap_spread))
        columns = ops.convert_to_tensor([column for column, _ in self.steps], "int32")
        reached = ops.take(known, columns, axis=-1) >= _constant([grade for _, grade in self.steps])
        parts = [scaled, ops.cast(missing, "float32"), gap, ops.cast(never, "float32"), ops.cast(reached, "float32")]
        return ops.concatenate(parts, axis=-1)


def history_lstm(prepare: keras.layers.Layer, features: int, units: int, dropout: float, log_prior: list[float]) -> keras.Model:
    """Visits padded on the right -> logits of the courses after every visit ``(N, V, classes)``.

    The LSTM sees only the past, so the output at a visit is the answer to the history up to it. The exported graph gathers
    the last one; masking would turn the fused LSTM into a loop.

    Parameters
    ----------
    log_prior : (classes,)
        Logarithm of each course's share in training: the initial bias of the last layer.

    Returns
    -------
    Model of ``features, gap_years (N, V, F)``; layers ``lstm``, its states, and ``logits``.
    """
    values = keras.Input((None, features), name="features")
    gaps = keras.Input((None, features), name="gap_years")
    states = keras.layers.LSTM(units, return_sequences=True, name="lstm")(prepare(values, gaps))
    x = keras.layers.Dropout(dropout)(states)
    logits = keras.layers.Dense(len(log_prior), bias_initializer=_start_at(log_prior), name="logits")(x)
    return keras.Model((values, gaps), logits, name="history")


def _start_at(values: list[float]) -> Callable[..., tf.Tensor]:
    def initial(shape, dtype=None):  # type: ignore[no-untyped-def]
        del shape
        return tf.constant(values, dtype or tf.float32)

    return initial


def _constant(values: list[float]):  # type: ignore[no-untyped-def]
    return ops.convert_to_tensor(values, "float32")
