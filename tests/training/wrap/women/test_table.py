"""A scikit-learn pipeline of risk factors, wrapped: a bundle that proves itself, scores a table, explains it and is carded."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit, logit

from cervix.bundle import Bundle
from cervix.bundle.manifest import UNEVALUATED
from cervix.card.markdown import model_card
from cervix.evaluation.questions import task_scores
from cervix.patients.explanation import explain_patient
from cervix.patients.golden import prove_bundle
from cervix.patients.reading import read_patients
from cervix.patients.scoring import score_patients
from cervix.patients.vocabulary import PATIENT_ID
from tests.training.wrap.made import write_about
from tests.training.wrap.women.made import (
    COLUMNS,
    about_table,
    fitted_boosting,
    fitted_pipeline,
    fitted_xgboost,
    onnx_of_lightgbm,
    onnx_of_sklearn,
    onnx_of_xgboost,
    outcomes_of,
    risk_rows,
    values_of,
    write_rows,
)
from training.wrap.entry import NOT_SEEN
from training.wrap.women.women_model import wrap_women_model

pytestmark = pytest.mark.training


class Brought:
    """A pipeline, its rows and its bundle."""

    def __init__(self, folder: Path) -> None:
        self.table, self.positive = risk_rows()
        self.values = values_of(self.table)
        self.pipeline = fitted_pipeline(self.values, self.positive)
        (folder / "model.onnx").write_bytes(onnx_of_sklearn(self.pipeline, len(COLUMNS)).SerializeToString())
        self.outcomes = outcomes_of(list(self.table[PATIENT_ID]), list(np.where(self.positive, "yes", "no")))
        files = write_rows(folder, self.table, self.outcomes)
        wrap_women_model(
            folder / "model.onnx", write_about(folder / "about.toml", about_table()), *files, folder / "bundle", lambda _: None
        )
        self.root = folder / "bundle"


@pytest.fixture(scope="module")
def brought(tmp_path_factory: pytest.TempPathFactory) -> Brought:
    return Brought(tmp_path_factory.mktemp("table"))


@pytest.fixture(scope="module")
def wrapped(brought: Brought) -> Bundle:
    return prove_bundle(brought.root, device="cpu")


def test_its_risks_are_those_of_the_pipeline_after_the_fitted_calibration(brought: Brought, wrapped: Bundle) -> None:
    session = wrapped.session_of("table")
    scores = score_patients(read_patients(brought.table.to_csv(index=False).encode()), session)
    own = brought.pipeline.predict_proba(brought.values)[:, 1]
    said = session.model.calibration.parameters
    answered = ~scores["abstained"].to_numpy()
    assert answered.sum() > 100
    np.testing.assert_allclose(
        scores["risk"][answered], expit(said["slope"] * logit(own) + said["intercept"])[answered], atol=1e-5
    )


def test_held_out_predictions_are_of_test_women_and_name_nobody(brought: Brought, wrapped: Bundle) -> None:
    model = wrapped.manifest.first_of("table")
    frame = pd.read_parquet(brought.root / model.evaluation.predictions)
    rows = brought.outcomes.index[brought.outcomes["split"] == "test"]
    assert frame["case"].tolist() == [f"row {row + 2}" for row in rows]
    assert frame["label"].tolist() == brought.outcomes.loc[rows, "label"].tolist()
    assert frame["group"].str.fullmatch(r"group of row \d+").all()
    assert task_scores(frame, model.main_task).auroc().value > 0.8
    assert {f"{rival.id}__p_yes" for rival in model.evaluation.baselines} <= set(frame.columns)


def test_an_explanation_adds_up_to_the_risk_from_nothing_known(brought: Brought, wrapped: Bundle) -> None:
    session = wrapped.session_of("table")
    table = read_patients(brought.table.to_csv(index=False).encode())
    explained = explain_patient(table.frame.iloc[0], session)
    assert explained.reference_risk + explained.contributions["contribution"].sum() == pytest.approx(explained.risk, abs=1e-6)
    assert explained.risk == pytest.approx(float(score_patients(table, session)["risk"].iloc[0]), abs=1e-6)
    assert explained.contributions["feature"].iloc[0] == "Age"


def test_the_card_has_its_owners_words_and_what_was_not_checked(wrapped: Bundle) -> None:
    card = model_card(wrapped)
    for words in ("A model of risk factors", "Knows nothing of medicine.", "Biopsy positive", NOT_SEEN):
        assert words in card


def test_without_test_women_the_bundle_is_unevaluated_and_fitted_as_it_would_be_with_them(
    brought: Brought, wrapped: Bundle, tmp_path: Path
) -> None:
    table, outcomes = write_rows(tmp_path, brought.table, brought.outcomes)
    # As a spreadsheet saves it where a comma is in numbers.
    brought.outcomes.query("split == 'validation'").to_csv(outcomes, sep=";", encoding="utf-8-sig", index=False)
    description, said = write_about(tmp_path / "about.toml", about_table()), list[str]()
    wrap_women_model(brought.root.parent / "model.onnx", description, table, outcomes, tmp_path / "bundle", said.append)
    found = prove_bundle(tmp_path / "bundle", device="cpu")
    bare, full = (of.manifest.first_of("table") for of in (found, wrapped))
    assert not bare.is_evaluated
    assert bare.limits == [f"{UNEVALUATED} {full.limits[0]}", *full.limits[1:]]
    assert sum(UNEVALUATED in line for line in said) == 1
    assert (bare.calibration, bare.thresholds) == (full.calibration, full.thresholds)
    assert set(bare.training_data[-1].groups) == {"validation"}
    assert "measure" in full.training_data[-1].note
    assert "measure" not in bare.training_data[-1].note
    assert UNEVALUATED in model_card(found)
    assert not list(tmp_path.glob("bundle/**/predictions.parquet"))


# Without the logistic function ONNX answers -z and z.
@pytest.mark.parametrize(("gives", "times"), [("probability", 1.0), ("logit", 2.0)])
def test_a_boosting_model_answers_as_lightgbm_does_whatever_it_gives(
    brought: Brought, tmp_path: Path, gives: str, times: float, lightgbm_of: Callable[[str], bytes]
) -> None:
    (tmp_path / "model.onnx").write_bytes(lightgbm_of(gives))
    files = write_rows(tmp_path, brought.table, brought.outcomes)
    description = write_about(tmp_path / "about.toml", about_table(output__gives=gives))
    wrap_women_model(tmp_path / "model.onnx", description, *files, tmp_path / "bundle", lambda _: None)
    session = prove_bundle(tmp_path / "bundle", device="cpu").session_of("table")
    told = session.run({"features": brought.values[:, None]})["logit"]
    own = fitted_boosting(brought.values, brought.positive).predict(brought.values, raw_score=True)
    said = session.model.calibration.parameters
    np.testing.assert_allclose(told, said["slope"] * times * own + said["intercept"], atol=1e-3)


def test_an_xgboost_model_answers_as_it_does_itself_also_about_women_of_whom_much_is_not_known(
    brought: Brought, tmp_path: Path
) -> None:
    own = fitted_xgboost(brought.values, brought.positive)
    (tmp_path / "model.onnx").write_bytes(onnx_of_xgboost(own, len(COLUMNS)).SerializeToString())
    files = write_rows(tmp_path, brought.table, brought.outcomes)
    description = write_about(tmp_path / "about.toml", about_table(output__name="probabilities"))
    wrap_women_model(tmp_path / "model.onnx", description, *files, tmp_path / "bundle", lambda _: None)
    session = prove_bundle(tmp_path / "bundle", device="cpu").session_of("table")
    less = np.where(np.random.default_rng(3).random(brought.values.shape) < 0.3, np.float32(np.nan), brought.values)
    said = session.model.calibration.parameters
    expected = said["slope"] * logit(own.predict_proba(less)[:, 1].astype(float)) + said["intercept"]
    np.testing.assert_allclose(session.run({"features": less[:, None]})["logit"], expected, atol=1e-3)


@pytest.fixture
def lightgbm_of(brought: Brought) -> Callable[[str], bytes]:
    """The booster as ONNX that answers with probabilities, or without the logistic function at its end."""

    def made(gives: str) -> bytes:
        model = onnx_of_lightgbm(fitted_boosting(brought.values, brought.positive), len(COLUMNS))
        if gives == "logit":
            (ensemble,) = (node for node in model.graph.node if node.op_type == "TreeEnsembleClassifier")
            (end,) = (attribute for attribute in ensemble.attribute if attribute.name == "post_transform")
            end.s = b"NONE"
        return bytes(model.SerializeToString())

    return made
