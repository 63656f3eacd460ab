"""The dense part that joins a slide's embedding with the LSTM's state."""

import keras
import numpy as np
from numpy.typing import NDArray


def dense_part(inputs: NDArray[np.float32], classes: int, hidden: int, dropout: float, weight_decay: float) -> keras.Model:
    """Standardise, one hidden layer, logits ``(N, classes)``.

    Parameters
    ----------
    inputs : (n, features) training rows; means and spreads are theirs
    """
    spread = inputs.std(axis=0)
    standardise = keras.layers.Normalization(
        mean=inputs.mean(axis=0), variance=np.square(np.where(spread > 0, spread, 1.0)), name="standardise"
    )
    regulariser = keras.regularizers.L2(weight_decay)
    raw = keras.Input((inputs.shape[1],))
    x = keras.layers.Dense(hidden, activation="relu", kernel_regularizer=regulariser)(standardise(raw))
    x = keras.layers.Dropout(dropout)(x)
    return keras.Model(raw, keras.layers.Dense(classes, kernel_regularizer=regulariser, name="logits")(x), name="dense_part")
