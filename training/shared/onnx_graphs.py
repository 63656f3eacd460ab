"""ONNX graphs once they are made: their signature, and running them. Needs no TensorFlow."""

import numpy as np
import onnx
from numpy.typing import NDArray

from cervix.bundle.manifest import TensorSpec
from cervix.bundle.sessions import CPU_PROVIDER, open_session

OPSET = 18


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
