"""Somebody's slide head between what a bundle gives it and what a bundle asks of it."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper

from cervix.bundle.head_contract import ATTENTION, COORDINATES, EMBEDDINGS, POSITIONS, PROBABILITIES
from cervix.bundle.manifest import TensorSpec
from cervix.bundle.sessions import CPU_PROVIDER, Arrays, open_session
from training.shared.onnx_graphs import declare_shapes
from training.wrap.activation import find_answer
from training.wrap.graph import both_sides
from training.wrap.joining import joined
from training.wrap.loading import PREFIX, only_data_inputs, open_onnx, own_graph
from training.wrap.parts import Parts
from training.wrap.reader import GraphReader, plain
from training.wrap.refusal import WrapRefused
from training.wrap.slides.about import AboutHead

TILES = "T"
LOGITS = "raw/logits"
NUMBERS = {TensorProto.FLOAT: "float32", TensorProto.FLOAT16: "float16", TensorProto.DOUBLE: "float64"}
FRONT, BACK = "front", "back"


@dataclass(frozen=True)
class HeadNetwork:
    """A head that was read.

    Attributes
    ----------
    graph : every name begins with ``PREFIX``
    logits, attention : tensors of the graph
    size : numbers of a tile that it reads
    """

    graph: onnx.ModelProto
    logits: str
    attention: str
    size: int


def read_head_network(path: Path, about: AboutHead, size: int) -> HeadNetwork:
    """Read an ONNX file and find where it answers.

    Parameters
    ----------
    size : of the embedding of the tile model

    Raises
    ------
    WrapRefused
    """
    if path.suffix != ".onnx":
        raise WrapRefused(
            "The slide head is of no kind that is wrapped",
            expected="a file .onnx",
            found=path.suffix or "a file without a suffix",
            action="Export the head as ONNX, with a free number of tiles.",
        )
    model = open_onnx(path)
    for value, last in _inputs(only_data_inputs(model), about, size):
        _fix_shape(value, last)
    del model.graph.value_info[:]
    graph = own_graph(model)
    reader = GraphReader(graph)
    logits = find_answer(graph, reader, about.output)
    attention = PREFIX + about.output.attention.name
    outputs = [value.name for value in graph.graph.output]
    if attention not in outputs:
        raise WrapRefused(
            "The head does not say how much it looked at each tile",
            expected=f"output.attention.name, one of {', '.join(map(plain, outputs))}",
            found=about.output.attention.name,
            action="Export the head with its attention as an output of its own.",
        )
    return HeadNetwork(graph, logits, attention, size)


def head_inputs(size: int) -> list[TensorSpec]:
    """What a slide head reads of a slide of T tiles."""
    return [
        TensorSpec(
            name=EMBEDDINGS, dtype="float32", shape=[TILES, size], unit="activation",
            meaning="Embeddings of the accepted tiles of a slide, by the tile model",
        ),
        TensorSpec(
            name=POSITIONS, dtype="float32", shape=[TILES, COORDINATES], unit="micrometre",
            meaning="Centres of these tiles, across and down from the corner of the slide",
        ),
    ]  # fmt: skip


def head_outputs(classes: int) -> list[TensorSpec]:
    """What it answers."""
    return [
        TensorSpec(
            name=PROBABILITIES, dtype="float32", shape=[1, classes], unit="probability", activation="softmax",
            meaning="Calibrated probability of each class of the slide",
        ),
        TensorSpec(
            name=ATTENTION, dtype="float32", shape=[TILES], unit="share", activation="softmax",
            meaning="How much each tile weighed in the answer; sums to 1",
        ),
    ]  # fmt: skip


def raw_head_graph(network: HeadNetwork, about: AboutHead) -> onnx.ModelProto:
    """From the inputs of a bundle to the head's own logits ``LOGITS (1, columns)``."""
    back = Parts()
    _add_row(back, network.logits, LOGITS)
    output = helper.make_tensor_value_info(LOGITS, TensorProto.FLOAT, [1, None])
    return joined(_front(network, about), network.graph, back, _values(head_inputs(network.size)), [output])


