"""One row a woman from her visits, by the very operators that stand in front of the boosting in its graph."""

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper

from cervix.bundle.sessions import CPU_PROVIDER, open_session
from cervix.patients.sequences import Histories
from training.shared.onnx_graphs import OPSET
from training.wrap.joining import OLDEST_IR, joined
from training.wrap.parts import Parts
from training.wrap.women.about import WomenAsked
from training.wrap.women.graph import women_inputs
from training.wrap.women.summaries import Steps, add_summaries

ROW = "row"
BATCH = 4096
KINDS = {"float32": TensorProto.FLOAT, "int32": TensorProto.INT32}


def summary_rows(histories: Histories, asked: WomenAsked) -> NDArray[np.float32]:
    """The summaries of each history ``(n, summaries)``, NaN where nothing is known.

    Raises ``ValueError`` if ``asked`` names no summaries.
    """
    session = open_session(_graph(asked).SerializeToString(), CPU_PROVIDER)
    rows = np.empty((len(histories), len(asked.input.summaries)), np.float32)
    women = np.arange(len(histories))
    for batch in histories.batches(BATCH, women):
        rows[batch] = session.run([ROW], histories.padded(batch))[0]
    return rows


def _graph(asked: WomenAsked) -> onnx.ModelProto:
    if not asked.input.summaries:
        raise ValueError("a model that reads visit by visit has no row a woman")
    parts = Parts()
    add_summaries(Steps(parts), asked.input.as_summaries, ROW)
    nothing = helper.make_model(
        helper.make_graph([], "nothing", [], []), opset_imports=[helper.make_opsetid("", OPSET)], ir_version=OLDEST_IR
    )
    inputs = [helper.make_tensor_value_info(spec.name, KINDS[spec.dtype], spec.shape) for spec in women_inputs(asked)]
    output = helper.make_tensor_value_info(ROW, TensorProto.FLOAT, ["N", len(asked.input.summaries)])
    return joined(parts, nothing, Parts(), inputs, [output])
