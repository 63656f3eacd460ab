"""The exported slide graph is the TensorFlow model, and its Grad-CAM is the one that gradients give."""

from dataclasses import replace
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from scipy.special import softmax

from cervix.bundle.manifest import TensorSpec
from cervix.bundle.sessions import CPU_PROVIDER, open_session
from cervix.slides.phantom import phantom_region

pytestmark = pytest.mark.training
tf = pytest.importorskip("tensorflow", reason="training needs TensorFlow, which the app's environment has not")

import keras  # noqa: E402

from training.shared.onnx_graphs import declare_shapes, run_onnx  # noqa: E402
from training.shared.to_onnx import to_onnx  # noqa: E402
from training.slide.functions import (  # noqa: E402
    IMAGENET_MEAN_BGR,
    SlideParameters,
    network_logits,
    pooled_logits,
    slide_function,
)
from training.slide.graph import SlideGraph  # noqa: E402
from training.slide.novelty import Novelty, Refusal  # noqa: E402
from training.slide.texture_path import LinearPath  # noqa: E402
from training.slide.vgg16 import LAST_CONVOLUTION, LAST_FROZEN  # noqa: E402

CLASSES = ["benign", "scc", "ac"]
HIDDEN = 32
INPUTS = [TensorSpec(name="tiles", dtype="uint8", shape=["N", 224, 224, 3], unit="8-bit RGB", meaning="tiles")]
SHAPES: dict[str, list[int | str]] = {
    "probabilities": ["N", 3],
    "embedding": ["N", 512],
    "novelty": ["N"],
    "cam": ["N", 3, 14, 14],
}
OUTPUTS = [TensorSpec(name=name, dtype="float32", shape=shape, unit="", meaning="") for name, shape in SHAPES.items()]

Outputs = dict[str, NDArray[np.float32]]


def small_backbone() -> keras.Model:
    """What VGG16 gives, in its shapes, from one convolution: an export of all its weights takes half a minute."""
    entry = keras.Input((224, 224, 3))
    found = keras.layers.Conv2D(512, 1)(keras.layers.AveragePooling2D(16)(entry))
    return keras.Model(entry, [found, found])


@pytest.fixture(scope="module")
def parameters() -> SlideParameters:
    """VGG16 with random weights under a random head: nothing in the arithmetic depends on what was learnt."""
    keras.utils.set_random_seed(4)
    full = keras.applications.VGG16(weights=None, include_top=False, input_shape=(224, 224, 3))
    rng = np.random.default_rng(4)

    def normal(*shape: int, scale: float = 1.0) -> NDArray[np.float32]:
        return rng.normal(scale=scale, size=shape).astype(np.float32)

    return SlideParameters(
        classes=CLASSES,
        backbone=keras.Model(full.input, [full.get_layer(LAST_FROZEN).output, full.get_layer(LAST_CONVOLUTION).output]),
        hidden_kernel=normal(512, HIDDEN),
        hidden_bias=normal(HIDDEN, scale=0.1),
        logit_kernel=normal(HIDDEN, 3, scale=0.3),
        logit_bias=normal(3, scale=0.1),
        texture_path=LinearPath(normal(512, 3, scale=0.3), normal(3, scale=0.1)),
        network_weight=0.6,
        texture_weight=1.4,
        refusal=Refusal(
            Novelty(whitening=normal(512, 512, scale=0.05), whitened_centres=normal(3, 512, scale=0.05)),
            signs=np.array([-1, 1, 1], np.float32),
            doubt_scale=0.0,
        ),
    )


@pytest.fixture(scope="module")
def tiles() -> NDArray[np.uint8]:
    return np.stack([phantom_region(224, 224, seed=seed, tissue_share=0.8) for seed in range(3)])


@pytest.fixture(scope="module")
def expected(parameters: SlideParameters, tiles: NDArray[np.uint8]) -> Outputs:
    """What TensorFlow itself says."""
    return {name: value.numpy() for name, value in slide_function(parameters)(tf.constant(tiles)).items()}


@pytest.fixture(scope="module")
def exported(parameters: SlideParameters) -> onnx.ModelProto:
    return to_onnx(slide_function(parameters), INPUTS, OUTPUTS)


