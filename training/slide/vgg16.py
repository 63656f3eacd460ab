"""VGG16 (Simonyan & Zisserman 2015, arXiv:1409.1556) in the parts that the recipes train or keep frozen."""

from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from cervix.errors import CervixError

CPU_FLAGS = Path("/proc/cpuinfo")
LAST_CONVOLUTION = "block5_conv3"
LAST_FROZEN = "block4_pool"
BLOCK4_SHAPE = (14, 14, 512)
BLOCK5_SHAPE = (7, 7, 512)


class WeightsMissing(CervixError, OSError, code="weights-missing"):
    """Raised when the ImageNet weights are neither available nor downloadable."""


def fast_precision() -> str:
    """The Keras policy that training runs in: bfloat16 products where the machine has units for them, float32 elsewhere.

    Weights stay float32, so what is exported does not depend on it. On a processor with AMX a tile costs a quarter of the
    time (0.056 instead of 0.240 processor seconds through all five blocks).
    """
    flags = CPU_FLAGS.read_text(encoding="utf-8") if CPU_FLAGS.is_file() else ""
    return "mixed_bfloat16" if "amx_bf16" in flags or tf.config.list_physical_devices("GPU") else "float32"


def backbone(weights: Path | None, precision: str = "float32") -> keras.Model:
    """ImageNet VGG16 up to and including the last convolution.

    Input ``(N, 224, 224, 3)`` float32, BGR minus the ImageNet channel means; output ``(N, 14, 14, 512)``.

    Parameters
    ----------
    weights : Path or None
        Keras HDF5 file without the top; ``None`` downloads it from the Keras project.
    precision : Keras policy, see ``fast_precision``

    Raises
    ------
    WeightsMissing
        If the file is missing, is not the right one, or cannot be downloaded.
    """
    before = keras.config.dtype_policy()
    try:
        keras.config.set_dtype_policy(precision)
        full = keras.applications.VGG16(weights=None if weights else "imagenet", include_top=False, input_shape=(224, 224, 3))
        if weights:
            full.load_weights(weights)
    except Exception as error:  # Keras raises a bare Exception for a failed download
        if type(error) is not Exception and not isinstance(error, OSError | ValueError):
            raise
        raise WeightsMissing(
            "The ImageNet weights of VGG16 cannot be loaded",
            expected=str(weights) if weights else "a download by Keras",
            found=str(error).splitlines()[0],
            action="Give the Keras file vgg16_weights_tf_dim_ordering_tf_kernels_notop.h5 with --vgg16-weights.",
        ) from error
    finally:
        keras.config.set_dtype_policy(before)
    model = keras.Model(full.input, full.get_layer(LAST_CONVOLUTION).output, name="vgg16_block5_conv3")
    model.trainable = False
    return model


def frozen_blocks(network: keras.Model) -> keras.Model:
    """Blocks 1 to 4 of a backbone: tiles ``(N, 224, 224, 3)`` -> ``(N, 14, 14, 512)``, what block 5 sees."""
    return keras.Model(network.input, network.get_layer(LAST_FROZEN).output, name="vgg16_blocks_1_to_4")


def last_block(network: keras.Model, precision: str = "float32") -> keras.Model:
    """A trainable copy of block 5 up to its last convolution: ``(N, 14, 14, 512)`` -> ``(N, 14, 14, 512)``."""
    entry = keras.Input(BLOCK4_SHAPE, name="block4_pool")
    x = entry
    for number in (1, 2, 3):
        original = network.get_layer(f"block5_conv{number}")
        layer = keras.layers.Conv2D(512, 3, padding="same", activation="relu", name=original.name, dtype=precision)
        x = layer(x)
        layer.set_weights(original.get_weights())
    return keras.Model(entry, x, name="block5")


def with_last_block(network: keras.Model, block5: keras.Model) -> keras.Model:
    """Frozen blocks and a block 5: ``(N, 224, 224, 3)`` -> outputs of block 4 and block 5, ``(N, 14, 14, 512)`` each."""
    frozen = frozen_blocks(network)
    model = keras.Model(frozen.input, [frozen.output, block5(frozen.output)], name="vgg16_fine_tuned")
    model.trainable = False
    return model


def pooled(block5: keras.Model) -> keras.Model:
    """Max-pool and global average of block 5: ``(N, 14, 14, 512)`` -> ``(N, 512)``, the embedding."""
    x = keras.layers.GlobalAveragePooling2D()(keras.layers.MaxPooling2D()(block5.output))
    return keras.Model(block5.input, x, name="embedding")


def shipped_classifier(
    block5: keras.Model, centre: NDArray[np.floating], spread: NDArray[np.floating], hidden: int, dropout: float, classes: int
) -> keras.Model:
    """Block 5, pooling and a dense head on standardised features: ``(N, 14, 14, 512)`` -> logits ``(N, classes)``.

    Parameters
    ----------
    centre, spread : (512,)
        Mean and standard deviation of the pooled features before fine-tuning; they stay fixed.
    """
    embedding = pooled(block5)
    x = keras.layers.Normalization(mean=centre, variance=np.square(spread), name="standardised")(embedding.output)
    x = keras.layers.Dense(hidden, activation="relu", name="hidden")(x)
    x = keras.layers.Dropout(dropout)(x)
    return keras.Model(embedding.input, keras.layers.Dense(classes, name="logits")(x), name="shipped")


def paper_top(dense: tuple[int, int], dropout: float) -> keras.Model:
    """The published dense part on block 5: ``(N, 7, 7, 512)`` -> 25088 -> dense -> dense -> one logit ``(N, 1)``."""
    entry = keras.Input(BLOCK5_SHAPE, name="block5_pool")
    x = keras.layers.Flatten()(entry)
    for number, units in enumerate(dense, start=1):
        x = keras.layers.Dense(units, activation="relu", name=f"fc{number}")(x)
        x = keras.layers.Dropout(dropout)(x)
    return keras.Model(entry, keras.layers.Dense(1, name="logit")(x), name="paper_top")


def paper_fine_tuned(block5: keras.Model, top: keras.Model) -> keras.Model:
    """Block 5 and the published dense part, trained together: ``(N, 14, 14, 512)`` -> one logit ``(N, 1)``."""
    x = keras.layers.MaxPooling2D()(block5.output)
    return keras.Model(block5.input, top(x), name="paper_fine_tuned")
