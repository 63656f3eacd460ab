"""Find, read and replace constants and tensors inside an exported graph."""

from collections.abc import Mapping, Sequence

import numpy as np
import onnx
import onnxruntime as ort
from numpy.typing import NDArray
from onnx import numpy_helper

from cervix.bundle.sessions import CPU_PROVIDER, open_session
from cervix.errors import BundleError


class GraphWeights:
    """An ONNX graph that can be followed backwards from its outputs.

    Parameters
    ----------
    onnx_bytes : bytes
        From a bundle that has been proved.
    """

    def __init__(self, onnx_bytes: bytes) -> None:
        self._model = onnx.load_model_from_string(onnx_bytes)
        self._producer = {str(output): node for node in self._model.graph.node for output in node.output}
        self._constants = {tensor.name: tensor for tensor in self._model.graph.initializer}

    @property
    def nodes(self) -> Sequence[onnx.NodeProto]:
        return list(self._model.graph.node)

    def made_by(self, operator: str, name: str) -> onnx.NodeProto:
        """The node that produces a tensor; ``BundleError`` if its operator is another."""
        node = self._producer.get(name)
        if node is None or node.op_type != operator:
            raise another_graph(f"{operator} before {name}")
        return node

    def operator(self, name: str) -> str:
        """The operator that produces a tensor; empty for inputs and constants."""
        node = self._producer.get(name)
        return "" if node is None else str(node.op_type)

    def operands(self, node: onnx.NodeProto) -> tuple[str, str]:
        """The computed and the constant input of a node that has one of each."""
        constant = next((str(name) for name in node.input if name in self._constants), None)
        computed = next((str(name) for name in node.input if name not in self._constants), None)
        if constant is None or computed is None:
            raise another_graph(f"a {node.op_type} with a constant")
        return computed, constant

    def array(self, name: str) -> NDArray[np.generic]:
        """A constant's values, in the precision of the graph."""
        if name not in self._constants:
            raise another_graph(f"a constant {name}")
        return np.asarray(numpy_helper.to_array(self._constants[name]))

    def floats(self, name: str) -> NDArray[np.float32]:
        """A constant's values in single precision."""
        return self.array(name).astype(np.float32)

    def turned_over(self, name: str) -> list[str]:
        """Other constants that contain the transpose of a matrix, in any shape."""
        turned = self.array(name).T.ravel()
        return [
            other
            for other, tensor in self._constants.items()
            if other != name and np.prod(tensor.dims) == turned.size and np.array_equal(self.array(other).ravel(), turned)
        ]

    def replaced(self, new: Mapping[str, NDArray[np.generic]]) -> bytes:
        """The same graph with new values of these constants, in the graph's precision.

        Raises ``ValueError`` if a shape differs.
        """
        model = onnx.ModelProto()
        model.CopyFrom(self._model)
        for tensor in model.graph.initializer:
            if tensor.name in new:
                old = numpy_helper.to_array(tensor)
                if old.shape != new[tensor.name].shape:
                    raise ValueError(f"{tensor.name} is {old.shape}, its new values {new[tensor.name].shape}")
                tensor.CopyFrom(numpy_helper.from_array(new[tensor.name].astype(old.dtype), tensor.name))
        onnx.checker.check_model(model, full_check=True)
        return bytes(model.SerializeToString())

    def probe(self, names: Sequence[str]) -> ort.InferenceSession:
        """A session that computes these tensors, which need not be outputs, and nothing beyond them."""
        model = onnx.ModelProto()
        model.CopyFrom(self._model)
        declared = {output.name for output in model.graph.output}
        model.graph.output.extend(onnx.ValueInfoProto(name=name) for name in names if name not in declared)
        return open_session(model.SerializeToString(), CPU_PROVIDER)


def another_graph(expected: str) -> BundleError:
    """The error for a graph whose structure is not the trainer's."""
    return BundleError(
        "The graph is not one that can be retrained",
        expected=expected,
        found="another graph",
        action="Retrain from a bundle that `python -m training build` made.",
    )
