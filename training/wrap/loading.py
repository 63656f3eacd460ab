"""A model file from elsewhere as a plain ONNX graph that reads ``N`` pictures, or a sentence that says why not."""

import tempfile
from collections.abc import Callable
from pathlib import Path

import onnx
from google.protobuf.message import DecodeError
from onnx import TensorProto, compose, helper, version_converter

from cervix.bundle.operators import check_operators
from cervix.errors import BundleError
from cervix.sources.apart import Limits, run_apart
from training.shared.onnx_graphs import OPSET
from training.wrap.about import PixelsIn
from training.wrap.refusal import WrapRefused
from training.wrap.torchscript_file import look_through

PREFIX = "model/"
"""Before every name of the model's own, so that none is that of an input or output of the bundle."""
FILE_BYTES_AT_MOST = (1 << 31) - 1
"""The most that one ONNX file can hold: protobuf's limit."""
PIXEL_TYPES = {TensorProto.FLOAT: "float32", TensorProto.FLOAT16: "float16", TensorProto.UINT8: "uint8"}
CHANNELS = 3
STANDARD = ("", "ai.onnx")
"""Both names of the domain of ONNX's own operators."""
KERAS_LIMITS = Limits(memory_bytes=24 << 30, seconds=600.0, file_bytes=FILE_BYTES_AT_MOST)
"""Address space, not memory: TensorFlow reserves far more than it uses."""
TORCH_LIMITS = Limits(memory_bytes=16 << 30, seconds=300.0, file_bytes=FILE_BYTES_AT_MOST)
TORCHSCRIPT = ".pt"


def load_model(path: Path, pixels: PixelsIn, log: Callable[[str], None] = lambda _: None) -> onnx.ModelProto:
    """Read an ONNX file, a ``.keras`` file, the folder of a SavedModel or a TorchScript ``.pt``.

    Keras files can name code of their own, SavedModels operators that touch files, and TorchScript runs code as it is loaded:
    they are looked through before they are loaded, and loaded in a process apart with limits, TorchScript in a confined one.

    Returns
    -------
    A checked graph of ``OPSET`` or newer, every name of which begins with ``PREFIX``, with one input of ``N`` pictures.

    Raises
    ------
    WrapRefused, LostApart
    """
    if path.is_dir() or path.suffix == ".keras":
        with tempfile.TemporaryDirectory() as folder:
            written = Path(folder) / "model.onnx"
            arguments = {
                "path": str(path.resolve()),
                "written": str(written),
                "size_px": pixels.network_px,
                "layout": pixels.layout,
            }
            run_apart("training.wrap.keras_file:write_onnx", arguments, KERAS_LIMITS, subject="model file")
            return read_onnx(written, pixels)
    if path.suffix == TORCHSCRIPT:
        return _of_torchscript(path, pixels, log)
    if path.suffix == ".onnx":
        return read_onnx(path, pixels)
    raise WrapRefused(
        "The model file is of no kind that is wrapped",
        expected="a file .onnx, .keras or .pt (TorchScript), or the folder of a SavedModel",
        found=path.suffix or "a file without a suffix",
        action="Export the model as ONNX.",
    )


def _of_torchscript(path: Path, pixels: PixelsIn, log: Callable[[str], None]) -> onnx.ModelProto:
    if not path.is_file():
        raise WrapRefused("There is no such model file", expected="a TorchScript file", found="no such file")
    if (size := path.stat().st_size) > FILE_BYTES_AT_MOST:
        raise _too_large(size)
    look_through(path)
    with tempfile.TemporaryDirectory() as folder:
        written = Path(folder) / "model.onnx"
        arguments = {
            "path": str(path.resolve()), "written": str(written), "size_px": pixels.network_px,
            "cpu_seconds": int(TORCH_LIMITS.seconds),
        }  # fmt: skip
        function = "training.wrap.torchscript_file:write_onnx"
        for missing in run_apart(function, arguments, TORCH_LIMITS, subject="model file"):
            log(f"{missing} Wrap only a TorchScript that you would open anyway.")
        return read_onnx(written, pixels)


def _too_large(size_bytes: int) -> WrapRefused:
    return WrapRefused(
        "The model is too large",
        expected="less than 2 GiB in one file",
        found=f"{size_bytes / (1 << 30):.1f} GiB",
        action="Export it in half precision, or a smaller one.",
    )


def read_onnx(path: Path, pixels: PixelsIn) -> onnx.ModelProto:
    """An ONNX file as ``load_model`` returns it; ``WrapRefused`` where it is not fit for a bundle."""
    model = open_onnx(path)
    _fix_input(model, pixels)
    return own_graph(model)


