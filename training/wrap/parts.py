"""Pieces of a graph, added one after another around a network."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from training.wrap.reader import GraphReader


class Parts:
    """Nodes and constants, added one after another."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: dict[str, onnx.TensorProto] = {}

    def add(self, kind: str, inputs: Sequence[str], output: str, **settings: Any) -> str:
        """One operator, named as its output, which is returned."""
        self.nodes.append(helper.make_node(kind, list(inputs), [output], name=output, **settings))
        return output

    def constant(self, name: str, values: Any, kind: type[np.generic] = np.float32) -> str:
        """A constant of the graph."""
        self.constants[name] = numpy_helper.from_array(np.asarray(values, kind), name)
        return name


def single(parts: Parts, reader: GraphReader, tensor: str) -> str:
    """A tensor of the network in single precision."""
    return tensor if reader.is_single(tensor) else parts.add("Cast", [tensor], f"single/{tensor}", to=TensorProto.FLOAT)
