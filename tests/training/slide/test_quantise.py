"""Smaller variants load, take the same input and say nearly the same."""

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray

from cervix.bundle.manifest import TensorSpec
from cervix.bundle.operators import check_operators
from cervix.bundle.sessions import CPU_PROVIDER, open_session
from cervix.slides.phantom import phantom_region

pytestmark = pytest.mark.training
tf = pytest.importorskip("tensorflow", reason="training needs TensorFlow, which the app's environment has not")

import keras  # noqa: E402

from training.shared.onnx_graphs import run_onnx  # noqa: E402
from training.shared.to_onnx import to_onnx  # noqa: E402
from training.slide.quantise import to_fp16, to_int8  # noqa: E402

SIZE_PX = 32
INPUTS = [TensorSpec(name="tiles", dtype="uint8", shape=["N", SIZE_PX, SIZE_PX, 3], unit="8-bit RGB", meaning="tiles")]
OUTPUTS = [TensorSpec(name="probabilities", dtype="float32", shape=["N", 3], unit="probability", meaning="")]


@pytest.fixture(scope="module")
def tiles() -> NDArray[np.uint8]:
    """Small phantoms of very different colour and density, 60 of them."""
    rng = np.random.default_rng(2)
    region = phantom_region(SIZE_PX * 10, SIZE_PX * 6, seed=2).astype(np.float32)
    cut = region.reshape(6, SIZE_PX, 10, SIZE_PX, 3).swapaxes(1, 2).reshape(60, SIZE_PX, SIZE_PX, 3)
    return np.clip(cut * rng.uniform(0.3, 1.1, (60, 1, 1, 3)), 0, 255).astype(np.uint8)


@pytest.fixture(scope="module")
def reference() -> onnx.ModelProto:
    """A small convolutional network of the same parts as VGG16, random but for its spread of answers."""
    keras.utils.set_random_seed(2)
    network = keras.Sequential(
        [
            keras.Input((SIZE_PX, SIZE_PX, 3)),
            keras.layers.Conv2D(8, 3, padding="same", activation="relu"),
            keras.layers.Conv2D(16, 3, padding="same", activation="relu"),
            keras.layers.MaxPooling2D(),
            keras.layers.Conv2D(16, 3, padding="same", activation="relu"),
            keras.layers.GlobalAveragePooling2D(),
            keras.layers.Dense(3),
        ]
    )

    def serve(tiles: "tf.Tensor") -> dict[str, "tf.Tensor"]:
        return {"probabilities": tf.nn.softmax(network(tf.cast(tiles, tf.float32) - 128.0) / 8.0)}

    return to_onnx(serve, INPUTS, OUTPUTS)


def answers(content: bytes, tiles: NDArray[np.uint8]) -> NDArray[np.float32]:
    return run_onnx(content, tiles, ["probabilities"])["probabilities"]


def signature(content: bytes) -> list[tuple[str, str, list[int | str]]]:
    session = open_session(content, CPU_PROVIDER)
    return [(item.name, item.type, item.shape) for item in (*session.get_inputs(), *session.get_outputs())]


def quantised_convolutions(content: bytes) -> list[bool]:
    """Whether each convolution, in order, reads a quantised input."""
    graph = onnx.load_model_from_string(content).graph
    made_by = {name: node.op_type for node in graph.node for name in node.output}
    return [made_by.get(node.input[0]) == "DequantizeLinear" for node in graph.node if node.op_type == "Conv"]


def test_the_reference_tells_the_tiles_apart(reference: onnx.ModelProto, tiles: NDArray[np.uint8]) -> None:
    found = answers(reference.SerializeToString(), tiles)
    assert found.std(axis=0).max() > 0.05


def test_int8_agrees_with_fp32_on_tiles_it_was_not_calibrated_on(reference: onnx.ModelProto, tiles: NDArray[np.uint8]) -> None:
    expected = answers(reference.SerializeToString(), tiles[20:])
    found = answers(to_int8(reference, tiles[:20]), tiles[20:])
    assert 0 < np.abs(found - expected).max() < 0.05
    assert (found.argmax(axis=1) == expected.argmax(axis=1)).mean() >= 0.9


def test_int8_quantises_every_convolution_but_the_first(reference: onnx.ModelProto, tiles: NDArray[np.uint8]) -> None:
    assert quantised_convolutions(to_int8(reference, tiles[:20])) == [False, True, True]


def test_int8_leaves_the_dense_head_alone(reference: onnx.ModelProto, tiles: NDArray[np.uint8]) -> None:
    graph = onnx.load_model_from_string(to_int8(reference, tiles[:20])).graph
    made_by = {name: node.op_type for node in graph.node for name in node.output}
    heads = [node for node in graph.node if node.op_type in ("MatMul", "Gemm")]
    assert heads
    assert all(made_by.get(name) != "DequantizeLinear" for node in heads for name in node.input)


def test_int8_weights_use_seven_of_eight_bits(reference: onnx.ModelProto, tiles: NDArray[np.uint8]) -> None:
    graph = onnx.load_model_from_string(to_int8(reference, tiles[:20])).graph
    kernels = [
        onnx.numpy_helper.to_array(tensor)
        for tensor in graph.initializer
        if tensor.data_type == onnx.TensorProto.INT8 and len(tensor.dims) == 4
    ]
    assert len(kernels) == 2
    assert all(60 <= np.abs(kernel.astype(int)).max() <= 64 for kernel in kernels)


def test_fp16_agrees_with_fp32_and_is_about_half_its_size(reference: onnx.ModelProto, tiles: NDArray[np.uint8]) -> None:
    content = to_fp16(reference)
    gap = np.abs(answers(content, tiles) - answers(reference.SerializeToString(), tiles)).max()
    assert 0 < gap < 0.01
    assert len(content) < 0.8 * len(reference.SerializeToString())


def test_both_variants_keep_the_signature_of_the_reference(reference: onnx.ModelProto, tiles: NDArray[np.uint8]) -> None:
    expected = signature(reference.SerializeToString())
    assert signature(to_fp16(reference)) == expected
    assert signature(to_int8(reference, tiles[:20])) == expected


def test_quantising_does_not_change_the_reference(reference: onnx.ModelProto, tiles: NDArray[np.uint8]) -> None:
    before = reference.SerializeToString()
    to_int8(reference, tiles[:20])
    to_fp16(reference)
    assert reference.SerializeToString() == before


def test_half_precision_around_an_operator_that_stays_single_can_be_checked_like_any_graph(tiles: NDArray[np.uint8]) -> None:
    def serve(tiles: "tf.Tensor") -> dict[str, "tf.Tensor"]:
        mean = tf.reduce_mean(tf.cast(tiles, tf.float32) / 255.0, axis=(1, 2))
        return {"probabilities": tf.nn.softmax(tf.maximum(mean, 0.5 * mean + 0.1) * 2.0)}

    half = to_fp16(to_onnx(serve, INPUTS, OUTPUTS))
    check_operators(onnx.load_from_string(half), "half.onnx")
    np.testing.assert_allclose(answers(half, tiles).sum(axis=1), 1.0, atol=2e-3)
