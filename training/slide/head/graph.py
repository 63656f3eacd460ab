"""The fitted head as an ONNX graph: a dozen operators, written out so that they can be read. Needs no TensorFlow."""

import numpy as np
import onnx
from onnx import helper, numpy_helper

from cervix.bundle.head_contract import ATTENTION, COORDINATES, EMBEDDINGS, POSITIONS, PROBABILITIES
from cervix.bundle.manifest import TensorSpec
from cervix.bundle.sessions import CPU_PROVIDER, Arrays, open_session
from training.shared.onnx_graphs import OPSET
from training.slide.head.weights import CLIP, HeadWeights

IR_VERSION = 10
CLASSES = ("benign", "carcinoma")
"""Of a slide, in the order of the answer."""


def head_inputs(size: int) -> list[TensorSpec]:
    """What a slide head reads of a slide of T tiles."""
    return [
        TensorSpec(
            name=EMBEDDINGS, dtype="float32", shape=["T", size], unit="activation",
            meaning="Embeddings of the accepted tiles of a slide, by the tile model",
        ),
        TensorSpec(
            name=POSITIONS, dtype="float32", shape=["T", COORDINATES], unit="micrometre",
            meaning="Centres of these tiles, across and down from the corner of the slide; this head does not use them",
        ),
    ]  # fmt: skip


def head_outputs() -> list[TensorSpec]:
    """What it answers."""
    return [
        TensorSpec(
            name=PROBABILITIES, dtype="float32", shape=[1, len(CLASSES)], unit="probability", activation="softmax",
            meaning="Calibrated probability that the slide holds none or some carcinoma",
        ),
        TensorSpec(
            name=ATTENTION, dtype="float32", shape=["T"], unit="share", activation="softmax",
            meaning="How much each tile weighed in the answer; sums to 1",
        ),
    ]  # fmt: skip


def head_graph(weights: HeadWeights, inverse_temperature: float) -> bytes:
    """The head with its temperature, as it stands in a bundle."""
    constants = {
        "mean": weights.mean, "spread": weights.spread, "low": np.float32(-CLIP), "high": np.float32(CLIP),
        "tanh_kernel": weights.tanh_kernel, "tanh_bias": weights.tanh_bias,
        "gate_kernel": weights.gate_kernel, "gate_bias": weights.gate_bias,
        "score_kernel": weights.score_kernel, "answer_kernel": weights.answer_kernel, "answer_bias": weights.answer_bias,
        "warmth": np.float32(inverse_temperature), "sides": np.array([[0.0, 1.0]], np.float32),
        "first_axis": np.array([0], np.int64), "last_axis": np.array([1], np.int64),
    }  # fmt: skip
    nodes = [
        ("Sub", [EMBEDDINGS, "mean"], "away", {}), ("Div", ["away", "spread"], "standard", {}),
        ("Clip", ["standard", "low", "high"], "x", {}),
        ("MatMul", ["x", "tanh_kernel"], "said_raw", {}), ("Add", ["said_raw", "tanh_bias"], "said_sum", {}),
        ("Tanh", ["said_sum"], "said", {}),
        ("MatMul", ["x", "gate_kernel"], "gate_raw", {}), ("Add", ["gate_raw", "gate_bias"], "gate_sum", {}),
        ("Sigmoid", ["gate_sum"], "gate", {}), ("Mul", ["said", "gate"], "gated", {}),
        ("MatMul", ["gated", "score_kernel"], "score_column", {}), ("Squeeze", ["score_column", "last_axis"], "score", {}),
        ("Softmax", ["score"], ATTENTION, {"axis": 0}), ("Unsqueeze", [ATTENTION, "first_axis"], "attention_row", {}),
        ("MatMul", ["attention_row", "x"], "slide", {}), ("MatMul", ["slide", "answer_kernel"], "odds_raw", {}),
        ("Add", ["odds_raw", "answer_bias"], "odds", {}), ("Mul", ["odds", "warmth"], "calibrated", {}),
        ("MatMul", ["calibrated", "sides"], "logits", {}), ("Softmax", ["logits"], PROBABILITIES, {"axis": 1}),
    ]  # fmt: skip
    graph = helper.make_graph(
        [helper.make_node(kind, before, [after], **settings) for kind, before, after, settings in nodes],
        "slide-head",
        [_value(spec) for spec in head_inputs(len(weights.mean))],
        [_value(spec) for spec in head_outputs()],
        [numpy_helper.from_array(np.asarray(values), name) for name, values in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION)
    onnx.checker.check_model(model, full_check=True)
    return bytes(model.SerializeToString())


def _value(spec: TensorSpec) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(spec.name, helper.np_dtype_to_tensor_dtype(np.dtype(spec.dtype)), spec.shape)


def run_head(onnx_bytes: bytes, slides: list[Arrays]) -> list[Arrays]:
    """All outputs for each slide, on the CPU."""
    session, names = open_session(onnx_bytes, CPU_PROVIDER), [spec.name for spec in head_outputs()]
    return [dict(zip(names, session.run(names, slide), strict=True)) for slide in slides]
