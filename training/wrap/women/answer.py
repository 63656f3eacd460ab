"""Where a model of women answers, and with what: its owner's word held against the graph and against its answers."""

import numpy as np
import onnx
from numpy.typing import NDArray

from training.wrap.loading import PREFIX
from training.wrap.reader import GraphReader, settings_of
from training.wrap.refusal import WrapRefused
from training.wrap.women.about import WomenAsked
from training.wrap.women.loading import outputs_of, owner_names

PASSED = frozenset({
    "ArrayFeatureExtractor", "Cast", "Flatten", "Gather", "Identity", "Reshape", "Slice", "Squeeze", "Unsqueeze"
})  # fmt: skip
ENDS = frozenset({"Sigmoid", "Softmax"})
POST_TRANSFORMS = frozenset({b"LOGISTIC", b"SOFTMAX", b"SOFTMAX_ZERO", b"PROBIT"})
SUM_TOLERANCE = 1e-3
"""Of probabilities that sum to 1."""
PROBABILITY_FLOOR = 1e-6
"""Forests answer 0 and 1, whose log odds are infinite: probabilities are kept this far from either."""


def find_output(model: onnx.ModelProto, about: WomenAsked) -> str:
    """The tensor that answers.

    Raises
    ------
    WrapRefused
        No such output, or several and none named; a graph that ends otherwise than its owner says.
    """
    there = outputs_of(model)
    named = PREFIX + about.output.name if about.output.name else ""
    if (named and named not in there) or (not named and len(there) != 1):
        raise WrapRefused(
            "It is not said which output of the model answers",
            expected=f"output.name, one of {owner_names(there)}",
            found=about.output.name or "no name",
            action="Name it in about.toml: that of the numbers, not that of the label.",
        )
    output = named or there[0]
    if about.output.gives == "logit" and (end := _end(GraphReader(model), output)):
        raise WrapRefused(
            "The model's answers are no logits",
            expected="logits, as about.toml says",
            found=f"probabilities, by {end} as its last operator",
            action='Say gives = "probability" if that is so.',
        )
    return output


def _end(reader: GraphReader, tensor: str) -> str:
    """The operator that makes probabilities of what it reads, in words; empty where that cannot be told from the graph."""
    node = reader.producers.get(tensor)
    while node is not None and node.op_type in PASSED:
        node = reader.producers.get(node.input[0])
    if node is None:
        return ""
    if node.op_type == "Concat":  # of the two sides: 1 - p and p
        return next(filter(None, (_end(reader, name) for name in node.input)), "")
    if node.op_type == "Mul":  # by one, as onnxmltools writes it
        return _end(reader, node.input[0])
    if node.op_type in ENDS:
        return str(node.op_type)
    transform = settings_of(node).get("post_transform", b"NONE")
    return f"{node.op_type} with {transform.decode()}" if transform in POST_TRANSFORMS else ""


def check_women_answers(about: WomenAsked, told: NDArray[np.floating]) -> None:
    """Hold what the model answers about validation women against what is said of it.

    Parameters
    ----------
    told : (n, columns)

    Raises
    ------
    WrapRefused
    """
    columns, classes = told.shape[1], len(about.classes)
    if columns != classes and not (columns == 1 and classes == 2):
        raise WrapRefused(
            "The model does not answer for the classes that about.toml lists",
            expected=f"{classes} numbers a woman" + (", or one" if classes == 2 else ""),
            found=str(columns),
            action="List the classes in the order of the model's outputs.",
        )
    if not np.isfinite(told).all():
        raise WrapRefused(
            "The model answers no number for some women",
            expected="finite numbers, also where cells are missing",
            found="NaN or infinity",
            action="Say in about.toml what the model is given where nothing is known: input.fill.",
        )
    within = bool((told >= 0).all() and (told <= 1).all())
    sums = columns == 1 or bool((np.abs(told.sum(axis=1) - 1) < SUM_TOLERANCE).all())
    if about.output.gives == "probability" and not (within and sums):
        raise WrapRefused(
            "The model's answers are no probabilities",
            expected="numbers from 0 to 1" + (" that sum to 1" if columns > 1 else ""),
            found=f"{told.min():g} to {told.max():g}, sums {told.sum(axis=1).min():g} to {told.sum(axis=1).max():g}",
            action='Say gives = "logit" if they are logits.',
        )
    if about.output.gives == "logit" and within and sums:
        raise WrapRefused(
            "The model's answers are no logits",
            expected="logits, as about.toml says",
            found="probabilities: all are from 0 to 1" + (" and sum to 1" if columns > 1 else ""),
            action='Say gives = "probability" if that is so.',
        )
    if float(np.ptp(told, axis=0).max()) == 0.0:
        raise WrapRefused(
            "The model answers the same for every woman",
            expected="answers that differ from woman to woman",
            found="one answer",
            action="Check the order of input.columns, and what input.fill says.",
        )


def logits_of(about: WomenAsked, told: NDArray[np.floating]) -> NDArray[np.float64]:
    """Logits of the classes ``(n, classes)`` from the model's answers ``(n, columns)``; the graph computes the same."""
    values = np.asarray(told, np.float64)
    if about.output.gives == "probability":
        kept = np.clip(values, PROBABILITY_FLOOR, 1 - PROBABILITY_FLOOR)
        values = np.log(kept) if values.shape[1] > 1 else np.log(kept) - np.log1p(-kept)
    if values.shape[1] == 1:
        values = np.concatenate([np.zeros_like(values), values], axis=1)
    return values
