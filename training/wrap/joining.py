"""What stands before a network, the network and what stands behind it as one graph."""

from collections.abc import Sequence

import onnx
from onnx import helper

from training.wrap.parts import Parts

OLDEST_IR = 8
"""Of the file format; operators of opset 18 need it."""


def joined(
    front: Parts,
    model: onnx.ModelProto,
    back: Parts,
    inputs: Sequence[onnx.ValueInfoProto],
    outputs: Sequence[onnx.ValueInfoProto],
) -> onnx.ModelProto:
    """One graph from ``inputs`` to ``outputs``, without whatever no output needs."""
    nodes = [*front.nodes, *model.graph.node, *back.nodes]
    needed = {value.name for value in outputs}
    kept: list[onnx.NodeProto] = []
    for node in reversed(nodes):
        if needed & set(node.output):
            kept.append(node)
            needed |= {name for name in node.input if name}
    constants = [*front.constants.values(), *model.graph.initializer, *back.constants.values()]
    graph = helper.make_graph(
        kept[::-1],
        "wrapped",
        list(inputs),
        list(outputs),
        [tensor for tensor in constants if tensor.name in needed],
    )
    # Some exporters name an operator set twice.
    versions: dict[str, int] = {}
    for entry in model.opset_import:
        versions[entry.domain] = max(entry.version, versions.get(entry.domain, 0))
    sets = [helper.make_opsetid(domain, version) for domain, version in versions.items()]
    return helper.make_model(graph, opset_imports=sets, ir_version=max(model.ir_version, OLDEST_IR))
