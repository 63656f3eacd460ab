"""Weights that are rounded for their inputs change an output less than weights at their nearest steps."""

from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import helper, numpy_helper

pytestmark = pytest.mark.training
pytest.importorskip("onnxruntime.quantization", reason="quantising needs what the app's environment has not")

from training.shared.onnx_graphs import run_onnx  # noqa: E402
from training.slide.quantise import to_int8  # noqa: E402
from training.slide.rounding import LARGEST_STEP, POSITIONS, input_moments, round_to_inputs, with_rounding  # noqa: E402

SIDE = 12
FLOAT, UINT8 = onnx.TensorProto.FLOAT, onnx.TensorProto.UINT8
Window = dict[str, Any]
SAME: Window = {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1]}
REDUCING: Window = {"kernel_shape": [2, 3], "pads": [0, 1, 1, 2], "strides": [2, 1]}
DEPTHWISE: Window = SAME | {"group": 8}


def drawn_tiles(count: int, seed: int = 0) -> NDArray[np.uint8]:
    """Tiles whose neighbouring pixels go together, as those of tissue do."""
    coarse = np.random.default_rng(seed).integers(0, 256, (count, SIDE // 3, SIDE // 3, 3))
    return coarse.repeat(3, axis=1).repeat(3, axis=2).astype(np.uint8)


def network(*windows: Window, seed: int = 3, channels: int = 8) -> onnx.ModelProto:
    """Tiles -> three convolutions, of which the last two are given by their attributes -> the mean of the last map."""
    rng = np.random.default_rng(seed)
    nodes = [
        helper.make_node("Cast", ["tiles"], ["floats"], to=FLOAT),
        helper.make_node("Transpose", ["floats"], ["map0"], perm=[0, 3, 1, 2]),
    ]
    weights = []
    for number, window in enumerate((SAME, *windows), start=1):
        inputs = (3 if number == 1 else channels) // window.get("group", 1)
        drawn = rng.standard_t(3, (channels, inputs, *window["kernel_shape"])) * 0.05
        weights.append(numpy_helper.from_array(drawn.astype(np.float32), f"w{number}"))
        weights.append(numpy_helper.from_array(rng.normal(0, 0.1, channels).astype(np.float32), f"b{number}"))
        nodes.append(
            helper.make_node(
                "Conv", [f"map{number - 1}", f"w{number}", f"b{number}"], [f"raw{number}"], name=f"conv{number}", **window
            )
        )
        nodes.append(helper.make_node("Relu", [f"raw{number}"], [f"map{number}"], name=f"relu{number}"))
    nodes.append(helper.make_node("ReduceMean", [f"map{len(windows) + 1}", "axes"], ["mean"], keepdims=0))
    weights.append(numpy_helper.from_array(np.array([2, 3]), "axes"))
    graph = helper.make_graph(
        nodes, "small",
        [helper.make_tensor_value_info("tiles", UINT8, ["N", SIDE, SIDE, 3])],
        [helper.make_tensor_value_info("mean", FLOAT, ["N", channels])],
        weights,
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    onnx.checker.check_model(model, full_check=True)
    return model


def as_it_was(quantised: onnx.ModelProto, *_: object) -> onnx.ModelProto:
    """In place of the rounding: nearest steps."""
    return quantised


def whole_weights(content: bytes, name: str) -> NDArray[np.int8]:
    (tensor,) = (item for item in onnx.load_from_string(content).graph.initializer if item.name == f"{name}_quantized")
    return np.asarray(numpy_helper.to_array(tensor), np.int8)


def correlated(rows: int, count: int) -> NDArray[np.float64]:
    rng = np.random.default_rng(5)
    return np.maximum(rng.normal(size=(rows, 4)) @ rng.normal(size=(4, count)) + 0.3 * rng.normal(size=(rows, count)), 0)


@pytest.mark.parametrize("count", [20, 300])  # within one block and over several
def test_outputs_on_inputs_that_go_together_change_less_than_by_nearest_steps(count: int) -> None:
    inputs = correlated(4000, count)
    weights = np.random.default_rng(6).standard_t(3, (16, count))
    steps = np.abs(weights).max(axis=1) / LARGEST_STEP
    found = round_to_inputs(weights, steps, inputs.T @ inputs / len(inputs))
    nearest = np.round(weights / steps[:, None])
    by_inputs, by_nearest = (np.square(inputs @ (weights - whole * steps[:, None]).T).mean() for whole in (found, nearest))
    assert by_inputs < 0.5 * by_nearest
    assert np.abs(found.astype(int)).max() == LARGEST_STEP


def test_inputs_that_have_nothing_to_do_with_each_other_leave_each_weight_at_its_nearest_step() -> None:
    weights = np.random.default_rng(7).normal(size=(5, 40))
    steps = np.abs(weights).max(axis=1) / LARGEST_STEP
    found = round_to_inputs(weights, steps, np.diag(np.random.default_rng(8).uniform(0.5, 2, 40)))
    np.testing.assert_array_equal(found, np.round(weights / steps[:, None]))


def test_no_weight_goes_beyond_seven_bits_though_errors_are_passed_on_to_it() -> None:
    inputs = correlated(2000, 60)
    weights = np.tile(np.array([1.0, -1.0]), (3, 30)) + 0.004 * np.random.default_rng(9).normal(size=(3, 60))
    found = round_to_inputs(weights, np.full(3, 1 / LARGEST_STEP), inputs.T @ inputs / len(inputs))
    assert np.abs(found.astype(int)).max() == LARGEST_STEP


def test_moments_of_other_inputs_are_refused_and_inputs_that_were_always_zero_are_not() -> None:
    with pytest.raises(ValueError, match="expected moments of 6 inputs, found"):
        round_to_inputs(np.ones((2, 6)), np.ones(2), np.eye(5))
    np.testing.assert_array_equal(round_to_inputs(np.full((2, 6), 1.2), np.full(2, 0.5), np.zeros((6, 6))), np.full((2, 6), 2))


@pytest.mark.parametrize("window", [SAME, REDUCING])
def test_moments_are_those_of_what_the_convolution_multiplies(window: Window) -> None:
    model, tiles = network(window), drawn_tiles(4)
    weights = {item.name: numpy_helper.to_array(item) for item in model.graph.initializer}
    moments = input_moments(model, [tiles[:3], tiles[3:]], seed=0)["w2"]
    for node in model.graph.node:
        if node.name == "conv2":
            node.input[:] = node.input[:2]  # without its bias
    del model.graph.output[:]
    model.graph.output.append(helper.make_tensor_value_info("raw2", FLOAT, None))
    outputs = run_onnx(model.SerializeToString(), tiles, ["raw2"])["raw2"]
    flat = weights["w2"].reshape(8, -1).astype(np.float64)
    by_moments = np.einsum("ck,kl,cl->c", flat, moments, flat)
    tolerance = 0.15 if outputs[0, 0].size > POSITIONS else 1e-4  # where not all places are drawn
    np.testing.assert_allclose(by_moments, np.square(outputs).mean(axis=(0, 2, 3)), rtol=tolerance)


def test_an_int8_graph_is_nearer_to_its_reference_than_one_of_nearest_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    model, tiles, unseen = network(SAME, SAME), drawn_tiles(64), drawn_tiles(64, seed=1)
    found = to_int8(model, tiles)
    monkeypatch.setattr("training.slide.quantise.with_rounding", as_it_was)
    nearest = to_int8(model, tiles)
    wanted = run_onnx(model.SerializeToString(), unseen, ["mean"])["mean"]
    off, off_nearest = (np.square(run_onnx(content, unseen, ["mean"])["mean"] - wanted).mean() for content in (found, nearest))
    assert off < 0.7 * off_nearest
    assert len(found) <= len(nearest) + 100


def test_the_first_convolution_keeps_its_weights_and_one_of_groups_its_nearest_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    model, tiles = network(DEPTHWISE, SAME), drawn_tiles(16)
    assert set(input_moments(model, [tiles], seed=0)) == {"w1", "w3"}
    found = to_int8(model, tiles)
    monkeypatch.setattr("training.slide.quantise.with_rounding", as_it_was)
    nearest = to_int8(model, tiles)
    np.testing.assert_array_equal(whole_weights(found, "w2"), whole_weights(nearest, "w2"))
    assert (whole_weights(found, "w3") != whole_weights(nearest, "w3")).any()
    assert "w1_quantized" not in {item.name for item in onnx.load_from_string(found).graph.initializer}


def test_a_convolution_need_not_repeat_the_size_of_its_kernel() -> None:
    model, tiles = network(SAME), drawn_tiles(4)
    wanted = input_moments(model, [tiles], seed=0)
    for node in model.graph.node:
        kept = [attribute for attribute in node.attribute if attribute.name != "kernel_shape"]
        del node.attribute[:]
        node.attribute.extend(kept)
    found = input_moments(model, [tiles], seed=0)
    np.testing.assert_array_equal(found["w2"], wanted["w2"])


def test_a_graph_without_plain_convolutions_has_no_moments() -> None:
    model = network()
    (first,) = (node for node in model.graph.node if node.op_type == "Conv")
    del first.attribute[:]
    first.attribute.append(helper.make_attribute("auto_pad", b"SAME_UPPER"))
    assert input_moments(model, [drawn_tiles(2)], seed=0) == {}


def test_a_graph_without_quantised_weights_is_left_alone() -> None:
    model = network(SAME)
    same = with_rounding(model, model, {"w2": np.eye(72)})
    assert same.SerializeToString() == model.SerializeToString()
