"""Our figures stand beside the simple rivals and the published ones, each with its interval."""

import re
from typing import Any

import numpy as np
import pytest

from cervix.bundle import Bundle, Model
from cervix.bundle.manifest import DerivedTask
from cervix.evaluation.charts import differences_figure
from cervix.evaluation.comparison import BESIDE_RIVALS, comparison_table, figures_table, percent
from cervix.evaluation.heldout import load_predictions
from cervix.evaluation.metrics import METRICS, BinaryReport, Cells, Metric, binary_report, metric_titles
from cervix.evaluation.questions import task_scores
from cervix.intervals import Interval

WITH_INTERVAL = {
    True: re.compile(r"\d+\.\d % \(\d+\.\d–\d+\.\d\)"),
    False: re.compile(r"\d\.\d{3} \(\d\.\d{3}–\d\.\d{3}\)"),
}
"""Of a proportion, in per cent; of all other figures."""


def questions(bundle: Bundle) -> list[tuple[Model, DerivedTask]]:
    return [(model, task) for model in bundle.manifest.models for task in model.derived_tasks]


def test_a_figure_is_written_in_percent_with_its_interval() -> None:
    assert percent(Interval(0.98264, 0.9609, 0.9921)) == "98.3 % (96.1–99.2)"


def test_every_question_compares_the_model_every_baseline_and_every_publication(bundle: Bundle) -> None:
    for model, task in questions(bundle):
        table = comparison_table(bundle, model, task)
        published = {figure.source for figure in model.measured.published if figure.task == task.id}
        titles = ["This model", *(baseline.title for baseline in model.measured.baselines), *["Published"] * len(published)]
        assert table["source"].tolist() == titles
        assert set(table.loc[table["source"] == "Published", "computed on"]) == published


def test_every_figure_that_we_computed_has_an_interval(bundle: Bundle) -> None:
    for model, task in questions(bundle):
        table = comparison_table(bundle, model, task)
        ours = table[table["source"] != "Published"]
        assert "–" not in set(table.loc[0, list(BESIDE_RIVALS)])
        for name in BESIDE_RIVALS:
            written = WITH_INTERVAL[bool(METRICS[name].independent)]
            assert all(cell == "–" or written.fullmatch(cell) for cell in ours[name]), name


def test_the_size_says_how_many_groups_the_cases_come_from(bundle: Bundle) -> None:
    model = bundle.session_of("tile").model
    task = model.derived_tasks[0]
    report = task_scores(load_predictions(bundle, model), task).report(0.5)
    assert report.groups < report.n
    assert comparison_table(bundle, model, task)["n"].iat[0] == f"{report.n:,} ({report.groups:,} groups)"


def test_the_model_is_called_at_its_own_threshold_and_a_baseline_at_a_half(bundle: Bundle) -> None:
    model = bundle.session("risk-factors").model
    task = model.derived_tasks[0]
    assert model.threshold(task.id) != 0.5
    frame = load_predictions(bundle, model)
    table = comparison_table(bundle, model, task).set_index("source")
    ours = task_scores(frame, task).report(model.threshold(task.id)).metrics["recall"]
    rival = task_scores(frame, task, baseline="logistic").report(0.5).metrics["recall"]
    assert table.loc["This model", "recall"] == percent(ours)
    assert table.loc["Logistic regression on the same inputs", "recall"] == percent(rival)


class TestFigures:
    @pytest.fixture
    def report(self) -> BinaryReport:
        """60 cases in 20 groups."""
        rng = np.random.default_rng(4)
        positive = rng.random(60) < 0.4
        score = np.clip(0.3 * positive + 0.7 * rng.random(60), 0, 1)
        return binary_report(positive, score, rng.integers(0, 20, 60).astype(str), 0.5)

    def test_every_metric_has_a_row_and_says_where_lower_is_better(self, report: BinaryReport) -> None:
        metrics = figures_table(report)["metric"].tolist()
        assert set(metric_titles()) == set(report.metrics)
        assert [name.removesuffix(", lower is better") for name in metrics] == list(metric_titles().values())
        assert [name for name in metrics if name.endswith(", lower is better")] == [
            f"{metric_titles()[name]}, lower is better" for name, metric in METRICS.items() if metric.lower_is_better
        ]

    def test_a_metric_more_is_one_entry(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def youden(of: Cells) -> tuple[Any, Any]:
            positive, negative = of.true_positive + of.false_negative, of.false_positive + of.true_negative
            return of.true_positive * of.true_negative - of.false_positive * of.false_negative, positive * negative

        monkeypatch.setitem(METRICS, "youden", Metric("Youden's J", youden))
        positive, score = np.array([True] * 4 + [False] * 6), np.array([0.9, 0.8, 0.7, 0.1, 0.6, 0.2, 0.2, 0.1, 0.1, 0.1])
        report = binary_report(positive, score, np.arange(10).astype(str), 0.5)
        assert report.metrics["youden"].value == pytest.approx(3 / 4 + 5 / 6 - 1)
        assert figures_table(report).set_index("metric").loc["Youden's J", "value"] == "0.583"
        assert "Youden's J" in differences_figure({"youden": report.metrics["youden"]}, {}).data[0].y

    def test_value_and_bootstrap_interval_are_those_of_the_report(self, report: BinaryReport) -> None:
        table = figures_table(report)
        for (_, row), name in zip(table.iterrows(), metric_titles(), strict=True):
            figure = report.bootstrap[name]
            assert row["value"] == f"{figure.value:.3f}"
            assert row["95 % bootstrap"] == f"{figure.low:.3f}–{figure.high:.3f}"

    def test_proportions_have_wilsons_interval_too_and_the_others_have_none(self, report: BinaryReport) -> None:
        table = figures_table(report).set_index("metric")["95 % Wilson"]
        proportions = {"accuracy", "recall", "specificity", "precision", "negative_predictive_value"}
        for name in proportions:
            wilson = report.metrics[name]
            assert table[metric_titles()[name]] == f"{wilson.low:.3f}–{wilson.high:.3f}"
            assert (
                table[metric_titles()[name]]
                != figures_table(report).set_index("metric")["95 % bootstrap"][metric_titles()[name]]
            )
        assert (table == "–").sum() == len(metric_titles()) - len(proportions)

    def test_a_figure_that_cannot_be_computed_has_no_row(self) -> None:
        report = binary_report(np.zeros(3, bool), np.array([0.1, 0.2, 0.3]), np.array(["a", "b", "c"]), 0.5)
        assert figures_table(report)["metric"].tolist() == [
            "Accuracy",
            "Specificity",
            "Negative predictive value",
            "Brier score, lower is better",
            "Calibration error (ECE), lower is better",
        ]

    def test_a_perfect_proportion_keeps_the_wide_interval_beside_a_bootstrap_without_width(self) -> None:
        report = binary_report(np.array([True, False]), np.array([0.9, 0.1]), np.array(["a", "b"]), 0.5)
        accuracy = figures_table(report).set_index("metric").loc["Accuracy"]
        assert accuracy["95 % bootstrap"] == "1.000–1.000"
        assert accuracy["95 % Wilson"] == "0.342–1.000"
