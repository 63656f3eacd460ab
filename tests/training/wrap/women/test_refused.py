"""What is not wrapped of models of women, each with what was found, what is expected and what to do."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pandas as pd
import pytest
from onnx import TensorProto, helper, numpy_helper

from cervix.patients.vocabulary import PATIENT_ID
from tests.training.wrap.made import write_about
from tests.training.wrap.women.made import (
    ANSWERS,
    COLUMNS,
    about_table,
    fitted_boosting,
    onnx_of_lightgbm,
    outcomes_of,
    risk_rows,
    values_of,
    write_rows,
)
from training.data.splits import LeakError
from training.wrap.refusal import WrapRefused
from training.wrap.women.women_model import wrap_women_model

pytestmark = pytest.mark.training

WOMEN = 60


def linear(
    *, columns: int = len(COLUMNS), rows: int | str = "n", dtype: type[np.generic] = np.float32, last: str = "Sigmoid",
    slope: float = 0.1, answers: int = 1, name: str = "row",
) -> onnx.ModelProto:  # fmt: skip
    """One answer a woman that rises with her age."""
    kernel = np.zeros((columns, answers), dtype)
    kernel[0] = slope
    kind = helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
    nodes = [helper.make_node("MatMul", [name, "kernel"], ["sum"]), helper.make_node("Add", ["sum", "bias"], ["logit"])]
    nodes += [helper.make_node(last, ["logit"], ["answer"])] if last else []
    graph = helper.make_graph(
        nodes,
        "elsewhere",
        [helper.make_tensor_value_info(name, kind, [rows, columns])],
        [helper.make_tensor_value_info("answer" if last else "logit", kind, None)],
        [numpy_helper.from_array(kernel, "kernel"), numpy_helper.from_array(np.full(answers, -4, dtype), "bias")],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)


def with_loop() -> onnx.ModelProto:
    model = linear()
    model.graph.node.append(helper.make_node("NonZero", ["sum"], ["places"]))
    return model


def with_two_answers() -> onnx.ModelProto:
    model = linear()
    model.graph.output.append(helper.make_tensor_value_info("logit", TensorProto.FLOAT, None))
    return model


def with_zipmap() -> onnx.ModelProto:
    return onnx_of_lightgbm(_booster(), len(COLUMNS), zipmap=True)


def _booster() -> Any:
    table, positive = risk_rows(WOMEN)
    return fitted_boosting(values_of(table), positive)


PERHAPS = {"id": "perhaps", "title": "Perhaps", "short": "Perhaps", "colour": "#CC79A7", "role": "other"}
FILLED: dict[str, Any] = {"input__fill": {f'"{name}"': 1.0 for name in COLUMNS}}


@pytest.mark.parametrize(
    ("made", "changes", "sentence"),
    [
        (linear, {"input__columns": COLUMNS[1:]}, "expected N × 5; found any × 6"),
        (lambda: linear(rows=16), {}, "a free number of rows"),
        (lambda: linear(name="x", dtype=np.int64, last=""), {}, "The model reads no numbers.*found int64"),
        (with_loop, {}, "an operator that is not allowed.*NonZero"),
        (with_two_answers, {}, "not said which output.*one of answer, logit"),
        (with_two_answers, {"output__name": "risk"}, "not said which output.*found risk"),
        (with_zipmap, {}, "answers with dictionaries.*zipmap=False"),
        (linear, {"output__gives": "logit"}, "no logits.*found probabilities, by Sigmoid"),
        (lambda: linear(last=""), FILLED, "no probabilities.*sums"),
        (linear, {}, "no number for some women.*input.fill"),
        (lambda: linear(slope=-0.1), FILLED, "fall where the outcome is more frequent.*a slope of -"),
        (lambda: linear(slope=0.0), FILLED, "answers the same for every woman"),
        (lambda: linear(answers=3), FILLED, "not answer for the classes.*expected 2 numbers a woman, or one; found 3"),
        (linear, {"classes": [*ANSWERS, PERHAPS]}, "one of two classes"),
        (linear, {"input__columns": [*COLUMNS, "Weight"]}, "'Weight'.*are not read by the app"),
        (linear, {"input__columns": [*COLUMNS, "Age"]}, "names \\['Age'\\] twice"),
        (linear, {"input__summaries": ["last Age"]}, "nothing to summarise"),
        (linear, {"input__fill": {"Weight": 3}}, "input.fill names no column"),
        (linear, {"output": {}}, "output.gives: Field required"),
        (linear, {"kind": "sequence"}, "are not read by the app"),
    ],
    ids=lambda value: "" if not isinstance(value, str) else value[:30],
)  # fmt: skip
def test_a_model_that_is_not_as_it_is_said_to_be(
    tmp_path: Path, made: Callable[[], onnx.ModelProto], changes: dict[str, Any], sentence: str
) -> None:
    (tmp_path / "model.onnx").write_bytes(made().SerializeToString())
    table, positive = risk_rows(WOMEN)
    files = write_rows(tmp_path, table, outcomes_of(list(table[PATIENT_ID]), list(np.where(positive, "yes", "no"))))
    description = write_about(tmp_path / "about.toml", about_table(**changes))
    with pytest.raises(WrapRefused, match=sentence):
        wrap_women_model(tmp_path / "model.onnx", description, *files, tmp_path / "out", lambda _: None)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("suffix", [".pkl", ".joblib", ".pickle"])
def test_a_pickle_is_not_opened(tmp_path: Path, suffix: str) -> None:
    model = tmp_path / f"model{suffix}"
    model.write_bytes(b"cos\nsystem\n(S'touch opened'\ntR.")
    description = write_about(tmp_path / "about.toml", about_table())
    with pytest.raises(WrapRefused, match="runs whatever code is in it.*write it as ONNX"):
        wrap_women_model(model, description, tmp_path / "a.csv", tmp_path / "b.csv", tmp_path / "out", lambda _: None)


def renamed(outcomes: pd.DataFrame) -> pd.DataFrame:
    return outcomes.rename(columns={"label": "outcome"})


def with_row(**values: str) -> Callable[[pd.DataFrame], pd.DataFrame]:
    def changed(outcomes: pd.DataFrame) -> pd.DataFrame:
        return outcomes.assign(**{name: [value, *outcomes[name][1:]] for name, value in values.items()})

    return changed


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (renamed, "lacks columns.*no label.*Say in each row"),
        (with_row(label="maybe"), "another label: expected no or yes; found another in row 2"),
        (with_row(split="train"), "another split"),
        (with_row(split="P-0001"), "another split"),
        (with_row(label=""), "a label in each row; found row 2"),
        (with_row(patient_id="P-0001"), "several outcomes.*found row 3"),
        (with_row(patient_id="somebody"), "not in the table.*found none for row 2"),
        (lambda outcomes: outcomes[outcomes["split"] == "test"], "There are no validation outcomes"),
        (lambda outcomes: outcomes[(outcomes["label"] == "no") | (outcomes["split"] == "test")],
         "0 with yes to biopsy in validation"),
    ],
)  # fmt: skip
def test_outcomes_that_no_figure_can_be_made_of(
    tmp_path: Path, change: Callable[[pd.DataFrame], pd.DataFrame], sentence: str
) -> None:
    with pytest.raises(WrapRefused, match=sentence) as refusal:
        wrap(tmp_path, change)
    assert "P-00" not in str(refusal.value)
    assert "somebody" not in str(refusal.value)


def test_a_woman_or_a_group_on_both_sides_is_refused(tmp_path: Path) -> None:
    with pytest.raises(LeakError, match="group of row 2"):
        wrap(tmp_path / "group", lambda outcomes: outcomes.assign(group=np.arange(len(outcomes)) // 4))

    def twins(table: pd.DataFrame) -> pd.DataFrame:
        return pd.concat([table[:1], table[:1].assign(**{PATIENT_ID: table[PATIENT_ID][1]}), table[2:]])

    with pytest.raises(WrapRefused, match="Equal women are on both sides.*2 women, for example 2 rows \\(2, 3\\)") as refusal:
        wrap(tmp_path / "woman", lambda outcomes: outcomes, twins)
    assert "P-00" not in str(refusal.value)


def wrap(
    folder: Path,
    change: Callable[[pd.DataFrame], pd.DataFrame],
    change_table: Callable[[pd.DataFrame], pd.DataFrame] = lambda table: table,
) -> None:
    """The plain model with other outcomes, or another table."""
    table, positive = risk_rows(WOMEN)
    outcomes = outcomes_of(list(table[PATIENT_ID]), list(np.where(positive, "yes", "no")))
    files = write_rows(folder, change_table(table), change(outcomes))
    (folder / "model.onnx").write_bytes(linear().SerializeToString())
    description = write_about(folder / "about.toml", about_table(**FILLED))
    wrap_women_model(folder / "model.onnx", description, *files, folder / "out", lambda _: None)
