"""The page Evidence."""

from pathlib import Path

import pandas as pd
import pytest

from cervix.bundle import Bundle, published_risks
from cervix.evaluation import published
from cervix.evaluation.heldout import load_table
from cervix.evaluation.left_out import HEADING, TABLE, left_out_verdict
from cervix.evaluation.metrics import metric_titles
from cervix.settings import get_settings
from tests.bundle.published import NAME, published_table, write_published_bundle
from tests.pages.opening import open_page, published_accuracy, texts, turn_to


@pytest.fixture(autouse=True)
def _own_home(home: Path) -> None:
    """Each test has an app home of its own and no network."""


def test_performance_shows_every_model_with_intervals_rivals_and_published_figures(bundle: Bundle) -> None:
    app = open_page("evidence")
    for model_id in ("slide", "history", "hybrid", "risk-factors", "risk-factors-with-tests"):
        app.selectbox(key="performance_model").set_value(model_id).run()
        assert not app.exception
        shown = {metric.label: metric for metric in app.metric}
        for name in ("Sensitivity (recall)", "Specificity", "F1", "AUROC", "Brier score", "Calibration error (ECE)"):
            assert "–" in shown[name].delta, name
        assert "one answer for all" in shown["Accuracy"].delta
        figures = next(table.value for table in app.dataframe if "95 % bootstrap" in table.value)
        assert len(figures) == len(metric_titles())
        assert figures["95 % bootstrap"].str.contains("–").all()
        tables = [table.value for table in app.dataframe]
        rivals = next(table for table in tables if "Computed on" in table and "Model" not in table)
        assert rivals["Source"].iloc[0] == "This model"
        assert ("Published" in set(rivals["Source"])) == (model_id != "hybrid")
        assert rivals["AUROC"].iloc[0].count("–") == 1
        paper = next(table for table in tables if "Model" in table)
        assert set(paper["Source"]) == {"This model", "Published"}
        assert published_accuracy(bundle.manifest) in set(paper["Accuracy"])
        subgroups = next(table for table in tables if "Subgroup" in table)
        assert subgroups["Note"].str.startswith("few").any() == (model_id != "history")
        assert "independent groups" in texts(app)


def test_another_threshold_moves_the_counts_and_the_way_back_is_one_click(bundle_root: Path) -> None:
    app = open_page("evidence")
    app.selectbox(key="performance_model").set_value("risk-factors-with-tests").run()
    frame = pd.read_parquet(bundle_root / "risk-factors-with-tests/predictions.parquet")
    slider = app.select_slider(key="performance_threshold_risk-factors-with-tests_biopsy_False")
    working = slider.value
    slider.set_value(0.3).run()
    called = int((frame["p_yes"] >= 0.3).sum())
    assert next(metric for metric in app.metric if metric.label == "Called").value == f"{called:,} of 166"
    app.button(key="performance_threshold_risk-factors-with-tests_biopsy_False_reset").click().run()
    assert app.select_slider(key="performance_threshold_risk-factors-with-tests_biopsy_False").value == working


def test_one_subgroup_alone_is_evaluated(bundle_root: Path) -> None:
    app = open_page("evidence")
    app.selectbox(key="performance_model").set_value("risk-factors").run()
    app.selectbox(key="performance_among_risk-factors").set_value("Age: under 30").run()
    frame = pd.read_parquet(bundle_root / "risk-factors/predictions.parquet")
    assert not app.exception
    assert f"{(frame['by_age'] == 'under 30').sum()} cases" in texts(app)


def test_a_labelled_table_is_evaluated_and_its_drift_shown(data_dir: Path) -> None:
    app = open_page("evidence")
    app.selectbox(key="performance_model").set_value("risk-factors").run()
    app.segmented_control(key="performance_cases").set_value("My own cases").run()
    assert "not kept" in texts(app)
    content = (data_dir / "tables/uci_risk_factors_cervical_cancer.csv").read_bytes()
    app.file_uploader(key="performance_upload_patients").upload("mine.csv", content, "text/csv").run()
    assert not app.exception
    drift = next(table.value for table in app.dataframe if "Property" in table.value)
    answered = int(drift["Your cases"].iloc[0].split()[0])
    assert 700 < answered < 858
    assert f"{answered} cases scored" in texts(app) + " ".join(item.value for item in app.success)
    lines = content.decode().splitlines()
    three = "\n".join([lines[0], *(line for line in lines[1:] if line.endswith(",0,0,0,0"))][:4])
    app.file_uploader(key="performance_upload_patients").upload("three.csv", three.encode(), "text/csv").run()
    assert not app.exception
    assert "Only 3 cases" in texts(app)
    assert "there is no curve" in texts(app)
    app.file_uploader(key="performance_upload_patients").upload("other.csv", b"a,b\n1,2\n", "text/csv").run()
    assert not app.exception
    assert app.error


