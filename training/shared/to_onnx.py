"""TensorFlow functions as ONNX graphs with the shapes that a manifest declares, each loaded once as a check."""

from collections.abc import Callable

import onnx
import tensorflow as tf
import tf2onnx

from cervix.bundle.manifest import TensorSpec
from cervix.bundle.sessions import CPU_PROVIDER, open_session
from training.shared.onnx_graphs import OPSET, declare_shapes


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
