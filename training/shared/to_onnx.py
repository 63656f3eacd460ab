"""TensorFlow functions as ONNX graphs with the shapes that a manifest declares, each loaded once as a check."""

from collections.abc import Callable

import numpy as np
import onnx
import tensorflow as tf
import tf2onnx
from numpy.typing import NDArray

from cervix.bundle.manifest import TensorSpec
from cervix.bundle.sessions import CPU_PROVIDER, open_session

OPSET = 18


def to_onnx(
    function: Callable[..., dict[str, tf.Tensor]], inputs: list[TensorSpec], outputs: list[TensorSpec]
) -> onnx.ModelProto:
    """Export a function of tensors. Its dict keys become the output names, and the batch dimension becomes ``N``.

    The exported graph is checked and loaded once, because an export without error may still not load.
    """
    signature = [
        tf.TensorSpec([None if isinstance(size, str) else size for size in spec.shape], spec.dtype, name=spec.name)
        for spec in inputs
    ]
    model, _ = tf2onnx.convert.from_function(tf.function(function), input_signature=signature, opset=OPSET)
    declare_shapes(model, inputs, outputs)
    onnx.checker.check_model(model, full_check=True)
    open_session(model.SerializeToString(), CPU_PROVIDER)
    return model


def declare_shapes(model: onnx.ModelProto, inputs: list[TensorSpec], outputs: list[TensorSpec]) -> None:
    """Write the declared shapes into the graph's signature, with the dimension names of the manifest."""
    for specs, values in ((inputs, model.graph.input), (outputs, model.graph.output)):
        by_name = {value.name: value for value in values}
        for spec in specs:
            shape = by_name[spec.name].type.tensor_type.shape
            del shape.dim[:]
            for size in spec.shape:
                dim = shape.dim.add()
                if isinstance(size, str):
                    dim.dim_param = size
                else:
                    dim.dim_value = size


def run_onnx(
    onnx_bytes: bytes, tiles: NDArray[np.uint8], outputs: list[str], batch_size: int = 8
) -> dict[str, NDArray[np.float32]]:
    """Run an exported slide graph over tiles on the CPU and join the batches."""
    session = open_session(onnx_bytes, CPU_PROVIDER)
    parts = [session.run(outputs, {"tiles": tiles[start : start + batch_size]}) for start in range(0, len(tiles), batch_size)]
    return {name: np.concatenate([part[i] for part in parts]) for i, name in enumerate(outputs)}
