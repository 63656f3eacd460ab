"""An LSTM over visits that reads raw values and knows what was not measured."""

import keras
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