def wrapped_head_graph(network: HeadNetwork, about: AboutHead, columns: int, weight: float) -> onnx.ModelProto:
    """From the inputs of a bundle to the outputs that a slide head has.

    Parameters
    ----------
    columns : numbers that the head answers with
    weight : one over the temperature
    """
    back, classes = Parts(), len(about.classes)
    logits = _add_row(back, network.logits, LOGITS)
    sides = back.constant(f"{BACK}/sides", weight * both_sides(columns))
    back.add("Softmax", [back.add("MatMul", [logits, sides], f"{BACK}/calibrated")], PROBABILITIES, axis=1)
    single = back.add("Cast", [network.attention], f"{BACK}/attention", to=TensorProto.FLOAT)
    told = back.add("Reshape", [single, back.constant(f"{BACK}/tiles", [-1], np.int64)], f"{BACK}/a-tile")
    if about.output.attention.gives == "scores":
        back.add("Softmax", [told], ATTENTION, axis=0)
    else:
        back.add("Identity", [told], ATTENTION)
    specs = head_outputs(classes)
    graph = joined(_front(network, about), network.graph, back, _values(head_inputs(network.size)), _values(specs))
    declare_shapes(graph, head_inputs(network.size), specs)
    return graph


def run_graph(graph: bytes, slides: list[Arrays], names: list[str]) -> list[Arrays]:
    """Some outputs for each slide, on the CPU."""
    session = open_session(graph, CPU_PROVIDER)
    return [dict(zip(names, session.run(names, slide), strict=True)) for slide in slides]


def _inputs(inputs: list[onnx.ValueInfoProto], about: AboutHead, size: int) -> list[tuple[onnx.ValueInfoProto, int]]:
    """The inputs that the owner names, each with the numbers of a tile that it is to read; no other may be left."""
    there = {value.name: value for value in inputs}
    said = about.input
    embeddings = said.embeddings or next(iter(there), "")
    wanted = {embeddings: size} | ({said.positions: COORDINATES} if said.positions else {})
    if set(wanted) != set(there) or len(wanted) != (2 if said.positions else 1):
        raise WrapRefused(
            "It is not said what the inputs of the head read",
            expected="input.embeddings, and input.positions where it reads them",
            found=f"inputs {', '.join(there) or 'none'}; said are {', '.join(wanted) or 'none'}",
            action="Name them in about.toml; a head that reads more than embeddings and positions is not wrapped.",
        )
    return [(there[name], last) for name, last in wanted.items()]


def _fix_shape(value: onnx.ValueInfoProto, last: int) -> None:
    """Hold an input against ``(T, last)`` or ``(1, T, last)``, T free."""
    tensor = value.type.tensor_type
    sizes = [dim.dim_value if dim.HasField("dim_value") else None for dim in tensor.shape.dim]
    rank_fits = len(sizes) == 2 or (len(sizes) == 3 and sizes[0] in (1, None))
    if tensor.elem_type not in NUMBERS or not rank_fits or sizes[-2] is not None or sizes[-1] not in (last, None):
        kind = NUMBERS.get(tensor.elem_type, "no number with a decimal point")
        found = " × ".join("any" if size is None else str(size) for size in sizes) or "no shape"
        raise WrapRefused(
            "The head does not read the tiles that the tile model answers with",
            expected=f"{TILES} × {last} or 1 × {TILES} × {last}, {TILES} free",
            found=f"{found}, {kind}, for {value.name}",
            action="Export it with a free number of tiles, for the embedding of that tile model.",
        )
    dims = tensor.shape.dim
    if len(sizes) == 3:
        dims[0].dim_value = 1
    dims[len(sizes) - 2].dim_param, dims[len(sizes) - 1].dim_value = TILES, last


def _front(network: HeadNetwork, about: AboutHead) -> Parts:
    """From a bundle's inputs to the head's own."""
    parts, said = Parts(), about.input
    for value in network.graph.graph.input:
        is_place = bool(said.positions) and value.name == PREFIX + said.positions
        tensor = POSITIONS if is_place else EMBEDDINGS
        if is_place and said.um_per_unit != 1.0:
            unit = parts.constant(f"{FRONT}/unit", said.um_per_unit)
            tensor = parts.add("Div", [tensor, unit], f"{FRONT}/in-units")
        if len(value.type.tensor_type.shape.dim) == 3:
            axis = parts.constant(f"{FRONT}/first", [0], np.int64)
            tensor = parts.add("Unsqueeze", [tensor, axis], f"{FRONT}/batch-of/{tensor}")
        parts.add("Cast", [tensor], value.name, to=value.type.tensor_type.elem_type)
    return parts


def _add_row(back: Parts, tensor: str, name: str) -> str:
    single = back.add("Cast", [tensor], f"{name}/single", to=TensorProto.FLOAT)
    return back.add("Reshape", [single, back.constant(f"{name}/shape", [1, -1], np.int64)], name)


def _values(specs: list[TensorSpec]) -> list[onnx.ValueInfoProto]:
    return [helper.make_tensor_value_info(spec.name, TensorProto.FLOAT, spec.shape) for spec in specs]
