"""Class probabilities become binary questions without losing or inventing a case."""

import dataclasses
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from cervix.bundle import Bundle
from cervix.bundle.manifest import DerivedTask, EvaluationTable
from cervix.bundle.tables import predictions_in, read_text_table, text_table_in
from cervix.errors import BundleError, EvaluationError
from cervix.evaluation.heldout import held_out, load_predictions, load_table
from cervix.evaluation.mistakes import class_confusion, group_errors
from cervix.evaluation.questions import CaseSet, task_scores
from tests.bundle.altered import bundle_of_risk_models, change_predictions, replace_file

CANCEROUS = DerivedTask(id="cancerous", title="Cancerous", positive=["scc", "ac"], negative=["benign"])
TYPE = DerivedTask(id="type", title="Type", positive=["scc"], negative=["ac"])


@pytest.fixture
def predictions() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "case": ["1", "2", "3", "4"],
            "group": ["a", "a", "b", "c"],
            "label": ["benign", "scc", "ac", "scc"],
            "p_benign": [0.7, 0.1, 0.2, 1.0],
            "p_scc": [0.2, 0.6, 0.2, 0.0],
            "p_ac": [0.1, 0.3, 0.6, 0.0],
            "rival__p_benign": [0.4, 0.4, 0.4, 0.4],
            "rival__p_scc": [0.3, 0.3, 0.3, 0.3],
            "rival__p_ac": [0.3, 0.3, 0.3, 0.3],
        }
    )


def test_the_score_is_the_mass_of_the_positive_classes(predictions: pd.DataFrame) -> None:
    scores = task_scores(predictions, CANCEROUS)
    assert scores.positive.tolist() == [False, True, True, True]
    assert scores.score == pytest.approx([0.3, 0.9, 0.8, 0.0])
    assert scores.groups.tolist() == ["a", "a", "b", "c"]


def test_cases_of_other_classes_are_left_out_and_the_rest_is_relative(predictions: pd.DataFrame) -> None:
    scores = task_scores(predictions, TYPE)
    assert scores.positive.tolist() == [True, False, True]
    assert scores.score[:2] == pytest.approx([0.6 / 0.9, 0.2 / 0.8])
    assert scores.groups.tolist() == ["a", "b", "c"]


def test_a_case_without_mass_on_either_side_is_undecided(predictions: pd.DataFrame) -> None:
    assert task_scores(predictions, TYPE).score[2] == 0.5


def test_a_baseline_answers_with_its_own_columns(predictions: pd.DataFrame) -> None:
    assert task_scores(predictions, CANCEROUS, baseline="rival").score == pytest.approx([0.6] * 4)


def test_the_report_is_made_at_the_threshold_asked_for(predictions: pd.DataFrame) -> None:
    scores = task_scores(predictions, CANCEROUS)
    assert scores.report(0.85).true_positive == 1
    assert scores.report(0.5).true_positive == 2


def test_the_confusion_counts_truth_in_rows_and_calls_in_columns(predictions: pd.DataFrame) -> None:
    counts = class_confusion(predictions, ["benign", "scc", "ac"])
    assert counts.to_numpy().tolist() == [[1, 0, 0], [1, 1, 0], [0, 0, 1]]


def test_a_class_without_a_case_still_has_its_row_and_column(predictions: pd.DataFrame) -> None:
    counts = class_confusion(predictions[predictions["label"] == "benign"], ["benign", "scc", "ac"])
    assert counts.shape == (3, 3)
    assert counts.to_numpy().sum() == 1


def test_the_share_among_alike_is_counted_within_the_quantile_of_each_risk(bundle: Bundle) -> None:
    model = bundle.session("risk-factors").model
    task = model.derived_tasks[0]
    scores = task_scores(load_predictions(bundle, model), task)
    lower, upper = held_out(bundle, model, task, 0.0).share_among_alike(np.array([0.0, 1.0]), 2)
    above = scores.score >= np.median(scores.score)
    assert upper.value == pytest.approx(scores.positive[above].mean())
    assert lower.value == pytest.approx(scores.positive[~above].mean())
    assert upper.low < upper.value < upper.high


def test_predictions_that_lack_a_class_are_refused_by_name(bundle: Bundle, tmp_path: Path) -> None:
    model = bundle.session("risk-factors").model
    bundle_of_risk_models(tmp_path)
    change_predictions(tmp_path, model.id, lambda frame: frame.drop(columns=["p_yes", "group"]))
    with pytest.raises(EvaluationError, match="found no group, p_yes"):
        load_predictions(dataclasses.replace(bundle, root=tmp_path), model)


