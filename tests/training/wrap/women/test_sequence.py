"""Models of screening histories from elsewhere: boosting on summaries, and a graph that reads visit by visit."""

import io
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pandas as pd
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from scipy.special import expit, logit

from cervix.bundle import Bundle
from cervix.errors import LabelRefused
from cervix.labels.gathering.women import gather_patients
from cervix.patients.charts import course_figure
from cervix.patients.courses import courses
from cervix.patients.encoding import encoding_named
from cervix.patients.golden import prove_bundle
from cervix.patients.history_explanation import explain_history
from cervix.patients.history_scoring import histories_of, member_band, score_visits, trajectory
from cervix.patients.sequences import encode
from cervix.patients.visit_sample import sample_visits_csv
from cervix.patients.visits import VisitTable, read_visits
from cervix.patients.vocabulary import PATIENT_ID
from tests.training.wrap.made import write_about
from tests.training.wrap.women.made import about_table, fitted_boosting, onnx_of_lightgbm, outcomes_of, write_rows
from training.wrap.women.fitting import last_known
from training.wrap.women.women_model import wrap_women_model

pytestmark = pytest.mark.training

COLUMNS = ["age", "cytology_squamous", "hpv", "histology"]
SUMMED = ["age", "cytology_squamous", "hpv"]
SUMMARIES = ["last age", "last cytology_squamous", "last hpv", "years-since hpv", "count-of hpv"]
FILL = -1.0
WOMEN = 160


def about_sequence(**changes: Any) -> dict[str, Any]:
    question = {"id": "cin2", "title": "CIN2+ within 3 years", "positive": ["yes"], "negative": ["no"]}
    own = {"kind": "sequence", "questions": [question], "input__columns": SUMMED, "input__summaries": SUMMARIES}
    return about_table(**(own | changes))


class Brought:
    """Women with visits, outcomes, the row that a table model would read of each, and a booster fitted on it."""

    def __init__(self) -> None:
        self.table = pd.read_csv(io.StringIO(sample_visits_csv(WOMEN)), dtype=str, keep_default_na=False)
        self.visits = read_visits(self.table.to_csv(index=False).encode())
        histories = encode(self.visits.frame, encoding_named(COLUMNS), 90)
        arrays = histories.padded(np.arange(len(histories)))
        known = last_known(arrays)
        tests = ~np.isnan(np.asarray(arrays["features"], np.float32))[..., 2]
        last = np.arange(len(histories))
        since = np.where(tests[last, histories.lengths - 1], 0, np.asarray(arrays["gap_years"])[last, histories.lengths - 1, 2])
        self.rows = np.column_stack([known[:, :3], since, tests.sum(axis=1)]).astype(np.float32)
        rng = np.random.default_rng(2)
        odds = np.nan_to_num(known[:, 1], nan=0.5) + np.nan_to_num(known[:, 2], nan=0.5) - 2
        self.positive = rng.random(len(odds)) < expit(odds)
        ids = [str(name) for name in histories.patient_ids]
        self.outcomes = outcomes_of(ids, list(np.where(self.positive, "yes", "no")))
        self.booster = fitted_boosting(np.where(np.isnan(self.rows), FILL, self.rows), self.positive)


@pytest.fixture(scope="module")
def brought() -> Brought:
    return Brought()


