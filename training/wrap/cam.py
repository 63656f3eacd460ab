"""Grad-CAM as plain operators behind a network whose head was read.

Selvaraju et al. 2017 (arXiv:1610.02391) weight each channel of the last map by the mean over the map of the logit's gradient.
"""

import numpy as np
from numpy.typing import NDArray
from onnx import TensorProto

from training.wrap.head import Affine, Gate, Head
from training.wrap.parts import Parts, single
from training.wrap.reader import GraphReader


def add_cam(parts: Parts, reader: GraphReader, head: Head, last: NDArray[np.float64]) -> None:
    """Gradient of each logit by the map's features, averaged over the map, times the map."""
    height, width, channels = head.sizes
    constant: NDArray[np.float64] | None = last.T[None]  # (1, classes, columns) until a gate makes it differ from tile to tile
    gradient, pixels = "", height * width

    def name(what: str, at: int = 0) -> str:
        return f"cam/{what}{at}"

    for at, step in enumerate(head.steps):
        if isinstance(step, Gate):
            answer = single(parts, reader, step.tensor)
            open_ = parts.add("Greater", [answer, parts.constant(name("zero", at), 0.0)], name("open", at))
            number = parts.add("Cast", [open_], name("gate", at), to=TensorProto.FLOAT)
            spread = parts.add("Unsqueeze", [number, parts.constant(name("axis", at), [1], np.int64)], name("gates", at))
            before = gradient if constant is None else parts.constant(name("before", at), constant)
            gradient, constant = parts.add("Mul", [before, spread], name("through", at)), None
            continue
        values = step.kernel.T if isinstance(step, Affine) else step.factor
        if constant is not None:
            constant = constant @ values if isinstance(step, Affine) else constant * values
        else:
            kind = "MatMul" if isinstance(step, Affine) else "Mul"
            gradient = parts.add(kind, [gradient, parts.constant(name("kernel", at), values)], name("through", at))
    weight = _over_map(parts, head, constant, gradient)
    shape = [0, pixels, channels] if head.layout == "NHWC" else [0, channels, pixels]
    flat = parts.add(
        "Reshape", [single(parts, reader, head.features), parts.constant("cam/flat-shape", shape, np.int64)], "cam/flat"
    )
    if head.layout == "NHWC":
        flat = parts.add("Transpose", [flat], "cam/channels-first", perm=[0, 2, 1])
    summed = parts.add("Relu", [parts.add("MatMul", [weight, flat], "cam/sum")], "cam/positive")
    parts.add("Reshape", [summed, parts.constant("cam/shape", [0, last.shape[1], height, width], np.int64)], "cam")


def _over_map(parts: Parts, head: Head, constant: NDArray[np.float64] | None, gradient: str) -> str:
    """The mean over the map of the gradient at each of its places: ``(1 or N, classes, channels)``."""
    height, width, channels = head.sizes
    pixels = height * width
    if head.pooled:  # the mean spreads its gradient evenly
        if constant is not None:
            return parts.constant("cam/weight", constant / pixels)
        return parts.add("Mul", [gradient, parts.constant("cam/share", 1 / pixels)], "cam/weight")
    places = (pixels, channels) if head.layout == "NHWC" else (channels, pixels)
    over = 2 if head.layout == "NHWC" else 3
    if constant is not None:
        return parts.constant("cam/weight", constant.reshape(*constant.shape[:2], *places).mean(axis=over))
    shape = parts.constant("cam/places", [0, 0, *places], np.int64)
    placed = parts.add("Reshape", [gradient, shape], "cam/placed")
    return parts.add("ReduceMean", [placed, parts.constant("cam/over", [over], np.int64)], "cam/weight", keepdims=0)
