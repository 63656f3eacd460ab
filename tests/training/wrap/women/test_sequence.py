"""Models of screening histories from elsewhere: boosting on summaries, and a graph that reads visit by visit."""

from pathlib import Path

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
from cervix.patients.golden import prove_bundle
from cervix.patients.history_explanation import explain_history
from cervix.patients.history_scoring import histories_of, member_band, score_visits, trajectory
from cervix.patients.visits import VisitTable
from cervix.patients.vocabulary import PATIENT_ID
from tests.training.wrap.made import write_about
from tests.training.wrap.women.made import write_rows
from tests.training.wrap.women.visits import COLUMNS, FILL, BroughtVisits, about_sequence
from training.wrap.women.women_model import wrap_women_model

pytestmark = pytest.mark.training


def answered(scores: pd.DataFrame) -> NDArray[np.bool_]:
    return ~scores["abstained"].to_numpy(bool)


def test_its_risks_are_the_boosters_on_her_summaries(brought_visits: BroughtVisits, wrapped_visits: Bundle) -> None:
    session = wrapped_visits.session_of("sequence")
    scores = score_visits(brought_visits.visits, session)
    own = brought_visits.booster.predict_proba(np.where(np.isnan(brought_visits.rows), FILL, brought_visits.rows))[:, 1]
    said = session.model.calibration.parameters
    expected = expit(said["slope"] * logit(own) + said["intercept"])
    at = answered(scores)
    assert at.sum() > 50
    np.testing.assert_allclose(scores["risk_cin2"][at], expected[at], atol=1e-4)


def test_it_states_no_range_because_it_is_no_ensemble(brought_visits: BroughtVisits, wrapped_visits: Bundle) -> None:
    session = wrapped_visits.session_of("sequence")
    scores = score_visits(brought_visits.visits, session)
    assert scores["lowest"].isna().all()
    visits = woman(brought_visits.visits, scores)
    assert member_band(histories_of(visits, session), 0, session) is None


def test_her_course_ends_at_her_risk_and_is_asked_at_each_step(brought_visits: BroughtVisits, wrapped_visits: Bundle) -> None:
    session = wrapped_visits.session_of("sequence")
    scores = score_visits(brought_visits.visits, session)
    histories = histories_of(brought_visits.visits.frame, session)
    women = np.flatnonzero(answered(scores))[:5]
    for position, course in zip(women, courses(histories, women, session), strict=True):
        assert len(course.risk) == histories.lengths[position]
        assert course.risk[-1] == pytest.approx(scores["risk_cin2"].iloc[position], abs=1e-6)
        alone = trajectory(histories, int(position), session)
        np.testing.assert_allclose(course.risk, alone, atol=1e-6)
    visits = woman(brought_visits.visits, scores)
    own = histories_of(visits, session)
    figure = course_figure(visits, own.row_of_step, trajectory(own, 0, session), None, "CIN2+", 0.1)
    assert "range of the models" not in [trace.name for trace in figure.data]


def test_an_explanation_adds_up_to_her_risk(brought_visits: BroughtVisits, wrapped_visits: Bundle) -> None:
    session = wrapped_visits.session_of("sequence")
    scores = score_visits(brought_visits.visits, session)
    explained = explain_history(woman(brought_visits.visits, scores), session, "cin2")
    assert explained.reference_risk + explained.contributions.sum() == pytest.approx(explained.risk, abs=1e-6)
    assert explained.risk == pytest.approx(float(scores.loc[answered(scores), "risk_cin2"].iloc[0]), abs=1e-5)


def test_women_are_not_gathered_for_labels_without_a_state(brought_visits: BroughtVisits, wrapped_visits: Bundle) -> None:
    with pytest.raises(LabelRefused, match="no member_risk and no state"):
        gather_patients(brought_visits.visits, "0" * 64, wrapped_visits, 5)


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


def test_a_model_of_three_classes_that_reads_visit_by_visit_answers_each_question(
    brought_visits: BroughtVisits, tmp_path: Path
) -> None:
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
    labels = np.where(
        brought_visits.positive, np.where(np.arange(len(brought_visits.positive)) % 4 < 2, "soon", "later"), "none"
    )
    files = write_rows(tmp_path, brought_visits.table, brought_visits.outcomes.assign(label=labels))
    wrap_women_model(
        tmp_path / "model.onnx", write_about(tmp_path / "about.toml", said), *files, tmp_path / "out", lambda _: None
    )
    session = prove_bundle(tmp_path / "out", device="cpu").session_of("sequence")
    scores = score_visits(brought_visits.visits, session)
    at = answered(scores)
    assert session.model.calibration.method == "temperature"
    assert (scores["risk_ever"][at] >= scores["risk_soon"][at]).all()
    assert scores.loc[at, ["risk_soon", "risk_ever"]].std().min() > 0.01
