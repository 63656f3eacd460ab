"""What the graph of a bundle may be made of: a list of operators, and tensors whose sizes are known before anything runs."""

import math
from collections.abc import Iterator
from typing import Final

import onnx
from onnx import AttributeProto, shape_inference

from cervix.bundle.tree_operators import TREE_DOMAIN, TREE_OPERATORS, check_reach, told_shape
from cervix.errors import BundleError

DOMAINS: Final = ("", "ai.onnx")
# What tf2onnx, quantisation and half precision write for these networks, and their kin. None loops, branches, calls a
# function, draws random numbers, or answers with a size that depends on values. Range is not among them: ONNX would write
# down all of its numbers while it infers shapes.
OPERATORS: Final = frozenset({
    "Abs", "Add", "And", "ArgMax", "ArgMin", "AveragePool", "BatchNormalization", "Cast", "Ceil", "Clip", "Concat", "Constant",
    "ConstantOfShape", "Conv", "CumSum", "DequantizeLinear", "Div", "Elu", "Equal", "Erf", "Exp", "Expand", "Flatten", "Floor",
    "GRU", "Gather", "GatherElements", "GatherND", "Gemm", "GlobalAveragePool", "GlobalMaxPool", "Greater", "GreaterOrEqual",
    "HardSigmoid", "Identity", "IsInf", "IsNaN", "LSTM", "LayerNormalization", "LeakyRelu", "Less", "LessOrEqual", "Log",
    "LogSoftmax", "MatMul", "Max", "MaxPool", "Mean", "Min", "Mul", "Neg", "Not", "OneHot", "Or", "PRelu", "Pad", "Pow",
    "QuantizeLinear", "Reciprocal", "ReduceL1", "ReduceL2", "ReduceLogSumExp", "ReduceMax", "ReduceMean", "ReduceMin",
    "ReduceProd", "ReduceSum", "ReduceSumSquare", "Relu", "Reshape", "Round", "Selu", "Shape", "Sigmoid", "Sign", "Size",
    "Slice", "Softmax", "Softplus", "Softsign", "Split", "Sqrt", "Squeeze", "Sub", "Sum", "Tanh", "Tile", "TopK", "Transpose",
    "Unsqueeze", "Where", "Xor",
})  # fmt: skip
# Sizes are computed for as many tiles or women at once as a GPU gets, and for more visits than a woman has.
ASSUMED_SIZES: Final = {"N": 64}
ASSUMED_OTHERWISE: Final = 24
# The largest of VGG16 at 64 tiles, the first convolution's answer, has 0.8 GB.
TENSOR_BYTES_AT_MOST: Final = 2 << 30
ALL_TENSORS_BYTES_AT_MOST: Final = 32 << 30
# Constants above this size say nothing about sizes of others, and need not be copied to be looked at.
SHAPE_BYTES_AT_MOST: Final = 1024
# Of operators on tables, one after the other: shapes are inferred anew behind each, and a pipeline has a handful.
LAYERS_AT_MOST: Final = 64
NOT_PLAIN: Final = frozenset({
    AttributeProto.GRAPH, AttributeProto.GRAPHS, AttributeProto.SPARSE_TENSOR, AttributeProto.SPARSE_TENSORS,
    AttributeProto.TYPE_PROTO, AttributeProto.TYPE_PROTOS,
})  # fmt: skip
OWN_GRAPHS: Final = "a graph, a function or a table within an operator"


def check_operators(model: onnx.ModelProto, name: str) -> None:
    """Refuse a graph that could run for ever, or need more memory than it tells, before a session is made of it.

    Parameters
    ----------
    model : onnx.ModelProto
    name : str
        Of the file, for the message.

    Raises
    ------
    BundleError
        An operator or domain that is not on the list; subgraphs, functions, sparse constants, data outside the file; a
        constant larger than the file; a tensor that is too large, or whose size cannot be told.
    """
    if model.functions or model.training_info or model.graph.sparse_initializer:
        raise _refused(name, OWN_GRAPHS, "a function, training or a sparse constant")
    for node in model.graph.node:
        allowed = OPERATORS if node.domain in DOMAINS else TREE_OPERATORS if node.domain == TREE_DOMAIN else ()
        if node.op_type not in allowed:
            raise BundleError(
                f"{name} uses an operator that is not allowed in a bundle",
                expected=f"one of the {len(OPERATORS) + len(TREE_OPERATORS)} that these models need",
                found=_shown(f"{node.domain}.{node.op_type}".lstrip(".")),
            )
        for attribute in node.attribute:
            if attribute.type in NOT_PLAIN or attribute.ref_attr_name:
                raise _refused(name, OWN_GRAPHS, f"one in {_shown(node.op_type)}")
    size = model.ByteSize()
    for tensor in _constants(model):
        if tensor.data_location == onnx.TensorProto.EXTERNAL or tensor.external_data:
            raise BundleError(
                f"{name} keeps its weights in another file",
                expected="weights inside the ONNX file",
                found=f"external data for {_shown(tensor.name)}",
            )
        # Two numbers of four bits share a byte.
        if any(dim < 0 for dim in tensor.dims) or math.prod(tensor.dims) > 2 * size:
            raise _too_large(name, tensor.name, f"a constant of {_shown('×'.join(map(str, tensor.dims)))}")
    _check_sizes(model, name)


