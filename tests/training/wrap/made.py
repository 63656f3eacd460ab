"""A small classifier from elsewhere: a graph that goes by colour, tiles for it, and what its owner says."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pandas as pd
from numpy.typing import NDArray
from onnx import helper, numpy_helper
from PIL import Image

from cervix.bundle.classes import ClassInfo
from tests.bundle.made import FOUR
from tests.bundle.made.tiles import centres_rgb, tissue_of

SIZE_PX = 32
FILTERS = 8
SHARPNESS = 150.0
"""Log odds for each squared unit of colour, 0 to 1 a channel, by which one class is nearer than another."""
SPREAD_RGB = 3.0
"""Of the mean colour of groups of one class."""


def write_tiles(folder: Path, classes: Sequence[ClassInfo] = FOUR, *, groups: int = 5, size_px: int = SIZE_PX) -> pd.DataFrame:
    """Two tiles a group, so many groups of each class in each split, with their ``tiles.csv``, which is returned."""
    folder.mkdir(parents=True)
    rng = np.random.default_rng(3)
    rows, seed = [], 0
    for split in ("validation", "test"):
        for item, centre in zip(classes, centres_rgb(classes), strict=True):
            for group in range(groups):
                colour = (centre + rng.normal(0, SPREAD_RGB, 3)).astype(np.float32)
                for _ in range(2):
                    seed += 1
                    Image.fromarray(tissue_of(colour, size_px, size_px, seed=seed)).save(folder / f"{seed}.png")
                    rows.append((f"{seed}.png", item.id, f"{split}-{item.id}-{group}", split))
    table = pd.DataFrame(rows, columns=["path", "label", "group", "split"])
    table.to_csv(folder / "tiles.csv", index=False)
    return table


def kernels(classes: Sequence[ClassInfo] = FOUR) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Dense weights ``(features, classes)`` and bias by which the class with the nearest colour is the most probable."""
    centres = centres_rgb(classes) / 255
    kernel = np.zeros((FILTERS, len(classes)), np.float32)
    kernel[:3] = 2 * SHARPNESS * centres.T
    return kernel, (-SHARPNESS * (centres**2).sum(axis=1)).astype(np.float32)