def open_onnx(path: Path) -> onnx.ModelProto:
    """An ONNX file, read and no more; ``WrapRefused`` where it is none, or too large."""
    if not path.is_file():
        raise WrapRefused("There is no such model file", expected="an ONNX file", found="no such file")
    if (size := path.stat().st_size) > FILE_BYTES_AT_MOST:
        raise _too_large(size)
    try:
        model = onnx.load_model_from_string(path.read_bytes())
    except DecodeError as error:
        raise WrapRefused("The model file cannot be read", expected="an ONNX file", found="other content") from error
    if not model.graph.node:
        raise WrapRefused("The model file holds no graph", expected="an ONNX file", found="no operators")
    return model


def own_graph(model: onnx.ModelProto) -> onnx.ModelProto:
    """The same in operators that a bundle allows, of ``OPSET`` or newer, each name after ``PREFIX``."""
    _check(model)
    return _prefixed(_current(model))


def only_data_inputs(model: onnx.ModelProto) -> list[onnx.ValueInfoProto]:
    """The inputs of a graph; weights that old exporters list among them are none, and are taken off."""
    weights = {tensor.name for tensor in model.graph.initializer}
    inputs = [value for value in model.graph.input if value.name not in weights]
    del model.graph.input[:]
    model.graph.input.extend(inputs)
    model.ir_version = max(model.ir_version, 4)  # from there on weights need not be inputs
    return list(model.graph.input)


def _check(model: onnx.ModelProto) -> None:
    try:
        check_operators(model, "The model")
    except BundleError as error:
        raise WrapRefused(
            error.problem,
            expected=error.expected,
            found=error.found,
            action="Export a plain graph for inference: weights in the file, standard operators, a free number of tiles.",
        ) from error


def _fix_input(model: onnx.ModelProto, pixels: PixelsIn) -> None:
    """Leave one input, of ``N`` pictures of the declared size."""
    inputs = only_data_inputs(model)
    if len(inputs) != 1:
        raise WrapRefused(
            "The model has not one input",
            expected="one, the pixels",
            found=f"{len(inputs)}: {', '.join(v.name for v in inputs)}",
        )
    tensor = model.graph.input[0].type.tensor_type  # extend has copied it
    if tensor.elem_type not in PIXEL_TYPES:
        found = TensorProto.DataType.Name(tensor.elem_type).lower()
        raise WrapRefused("The model reads no pixels", expected=" or ".join(PIXEL_TYPES.values()), found=found)
    side = pixels.network_px
    wanted = [side, side, CHANNELS] if pixels.layout == "NHWC" else [CHANNELS, side, side]
    dims = tensor.shape.dim
    found = [dim.dim_value if dim.HasField("dim_value") else "any" for dim in dims]
    fits = len(dims) == 4 and all(size in ("any", want) for size, want in zip(found[1:], wanted, strict=True))
    if not fits:
        raise WrapRefused(
            "The model does not read the pictures that it is said to",
            expected=f"{pixels.layout} of {' × '.join(map(str, wanted))}, as about.toml says",
            found=f"{' × '.join(map(str, found[1:])) or 'no shape'}",
            action="Correct layout and size_px in about.toml. Three channels are read: RGB or BGR, without alpha.",
        )
    dims[0].dim_param = "N"
    for dim, size in zip(list(dims)[1:], wanted, strict=True):
        dim.dim_value = size
    del model.graph.value_info[:]


def _current(model: onnx.ModelProto) -> onnx.ModelProto:
    """The same in operators that the parts around it are written in."""
    if all(node.domain not in STANDARD for node in model.graph.node):
        # As XGBoost is written: trees alone, which say nothing of the operators that are not there.
        others = [entry for entry in model.opset_import if entry.domain not in STANDARD]
        del model.opset_import[:]
        model.opset_import.extend([*others, helper.make_opsetid("", OPSET)])
    version = next((int(entry.version) for entry in model.opset_import if entry.domain in STANDARD), 0)
    if version >= OPSET:
        return model
    try:
        newer = version_converter.convert_version(model, OPSET)
    except Exception as error:
        raise WrapRefused(
            "The model is in operators that are too old",
            expected=f"operator set {OPSET}, or one that can be converted to it",
            found=f"operator set {version}",
            action=f"Export the model again with opset {OPSET}.",
        ) from error
    _check(newer)
    return newer


def _prefixed(model: onnx.ModelProto) -> onnx.ModelProto:
    return compose.add_prefix(model, PREFIX)
