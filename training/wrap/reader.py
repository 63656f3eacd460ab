"""What a graph says of itself: which node makes a tensor, constants, shapes."""

from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper, shape_inference

from training.wrap.loading import PREFIX


class GraphReader:
    """Looks up nodes, constants and shapes of a graph."""

    def __init__(self, model: onnx.ModelProto) -> None:
        graph = shape_inference.infer_shapes(model, data_prop=True).graph
        self.producers: dict[str, onnx.NodeProto] = {name: node for node in graph.node for name in node.output}
        self._constants = {tensor.name: tensor for tensor in graph.initializer}
        self._constants |= {
            node.output[0]: attribute.t
            for node in graph.node
            if node.op_type == "Constant"
            for attribute in node.attribute
            if attribute.name == "value"
        }
        values = (*graph.input, *graph.value_info, *graph.output)
        self._types = {value.name: value.type.tensor_type for value in values}

    def constant(self, name: str) -> NDArray[Any] | None:
        """The values of a constant, looked at through what only passes it on; None where it is none."""
        node = self.producers.get(name)
        if node is not None and node.op_type in ("Identity", "Cast"):
            return self.constant(node.input[0])
        tensor = self._constants.get(name)
        return None if tensor is None else np.asarray(numpy_helper.to_array(tensor))

    def shape(self, name: str) -> list[int | None]:
        """Sizes of a tensor, None where one is free; an empty list where nothing is known."""
        tensor = self._types.get(name)
        if tensor is None or not tensor.HasField("shape"):
            return []
        return [dim.dim_value if dim.HasField("dim_value") else None for dim in tensor.shape.dim]

    def is_single(self, name: str) -> bool:
        """Whether a tensor is of float32."""
        tensor = self._types.get(name)
        return tensor is not None and tensor.elem_type == TensorProto.FLOAT


def settings_of(node: onnx.NodeProto) -> dict[str, Any]:
    """Attributes of a node by name."""
    return {attribute.name: helper.get_attribute_value(attribute) for attribute in node.attribute}


def plain(name: str) -> str:
    """A tensor's name as the model's owner knows it."""
    return name.removeprefix(PREFIX)
