"""The graph: reads per million in, everything that is done to them inside."""

from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from cervix.bundle.manifest import TensorSpec
from training.molecular.fit import Answer
from training.molecular.gaussian import Joint
from training.molecular.novelty import Gate
from training.shared.onnx_graphs import OPSET

IR_VERSION = 9
CLASSES = ("scc", "ac")


def inputs(markers: int) -> list[TensorSpec]:
    """What the graph is fed."""
    return [
        TensorSpec(
            name="rpm", dtype="float32", shape=["N", markers], unit="reads per million mapped to microRNA",
            meaning="One row a tumour, raw; NaN where a marker was not measured",
        )
    ]  # fmt: skip


def outputs(markers: int) -> list[TensorSpec]:
    """What the graph answers."""
    return [
        TensorSpec(name="probabilities", dtype="float32", shape=["N", len(CLASSES)], unit="probability",
                   meaning="Squamous and glandular, calibrated"),
        TensorSpec(name="logit", dtype="float32", shape=["N"], unit="log odds", meaning="Log odds of glandular"),
        TensorSpec(name="contributions", dtype="float32", shape=["N", markers], unit="log odds",
                   meaning="What each marker adds to the log odds of a tumour midway between both kinds; they add up"),
        TensorSpec(name="novelty", dtype="float32", shape=["N"], unit="about 1 for a usual tumour",
                   meaning="Distance of the reference markers from those of cervical tumours"),
        TensorSpec(name="reference_known", dtype="float32", shape=["N"], unit="share",
                   meaning="Share of reference markers measured"),
        TensorSpec(name="key_known", dtype="float32", shape=["N"], unit="share", meaning="Share of key markers measured"),
    ]  # fmt: skip


def molecular_graph(answer: Answer, gate: Gate, key: NDArray[np.intp]) -> bytes:
    """Make the graph. Its columns are the markers of the answer, then those of the gate that are not among them.

    Parameters
    ----------
    key : (j,) which columns of ``answer.places`` are the key markers
    """
    columns = graph_places(answer, gate)
    at = {int(place): number for number, place in enumerate(columns)}
    made = _Graph()
    made.constant("zero", np.float32(0))
    made.constant("one", np.float32(1))
    made.constant("per_ln2", np.float32(1 / np.log(2)))
    made.node("IsNaN", ["rpm"], "not_measured")
    made.node("Less", ["rpm", "zero"], "negative")
    made.node("Or", ["not_measured", "negative"], "missing")
    made.node("Where", ["missing", "zero", "rpm"], "reads")
    made.node("Add", ["reads", "one"], "reads_and_one")
    made.node("Log", ["reads_and_one"], "ln")
    made.node("Mul", ["ln", "per_ln2"], "log2")
    made.node("Not", ["missing"], "measured")
    made.node("Cast", ["measured"], "known", to=TensorProto.FLOAT)
    made.joint("answer", answer.joint, [at[int(place)] for place in answer.places])
    made.joint("gate", gate.joint, [at[int(place)] for place in gate.places])
    _answer(made, answer, len(columns))
    _gate(made, key)
    graph = helper.make_graph(
        made.nodes, "molecular",
        [helper.make_tensor_value_info("rpm", TensorProto.FLOAT, ["N", len(columns)])],
        [helper.make_tensor_value_info(spec.name, TensorProto.FLOAT, spec.shape) for spec in outputs(len(columns))],
        made.constants,
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION)
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())


def graph_places(answer: Answer, gate: Gate) -> NDArray[np.intp]:
    """The columns of the graph ``(F,)``: of the answer in their order, then the rest of the gate's."""
    rest = [place for place in gate.places if place not in answer.places]
    return np.array([*answer.places, *rest], np.intp)


def _answer(made: "_Graph", answer: Answer, width: int) -> None:
    made.node("Sub", ["one", "answer_known"], "answer_unknown")
    # What is expected of each marker given the others, and in place of it what was measured.
    made.constant("answer_correlations", answer.joint.correlations.astype(np.float32))
    made.node("MatMul", ["answer_solved", "answer_correlations"], "answer_expected")
    made.node("Mul", ["answer_expected", "answer_unknown"], "answer_filling")
    made.node("Add", ["answer_value", "answer_filling"], "answer_filled")
    made.constant("weights", answer.weights.astype(np.float32))
    made.node("Mul", ["answer_filled", "weights"], "added")
    made.constant("last_axis", np.array([-1], np.int64))
    made.node("ReduceSum", ["added", "last_axis"], "added_up", keepdims=0)
    made.constant("bias", np.float32(answer.bias))
    made.node("Add", ["added_up", "bias"], "logit")
    made.constant("beside", np.array([0, 0, 0, width - len(answer.weights)], np.int64))
    made.node("Pad", ["added", "beside"], "contributions")
    made.node("Sigmoid", ["logit"], "glandular")
    made.node("Neg", ["logit"], "against")
    made.node("Sigmoid", ["against"], "squamous")
    made.node("Unsqueeze", ["squamous", "last_axis"], "squamous_column")
    made.node("Unsqueeze", ["glandular", "last_axis"], "glandular_column")
    made.node("Concat", ["squamous_column", "glandular_column"], "probabilities", axis=1)


