"""What a model answers with: what its owner says, held against its last operator and against what it really answers."""

import numpy as np
import onnx
from numpy.typing import NDArray

from training.wrap.about import Activation, AnswerOut
from training.wrap.loading import PREFIX
from training.wrap.reader import GraphReader, plain
from training.wrap.refusal import WrapRefused

LAST: dict[str, Activation] = {"Softmax": "softmax", "Sigmoid": "sigmoid"}
PASSED = ("Identity", "Cast")
SUM_TOLERANCE = 1e-3
"""Of probabilities that sum to 1, in half precision too."""


def find_answer(model: onnx.ModelProto, reader: GraphReader, said: AnswerOut) -> str:
    """The tensor of the logits, before any activation.

    Raises
    ------
    WrapRefused
        No such output, or several and none named; a last operator that is not what the owner says.
    """
    outputs = [value.name for value in model.graph.output]
    if (said.name and PREFIX + said.name not in outputs) or (not said.name and len(outputs) != 1):
        raise WrapRefused(
            "It is not said which output of the model answers",
            expected=f"output.name, one of {', '.join(map(plain, outputs))}",
            found=said.name or "no name",
            action="Name it in about.toml.",
        )
    output = PREFIX + said.name if said.name else outputs[0]
    last = _last(reader, output)
    found = LAST.get(last.op_type, "none (logits)") if last is not None else "none (logits)"
    if found != said.activation:
        raise WrapRefused(
            "The model's activation is another than it is said to be",
            expected=f"{said.activation}, as about.toml says",
            found=f"{last.op_type if last is not None else 'nothing'} as its last operator",
            action=f'Say activation = "{found}" if that is what the model was trained with.',
        )
    logits = str(last.input[0]) if last is not None and last.op_type in LAST else output
    before = _last(reader, logits)
    if last is not None and last.op_type in LAST and before is not None and before.op_type in LAST:
        raise _twice(f"{before.op_type}, then {last.op_type}")
    return logits


def check_answers(said: AnswerOut, logits: NDArray[np.floating], classes: int) -> None:
    """Hold what the model answers on real tiles against what is said of it.

    Parameters
    ----------
    logits : (n, columns) before any activation

    Raises
    ------
    WrapRefused
        Logits that are probabilities already; numbers that are none; another number of columns than classes.
    """
    if logits.ndim != 2:
        raise WrapRefused(
            "The model does not answer once a tile", expected="a row for each tile", found=f"{logits.ndim} dimensions"
        )
    columns = logits.shape[1]
    if not np.isfinite(logits).all():
        raise WrapRefused("The model answers no number for some tiles", expected="finite numbers", found="NaN or infinity")
    one_for_two = columns == 1 and classes == 2 and said.activation != "softmax"
    if columns != classes and not one_for_two:
        raise WrapRefused(
            "The model does not answer for the classes that about.toml lists",
            expected=f"{classes} numbers a tile",
            found=str(columns),
            action="List the classes in the order of the model's outputs, at least two.",
        )
    if said.activation == "sigmoid" and not one_for_two:
        raise WrapRefused(
            "The model lets several classes be true of one tile",
            expected="classes that exclude each other: a softmax, or one sigmoid for two",
            found=f"a sigmoid for each of {columns} classes",
        )
    if columns > 1 and (logits >= 0).all() and (np.abs(logits.sum(axis=1) - 1) < SUM_TOLERANCE).all():
        raise _twice("numbers that sum to 1 on every tile")
    if float(np.ptp(logits, axis=0).max()) == 0.0:
        raise WrapRefused(
            "The model answers the same for every tile",
            expected="answers that differ from tile to tile",
            found="one answer",
            action="Check the transforms in about.toml: pixels may arrive on another scale than in training.",
        )


def _last(reader: GraphReader, tensor: str) -> onnx.NodeProto | None:
    node = reader.producers.get(tensor)
    while node is not None and node.op_type in PASSED:
        node = reader.producers.get(node.input[0])
    return node


def _twice(found: str) -> WrapRefused:
    return WrapRefused(
        "The model's answers would pass through a softmax twice",
        expected="logits before the one activation",
        found=found,
        action='If they are probabilities, say activation = "softmax" and export the model with one Softmax at its end.',
    )