@pytest.fixture(scope="module")
def wrapped(brought: Brought, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    folder = tmp_path_factory.mktemp("sequence")
    (folder / "model.onnx").write_bytes(onnx_of_lightgbm(brought.booster, len(SUMMARIES)).SerializeToString())
    said = about_sequence(input__fill=None)
    said["input"]["fill"] = {f'"{name}"': FILL for name in SUMMARIES}
    files = write_rows(folder, brought.table, brought.outcomes)
    wrap_women_model(folder / "model.onnx", write_about(folder / "about.toml", said), *files, folder / "bundle", lambda _: None)
    return prove_bundle(folder / "bundle", device="cpu")


def answered(scores: pd.DataFrame) -> NDArray[np.bool_]:
    return ~scores["abstained"].to_numpy(bool)


def test_its_risks_are_the_boosters_on_her_summaries(brought: Brought, wrapped: Bundle) -> None:
    session = wrapped.session_of("sequence")
    scores = score_visits(brought.visits, session)
    own = brought.booster.predict_proba(np.where(np.isnan(brought.rows), FILL, brought.rows))[:, 1]
    said = session.model.calibration.parameters
    expected = expit(said["slope"] * logit(own) + said["intercept"])
    at = answered(scores)
    assert at.sum() > 50
    np.testing.assert_allclose(scores["risk_cin2"][at], expected[at], atol=1e-4)


def test_it_states_no_range_because_it_is_no_ensemble(brought: Brought, wrapped: Bundle) -> None:
    session = wrapped.session_of("sequence")
    scores = score_visits(brought.visits, session)
    assert scores["lowest"].isna().all()
    visits = woman(brought.visits, scores)
    assert member_band(histories_of(visits, session), 0, session) is None


def test_her_course_ends_at_her_risk_and_is_asked_at_each_step(brought: Brought, wrapped: Bundle) -> None:
    session = wrapped.session_of("sequence")
    scores = score_visits(brought.visits, session)
    histories = histories_of(brought.visits.frame, session)
    women = np.flatnonzero(answered(scores))[:5]
    for position, course in zip(women, courses(histories, women, session), strict=True):
        assert len(course.risk) == histories.lengths[position]
        assert course.risk[-1] == pytest.approx(scores["risk_cin2"].iloc[position], abs=1e-6)
        alone = trajectory(histories, int(position), session)
        np.testing.assert_allclose(course.risk, alone, atol=1e-6)
    visits = woman(brought.visits, scores)
    own = histories_of(visits, session)
    figure = course_figure(visits, own.row_of_step, trajectory(own, 0, session), None, "CIN2+", 0.1)
    assert "range of the models" not in [trace.name for trace in figure.data]


def test_an_explanation_adds_up_to_her_risk(brought: Brought, wrapped: Bundle) -> None:
    session = wrapped.session_of("sequence")
    scores = score_visits(brought.visits, session)
    explained = explain_history(woman(brought.visits, scores), session, "cin2")
    assert explained.reference_risk + explained.contributions.sum() == pytest.approx(explained.risk, abs=1e-6)
    assert explained.risk == pytest.approx(float(scores.loc[answered(scores), "risk_cin2"].iloc[0]), abs=1e-5)


def test_women_are_not_gathered_for_labels_by_a_model_without_state(brought: Brought, wrapped: Bundle) -> None:
    with pytest.raises(LabelRefused, match="no member_risk and no state"):
        gather_patients(brought.visits, "0" * 64, wrapped, 5)


def woman(table: VisitTable, scores: pd.DataFrame) -> pd.DataFrame:
    """Visits of the first who has an answer."""
    name = scores.loc[answered(scores), PATIENT_ID].iloc[0]
    return table.frame[table.frame[PATIENT_ID] == name]


def visit_by_visit() -> onnx.ModelProto:
    """Logits of three classes from the mean over visits of what is known: a graph of a sequence model's three inputs."""
    nodes = [
        helper.make_node("IsNaN", ["features"], ["blank"]),
        helper.make_node("Where", ["blank", "zero", "features"], ["filled"]),
        helper.make_node("ReduceSum", ["filled", "axis"], ["summed"], keepdims=0),
        helper.make_node("Cast", ["lengths"], ["count"], to=TensorProto.FLOAT),
        helper.make_node("Unsqueeze", ["count", "axis"], ["steps"]),
        helper.make_node("Div", ["summed", "steps"], ["mean"]),
        helper.make_node("MatMul", ["mean", "kernel"], ["logits"]),
    ]
    kernel = np.array([[0.0, 0.01, 0.02], [-1.0, 0.5, 1.0], [-1.0, 0.0, 1.0], [0.0, 0.5, 1.0]], np.float32)
    constants = {"zero": np.float32(0), "axis": np.array([1], np.int64), "kernel": kernel}
    steps = ["women", "visits", len(COLUMNS)]
    graph = helper.make_graph(
        nodes,
        "elsewhere",
        [
            helper.make_tensor_value_info("features", TensorProto.FLOAT, steps),
            helper.make_tensor_value_info("gap_years", TensorProto.FLOAT, steps),
            helper.make_tensor_value_info("lengths", TensorProto.INT32, ["women"]),
        ],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["women", 3])],
        [numpy_helper.from_array(np.asarray(values), name) for name, values in constants.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)


def test_a_model_of_three_classes_that_reads_visit_by_visit_answers_each_question(brought: Brought, tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_bytes(visit_by_visit().SerializeToString())
    classes = [
        {"id": name, "title": name, "short": name, "colour": colour, "role": "other"}
        for name, colour in (("none", "#0072B2"), ("later", "#D55E00"), ("soon", "#CC79A7"))
    ]
    questions = [
        {"id": "soon", "title": "Soon", "positive": ["soon"], "negative": ["none", "later"]},
        {"id": "ever", "title": "Ever", "positive": ["soon", "later"], "negative": ["none"]},
    ]
    said = about_sequence(classes=classes, questions=questions, output__gives="logit")
    said["input"] = {"columns": COLUMNS}
    labels = np.where(brought.positive, np.where(np.arange(len(brought.positive)) % 4 < 2, "soon", "later"), "none")
    files = write_rows(tmp_path, brought.table, brought.outcomes.assign(label=labels))
    wrap_women_model(
        tmp_path / "model.onnx", write_about(tmp_path / "about.toml", said), *files, tmp_path / "out", lambda _: None
    )
    session = prove_bundle(tmp_path / "out", device="cpu").session_of("sequence")
    scores = score_visits(brought.visits, session)
    at = answered(scores)
    assert session.model.calibration.method == "temperature"
    assert (scores["risk_ever"][at] >= scores["risk_soon"][at]).all()
    assert scores.loc[at, ["risk_soon", "risk_ever"]].std().min() > 0.01
