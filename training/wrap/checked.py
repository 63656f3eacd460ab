"""A made graph held against what a bundle allows."""

import onnx

from cervix.bundle.operators import check_operators
from cervix.errors import BundleError
from training.wrap.refusal import WrapRefused


def checked(graph: onnx.ModelProto) -> bytes:
    """A graph as a bundle allows it, in bytes; ``WrapRefused`` where it is none."""
    try:
        check_operators(graph, "The wrapped model")
    except BundleError as error:
        raise WrapRefused(error.problem, expected=error.expected, found=error.found) from error
    return bytes(graph.SerializeToString())
