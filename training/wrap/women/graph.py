"""What stands before and behind somebody's model of women so that it answers as a bundle's table or sequence model does."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import onnx
from onnx import TensorProto, helper

from cervix.bundle.manifest import TensorSpec
from cervix.patients.encoding import RESULT_FEATURES
from training.shared.onnx_graphs import declare_shapes
from training.wrap.joining import joined
from training.wrap.loading import PREFIX
from training.wrap.parts import Parts
from training.wrap.women.about import WomenAsked
from training.wrap.women.answer import PROBABILITY_FLOOR
from training.wrap.women.summaries import FEATURES, FRONT, GAPS, LENGTHS, Steps, add_results_known, add_summaries

RAW = "raw"
ROW = f"{FRONT}row"


@dataclass(frozen=True)
class WomenFits:
    """What validation women decided: of two classes slope and intercept (Platt 1999), of more one over the temperature."""

    slope: float
    intercept: float = 0.0


def women_inputs(about: WomenAsked) -> list[TensorSpec]:
    """What the wrapped graph reads."""
    count = len(about.input.columns)
    if about.kind == "table":
        return [
            TensorSpec(
                name=FEATURES, dtype="float32", shape=["N", 1, count], unit="as in the table",
                meaning="Raw values of one visit, NaN where not known",
            )
        ]  # fmt: skip
    return [
        TensorSpec(
            name=FEATURES, dtype="float32", shape=["N", "V", count], unit="as in the table, codes by grade",
            meaning="Raw values of every visit, oldest first, NaN where not measured and beyond the last visit",
        ),
        TensorSpec(
            name=GAPS, dtype="float32", shape=["N", "V", count], unit="years",
            meaning="Years since the feature was last measured before the visit, NaN where never",
        ),
        TensorSpec(name=LENGTHS, dtype="int32", shape=["N"], unit="count", meaning="Number of visits"),
    ]  # fmt: skip


def women_outputs(about: WomenAsked) -> list[TensorSpec]:
    """What the wrapped graph answers, in this order."""
    if about.kind == "table":
        title = about.questions[0].title
        return [
            TensorSpec(name="risk", dtype="float32", shape=["N"], unit="probability", activation="sigmoid",
                       meaning=f"{title}: calibrated probability"),
            TensorSpec(name="logit", dtype="float32", shape=["N"], unit="log odds", meaning="Log odds of that probability"),
            TensorSpec(name="known_share", dtype="float32", shape=["N"], unit="share", meaning="Share of the inputs known"),
        ]  # fmt: skip
    return [
        TensorSpec(name="probabilities", dtype="float32", shape=["N", len(about.classes)], unit="probability",
                   activation="softmax", meaning="Calibrated probability of each class after the last visit"),
        TensorSpec(name="results_known", dtype="float32", shape=["N"], unit="visits",
                   meaning="Visits with a cytology, HPV, dual-stain, colposcopy or histology result"),
    ]  # fmt: skip


def raw_women_graph(model: onnx.ModelProto, about: WomenAsked, output: str) -> onnx.ModelProto:
    """From the inputs of a bundle to the model's own answers ``RAW (N, columns)``."""
    back = Parts()
    _add_raw(back, output)
    return joined(_front(model, about), model, back, _values(women_inputs(about)), _floats({RAW: ["N", None]}))


def wrapped_women_graph(
    model: onnx.ModelProto, about: WomenAsked, output: str, columns: int, fits: WomenFits
) -> onnx.ModelProto:
    """From the inputs of a bundle to the outputs that its kind demands.

    Parameters
    ----------
    output : the tensor that answers
    columns : numbers that it answers with
    """
    back = Parts()
    logits = _add_logits(back, about, _add_raw(back, output), columns)
    if about.kind == "table":
        _add_risk(back, about, logits, fits, "logit", "risk")
        blank = back.add("IsNaN", [FEATURES], "known/blank")
        known = back.add("Cast", [back.add("Not", [blank], "known/told")], "known/number", to=TensorProto.FLOAT)
        back.add("ReduceMean", [known, back.constant("known/axes", [1, 2], np.int64)], "known_share", keepdims=0)
    else:
        _add_probabilities(back, about, logits, fits)
    specs = women_outputs(about)
    values = _floats({spec.name: spec.shape for spec in specs})
    wrapped = joined(_front(model, about), model, back, _values(women_inputs(about)), values)
    declare_shapes(wrapped, women_inputs(about), specs)
    return wrapped