def test_only_questions_that_own_outcomes_answer_are_asked(cases_dir: Path) -> None:
    app = open_page("evidence")
    app.selectbox(key="performance_model").set_value("history").run()
    app.segmented_control(key="performance_cases").set_value("My own cases").run()
    content = (cases_dir / "patients/e01_outcome_yesno.csv").read_bytes()
    app.file_uploader(key="performance_upload_patients").upload("mine.csv", content, "text/csv").run()
    assert not app.exception
    assert app.selectbox(key="performance_task_history_cin2-3y").options == ["CIN2+ within 3 years"]
    drift = next(table.value for table in app.dataframe if "Property" in table.value)
    assert "too few cases to tell" in drift.set_index("Property").loc["Score, median", "How far"]
    app.selectbox(key="performance_asked_history").set_value("cin3-5y").run()
    assert not app.exception
    assert app.selectbox(key="performance_task_history_cin3-5y").options == ["CIN3+ within 5 years"]
    classes = (cases_dir / "patients/e02_outcome_classes.csv").read_bytes()
    app.file_uploader(key="performance_upload_patients").upload("mine.csv", classes, "text/csv").run()
    assert not app.exception
    assert len(app.selectbox(key="performance_task_history").options) == 4


def test_performance_says_first_what_became_of_left_out_laboratories_computed_from_their_table(bundle: Bundle) -> None:
    app = open_page("evidence")
    verdict = left_out_verdict(bundle, bundle.manifest.model("slide"))
    said = [item.value.replace("\N{NO-BREAK SPACE}", " ") for item in app.warning]
    assert f"**{verdict}**" in said
    assert [item.value for item in app.header][:2] == [HEADING, "Held-out cases of the laboratories it learned from"]
    table = app.dataframe[0].value
    assert table["Left out"].tolist() == ["Bowel", "Lung", "Bone"]
    assert table.columns[:2].tolist() == ["Left out", "Answered and wrong"], "what they are ordered by is seen on a phone"
    assert "Kinds of models" not in texts(app)
    app.selectbox(key="performance_model").set_value("history").run()
    assert HEADING not in [item.value for item in app.header]


def test_performance_holds_the_history_model_against_published_risks_first_and_says_nothing_of_them_elsewhere(
    published_root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CERVIX_BUNDLE_DIR", str(published_root))
    get_settings.cache_clear()
    app = open_page("evidence")
    assert published.HEADING not in [item.value for item in app.header]
    app.selectbox(key="performance_model").set_value("history").run()
    assert not app.exception
    said = published.verdict(published_risks.read_published_risks(published_root, NAME))
    assert f"**{said}**" in [item.value.replace("\N{NO-BREAK SPACE}", " ") for item in app.warning]
    assert [item.value for item in app.header][:2] == [published.HEADING, "Held-out cases"]
    assert published.SOURCE in texts(app)
    agreement, worst = (table.value for table in app.dataframe[:2])
    assert agreement["n"].tolist()[:4] == ["52", "52", "52", "33"]
    assert len(worst) == 10
    assert "166 histories have a published risk; 85 of them count" in texts(app)
    app.selectbox(key="performance_published_risk").set_value("CIN3+ at once").run()
    assert not app.exception
    assert "166 histories have a published risk; 55 of them count" in texts(app)


def test_a_table_of_something_else_is_one_sentence_and_the_rest_of_the_page_is_shown(
    bundle_root: Path, tmp_path: Path, data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = published_table(data_dir).assign(kind="nothing")
    monkeypatch.setenv("CERVIX_BUNDLE_DIR", str(write_published_bundle(bundle_root, tmp_path / "bundle", broken)))
    get_settings.cache_clear()
    app = open_page("evidence")
    app.selectbox(key="performance_model").set_value("history").run()
    assert not app.exception
    assert "is not a table of published risks" in app.error[0].value
    assert "AUROC" in {metric.label for metric in app.metric}


@pytest.mark.parametrize("model_id", ["slide", "history"])
def test_performance_shows_every_table_that_training_put_into_the_bundle(model_id: str, bundle: Bundle) -> None:
    app = open_page("evidence")
    app.selectbox(key="performance_model").set_value(model_id).run()
    titles = [item.value for item in (*app.header, *app.subheader)]
    shown = [cell for table in app.dataframe for cell in table.value.to_numpy().ravel().tolist()]
    tables = bundle.manifest.model(model_id).evaluation.tables
    assert tables
    for table in tables:
        assert (HEADING if table.id == TABLE else table.title) in titles
        assert set(load_table(bundle, table).to_numpy().ravel()) <= set(shown)


def test_the_model_card_shows_limits_before_figures() -> None:
    app = open_page("evidence/card")
    shown = texts(app)
    assert shown.index("Limits") < shown.index("Held-out figures")
    assert "Drawn for slide" in shown
    assert "Drawn for history" not in shown


def test_the_model_card_turns_to_another_model_and_to_the_whole_bundle() -> None:
    app = open_page("evidence/card")
    turn_to(app, "card_part", "history")
    assert "Drawn for history" in texts(app)
    turn_to(app, "card_part", "whole-bundle")
    shown = texts(app)
    assert "Held-out figures" not in shown.replace("| Held-out figures |", "")
    assert "not reported" in shown
    names = [item.label.split(":")[0] for item in app.expander]
    assert names == ["TRIPOD+AI", "CLAIM, 2024 update", "STARD-AI", "DECIDE-AI"]
    assert "reproduced" in app.dataframe[1].value.to_string()
