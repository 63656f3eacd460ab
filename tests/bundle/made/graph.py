"""Small ONNX graphs from lists of nodes, and what they answer."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper

from cervix.bundle.manifest import TensorSpec
from cervix.bundle.sessions import CPU_PROVIDER, Arrays, open_session

Node = tuple[str, list[str], str, dict[str, Any]]
"""Operator, inputs, output, settings."""


def spec(name: str, *shape: int | str, dtype: str = "float32") -> TensorSpec:
    """An input or output of so many numbers a case."""
    return TensorSpec.model_validate({"name": name, "dtype": dtype, "shape": ["N", *shape], "unit": "1", "meaning": name})


def graph(nodes: Sequence[Node], constants: Mapping[str, Any], inputs: list[TensorSpec], outputs: list[TensorSpec]) -> bytes:
    """A graph as it stands in a file; constants of Python's and numpy's floats become float32."""
    arrays = {name: np.asarray(values) for name, values in constants.items()}
    arrays = {name: array.astype(np.float32) if array.dtype.kind == "f" else array for name, array in arrays.items()}
    made = helper.make_graph(
        [helper.make_node(kind, before, [after], **settings) for kind, before, after, settings in nodes],
        "made",
        [_value(item) for item in inputs],
        [_value(item) for item in outputs],
        [numpy_helper.from_array(array, name) for name, array in arrays.items()],
    )
    return helper.make_model(made, opset_imports=[helper.make_opsetid("", 18)], ir_version=10).SerializeToString()


def _value(item: TensorSpec) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(item.name, helper.np_dtype_to_tensor_dtype(np.dtype(item.dtype)), item.shape)


def answers(network: bytes, inputs: Arrays) -> Arrays:
    """All outputs of a graph, by name."""
    session = open_session(network, CPU_PROVIDER)
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(names, inputs), strict=True))
