"""The surgery: what stands before and behind somebody's network so that it answers as a tile model of a bundle does.

Before it: tiles of 8 bits become what the network takes. Behind it: calibrated probabilities, embedding, novelty and Grad-CAM.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper

from cervix.bundle.manifest import TensorSpec
from training.shared.onnx_graphs import declare_shapes
from training.slide.novelty import Novelty
from training.wrap.about import PixelsIn
from training.wrap.cam import add_cam
from training.wrap.head import Head
from training.wrap.joining import joined
from training.wrap.loading import CHANNELS, PIXEL_TYPES
from training.wrap.parts import Parts, single
from training.wrap.reader import GraphReader
from training.wrap.refusal import WrapRefused

TILES = "tiles"
NOVELTY = "novelty"
"""The output, and the first part of the names of operators behind it: they square distances, and half precision has no room
for those of strange tiles."""


@dataclass(frozen=True)
class Fits:
    """What validation tiles decided: one over the temperature, and where the embedding is known."""

    weight: float
    novelty: Novelty


def tile_input(size_px: int) -> TensorSpec:
    """What the wrapped graph reads."""
    return TensorSpec(
        name=TILES,
        dtype="uint8",
        shape=["N", size_px, size_px, CHANNELS],
        unit="8-bit RGB",
        meaning="H&E tiles, height × width × RGB",
    )


def answers(head: Head, classes: int, embedding: int) -> list[TensorSpec]:
    """What the wrapped graph answers, in this order.

    Parameters
    ----------
    embedding : number of its features
    """
    height, width, _ = head.sizes
    return [
        TensorSpec(
            name="probabilities",
            dtype="float32",
            shape=["N", classes],
            unit="probability",
            activation="softmax",
            meaning="Calibrated class probabilities, in the order of the classes",
        ),
        TensorSpec(
            name="embedding",
            dtype="float32",
            shape=["N", embedding],
            unit="activation",
            meaning="What the last dense layer reads, or the tensor that was named instead",
        ),
        TensorSpec(
            name="novelty",
            dtype="float32",
            shape=["N"],
            unit="Mahalanobis distance",
            meaning="Distance of the embedding to the nearest class of the validation tiles",
        ),
        TensorSpec(
            name="cam",
            dtype="float32",
            shape=["N", classes, height, width],
            unit="logit",
            activation="relu",
            meaning="Grad-CAM of each class on the last map of features",
        ),
    ]


def raw_graph(model: onnx.ModelProto, pixels: PixelsIn, tensors: Mapping[str, str]) -> onnx.ModelProto:
    """The network behind its transforms, answering with some of its own tensors.

    Parameters
    ----------
    tensors : new name -> the tensor of the network
    """
    parts = Parts()
    for name, tensor in tensors.items():
        parts.add("Cast", [tensor], name, to=TensorProto.FLOAT)
    outputs = [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in tensors]
    return _assembled(model, pixels, parts, outputs)


def wrapped_graph(
    model: onnx.ModelProto,
    pixels: PixelsIn,
    reader: GraphReader,
    head: Head,
    embedding: str,
    columns: int,
    fits: Fits,
    outputs: list[TensorSpec],
) -> onnx.ModelProto:
    """The tile model of the bundle.

    Parameters
    ----------
    embedding : tensor of the network
    columns : of the network's logits: the number of classes, or 1 where one number answers for two
    outputs : as ``answers``
    """
    parts = Parts()
    logits = single(parts, reader, head.logits)
    if columns == 1:
        logits = parts.add("MatMul", [logits, parts.constant("both/kernel", both_sides(1))], "both/logits")
    scaled = parts.add("Mul", [logits, parts.constant("calibration/weight", fits.weight)], "calibration/logits")
    parts.add("Softmax", [scaled], "probabilities", axis=1)
    told = parts.add("Identity", [single(parts, reader, embedding)], "embedding")
    _add_novelty(parts, told, fits.novelty)
    add_cam(parts, reader, head, both_sides(columns))
    values = [helper.make_tensor_value_info(item.name, TensorProto.FLOAT, item.shape) for item in outputs]
    wrapped = _assembled(model, pixels, parts, values)
    declare_shapes(wrapped, [tile_input(pixels.size_px)], outputs)
    return wrapped


def both_sides(columns: int) -> NDArray[np.float64]:
    """From the network's logits to those of the classes ``(columns, classes)``.

    One logit z for two classes becomes -z/2 and z/2: their softmax is sigmoid(z) for the second.
    """
    return np.array([[-0.5, 0.5]]) if columns == 1 else np.eye(columns)


def _add_novelty(parts: Parts, embedding: str, known: Novelty) -> None:
    """As ``Novelty.distances``."""

    def name(what: str) -> str:
        return f"{NOVELTY}/{what}"

    whitened = parts.add("MatMul", [embedding, parts.constant(name("whitening"), known.whitening)], name("whitened"))
    apart = parts.add("Unsqueeze", [whitened, parts.constant(name("one"), [1], np.int64)], name("apart"))
    gap = parts.add("Sub", [apart, parts.constant(name("centres"), known.whitened_centres[None])], name("gap"))
    summed = parts.add("ReduceSumSquare", [gap, parts.constant(name("two"), [2], np.int64)], name("summed"), keepdims=0)
    nearest = parts.add("ReduceMin", [summed, name("one")], name("nearest"), keepdims=0)
    parts.add("Sqrt", [nearest], NOVELTY)


def _front(pixels: PixelsIn, entry: onnx.ValueInfoProto) -> Parts:
    """From ``tiles (N, size, size, 3)`` of 8 bits, RGB, to what the network takes, under the name of its input."""
    parts, kind = Parts(), entry.type.tensor_type.elem_type
    at = TILES
    if kind == TensorProto.UINT8 and pixels.transforms:
        raise WrapRefused(
            "The model reads whole numbers and is said to want others",
            expected="no transforms, as its input is uint8",
            found=f"{len(pixels.transforms)} transforms",
            action="Leave transforms empty: the model does its own.",
        )
    if pixels.channels == "BGR":
        at = parts.add("Gather", [at, parts.constant("front/bgr", [2, 1, 0], np.int64)], "front/reversed", axis=3)
    if kind != TensorProto.UINT8:
        at = parts.add("Cast", [at], "front/float", to=TensorProto.FLOAT)
    if pixels.resized_to_px and kind == TensorProto.UINT8:
        raise WrapRefused(
            "The model reads whole numbers and is said to want tiles resized",
            expected="an input of float32 or float16, as resizing makes fractions",
            found="uint8",
        )
    if pixels.resized_to_px:
        at = _add_resize(parts, at, pixels.size_px, pixels.resized_to_px)
    for place, step in enumerate(pixels.transforms):
        operator = {"divide": "Div", "multiply": "Mul", "subtract": "Sub", "add": "Add"}[step.operation]
        numbers = parts.constant(f"front/numbers{place}", step.numbers)
        at = parts.add(operator, [at, numbers], f"front/step{place}")
    if pixels.layout == "NCHW":
        at = parts.add("Transpose", [at], "front/channels-first", perm=[0, 3, 1, 2])
    parts.add(
        "Cast" if PIXEL_TYPES[kind] == "float16" else "Identity",
        [at],
        entry.name,
        **({"to": TensorProto.FLOAT16} if PIXEL_TYPES[kind] == "float16" else {}),
    )
    return parts


def _add_resize(parts: Parts, tiles: str, from_px: int, to_px: int) -> str:
    """Tiles ``(N, to, to, 3)``: rows, then columns, by products with constants, as no operator that resizes is in a bundle."""
    weights = resize_weights(from_px, to_px)
    planes = parts.add("Transpose", [tiles], "front/planes", perm=[0, 3, 1, 2])
    rows = parts.add("MatMul", [parts.constant("front/rows", weights), planes], "front/rows-resized")
    both = parts.add("MatMul", [rows, parts.constant("front/columns", weights.T)], "front/resized")
    return parts.add("Transpose", [both], "front/resized-tiles", perm=[0, 2, 3, 1])


def resize_weights(from_px: int, to_px: int) -> NDArray[np.float64]:
    """Weights ``(to, from)`` of bilinear resizing over the whole area of a pixel, as Pillow and torchvision do it.

    A triangle of the width of an output pixel, or of an input pixel where that is wider, around its centre.
    """
    scale = from_px / to_px
    reach = max(scale, 1.0)
    centres = (np.arange(to_px)[:, None] + 0.5) * scale
    weights = np.maximum(0.0, 1.0 - np.abs((np.arange(from_px)[None] + 0.5 - centres) / reach))
    return np.asarray(weights / weights.sum(axis=1, keepdims=True))


def _assembled(
    model: onnx.ModelProto, pixels: PixelsIn, back: Parts, outputs: Sequence[onnx.ValueInfoProto]
) -> onnx.ModelProto:
    """Front, network and back as one graph, without whatever no output needs."""
    spec = tile_input(pixels.size_px)
    inputs = [helper.make_tensor_value_info(spec.name, TensorProto.UINT8, spec.shape)]
    return joined(_front(pixels, model.graph.input[0]), model, back, inputs, outputs)
