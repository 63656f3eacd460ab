"""Convolution weights rounded for what comes in, instead of each to the nearest step.

Nearest steps err by as much as the inputs happen to add up. Here the weights of an output channel are rounded one after
another, and what one's rounding costs is made good by those still to come, as far as their inputs go together (Frantar et al.
2023, arXiv:2210.17323, there for language models; Frantar and Alistarh 2022, arXiv:2208.11580).
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import onnx
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray
from onnx import helper, numpy_helper
from scipy.linalg import cho_solve, cholesky

from cervix.bundle.sessions import CPU_PROVIDER, open_session

Moments = NDArray[np.float64]
"""Mean products of the inputs that a convolution's weights are multiplied with, ``(k, k)``, of channels in × height × width."""
POSITIONS = 98
"""Places of the map, drawn anew in every tile, whose inputs are looked at."""
DAMPING = 0.01
"""Share of the mean second moment that is added to each, so that inputs which hardly vary can be solved for."""
BLOCK = 128
"""So many weights are rounded before those behind them are put right at once: a matter of time only."""
LARGEST_STEP = 64
"""Of a weight of 7 bits."""
QUANTISED = "_quantized"
"""What onnxruntime puts behind the name of weights that it quantises."""


@dataclass(frozen=True)
class _Window:
    """What a convolution without groups and dilation multiplies with its weights: height and width, strides, padding."""

    size: tuple[int, int]
    strides: tuple[int, int]
    pads: tuple[int, int, int, int]
    """Top, left, bottom, right."""


def input_moments(model: onnx.ModelProto, batches: Iterable[NDArray[np.uint8]], seed: int) -> dict[str, Moments]:
    """Second moments of the inputs of every plain convolution, by the name of its weights.

    Parameters
    ----------
    model : graph in single precision, whose only input is ``tiles``
    batches : tiles of the training split, ``(n, side, side, 3)`` each
    seed : of the places that are drawn
    """
    kernels = {initializer.name: tuple(initializer.dims) for initializer in model.graph.initializer}
    windows = {
        node.input[1]: (node.input[0], window)
        for node in model.graph.node
        if node.op_type == "Conv" and (window := _window(node, kernels.get(node.input[1], ()))) is not None
    }
    if not windows:
        return {}
    entries = list(dict.fromkeys(entry for entry, _ in windows.values()))
    seen = onnx.ModelProto()
    seen.CopyFrom(model)
    del seen.graph.output[:]
    seen.graph.output.extend(helper.make_tensor_value_info(entry, onnx.TensorProto.FLOAT, None) for entry in entries)
    session = open_session(seen.SerializeToString(), CPU_PROVIDER)
    rng, sums, counts = np.random.default_rng(seed), dict[str, Moments](), dict.fromkeys(windows, 0)
    for tiles in batches:
        found = dict(zip(entries, session.run(entries, {"tiles": tiles}), strict=True))
        for name, (entry, window) in windows.items():
            inputs = _drawn_inputs(found[entry], window, rng)
            products = (inputs.T @ inputs).astype(np.float64)
            sums[name] = products if name not in sums else sums[name] + products
            counts[name] += len(inputs)
    return {name: products / counts[name] for name, products in sums.items()}


def _window(node: onnx.NodeProto, kernel: tuple[int, ...]) -> _Window | None:
    """None for what is not a plain convolution of two dimensions: its weights stay at the nearest step.

    ``kernel`` has the shape (channels out, channels in, height, width), and is empty where the weights are computed.
    """
    of = {attribute.name: helper.get_attribute_value(attribute) for attribute in node.attribute}
    plain = of.get("group", 1) == 1 and set(of.get("dilations", [1])) == {1} and of.get("auto_pad", b"NOTSET") == b"NOTSET"
    if len(kernel) != 4 or not plain:
        return None
    return _Window((kernel[2], kernel[3]), tuple(of.get("strides", (1, 1))), tuple(of.get("pads", (0, 0, 0, 0))))


def _drawn_inputs(maps: NDArray[np.float32], window: _Window, rng: np.random.Generator) -> NDArray[np.float32]:
    """Inputs at drawn places of every map ``(n, channels, height, width)``, as rows of k in the order of the weights."""
    top, left, bottom, right = window.pads
    padded = np.pad(maps, ((0, 0), (0, 0), (top, bottom), (left, right)))
    down, across = window.strides
    seen = sliding_window_view(padded, window.size, axis=(2, 3))[:, :, ::down, ::across]
    height, width = seen.shape[2:4]
    places = [rng.choice(height * width, min(POSITIONS, height * width), replace=False) for _ in maps]
    rows = [at[:, place // width, place % width].swapaxes(0, 1) for at, place in zip(seen, places, strict=True)]
    return np.concatenate(rows).reshape(sum(map(len, places)), -1)


def round_to_inputs(weights: NDArray[np.floating], steps: NDArray[np.floating], moments: Moments) -> NDArray[np.int8]:
    """Whole steps for weights ``(channels out, k)``, at a step size a channel ``(channels out,)``, such that the output on
    inputs of these moments changes least.

    Raises
    ------
    ValueError
        If the moments are not of such inputs.
    """
    if moments.shape != (weights.shape[1], weights.shape[1]):
        raise ValueError(f"expected moments of {weights.shape[1]} inputs, found {moments.shape}")
    left, step = weights.astype(np.float64), steps.astype(np.float64)
    count = len(moments)
    typical = float(np.diag(moments).mean()) or 1.0
    damped = moments + DAMPING * typical * np.eye(count)
    inverse = cho_solve((cholesky(damped, lower=True), True), np.eye(count))
    passes_on = cholesky(inverse, lower=False)
    rounded = np.zeros(left.shape, np.int8)
    for start in range(0, count, BLOCK):
        block = slice(start, min(start + BLOCK, count))
        inside, here = passes_on[block, block], left[:, block]
        errors = np.zeros(here.shape)
        for column in range(here.shape[1]):
            whole = np.clip(np.round(here[:, column] / step), -LARGEST_STEP, LARGEST_STEP)
            rounded[:, start + column] = whole
            errors[:, column] = (here[:, column] - whole * step) / inside[column, column]
            here[:, column:] -= np.outer(errors[:, column], inside[column, column:])
        left[:, block.stop :] -= errors @ passes_on[block, block.stop :]
    return rounded


def with_rounding(quantised: onnx.ModelProto, single: onnx.ModelProto, moments: Mapping[str, Moments]) -> onnx.ModelProto:
    """The quantised graph with the weights of these names in ``single`` rounded to their inputs; step sizes stay."""
    kept = onnx.ModelProto()
    kept.CopyFrom(quantised)
    there = {initializer.name: initializer for initializer in kept.graph.initializer}
    exact = {initializer.name: initializer for initializer in single.graph.initializer if initializer.name in moments}
    for node in kept.graph.node:
        name = node.input[0].removesuffix(QUANTISED) if node.op_type == "DequantizeLinear" else ""
        if name not in exact:
            continue
        weights = numpy_helper.to_array(exact[name])
        steps = numpy_helper.to_array(there[node.input[1]])
        whole = round_to_inputs(weights.reshape(len(weights), -1), steps, moments[name]).reshape(weights.shape)
        there[node.input[0]].CopyFrom(numpy_helper.from_array(whole, node.input[0]))
    return kept