def texture_of(parameters: SlideParameters, tiles: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Mean over the map of block 4, ``(n, 512)``."""
    return np.asarray(np.mean(maps_of(parameters, tiles)[0], axis=(1, 2)), np.float32)


def maps_of(parameters: SlideParameters, tiles: NDArray[np.uint8]) -> tuple[Any, Any]:
    """Outputs of block 4 and of block 5."""
    bgr = tiles[..., ::-1].astype(np.float32) - np.array(IMAGENET_MEAN_BGR, np.float32)
    block4, block5 = parameters.backbone(bgr, training=False)
    return block4, block5


def test_the_closed_form_grad_cam_is_that_of_automatic_differentiation(
    parameters: SlideParameters, tiles: NDArray[np.uint8], expected: Outputs
) -> None:
    """Selvaraju et al. 2017: channel weights are the gradient's mean over the map; the map is their ReLU sum."""
    activation = tf.constant(maps_of(parameters, tiles)[1])
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(activation)
        pooled = keras.layers.GlobalAveragePooling2D()(keras.layers.MaxPooling2D()(activation))
        hidden = tf.nn.relu(pooled @ parameters.hidden_kernel + parameters.hidden_bias)
        logits = hidden @ parameters.logit_kernel + parameters.logit_bias
        by_class = [logits[:, index] for index in range(3)]
    for index, logit in enumerate(by_class):
        weights = tf.reduce_mean(tape.gradient(logit, activation), axis=(1, 2), keepdims=True)
        cam = tf.nn.relu(tf.reduce_sum(weights * activation, axis=-1)).numpy()
        np.testing.assert_allclose(expected["cam"][:, index], cam, atol=1e-4)
    assert expected["cam"].max() > 100 * 1e-4  # the tolerance tells something


def test_probabilities_are_the_softmax_of_both_paths_weighted_logits(
    parameters: SlideParameters, tiles: NDArray[np.uint8], expected: Outputs
) -> None:
    texture = texture_of(parameters, tiles)
    logits = pooled_logits(parameters, expected["embedding"], texture)
    np.testing.assert_allclose(expected["probabilities"], softmax(logits, axis=1), atol=1e-5)
    one_path = softmax(0.6 * network_logits(parameters, expected["embedding"]), axis=1)
    assert np.abs(one_path - expected["probabilities"]).max() > 1e-3  # the second path is heard
    assert np.ptp(expected["probabilities"]) > 0.1


def test_novelty_is_the_distance_of_the_texture_to_the_nearest_whitened_centre(
    parameters: SlideParameters, tiles: NDArray[np.uint8], expected: Outputs
) -> None:
    texture = texture_of(parameters, tiles)
    np.testing.assert_allclose(expected["novelty"], parameters.refusal.novelty.distances(texture), rtol=1e-4)
    assert np.ptp(expected["novelty"]) > 1e-3


def test_novelty_is_the_doubt_of_the_answer_where_that_is_larger(
    parameters: SlideParameters, tiles: NDArray[np.uint8], expected: Outputs
) -> None:
    doubtful = replace(parameters.refusal, doubt_scale=20 * float(expected["novelty"].max()))
    found = slide_function(replace(parameters, refusal=doubtful))(tf.constant(tiles))
    cancer, benign = expected["probabilities"][:, 1:].sum(axis=1), expected["probabilities"][:, 0]
    by_hand = np.maximum(expected["novelty"], doubtful.doubt_scale * (1 - np.abs(cancer - benign)))
    np.testing.assert_allclose(found["novelty"], by_hand, rtol=1e-4)
    assert (by_hand > expected["novelty"]).any()


def test_how_much_doubt_counts_is_read_back_from_the_graph_and_no_doubt_from_one_of_distances(
    parameters: SlideParameters, exported: onnx.ModelProto
) -> None:
    doubtful = replace(parameters.refusal, doubt_scale=12.5)
    made = to_onnx(slide_function(replace(parameters, backbone=small_backbone(), refusal=doubtful)), INPUTS, OUTPUTS)
    assert SlideGraph(made.SerializeToString()).doubt_scale == pytest.approx(12.5)
    assert SlideGraph(exported.SerializeToString()).doubt_scale == 0.0


def test_the_exported_graph_answers_as_tensorflow_does(
    exported: onnx.ModelProto, tiles: NDArray[np.uint8], expected: Outputs
) -> None:
    found = run_onnx(exported.SerializeToString(), tiles, list(SHAPES), batch_size=2)
    for name, values in expected.items():
        np.testing.assert_allclose(found[name], values, atol=1e-4 * max(1.0, float(np.abs(values).max())), err_msg=name)


def test_the_exported_graph_has_the_contracts_names_types_and_dimensions(exported: onnx.ModelProto) -> None:
    session = open_session(exported.SerializeToString(), CPU_PROVIDER)
    assert [(item.name, item.type, item.shape) for item in session.get_inputs()] == [
        ("tiles", "tensor(uint8)", ["N", 224, 224, 3])
    ]
    assert {item.name: item.shape for item in session.get_outputs()} == SHAPES
    assert {item.type for item in session.get_outputs()} == {"tensor(float)"}


def test_the_weights_are_inside_the_graph(exported: onnx.ModelProto) -> None:
    assert all(tensor.data_location != onnx.TensorProto.EXTERNAL for tensor in exported.graph.initializer)
    assert len(exported.SerializeToString()) > 14_000_000 * 4  # VGG16 without its top has 14.7 million weights


def test_a_tile_scores_the_same_in_any_batch(exported: onnx.ModelProto, tiles: NDArray[np.uint8]) -> None:
    content = exported.SerializeToString()
    together = run_onnx(content, tiles, ["probabilities"])["probabilities"]
    alone = run_onnx(content, tiles, ["probabilities"], batch_size=1)["probabilities"]
    np.testing.assert_allclose(together, alone, atol=1e-5)


def test_an_output_that_the_graph_does_not_have_cannot_be_declared(exported: onnx.ModelProto) -> None:
    other = TensorSpec(name="other", dtype="float32", shape=["N"], unit="", meaning="")
    with pytest.raises(KeyError, match="other"):
        declare_shapes(exported, INPUTS, [other])
