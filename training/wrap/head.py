"""How a classifier comes from its last map of features to its logits: read off the graph, back from the answer.

With that path in the open, Grad-CAM (Selvaraju et al. 2017) needs no gradient operator: through dense layers, scales and ReLU
gates the gradient is a product of kernels and gates.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

import numpy as np
import onnx
from numpy.typing import NDArray

from training.wrap.reader import GraphReader, settings_of
from training.wrap.refusal import WrapRefused

Floats = NDArray[np.float64]
Layout = Literal["NHWC", "NCHW"]
PASSED: Final = ("Identity", "Cast", "LogSoftmax")
"""Operators between answer and dense layers that change no gradient that counts: log-softmax shifts all logits alike."""
ELEMENTWISE: Final = (
    "Relu", "LeakyRelu", "Elu", "Selu", "Sigmoid", "HardSigmoid", "Tanh", "Clip", "Mul", "Add", "Sub", "Div", "Identity",
    "Cast", "PRelu", "Softplus", "Erf", "Max", "Min", "Sum",
)  # fmt: skip
CHANNELS_FIRST: Final = (
    "Conv", "MaxPool", "AveragePool", "BatchNormalization", "GlobalAveragePool", "QuantizeLinear", "DequantizeLinear",
)  # fmt: skip
WHAT_IS_READ: Final = "a map of features, pooled or flattened, then dense layers with ReLU or nothing between them"


@dataclass(frozen=True)
class Affine:
    """A dense layer: ``kernel (in, out)``."""

    kernel: Floats


@dataclass(frozen=True)
class Scale:
    """A number for each feature, as of batch normalisation."""

    factor: Floats


@dataclass(frozen=True)
class Gate:
    """A ReLU, open where its answer, the tensor of that name, is above 0."""

    tensor: str


@dataclass(frozen=True)
class Head:
    """The path from the map of features to the logits.

    Attributes
    ----------
    logits : name of the tensor before any softmax or sigmoid
    steps : what lies between, from the logits back to the features
    embedding : name of the tensor that the last dense layer reads
    features : name of the last map of features
    layout : of that map
    sizes : (height, width, channels) of it
    pooled : whether the map's mean is read, else the flattened map
    """

    logits: str
    steps: list[Affine | Scale | Gate]
    embedding: str
    features: str
    layout: Layout
    sizes: tuple[int, int, int]
    pooled: bool


def read_head(reader: GraphReader, logits: str) -> Head:
    """Follow the graph back from ``logits``; ``WrapRefused`` where something else lies on the way to a map of features."""
    steps: list[Affine | Scale | Gate] = []
    embedding, name = "", logits
    while True:
        node = reader.producers.get(name)
        if node is None:
            raise _unread("no map of features before the answer")
        kind, settings = node.op_type, settings_of(node)
        if kind in PASSED:
            name = node.input[0]
        elif kind == "Gemm":
            kernel = _needed(reader, node.input[1], kind) * settings.get("alpha", 1.0)
            steps.append(Affine(np.asarray(kernel.T if settings.get("transB") else kernel, np.float64)))
            name = node.input[0]
            embedding = embedding or name
        elif kind == "MatMul":
            steps.append(Affine(np.asarray(_needed(reader, node.input[1], kind), np.float64)))
            name = node.input[0]
            embedding = embedding or name
        elif kind in ("Add", "Sub", "Mul", "Div"):
            name = _through_arithmetic(reader, node, steps)
        elif kind == "BatchNormalization" and len(reader.shape(node.input[0])) == 2:
            scale, variance = (_needed(reader, node.input[at], kind) for at in (1, 4))
            steps.append(Scale(scale / np.sqrt(variance + settings.get("epsilon", 1e-5))))
            name = node.input[0]
        elif kind == "Relu" and len(reader.shape(name)) == 2:
            steps.append(Gate(name))
            name = node.input[0]
        elif kind in ("Flatten", "Reshape", "Squeeze") and _is_one_pixel(reader, node.input[0]):
            name = node.input[0]
        elif kind in ("Flatten", "Reshape"):
            return _ended(reader, logits, steps, embedding, node.input[0], _layout(reader, node.input[0]), pooled=False)
        elif kind == "GlobalAveragePool":
            return _ended(reader, logits, steps, embedding, node.input[0], "NCHW", pooled=True)
        elif kind == "ReduceMean":
            return _ended(reader, logits, steps, embedding, node.input[0], _averaged(reader, node, settings), pooled=True)
        else:
            raise _unread(f"operator {kind}")


def _ended(
    reader: GraphReader,
    logits: str,
    steps: list[Affine | Scale | Gate],
    embedding: str,
    features: str,
    layout: Layout,
    *,
    pooled: bool,
) -> Head:
    shape = reader.shape(features)
    if len(shape) != 4 or None in shape[1:]:
        raise _unread(f"features of {len(shape)} dimensions")
    sizes = [int(size or 0) for size in shape[1:]]
    height, width, channels = sizes if layout == "NHWC" else (sizes[1], sizes[2], sizes[0])
    if not embedding:
        raise _unread("no dense layer")
    return Head(logits, steps, embedding, features, layout, (height, width, channels), pooled)


def _through_arithmetic(reader: GraphReader, node: onnx.NodeProto, steps: list[Affine | Scale | Gate]) -> str:
    values = [reader.constant(name) for name in node.input]
    at = next((place for place, value in enumerate(values) if value is not None), None)
    if at is None or (at == 0 and node.op_type in ("Sub", "Div")):
        raise _unread(f"operator {node.op_type} of two answers")
    if node.op_type in ("Mul", "Div"):
        factor = np.asarray(values[at], np.float64).ravel()
        steps.append(Scale(factor if node.op_type == "Mul" else 1 / factor))
    return str(node.input[1 - at])


def _averaged(reader: GraphReader, node: onnx.NodeProto, settings: Mapping[str, Any]) -> Layout:
    axes = settings.get("axes")
    if axes is None and len(node.input) > 1:
        axes = reader.constant(node.input[1])
    found = sorted(int(axis) % 4 for axis in (axes if axes is not None else ()))
    if found not in ([1, 2], [2, 3]):
        raise _unread("a mean that is not over height and width")
    return "NHWC" if found == [1, 2] else "NCHW"


def _layout(reader: GraphReader, features: str) -> Layout:
    """Of a flattened map, by the last operator before it that knows height from channels."""
    name = features
    while (node := reader.producers.get(name)) is not None:
        if node.op_type == "Transpose":
            return "NHWC" if list(settings_of(node).get("perm", [])) == [0, 2, 3, 1] else "NCHW"
        if node.op_type in CHANNELS_FIRST:
            return "NCHW"
        if node.op_type not in ELEMENTWISE:
            break
        name = next((part for part in node.input if reader.constant(part) is None), "")
    raise _unread("a flattened map whose channels cannot be told from its height")


def _is_one_pixel(reader: GraphReader, name: str) -> bool:
    """Whether a tensor is a map already pooled: nothing but its features has a size."""
    shape = reader.shape(name)
    return len(shape) == 2 or (len(shape) == 4 and (shape[2:] == [1, 1] or shape[1:3] == [1, 1]))


def _needed(reader: GraphReader, name: str, kind: str) -> NDArray[Any]:
    values = reader.constant(name)
    if values is None:
        raise _unread(f"operator {kind} with weights that are computed")
    return np.asarray(values, np.float64)


def _unread(found: str) -> WrapRefused:
    return WrapRefused(
        "It cannot be told where in a tile the model looks",
        expected=WHAT_IS_READ,
        found=found,
        action="A bundle shows for each class what drove it, so models with another head are not wrapped yet.",
    )
