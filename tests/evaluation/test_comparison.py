"""Our figures stand beside the simple rivals and the published ones, each with its interval."""

import re

import pandas as pd
import pytest

from cervix.bundle import Bundle, Model
from cervix.bundle.manifest import DerivedTask
from cervix.evaluation.comparison import METRICS, comparison_table, percent
from cervix.evaluation.heldout import load_predictions, task_scores
from cervix.evaluation.metrics import Interval

WITH_INTERVAL = re.compile(r"\d+\.\d % \(\d+\.\d–\d+\.\d\)")


def questions(bundle: Bundle) -> list[tuple[Model, DerivedTask]]:
    return [(model, task) for model in bundle.manifest.models for task in model.derived_tasks]


def test_a_figure_is_written_in_percent_with_its_interval() -> None:
    assert percent(Interval(0.98264, 0.9609, 0.9921)) == "98.3 % (96.1–99.2)"


def test_every_question_compares_the_model_every_baseline_and_every_publication(bundle: Bundle) -> None:
    for model, task in questions(bundle):
        table = comparison_table(bundle, model, task)
        published = {figure.source for figure in model.evaluation.published if figure.task == task.id}
        titles = ["This model", *(baseline.title for baseline in model.evaluation.baselines), *["Published"] * len(published)]
        assert table["source"].tolist() == titles
        assert set(table.loc[table["source"] == "Published", "computed on"]) == published


def test_every_figure_that_we_computed_has_an_interval(bundle: Bundle) -> None:
    for model, task in questions(bundle):
        table = comparison_table(bundle, model, task)
        assert all(WITH_INTERVAL.fullmatch(cell) for cell in table.loc[0, list(METRICS)])
        for _, row in table[table["source"] != "Published"].iterrows():
            assert all(cell == "–" or WITH_INTERVAL.fullmatch(cell) for cell in row[list(METRICS)])


def test_published_figures_are_as_published_without_an_interval_of_ours(bundle: Bundle) -> None:
    model = bundle.session("slide").model
    task = next(task for task in model.derived_tasks if task.id == "scc-versus-ac")
    published = comparison_table(bundle, model, task).iloc[-1]
    assert published["accuracy"] == "98.26 %"
    assert published["specificity"] == "–"
    assert published["n"] == "not stated"


def test_the_size_says_how_many_groups_the_cases_come_from(bundle: Bundle) -> None:
    model = bundle.session("slide").model
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


def test_always_no_is_right_most_of_the_time_and_finds_nobody(bundle: Bundle) -> None:
    model = bundle.session("risk-factors").model
    row: pd.Series = comparison_table(bundle, model, model.derived_tasks[0]).set_index("source").loc["Always no"]
    assert float(row["accuracy"].split()[0]) > 85
    assert row["recall"].startswith("0.0 %")
    assert row["precision"] == "–"
    assert row["auroc"].startswith("50.0 %")


@pytest.mark.parametrize("model_id", ["risk-factors", "risk-factors-with-tests"])
def test_a_leaky_0_99_is_named_as_such_wherever_it_is_quoted(bundle: Bundle, model_id: str) -> None:
    model = bundle.session(model_id).model
    quoted = [figure.source for figure in model.evaluation.published if figure.value >= 0.99]
    assert all("before the split" in source for source in quoted)
    assert bool(quoted) == (model_id == "risk-factors-with-tests")
