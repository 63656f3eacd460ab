"""Smaller variants of an exported graph: int8 for CPUs, fp16 for GPUs."""

import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process
from onnxruntime.transformers.float16 import convert_float_to_float16
from onnxruntime.transformers.onnx_model import OnnxModel

from training.slide.graph import batches
from training.slide.rounding import input_moments, with_rounding

ROUNDING_SEED = 20261201


class _TileReader(CalibrationDataReader):  # type: ignore[misc]  # untyped base class
    def __init__(self, tiles: NDArray[np.uint8]) -> None:
        self._batches = batches(tiles)

    def get_next(self) -> dict[str, NDArray[np.uint8]] | None:
        batch = next(self._batches, None)
        return None if batch is None else {"tiles": batch}


def to_int8(model: onnx.ModelProto, calibration_tiles: NDArray[np.uint8]) -> bytes:
    """Static int8 of the convolutions only, per channel, calibrated on real tiles of the training split.

    The dense head stays in fp32: with softmax and head quantised too, few distinct scores remain. Weights use 7
    of 8 bits, because x86 processors without VNNI saturate the sum of two full uint8 x int8 products (measured
    there with 8 bits: 76 % agreement with fp32). They are rounded for what these tiles bring in
    (``training.slide.rounding``). The first convolution, which is small and reads the pixels, stays fp32.
    """
    with tempfile.TemporaryDirectory() as folder:
        raw, prepared, quantised = (Path(folder) / name for name in ("raw.onnx", "prepared.onnx", "int8.onnx"))
        raw.write_bytes(model.SerializeToString())
        quant_pre_process(raw, prepared, skip_symbolic_shape=True)
        single = onnx.load(prepared)
        first = next(node.name for node in single.graph.node if node.op_type == "Conv")
        quantize_static(
            prepared,
            quantised,
            _TileReader(calibration_tiles),
            quant_format=QuantFormat.QDQ,
            op_types_to_quantize=["Conv", "Relu", "MaxPool"],
            nodes_to_exclude=[first],
            per_channel=True,
            reduce_range=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
        )
        moments = input_moments(single, batches(calibration_tiles), ROUNDING_SEED)
        return bytes(with_rounding(onnx.load(quantised), single, moments).SerializeToString())


def to_fp16(model: onnx.ModelProto, in_single: Sequence[str] = ()) -> bytes:
    """Half precision inside; inputs and outputs keep their float32 and uint8 types, and nodes of these names are left alone.

    The conversion writes the casts around operators that stay in single precision, such as Max, behind all others; the check of
    a bundle tells types in the order of the nodes, so they are sorted.
    """
    half = OnnxModel(convert_float_to_float16(model, keep_io_types=True, node_block_list=list(in_single)))
    half.topological_sort()
    return bytes(half.model.SerializeToString())
