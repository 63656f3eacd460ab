"""From fitted parameters to an ONNX graph that loads."""

from collections.abc import Callable
from dataclasses import dataclass

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from training.slide.graph import SlideHead
from training.slide.novelty import Refusal
from training.slide.texture_path import LinearPath

IMAGENET_MEAN_BGR = (103.939, 116.779, 123.68)
Floats = NDArray[np.float32]


@dataclass(frozen=True)
class SlideParameters:
    """The contents of the exported slide graph.

    Attributes
    ----------
    backbone : keras.Model
        ``(N, 224, 224, 3)`` BGR minus means -> outputs of block 4 and of block 5, both ``(N, 14, 14, 512)``.
    hidden_kernel, hidden_bias, logit_kernel, logit_bias
        The head on raw pooled features, with the standardisation of training folded in.
    texture_path : LinearPath
        Logits from the mean over the map of block 4, the ``texture (N, 512)``.
    network_weight, texture_weight : float
        Weights of the two paths' logits in the sum: the calibration, in log odds.
    refusal : Refusal
        Distance of the texture, and doubt. Block 4 was not trained here, so training tiles
        look no more familiar to it than others.
    """

    classes: list[str]
    backbone: keras.Model
    hidden_kernel: Floats
    hidden_bias: Floats
    logit_kernel: Floats
    logit_bias: Floats
    texture_path: LinearPath
    network_weight: float
    texture_weight: float
    refusal: Refusal

    @property
    def head(self) -> SlideHead:
        """The part of the graph after the pooled features."""
        return SlideHead(
            self.hidden_kernel, self.hidden_bias, self.logit_kernel, self.logit_bias, self.network_weight, self.texture_weight
        )


def slide_function(parameters: SlideParameters) -> Callable[[tf.Tensor], dict[str, tf.Tensor]]:
    """The whole slide model as one function of raw tiles, with Grad-CAM in closed form.

    Grad-CAM (Selvaraju et al. 2017) weights each channel k of ``block5_conv3`` by the mean over the map of
    d logit_c / d activation. After a max-pool and a global average the gradient reaches exactly one of the four
    positions of each window, 49 windows, each with g_ck / 49, where g_ck = d logit_c / d pooled_k. So the mean
    over 14 x 14 positions is g_ck / 196, and no gradient operator is needed in the graph.
    """
    classes = len(parameters.classes)

    def serve(tiles: tf.Tensor) -> dict[str, tf.Tensor]:
        # Constants are made while tracing: an eager tensor would be captured and exported as an input.
        w1, b1 = tf.constant(parameters.hidden_kernel), tf.constant(parameters.hidden_bias)
        w2, b2 = tf.constant(parameters.logit_kernel), tf.constant(parameters.logit_bias)
        known = parameters.refusal.novelty
        whitening, centres = tf.constant(known.whitening), tf.constant(known.whitened_centres)
        activation, pooled, texture = _pooled(parameters, tiles)
        hidden = tf.nn.relu(pooled @ w1 + b1)
        logits = hidden @ w2 + b2
        open_gates = tf.cast(hidden > 0, tf.float32)
        through_gates = open_gates[:, None, :] * tf.transpose(w2)[None]
        pooled_gradient = through_gates @ tf.transpose(w1)
        flat = tf.reshape(activation, (-1, 196, 512))
        cam = tf.nn.relu(tf.matmul(pooled_gradient / 196.0, flat, transpose_b=True))
        whitened = texture @ whitening
        second = texture @ tf.constant(parameters.texture_path.kernel) + tf.constant(parameters.texture_path.bias)
        pool = np.float32(parameters.network_weight) * logits + np.float32(parameters.texture_weight) * second
        squared = tf.reduce_sum((whitened[:, None, :] - centres[None]) ** 2, axis=2)
        probabilities = tf.nn.softmax(pool)
        signs = tf.constant(parameters.refusal.signs[:, None])
        doubt = 1.0 - tf.abs(tf.squeeze(probabilities @ signs, 1))
        return {
            "probabilities": probabilities,
            "embedding": pooled,
            "novelty": tf.maximum(tf.sqrt(tf.reduce_min(squared, axis=1)), np.float32(parameters.refusal.doubt_scale) * doubt),
            "cam": tf.reshape(cam, (-1, classes, 14, 14)),
        }

    return serve


def _pooled(parameters: SlideParameters, tiles: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Block 5's map, its pooled mean, and the mean of block 4's map."""
    bgr = tf.cast(tiles, tf.float32)[..., ::-1] - tf.constant(IMAGENET_MEAN_BGR, tf.float32)
    block4, activation = parameters.backbone(bgr, training=False)
    embedding = tf.reduce_mean(tf.nn.max_pool2d(activation, 2, 2, "VALID"), axis=(1, 2))
    return activation, embedding, tf.reduce_mean(block4, axis=(1, 2))


def network_logits(parameters: SlideParameters, pooled: Floats) -> Floats:
    """The head alone on pooled features ``(n, 512)``, in numpy: what the graph computes without its convolutions."""
    return parameters.head.network_logits(pooled)


def pooled_logits(parameters: SlideParameters, pooled: Floats, texture: Floats) -> Floats:
    """Both paths' logits in their weighted sum ``(n, classes)``; its softmax is the graph's ``probabilities``."""
    return parameters.head.logits(pooled, parameters.texture_path.logits(texture))