def test_figures_do_not_come_from_a_table_that_was_exchanged_under_a_bundle_in_use(bundle: Bundle, tmp_path: Path) -> None:
    model = bundle.session("risk-factors").model
    bundle_of_risk_models(tmp_path)
    path = tmp_path / model.measured.predictions
    pd.read_parquet(path).assign(p_yes=1.0, p_no=0.0).to_parquet(path)
    with pytest.raises(BundleError, match=r"risk-factors/predictions\.parquet has"):
        load_predictions(dataclasses.replace(bundle, root=tmp_path), model)
    with pytest.raises(BundleError, match=r"'elsewhere\.csv' is not listed in the manifest"):
        read_text_table(tmp_path, "elsewhere.csv")


class TestGroupErrors:
    CLASSES = ("benign", "scc", "ac")

    @pytest.fixture
    def cases(self) -> pd.DataFrame:
        """Group -> true class -> the class that each of its cases is called."""
        called = {
            "right": ("scc", ["scc", "scc"]),
            "once": ("scc", ["scc", "ac", "scc"]),
            "also once": ("ac", ["scc"]),
            "three ways": ("benign", ["scc", "ac", "scc", "benign"]),
        }
        rows = [(group, label, one) for group, (label, calls) in called.items() for one in calls]
        frame = pd.DataFrame(rows, columns=["group", "label", "call"])
        return frame.assign(**{f"p_{label}": np.where(frame["call"] == label, 0.6, 0.2) for label in self.CLASSES})

    def test_groups_with_a_wrong_case_are_listed_worst_first_then_by_name(self, cases: pd.DataFrame) -> None:
        found = group_errors(cases, list(self.CLASSES))
        assert found.columns.tolist() == ["group", "label", "cases", "wrong", "called as"]
        assert found.to_numpy().tolist() == [
            ["three ways", "benign", 4, 3, "ac, scc"],
            ["also once", "ac", 1, 1, "scc"],
            ["once", "scc", 3, 1, "ac"],
        ]

    def test_the_order_and_the_index_of_the_cases_do_not_matter(self, cases: pd.DataFrame) -> None:
        shuffled = cases.sample(frac=1, random_state=3)
        assert shuffled.index.tolist() != cases.index.tolist()
        pd.testing.assert_frame_equal(group_errors(shuffled, list(self.CLASSES)), group_errors(cases, list(self.CLASSES)))

    def test_wrong_cases_are_those_off_the_diagonal_of_the_confusion(self, cases: pd.DataFrame) -> None:
        counts = class_confusion(cases, list(self.CLASSES)).to_numpy()
        assert group_errors(cases, list(self.CLASSES))["wrong"].sum() == counts.sum() - np.trace(counts) == 5

    def test_where_every_case_is_right_the_table_is_empty_and_keeps_its_columns(self, cases: pd.DataFrame) -> None:
        found = group_errors(cases[cases["group"] == "right"], list(self.CLASSES))
        assert found.empty
        assert found.columns.tolist() == ["group", "label", "cases", "wrong", "called as"]


def test_a_table_of_the_bundle_is_read_cell_by_cell_as_text(tmp_path: Path) -> None:
    text = "change,figure,n\n×  0.80,98.3 % (96.1–99.2),007\nNone,,NA\ntrue,–,1e5\n"
    name = "risk-factors/leakage.csv"
    replace_file(bundle_of_risk_models(tmp_path), name, text.encode())
    table = EvaluationTable(id="robustness", title="Robustness", file=name, note="")
    found = load_table(SimpleNamespace(root=tmp_path), table)
    assert found.columns.tolist() == ["change", "figure", "n"]
    assert found.to_numpy().tolist() == [["×  0.80", "98.3 % (96.1–99.2)", "007"], ["None", "", "NA"], ["true", "–", "1e5"]]


@pytest.mark.parametrize("content", [b"", b"PAR1", b"PAR1" + bytes(200) + b"PAR1", b"\xff\xfe no table \0"])
def test_a_damaged_table_of_a_bundle_is_one_sentence(content: bytes) -> None:
    with pytest.raises(BundleError, match=r"predictions\.parquet of the bundle cannot be read"):
        predictions_in(content, "predictions.parquet")
    with pytest.raises(BundleError, match=r"table\.csv of the bundle cannot be read"):
        text_table_in(content + b"\xff", "table.csv")


def test_scores_that_are_text_are_named(predictions: pd.DataFrame) -> None:
    with pytest.raises(EvaluationError, match=r"not numbers: found text in p_scc"):
        CaseSet("predictions", predictions.assign(p_scc="much"), ["benign", "scc", "ac"])
