"""A model of women as a plain ONNX graph that reads what its owner says, or a sentence that says why not."""

from pathlib import Path

import onnx
from onnx import TensorProto

from training.wrap.loading import only_data_inputs, open_onnx, own_graph
from training.wrap.reader import plain
from training.wrap.refusal import WrapRefused
from training.wrap.women.about import WomenAsked
from training.wrap.women.summaries import FEATURES, GAPS, LENGTHS

PICKLES = (".pkl", ".pickle", ".joblib", ".sav")
NUMBERS = {TensorProto.FLOAT: "float32", TensorProto.DOUBLE: "float64"}
OF_STEPS = {FEATURES: TensorProto.FLOAT, GAPS: TensorProto.FLOAT, LENGTHS: TensorProto.INT32}


def read_women_model(path: Path, about: WomenAsked) -> onnx.ModelProto:
    """Read an ONNX file.

    Returns
    -------
    A checked graph whose names begin with ``PREFIX``. It has one input of ``(N, columns)``, or the three of a sequence model.

    Raises
    ------
    WrapRefused
    """
    if path.suffix in PICKLES:
        raise WrapRefused(
            "A pickle is not opened: it runs whatever code is in it",
            expected="an ONNX file",
            found=path.suffix,
            action="Load it where you trust it and write it as ONNX there: docs/bring-your-own-model.md has the lines.",
        )
    if path.suffix != ".onnx":
        raise WrapRefused(
            "The model file is of no kind that is wrapped",
            expected="a file .onnx",
            found=path.suffix or "a file without a suffix",
            action="Write the model as ONNX: docs/bring-your-own-model.md has the lines.",
        )
    model = open_onnx(path)
    inputs = only_data_inputs(model)
    if about.kind == "table" or about.input.summaries:
        _fix_rows(inputs, len(about.input.read))
    else:
        _fix_steps(inputs, len(about.input.columns))
    _refuse_maps(model)
    del model.graph.value_info[:]
    return own_graph(model)


def _fix_rows(inputs: list[onnx.ValueInfoProto], columns: int) -> None:
    """Leave one input of ``(N, columns)``."""
    if len(inputs) != 1:
        raise WrapRefused(
            "The model has not one input",
            expected=f"one, a row of {columns} numbers a woman",
            found=f"{len(inputs)}: {', '.join(value.name for value in inputs[:5])}",
            action="Export it with one input of all columns, in the order of about.toml.",
        )
    tensor = inputs[0].type.tensor_type
    if tensor.elem_type not in NUMBERS:
        found = TensorProto.DataType.Name(tensor.elem_type).lower()
        raise WrapRefused(
            "The model reads no numbers",
            expected=" or ".join(NUMBERS.values()),
            found=found,
            action="Export it for numbers: codes and words are turned into numbers by the app.",
        )
    _fix_shape(tensor, [columns], "N")


def _fix_steps(inputs: list[onnx.ValueInfoProto], columns: int) -> None:
    """Leave the three inputs of a sequence model."""
    found = {value.name: value.type.tensor_type.elem_type for value in inputs}
    if found != OF_STEPS:
        raise WrapRefused(
            "The model does not read histories as the app gives them",
            expected="features and gap_years of float32, lengths of int32",
            found=", ".join(f"{name} of {TensorProto.DataType.Name(kind).lower()}" for name, kind in found.items()),
            action="Export it with these inputs; or say in about.toml which summaries its one row is made of.",
        )
    for value in inputs:
        tensor = value.type.tensor_type
        _fix_shape(tensor, [] if value.name == LENGTHS else ["V", columns], "N")


def _fix_shape(tensor: onnx.TypeProto.Tensor, others: list[int | str], women: str) -> None:
    """Let the first size be free, and hold the others against those expected."""
    dims = tensor.shape.dim
    sizes = [dim.dim_value if dim.HasField("dim_value") else None for dim in dims]
    fits = len(sizes) == 1 + len(others) and all(
        size is None or size == wanted for size, wanted in zip(sizes[1:], others, strict=True)
    )
    if not fits or sizes[0] is not None:
        raise WrapRefused(
            "The model does not read the columns that it is said to",
            expected=" × ".join(map(str, [women, *others])),
            found=" × ".join("any" if size is None else str(size) for size in sizes) or "no shape",
            action="List its columns in about.toml, all and in its order; export it with a free number of rows.",
        )
    for dim, size in zip(dims, [women, *others], strict=True):
        if isinstance(size, str):
            dim.dim_param = size
        else:
            dim.dim_value = size


def _refuse_maps(model: onnx.ModelProto) -> None:
    if any(node.op_type == "ZipMap" for node in model.graph.node):
        raise WrapRefused(
            "The model answers with dictionaries",
            expected="probabilities as one tensor",
            found="a ZipMap at its end",
            action='Export it without: options={"zipmap": False} for skl2onnx, zipmap=False for onnxmltools.',
        )


def outputs_of(model: onnx.ModelProto) -> list[str]:
    """Names of the outputs that hold numbers with a decimal point, with ``PREFIX``."""
    return [value.name for value in model.graph.output if value.type.tensor_type.elem_type in (*NUMBERS, TensorProto.FLOAT16)]


def owner_names(names: list[str]) -> str:
    """Tensors as the model's owner knows them, one after the other."""
    return ", ".join(map(plain, names)) or "none"
