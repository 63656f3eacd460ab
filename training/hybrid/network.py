"""The dense layers that join a slide's embedding with the LSTM's state."""

import keras
import numpy as np
from keras import ops
from numpy.typing import NDArray


@keras.saving.register_keras_serializable("cervix")
class Standardise(keras.layers.Layer):  # type: ignore[misc]  # untyped base class
    """Standardises by training mean and spread ``(N, features)``, clipped at three spreads.

    Without clipping, a channel that is almost silent in training would dominate on a tile where it is active. The constants
    are made while tracing: those of Keras' own layer would be exported as inputs of the graph.
    """

    def __init__(self, mean: list[float], spread: list[float], **kwargs: object) -> None:
        super().__init__(**kwargs)
        self.mean, self.spread = mean, spread

    def call(self, values):  # type: ignore[no-untyped-def]
        mean, spread = (ops.convert_to_tensor(constant, "float32") for constant in (self.mean, self.spread))
        return ops.clip((values - mean) / spread, -3.0, 3.0)


def dense_part(inputs: NDArray[np.float32], classes: int, hidden: int, dropout: float, weight_decay: float) -> keras.Model:
    """Standardise, one hidden layer, logits ``(N, classes)``.

    Parameters
    ----------
    inputs : (n, features) training rows, from which means and spreads are taken
    """
    spread = inputs.std(axis=0)
    standardise = Standardise(inputs.mean(axis=0).tolist(), np.where(spread > 0, spread, 1.0).tolist())
    regulariser = keras.regularizers.L2(weight_decay)
    raw = keras.Input((inputs.shape[1],))
    x = keras.layers.Dense(hidden, activation="relu", kernel_regularizer=regulariser)(standardise(raw))
    x = keras.layers.Dropout(dropout)(x)
    return keras.Model(raw, keras.layers.Dense(classes, kernel_regularizer=regulariser, name="logits")(x), name="dense_part")