def _constants(model: onnx.ModelProto) -> Iterator[onnx.TensorProto]:
    yield from model.graph.initializer
    for node in model.graph.node:
        for attribute in node.attribute:
            if attribute.HasField("t"):
                yield attribute.t
            yield from attribute.tensors


def _check_sizes(model: onnx.ModelProto, name: str) -> None:
    """Compute every shape for assumed sizes of what is free, from the constants and operators alone."""
    bare = _without_weights(model)
    for value in (*bare.graph.input, *bare.graph.output):
        for dim in value.type.tensor_type.shape.dim:
            if not dim.HasField("dim_value"):
                dim.dim_value = ASSUMED_SIZES.get(dim.dim_param, ASSUMED_OTHERWISE)
    # What the file says of sizes in between, and of its answers, is not believed.
    del bare.graph.value_info[:]
    for value in bare.graph.output:
        value.type.tensor_type.ClearField("shape")
    inferred = _inferred(bare, name)
    known = {value.name: value.type.tensor_type for value in (*inferred.value_info, *inferred.output)}
    total = 0
    for node in inferred.node:
        for output in filter(None, node.output):
            held = _bytes_of(known.get(output))
            if held is None:
                raise _too_large(name, output, f"a size that cannot be told beforehand, of {_shown(node.op_type)}")
            total += held
            if held > TENSOR_BYTES_AT_MOST or total > ALL_TENSORS_BYTES_AT_MOST:
                raise _too_large(name, output, f"{max(held, total) / 1e9:,.0f} GB, of {_shown(node.op_type)}")


def _inferred(bare: onnx.ModelProto, name: str) -> onnx.GraphProto:
    """The graph with the sizes of all tensors. ONNX infers none for most operators on tables: those are told it one by one."""
    waiting = [node for node in bare.graph.node if node.domain == TREE_DOMAIN]
    for _ in range(LAYERS_AT_MOST):
        # Not strictly: what follows such an operator does not fit anything yet.
        graph = shape_inference.infer_shapes(bare, data_prop=True).graph
        known = {value.name: value.type.tensor_type for value in (*graph.input, *graph.value_info)}
        known |= {tensor.name: _type_of(tensor) for tensor in graph.initializer}
        ready = [node for node in waiting if all(_bytes_of(known.get(tensor)) is not None for tensor in node.input)]
        if not ready:
            break
        for node in ready:
            waiting.remove(node)
            shapes = [[dim.dim_value for dim in known[tensor].shape.dim] for tensor in node.input]
            check_reach(node, shapes[0], name)
            _tell(bare.graph, told_shape(node, shapes, known[node.input[0]].elem_type))
    try:
        return shape_inference.infer_shapes(bare, data_prop=True, strict_mode=True).graph
    except Exception as error:
        raise BundleError(f"{name} has operators that do not fit each other", found=_shown(str(error))) from error


def _type_of(tensor: onnx.TensorProto) -> onnx.TypeProto.Tensor:
    return onnx.helper.make_tensor_type_proto(tensor.data_type, tensor.dims).tensor_type


def _tell(graph: onnx.GraphProto, told: list[onnx.ValueInfoProto]) -> None:
    """Write the sizes of some tensors into the graph."""
    outputs = {value.name: value for value in graph.output}
    for value in told:
        if value.name in outputs:
            outputs[value.name].CopyFrom(value)
        else:
            graph.value_info.append(value)


def _without_weights(model: onnx.ModelProto) -> onnx.ModelProto:
    """The same graph with the shapes of its large constants alone."""
    bare = onnx.ModelProto(ir_version=model.ir_version, opset_import=model.opset_import)
    bare.graph.name = model.graph.name
    bare.graph.node.extend(model.graph.node)
    bare.graph.input.extend(model.graph.input)
    bare.graph.output.extend(model.graph.output)
    for tensor in model.graph.initializer:
        kept = bare.graph.initializer.add(name=tensor.name, data_type=tensor.data_type, dims=tensor.dims)
        if tensor.ByteSize() <= SHAPE_BYTES_AT_MOST:
            kept.CopyFrom(tensor)
    return bare


def _bytes_of(tensor: onnx.TypeProto.Tensor | None) -> int | None:
    """Bytes of a tensor; None where its shape is not known."""
    if tensor is None or not tensor.HasField("shape") or not all(dim.HasField("dim_value") for dim in tensor.shape.dim):
        return None
    width = int(onnx.helper.tensor_dtype_to_np_dtype(tensor.elem_type).itemsize)
    return math.prod(int(dim.dim_value) for dim in tensor.shape.dim) * max(1, width)


def _refused(name: str, what: str, found: str) -> BundleError:
    return BundleError(f"{name} holds {what}, which is not allowed in a bundle", expected="a plain graph", found=found)


def _too_large(name: str, tensor: str, found: str) -> BundleError:
    return BundleError(
        f"{name} makes a tensor that is too large for a bundle",
        expected=f"at most {TENSOR_BYTES_AT_MOST / 1e9:.0f} GB for {_shown(tensor)}",
        found=found,
    )


def _shown(text: str) -> str:
    """Text from the file in a message: short, on one line."""
    plain = " ".join("".join(letter if letter.isprintable() else " " for letter in text).split())
    return plain if len(plain) <= 80 else f"{plain[:77]}…"