def write_model(
    path: Path,
    classes: Sequence[ClassInfo] = FOUR,
    *,
    last: str = "",
    opset: int = 18,
    channels: int = 3,
    size_px: int = SIZE_PX,
    declared_px: int | None = SIZE_PX,
    tiles: int | str = "batch",
    dtype: type[np.generic] = np.float32,
    hidden: bool = False,
    flat: bool = False,
    channels_last: bool = False,
    extra: Sequence[onnx.NodeProto] = (),
    outputs: Sequence[str] = (),
) -> Path:
    """A convolution, ReLU, the mean over the map (or all of it, ``flat``), perhaps a ``hidden`` dense layer, a dense layer.

    Parameters
    ----------
    size_px, declared_px : what the network is made for, and what its input says; None: any size
    tiles : how many at once its input says
    last : operator after the logits, none where empty
    extra : more nodes, which may begin at ``logits`` or ``features``
    outputs : names of outputs, where they are others than the last
    """
    rng = np.random.default_rng(1)
    filters = np.zeros((FILTERS, channels, 3, 3), np.float32)
    filters[np.arange(3), np.arange(3), 1, 1] = 1.0
    filters[3:] = rng.normal(0, 0.05, (FILTERS - 3, channels, 3, 3))
    kernel, bias = kernels(classes)
    constants = {"filters": filters, "kernel": kernel, "bias": bias}
    nodes = [
        helper.make_node("Conv", ["pixels", "filters"], ["mapped"], pads=[1, 1, 1, 1], strides=[2, 2]),
        helper.make_node("Relu", ["mapped"], ["features"]),
    ]
    shown = "features"
    if channels_last:
        nodes.append(helper.make_node("Transpose", ["features"], ["turned-map"], perm=[0, 2, 3, 1]))
        shown = "turned-map"
    if flat:
        nodes.append(helper.make_node("Flatten", [shown], ["pooled"]))
        places = (size_px // 2) ** 2
        share = kernel / places
        constants["kernel"] = np.tile(share, (places, 1)) if channels_last else np.repeat(share, places, axis=0)
    elif channels_last:
        constants["height-and-width"] = np.array([1, 2], np.int64)
        nodes.append(helper.make_node("ReduceMean", [shown, "height-and-width"], ["pooled"], keepdims=0))
    else:
        nodes += [
            helper.make_node("GlobalAveragePool", [shown], ["mean"]),
            helper.make_node("Flatten", ["mean"], ["pooled"]),
        ]
    read = "pooled"
    if hidden:
        # Some gates are open for some tiles alone.
        constants["turn"] = rng.normal(0, 0.3, (len(constants["kernel"]), FILTERS)).astype(np.float32)
        constants["shift"] = rng.normal(0, 0.1, FILTERS).astype(np.float32)
        constants["kernel"] = rng.normal(size=(FILTERS, len(classes))).astype(np.float32)
        constants["bias"] = np.zeros(len(classes), np.float32)
        nodes += [
            helper.make_node("Gemm", ["pooled", "turn", "shift"], ["turned"]),
            helper.make_node("Relu", ["turned"], ["hidden"]),
        ]
        read = "hidden"
    nodes.append(helper.make_node("Gemm", [read, "kernel", "bias"], ["logits"]))
    settings = {"axis": 1} if "oftmax" in last else {}
    nodes += [helper.make_node(last, ["logits"], ["answer"], **settings)] if last else []
    nodes += list(extra)
    told = list(outputs) or ["answer" if last else "logits"]
    kind = helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
    graph = helper.make_graph(
        nodes,
        "elsewhere",
        [helper.make_tensor_value_info("pixels", kind, [tiles, channels, declared_px, declared_px])],
        [helper.make_tensor_value_info(name, kind, None) for name in told],
        [
            numpy_helper.from_array(values.astype(dtype) if values.dtype.kind == "f" else values, name)
            for name, values in constants.items()
        ],
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
    path.write_bytes(made.SerializeToString())
    return path


def about(of: Sequence[ClassInfo] = FOUR, **changes: Any) -> dict[str, Any]:
    """What ``about.toml`` says, as Python has it; a change at ``input.size_px`` is given as ``input__size_px``."""
    statement = {
        "name": "Drawn tiles",
        "licence": "MIT",
        "citation": "Nobody 2026",
        "nature": "simulated",
        "note": "Nobody's tissue.",
        "grouped_by": "source image",
    }
    words = ("developer", "contact", "intended_users", "how_to_use", "population", "out_of_scope", "biases_and_ethics")
    said: dict[str, Any] = {
        "kind": "tile",
        "name": "elsewhere",
        "version": "1.0.0",
        "model": {
            "id": "elsewhere",
            "title": "Colours of tiles",
            "short": "Colours",
            "task": "Name the tissue",
            "outcome": "What was drawn",
            "architecture": "One convolution",
            "intended_use": ["Tests."],
            "limits": ["Knows nothing of medicine."],
            "known_failures": [],
        },
        "classes": [item.model_dump() for item in of],
        "input": {
            "layout": "NCHW",
            "channels": "RGB",
            "size_px": SIZE_PX,
            "spacing_um_px": 0.5,
            "spacing_source": "Drawn so",
            "transforms": [{"divide": 255}],
        },
        "output": {"activation": "none (logits)"},
        "fit": {},
        "trained_on": [statement],
        "held_out": statement,
        "card": {"licence_id": "mit", "clinical_risk_level": "None", "keywords": ["test"], **dict.fromkeys(words, "Nobody.")},
        "licences": [{"part": "All", "licence": "MIT"}],
        "citations": [
            {
                "key": "nobody-2026",
                "kind": "misc",
                "author": "Nobody",
                "title": "Colours",
                "year": 2026,
                "published_in": "Nowhere",
                "used_for": "Tests",
            }
        ],
    }
    for key, value in changes.items():
        *tables, name = key.split("__")
        place = said
        for table in tables:
            place = place[table]
        place[name] = value
    return said


def write_about(path: Path, said: dict[str, Any]) -> Path:
    """Write it as TOML."""
    path.write_text("\n".join(f"{key} = {_toml(value)}" for key, value in said.items()) + "\n", encoding="utf-8")
    return path


def _toml(value: Any) -> str:
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{key} = {_toml(item)}" for key, item in value.items()) + " }"
    if isinstance(value, list):
        return "[" + ", ".join(map(_toml, value)) + "]"
    return f'"{value}"' if isinstance(value, str) else str(value)
