"""Every summary of visits, as the graph makes it, against the same made by hand."""

from collections.abc import Callable, Sequence

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper

from cervix.bundle.operators import check_operators
from cervix.bundle.sessions import CPU_PROVIDER, open_session
from cervix.patients.sequences import Histories, histories_of_steps
from training.shared.onnx_graphs import OPSET
from training.wrap.parts import Parts
from training.wrap.women.summaries import SUMMARIES, Steps, add_results_known, add_summaries, summary_of

INPUTS = ["age", "hpv", "histology"]
WOMEN, SEED = 40, 4
Values = NDArray[np.float32]

BY_HAND: dict[str, Callable[[Values, Values], float]] = {
    "last": lambda values, _: _at(values, -1),
    "last-but-one": lambda values, _: _at(values, -2),
    "first": lambda values, _: _at(values, 0),
    "at-last-visit": lambda values, _: float(values[-1]),
    "max": lambda values, _: float(np.nanmax(values)) if _known(values) else np.nan,
    "min": lambda values, _: float(np.nanmin(values)) if _known(values) else np.nan,
    "count-of": lambda values, _: float(_known(values)),
    "years-since": lambda values, years: float((years[-1] - years)[~np.isnan(values)][-1]) if _known(values) else np.nan,
}


def _known(values: Values) -> int:
    return int((~np.isnan(values)).sum())


def _at(values: Values, place: int) -> float:
    known = values[~np.isnan(values)]
    return float(known[place]) if -len(known) <= place < len(known) else np.nan


@pytest.fixture(scope="module")
def histories() -> Histories:
    """Women of one to seven visits, of whom some were never tested, and some were at their last visit alone."""
    rng = np.random.default_rng(SEED)
    lengths = rng.integers(1, 8, WOMEN)
    features = rng.integers(0, 4, (lengths.sum(), len(INPUTS))).astype(np.float32)
    features[rng.random(features.shape) < 0.5] = np.nan
    features[: lengths[0], 1] = np.nan
    time = np.concatenate([np.cumsum(rng.uniform(0.5, 4, length)) for length in lengths])
    return histories_of_steps(np.arange(WOMEN).astype(object), lengths, features, time)


def run(histories: Histories, graph: onnx.ModelProto) -> NDArray[np.float32]:
    check_operators(graph, "f")
    session = open_session(graph.SerializeToString(), CPU_PROVIDER)
    return np.asarray(session.run(["row"], histories.padded(np.arange(len(histories))))[0], np.float32)


def graph_of(add: Callable[[Steps], str], rank: int) -> onnx.ModelProto:
    parts = Parts()
    add(Steps(parts))
    sizes: Sequence[str | int] = ["N", "V", len(INPUTS)]
    return helper.make_model(
        helper.make_graph(
            parts.nodes,
            "summaries",
            [
                helper.make_tensor_value_info("features", TensorProto.FLOAT, sizes),
                helper.make_tensor_value_info("gap_years", TensorProto.FLOAT, sizes),
                helper.make_tensor_value_info("lengths", TensorProto.INT32, ["N"]),
            ],
            [helper.make_tensor_value_info("row", TensorProto.FLOAT, ["N", None][:rank])],
            list(parts.constants.values()),
        ),
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=8,
    )


def test_the_closed_list_is_the_one_that_is_tested_here() -> None:
    assert set(BY_HAND) == set(SUMMARIES)


@pytest.mark.parametrize("what", SUMMARIES)
def test_a_summary_is_what_it_says(histories: Histories, what: str) -> None:
    wanted = [summary_of(f"{what} {name}", INPUTS) for name in INPUTS]
    found = run(histories, graph_of(lambda steps: add_summaries(steps, wanted, "row"), 2))
    for woman in range(WOMEN):
        own = slice(histories.first[woman], histories.last[woman] + 1)
        expected = [BY_HAND[what](histories.features[own, at], histories.time_years[own]) for at in range(len(INPUTS))]
        np.testing.assert_allclose(found[woman], expected, atol=1e-5, err_msg=f"woman {woman}")


def test_visits_with_a_result_are_counted_once_each(histories: Histories) -> None:
    found = run(histories, graph_of(lambda steps: add_results_known(steps, [1, 2], "row"), 1))
    known = ~np.isnan(histories.features[:, 1:])
    assert found.tolist() == np.add.reduceat(known.any(axis=1), histories.first).astype(float).tolist()


@pytest.mark.parametrize(("words", "sentence"), [("mean hpv", "begins with none of last"), ("last smoker", "no input of")])
def test_a_summary_outside_the_list_is_refused(words: str, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        summary_of(words, INPUTS)