def _front(model: onnx.ModelProto, about: WomenAsked) -> Parts:
    """From a bundle's inputs to the model's own, and the count of visits with results."""
    parts, said = Parts(), about.input
    if about.kind == "sequence":
        steps = Steps(parts)
        add_results_known(steps, [at for at, name in enumerate(said.columns) if name in RESULT_FEATURES], "results_known")
        if not said.summaries:
            parts.add("Identity", [GAPS], PREFIX + GAPS)
            parts.add("Identity", [LENGTHS], PREFIX + LENGTHS)
            filled = _filled(parts, FEATURES, said.read, said.fill)
            parts.add("Identity", [filled], PREFIX + FEATURES)
            return parts
        row = add_summaries(steps, said.as_summaries, ROW)
    else:
        row = parts.add("Squeeze", [FEATURES, parts.constant(f"{FRONT}visit", [1], np.int64)], ROW)
    (entry,) = model.graph.input
    filled = _filled(parts, row, said.read, said.fill)
    parts.add("Cast", [filled], entry.name, to=entry.type.tensor_type.elem_type)
    return parts


def _filled(parts: Parts, values: str, columns: Sequence[str], fill: Mapping[str, float]) -> str:
    """The same with what the owner says where nothing is known."""
    if not fill:
        return values
    told = parts.constant(f"{FRONT}fill", [fill.get(name, np.nan) for name in columns])
    blank = parts.add("IsNaN", [values], f"{FRONT}fill-here")
    return parts.add("Where", [blank, told, values], f"{FRONT}filled")


def _add_raw(back: Parts, output: str) -> str:
    single = back.add("Cast", [output], f"{RAW}/single", to=TensorProto.FLOAT)
    return back.add("Reshape", [single, back.constant(f"{RAW}/shape", [0, -1], np.int64)], RAW)


def _add_logits(back: Parts, about: WomenAsked, raw: str, columns: int) -> str:
    """As ``logits_of``: ``(N, classes)``."""
    logits = raw if about.output.gives == "logit" else _add_logs(back, raw, columns)
    if columns > 1:
        return logits
    nothing = back.add("Sub", [logits, logits], "logits/nothing")
    return back.add("Concat", [nothing, logits], "logits/both", axis=1)


def _add_logs(back: Parts, raw: str, columns: int) -> str:
    floor, ceiling = back.constant("logits/floor", PROBABILITY_FLOOR), back.constant("logits/ceiling", 1 - PROBABILITY_FLOOR)
    kept = back.add("Clip", [raw, floor, ceiling], "logits/kept")
    logs = back.add("Log", [kept], "logits/logs")
    if columns > 1:
        return logs
    other = back.add("Sub", [back.constant("logits/one", 1.0), kept], "logits/other")
    return back.add("Sub", [logs, back.add("Log", [other], "logits/other-logs")], "logits/odds")


def _add_risk(back: Parts, about: WomenAsked, logits: str, fits: WomenFits, logit: str, risk: str) -> None:
    """Log odds ``(N,)`` of the positive of two classes, calibrated, and its probability."""
    own = back.add("Gather", [logits, back.constant("risk/own", about.positive, np.int64)], "risk/of-own", axis=1)
    other = back.add("Gather", [logits, back.constant("risk/other", 1 - about.positive, np.int64)], "risk/of-other", axis=1)
    odds = back.add("Sub", [own, other], "risk/odds")
    scaled = back.add("Mul", [odds, back.constant("risk/slope", fits.slope)], "risk/scaled")
    back.add("Add", [scaled, back.constant("risk/intercept", fits.intercept)], logit)
    back.add("Sigmoid", [logit], risk)


def _add_probabilities(back: Parts, about: WomenAsked, logits: str, fits: WomenFits) -> None:
    if len(about.classes) > 2:
        scaled = back.add("Mul", [logits, back.constant("classes/weight", fits.slope)], "classes/scaled")
        back.add("Softmax", [scaled], "probabilities", axis=1)
        return
    _add_risk(back, about, logits, fits, "risk/logit", "risk/risk")
    axis = back.constant("classes/axis", [1], np.int64)
    yes = back.add("Unsqueeze", ["risk/risk", axis], "classes/yes")
    no = back.add("Sub", [back.constant("classes/one", 1.0), yes], "classes/no")
    back.add("Concat", [no, yes] if about.positive == 1 else [yes, no], "probabilities", axis=1)


def _values(specs: Sequence[TensorSpec]) -> list[onnx.ValueInfoProto]:
    kinds = {"float32": TensorProto.FLOAT, "int32": TensorProto.INT32}
    return [helper.make_tensor_value_info(spec.name, kinds[spec.dtype], spec.shape) for spec in specs]


def _floats(shapes: Mapping[str, Sequence[int | str | None]]) -> list[onnx.ValueInfoProto]:
    return [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in shapes.items()]
