"""Keras files and SavedModels to ONNX, in a process of its own: whoever loads one may run what it names."""

import json
import zipfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, Final

from training.shared.onnx_graphs import OPSET
from training.wrap.refusal import WrapRefused

OWN_CODE: Final = frozenset({"Lambda", "TorchModuleWrapper", "TFSMLayer", "JaxLayer", "FlaxLayer"})
"""Layers of Keras that run code, or load a graph, from the file."""
TOUCHES_MORE: Final = frozenset({
    "DebugGradientIdentity", "DebugIdentityV2", "DeleteOldDirs", "EagerPyFunc", "LoadLibrary", "MatchingFiles", "PyFunc",
    "PyFuncStateless", "ReadFile", "SaveSlices", "WriteFile", "XlaHostCompute",
})  # fmt: skip
"""Operators of TensorFlow that call back into Python or read and write files of their choice."""
CONFIG_BYTES_AT_MOST: Final = 64 << 20
SIGNATURE: Final = "serving_default"


def write_onnx(path: str, written: str, size_px: int, layout: str) -> None:
    """Convert ``path`` to an ONNX file ``written``; ``WrapRefused`` where it names code, or cannot be converted."""
    source = Path(path)
    shape = [None, size_px, size_px, 3] if layout == "NHWC" else [None, 3, size_px, size_px]
    function = _of_saved_model(source) if source.is_dir() else _of_keras(source)
    import tensorflow as tf
    import tf2onnx

    try:
        model, _ = tf2onnx.convert.from_function(
            tf.function(function), input_signature=[tf.TensorSpec(shape, tf.float32, name="pixels")], opset=OPSET
        )
    except Exception as error:
        raise WrapRefused(
            "The model cannot be converted to ONNX",
            expected=f"one that reads {layout} of {size_px} px",
            found=last_line(error),
            action="Correct layout and size_px in about.toml, or export the model as ONNX.",
        ) from error
    Path(written).write_bytes(model.SerializeToString())


def _of_keras(path: Path) -> Callable[[Any], Any]:
    _look_through_keras(path)
    import keras

    try:
        model = keras.saving.load_model(path, compile=False, safe_mode=True)
    except Exception as error:
        raise WrapRefused(
            "The Keras file cannot be loaded", expected="layers of Keras alone", found=last_line(error)
        ) from error
    if len(model.inputs) != 1:
        raise WrapRefused("The model has not one input", expected="one, the pixels", found=str(len(model.inputs)))
    return lambda pixels: model(pixels, training=False)


def _look_through_keras(path: Path) -> None:
    """Refuse a file that names code of its own, before Keras sees it."""
    try:
        with zipfile.ZipFile(path) as archive:
            if archive.getinfo("config.json").file_size > CONFIG_BYTES_AT_MOST:
                raise WrapRefused("The Keras file cannot be loaded", expected="a short description", found="a very long one")
            config = json.loads(archive.read("config.json"))
    except (zipfile.BadZipFile, KeyError, ValueError, OSError) as error:
        raise WrapRefused(
            "The Keras file cannot be read", expected="a file as Keras 3 saves it", found="other content"
        ) from error
    for part in _parts(config):
        module, kind = str(part.get("module") or "builtins"), str(part.get("class_name"))
        foreign = module != "builtins" and module.split(".")[0] != "keras"
        if foreign or part.get("registered_name") not in (None, kind) or kind in OWN_CODE or kind == "__lambda__":
            raise WrapRefused(
                "The Keras file names code of its own, which is not run",
                expected="layers of Keras alone",
                found=kind if kind.isidentifier() else "a layer without a plain name",
                action="Replace the layer by others of Keras, or export the model as ONNX where you trust it.",
            )


def _parts(value: Any) -> Iterator[dict[str, Any]]:
    """Every object that Keras would make of a description."""
    if isinstance(value, dict):
        if "class_name" in value:
            yield value
        for item in value.values():
            yield from _parts(item)
    elif isinstance(value, list):
        for item in value:
            yield from _parts(item)


def _of_saved_model(folder: Path) -> Callable[[Any], Any]:
    _look_through_saved_model(folder)
    import tensorflow as tf

    try:
        loaded = tf.saved_model.load(str(folder))
        signature = loaded.signatures[SIGNATURE]
    except Exception as error:
        raise WrapRefused(
            "The SavedModel cannot be loaded", expected=f"one with a signature {SIGNATURE}", found=last_line(error)
        ) from error
    names = list(signature.structured_input_signature[1])
    if len(names) != 1:
        raise WrapRefused("The model has not one input", expected="one, the pixels", found=str(len(names)))

    # A signature does not keep its own variables: whoever asks it holds the model.
    return partial(_of_signature, loaded, names[0])


def _of_signature(loaded: Any, name: str, pixels: Any) -> Any:
    return loaded.signatures[SIGNATURE](**{name: pixels})


def _look_through_saved_model(folder: Path) -> None:
    from google.protobuf.message import DecodeError
    from tensorflow.core.protobuf.saved_model_pb2 import SavedModel

    described = SavedModel()
    try:
        described.ParseFromString((folder / "saved_model.pb").read_bytes())
    except (OSError, DecodeError) as error:
        raise WrapRefused(
            "The folder cannot be read", expected="a SavedModel with saved_model.pb", found="another folder"
        ) from error
    for graph in described.meta_graphs:
        nodes = [*graph.graph_def.node, *(node for function in graph.graph_def.library.function for node in function.node_def)]
        if found := sorted({node.op for node in nodes} & TOUCHES_MORE):
            raise WrapRefused(
                "The SavedModel uses operators that do more than compute, which are not run",
                expected="none of them",
                found=", ".join(found),
                action="Export the model as ONNX where you trust it.",
            )


def last_line(error: Exception) -> str:
    """What a framework says last is what went wrong; before it comes where."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {(lines or [''])[-1][:200]}"
