"""VGG16 (Simonyan & Zisserman 2015, arXiv:1409.1556) as a frozen feature extractor with a dense head."""

from pathlib import Path

import keras

from cervix.errors import CervixError

LAST_CONVOLUTION = "block5_conv3"


class WeightsMissing(CervixError, OSError):
    """Raised when the ImageNet weights are neither at hand nor to be downloaded."""


def backbone(weights: Path | None) -> keras.Model:
    """ImageNet VGG16 up to and including the last convolution.

    Input ``(N, 224, 224, 3)`` float32, BGR minus the ImageNet channel means; output ``(N, 14, 14, 512)``.

    Parameters
    ----------
    weights : Path or None
        Keras HDF5 file without the top; ``None`` downloads it from the Keras project.
    """
    try:
        full = keras.applications.VGG16(weights=None if weights else "imagenet", include_top=False, input_shape=(224, 224, 3))
        if weights:
            full.load_weights(weights)
    except (OSError, ValueError) as error:
        raise WeightsMissing(
            "The ImageNet weights of VGG16 cannot be loaded",
            expected=str(weights) if weights else "a download by Keras",
            found=str(error).splitlines()[0],
            action="Give the Keras file vgg16_weights_tf_dim_ordering_tf_kernels_notop.h5 with --vgg16-weights.",
        ) from error
    model = keras.Model(full.input, full.get_layer(LAST_CONVOLUTION).output, name="vgg16_block5_conv3")
    model.trainable = False
    return model


def head(features: int, hidden: int, dropout: float, classes: int) -> keras.Model:
    """Dense head on standardised pooled features: ``(N, features)`` -> logits ``(N, classes)``."""
    pooled = keras.Input((features,), name="pooled")
    x = keras.layers.Dense(hidden, activation="relu", name="hidden")(pooled)
    x = keras.layers.Dropout(dropout)(x)
    return keras.Model(pooled, keras.layers.Dense(classes, name="logits")(x), name="head")