def _gate(made: "_Graph", key: NDArray[np.intp]) -> None:
    made.node("Mul", ["gate_value", "gate_solved"], "gate_parts")
    made.node("ReduceSum", ["gate_parts", "last_axis"], "gate_squared", keepdims=0)
    made.node("ReduceSum", ["gate_known", "last_axis"], "gate_count", keepdims=0)
    made.node("Max", ["gate_count", "one"], "gate_count_or_one")
    made.node("Div", ["gate_squared", "gate_count_or_one"], "gate_mean")
    made.node("Max", ["gate_mean", "zero"], "gate_mean_or_zero")
    made.node("Sqrt", ["gate_mean_or_zero"], "novelty")
    made.node("ReduceMean", ["gate_known", "last_axis"], "reference_known", keepdims=0)
    made.constant("key_places", key.astype(np.int64))
    made.node("Gather", ["answer_known", "key_places"], "key_measured", axis=1)
    made.node("ReduceMean", ["key_measured", "last_axis"], "key_known", keepdims=0)


class _Graph:
    """Nodes and constants as they are added."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []

    def constant(self, name: str, value: Any) -> None:
        self.constants.append(numpy_helper.from_array(np.asarray(value), name))

    def node(self, operator: str, given: list[str], output: str, **attributes: Any) -> None:
        self.nodes.append(helper.make_node(operator, given, [output], **attributes))

    def joint(self, name: str, joint: Joint, columns: list[int]) -> None:
        """``Joint.solved`` up to the solution: ``<name>_known``, ``_value`` and ``_solved``, each ``(N, k)``.

        The system of a tumour has its measured markers' correlations, and 1 on the diagonal for the others. It is solved by
        Gauss and Jordan's elimination, column by column: no marker needs another order, since the matrix is positive definite.
        """
        size = len(columns)
        self.constant(f"{name}_columns", np.array(columns, np.int64))
        self.node("Gather", ["log2", f"{name}_columns"], f"{name}_logs", axis=1)
        self.node("Gather", ["known", f"{name}_columns"], f"{name}_known", axis=1)
        self.constant(f"{name}_centre", joint.centre.astype(np.float32))
        self.constant(f"{name}_spread", joint.spread.astype(np.float32))
        self.node("Sub", [f"{name}_logs", f"{name}_centre"], f"{name}_excess")
        self.node("Div", [f"{name}_excess", f"{name}_spread"], f"{name}_standardised")
        self.node("Mul", [f"{name}_standardised", f"{name}_known"], f"{name}_value")
        self.constant(f"{name}_second", np.array([2], np.int64))
        self.constant(f"{name}_first", np.array([1], np.int64))
        self.node("Unsqueeze", [f"{name}_known", f"{name}_second"], f"{name}_known_rows")
        self.node("Unsqueeze", [f"{name}_known", f"{name}_first"], f"{name}_known_columns")
        self.node("Mul", [f"{name}_known_rows", f"{name}_known_columns"], f"{name}_both")
        eye = np.eye(size)
        self.constant(f"{name}_off_diagonal", (joint.correlations * (1 - eye)).astype(np.float32))
        self.constant(f"{name}_diagonal", eye.astype(np.float32))
        self.node("Mul", [f"{name}_both", f"{name}_off_diagonal"], f"{name}_beside")
        self.node("Add", [f"{name}_beside", f"{name}_diagonal"], f"{name}_matrix")
        self.node("Unsqueeze", [f"{name}_value", f"{name}_second"], f"{name}_right")
        self.node("Concat", [f"{name}_matrix", f"{name}_right"], f"{name}_step0", axis=2)
        for at in range(size):
            self._eliminated(name, at, size)
        self.constant(f"{name}_end", np.array([size], np.int64))
        self.constant(f"{name}_behind", np.array([size + 1], np.int64))
        self.node(
            "Slice", [f"{name}_step{size}", f"{name}_end", f"{name}_behind", f"{name}_second"], f"{name}_solution"
        )  # fmt: skip
        self.node("Squeeze", [f"{name}_solution", f"{name}_second"], f"{name}_solved")

    def _eliminated(self, name: str, at: int, size: int) -> None:
        """One column of the system made a column of the identity."""
        step, here = f"{name}_step{at}", f"{name}_{at}"
        self.constant(f"{here}_from", np.array([at], np.int64))
        self.constant(f"{here}_to", np.array([at + 1], np.int64))
        itself = np.zeros((size, 1), np.float32)
        itself[at] = 1
        self.constant(f"{here}_itself", itself)
        self.node("Slice", [step, f"{here}_from", f"{here}_to", f"{name}_first"], f"{here}_row")
        self.node("Slice", [f"{here}_row", f"{here}_from", f"{here}_to", f"{name}_second"], f"{here}_pivot")
        self.node("Div", [f"{here}_row", f"{here}_pivot"], f"{here}_scaled")
        self.node("Slice", [step, f"{here}_from", f"{here}_to", f"{name}_second"], f"{here}_column")
        self.node("Sub", [f"{here}_column", f"{here}_itself"], f"{here}_factors")
        # In the row itself the factor is pivot - 1: pivot·scaled - (pivot - 1)·scaled = scaled.
        self.node("Mul", [f"{here}_factors", f"{here}_scaled"], f"{here}_taken")
        self.node("Sub", [step, f"{here}_taken"], f"{name}_step{at + 1}")
