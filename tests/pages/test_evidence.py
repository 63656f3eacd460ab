"""The page Evidence."""

from pathlib import Path

import pandas as pd
import pytest
from streamlit.testing.v1 import AppTest

from cervix.bundle import Bundle, published_risks
from cervix.evaluation import published
from cervix.evaluation.comparison import flagged_in_words
from cervix.evaluation.heldout import load_table
from cervix.evaluation.left_out import HEADING, left_out_verdict
from cervix.evaluation.metrics import metric_titles
from cervix.evaluation.summary import summary_of
from cervix.plain_text import escaped
from cervix.settings import get_settings
from tests.bundle.published import NAME, published_table, write_published_bundle
from tests.pages.opening import open_page, published_accuracy, texts

MODELS = ("slide", "history", "hybrid", "risk-factors", "risk-factors-with-tests")


@pytest.fixture(autouse=True)
def _own_home(home: Path) -> None:
    """Each test has an app home of its own and no network."""


def turn(app: AppTest, model: str = "", view: str = "") -> AppTest:
    """Another model or another tab, as by a click."""
    for key, value in (("evidence_model", model), ("evidence_view", view)):
        if value:
            app.segmented_control(key=key).set_value(value).run()
            assert not app.exception
    return app


def tables(app: AppTest) -> list[pd.DataFrame]:
    return [table.value for table in (*app.table, *app.dataframe)]


def said(app: AppTest) -> str:
    return texts(app).replace("\N{NO-BREAK SPACE}", " ")


def test_a_folder_of_tiles_that_lacks_those_of_this_model_shows_its_mistakes_without_pictures(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CERVIX_TILES_DIR", str(tmp_path))
    get_settings.cache_clear()
    app = open_page("evidence")
    assert not app.exception
    assert "Of these tiles none is in the folder of tiles (CERVIX_TILES_DIR)." in said(app)


def test_every_model_opens_on_its_summary_and_has_the_tabs_that_make_sense(bundle: Bundle) -> None:
    app = open_page("evidence")
    for model_id in MODELS:
        turn(app, model_id)
        model = bundle.manifest.model(model_id)
        summary = summary_of(bundle, model)
        assert [item.value for item in app.title] == ["Evidence"]
        assert [item.value.replace("\N{NO-BREAK SPACE}", " ") for item in app.header] == [escaped(summary.verdict)]
        shown = said(app)
        assert f"**{escaped(model.title)}**. {escaped(summary.what)}" in shown
        for figure in summary.figures:
            for part in (figure.value, figure.interval, figure.title, figure.n, figure.world):
                assert escaped(part) in shown
        for heading, fact in summary.facts.items():
            assert f"**{heading}.** {escaped(fact)}" in shown
        options = app.segmented_control(key="evidence_view").options
        assert ("Against the real world" in options) == (model_id == "slide")
        assert ("How 0.99 arises" in options) == model_id.startswith("risk-factors")
        assert ("Your own cases" in options) == (model_id != "hybrid")
    assert "independent groups" in said(app)


def test_an_open_tab_stays_where_the_next_model_has_it_too_and_the_first_opens_where_it_has_not() -> None:
    app = turn(open_page("evidence/world"), "history")
    assert app.segmented_control(key="evidence_view").value == "threshold"
    turn(app, view="rivals")
    turn(app, "hybrid")
    assert app.segmented_control(key="evidence_view").value == "rivals"


def test_another_threshold_moves_the_counts_and_the_way_back_is_one_click(bundle_root: Path) -> None:
    app = turn(open_page("evidence"), "risk-factors-with-tests")
    frame = pd.read_parquet(bundle_root / "risk-factors-with-tests/predictions.parquet")
    slider = app.select_slider(key="evidence_threshold_risk-factors-with-tests_biopsy")
    working = slider.value
    slider.set_value(0.3).run()
    flagged = frame["p_yes"] >= 0.3
    right = int((flagged & (frame["label"] == "yes")).sum())
    assert next(metric for metric in app.metric if metric.label == "Flagged").value == f"{flagged.sum():,} of 166"
    assert f"**{flagged_in_words(right, int(flagged.sum()) - right, 'women')}**" in said(app)
    shown = {metric.label: metric for metric in app.metric}
    for name in ("Sensitivity (recall)", "Specificity", "Precision (PPV)", "Negative predictive value", "Accuracy"):
        assert shown[name].value.endswith(" %")
        assert "–" in shown[name].delta, name
    assert "one answer for all" in shown["Accuracy"].delta
    figures = next(table.value for table in app.dataframe if "95 % bootstrap" in table.value)
    assert len(figures) == len(metric_titles())
    assert figures["95 % bootstrap"].str.contains("–").all()
    app.button(key="evidence_threshold_risk-factors-with-tests_biopsy_reset").click().run()
    assert app.select_slider(key="evidence_threshold_risk-factors-with-tests_biopsy").value == working


def test_one_subgroup_alone_is_evaluated(bundle_root: Path) -> None:
    app = turn(open_page("evidence"), "risk-factors")
    app.selectbox(key="evidence_among_risk-factors").set_value("Age: under 30").run()
    frame = pd.read_parquet(bundle_root / "risk-factors/predictions.parquet")
    assert not app.exception
    assert f"{(frame['by_age'] == 'under 30').sum()} women" in said(app)


def test_calibration_subgroups_and_rivals_of_every_model_have_intervals_and_published_figures(bundle: Bundle) -> None:
    app = open_page("evidence/calibration")
    for model_id in MODELS:
        turn(app, model_id, "calibration")
        shown = {metric.label: metric for metric in app.metric}
        for name in ("AUROC", "Average precision", "Brier score", "Calibration error (ECE)"):
            assert "–" in shown[name].delta, name
        if "Subgroups" in app.segmented_control(key="evidence_view").options:
            turn(app, view="subgroups")
            notes = next(table for table in tables(app) if "Subgroup" in table)["Note"]
            assert notes.str.startswith("few").any() == (model_id != "history")
        turn(app, view="rivals")
        rivals = next(table for table in tables(app) if "Computed on" in table and "Model" not in table)
        assert rivals["Source"].iloc[0] == "This model"
        assert ("Published" in set(rivals["Source"])) == (model_id != "hybrid")
        assert rivals["AUROC"].iloc[0].count("–") == 1
        papers = [table for table in tables(app) if "Computed on" in table and "Model" in table]
        assert len(papers) == (model_id != "hybrid")
        for paper in papers:
            assert set(paper["Source"]) == {"This model", "Published"}
            assert published_accuracy(bundle.manifest) in set(paper["Accuracy"])


def test_a_labelled_table_is_evaluated_and_its_drift_shown(data_dir: Path) -> None:
    app = turn(open_page("evidence"), "risk-factors", "own")
    assert "not kept" in said(app)
    content = (data_dir / "tables/uci_risk_factors_cervical_cancer.csv").read_bytes()
    app.file_uploader(key="evidence_upload_patients").upload("mine.csv", content, "text/csv").run()
    assert not app.exception
    drift = next(table for table in tables(app) if "Property" in table)
    answered = int(drift["Your cases"].iloc[0].split()[0])
    assert 700 < answered < 858
    assert f"{answered} cases scored" in said(app)
    lines = content.decode().splitlines()
    three = "\n".join([lines[0], *(line for line in lines[1:] if line.endswith(",0,0,0,0"))][:4])
    app.file_uploader(key="evidence_upload_patients").upload("three.csv", three.encode(), "text/csv").run()
    assert not app.exception
    assert "Only 3 cases" in said(app)
    assert "there is no curve" in said(app)
    app.file_uploader(key="evidence_upload_patients").upload("other.csv", b"a,b\n1,2\n", "text/csv").run()
    assert not app.exception
    assert app.error


def test_only_questions_that_own_outcomes_answer_are_asked(cases_dir: Path) -> None:
    app = turn(open_page("evidence"), "history", "own")
    content = (cases_dir / "patients/e01_outcome_yesno.csv").read_bytes()
    app.file_uploader(key="evidence_upload_patients").upload("mine.csv", content, "text/csv").run()
    assert not app.exception
    assert "CIN2+ within 3 years: " in said(app)
    assert not [box for box in app.selectbox if str(box.key).startswith("evidence_own_task")], "one answer, no choice"
    drift = next(table for table in tables(app) if "Property" in table)
    assert "too few cases to tell" in drift.set_index("Property").loc["Score, median", "How far"]
    app.selectbox(key="evidence_asked_history").set_value("cin3-5y").run()
    assert not app.exception
    assert "CIN3+ within 5 years: " in said(app)
    classes = (cases_dir / "patients/e02_outcome_classes.csv").read_bytes()
    app.file_uploader(key="evidence_upload_patients").upload("mine.csv", classes, "text/csv").run()
    assert not app.exception
    choice = next(box for box in app.selectbox if str(box.key).startswith("evidence_own_task"))
    assert len(choice.options) == 4


def test_left_out_laboratories_are_told_computed_from_their_table(bundle: Bundle) -> None:
    app = open_page("evidence/world")
    verdict = left_out_verdict(bundle, bundle.manifest.model("slide"))
    assert f"**{verdict}**" in [item.value.replace("\N{NO-BREAK SPACE}", " ") for item in app.warning]
    assert app.subheader[0].value == HEADING
    table = tables(app)[0]
    assert table["Left out"].tolist() == ["Bowel", "Lung", "Bone"]
    assert table.columns[:2].tolist() == ["Left out", "Answered and wrong"], "what they are ordered by comes first"
    assert "Kinds of models" not in said(app)


def test_the_history_model_is_held_against_published_risks(published_root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CERVIX_BUNDLE_DIR", str(published_root))
    get_settings.cache_clear()
    app = turn(open_page("evidence"), "history")
    assert "of 52 histories" in app.header[0].value
    turn(app, view="world")
    verdict = published.verdict(published_risks.read_published_risks(published_root, NAME))
    assert f"**{verdict}**" in [item.value.replace("\N{NO-BREAK SPACE}", " ") for item in app.warning]
    assert published.SOURCE in said(app)
    agreement, worst = tables(app)[:2]
    assert agreement["n"].tolist()[:4] == ["52", "52", "52", "33"]
    assert len(worst) == 10
    assert "166 histories have a published risk; 85 of them count" in said(app)
    app.selectbox(key="evidence_published_risk").set_value("CIN3+ at once").run()
    assert not app.exception
    assert "166 histories have a published risk; 55 of them count" in said(app)


def test_a_table_of_something_else_is_one_sentence_and_the_rest_of_the_page_is_shown(
    bundle_root: Path, tmp_path: Path, data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = published_table(data_dir).assign(kind="nothing")
    monkeypatch.setenv("CERVIX_BUNDLE_DIR", str(write_published_bundle(bundle_root, tmp_path / "bundle", broken)))
    get_settings.cache_clear()
    app = turn(open_page("evidence"), "history")
    assert "is not a table of published risks" in app.error[0].value
    assert "Sensitivity (recall)" in {metric.label for metric in app.metric}


@pytest.mark.parametrize("model_id", ["slide", "history", "hybrid", "risk-factors"])
def test_every_table_that_training_put_into_the_bundle_is_in_exactly_one_tab(model_id: str, bundle: Bundle) -> None:
    app = turn(open_page("evidence"), model_id)
    declared = bundle.manifest.model(model_id).measured.tables
    found: list[str] = []
    for view in ("calibration", "subgroups", "rivals", "world", "training", "leakage"):
        if view in view_ids(app):
            turn(app, view=view)
            shown = {cell for table in tables(app) for cell in table.to_numpy().ravel().tolist()}
            captions = " ".join(item.value for item in app.caption)
            for table in declared:
                if f"Source: `{table.file}`" in captions:
                    found.append(table.id)
                    assert {escaped(cell) for cell in load_table(bundle, table).to_numpy().ravel()} <= shown
    assert sorted(found) == sorted(table.id for table in declared)


def view_ids(app: AppTest) -> set[str]:
    titles = {
        "Calibration": "calibration", "Subgroups": "subgroups", "Rivals": "rivals", "Against the real world": "world",
        "How it was trained": "training", "How 0.99 arises": "leakage",
    }  # fmt: skip
    return {titles[name] for name in app.segmented_control(key="evidence_view").options if name in titles}


def test_how_0_99_arises_sets_the_leak_beside_what_is_honest() -> None:
    app = turn(open_page("evidence"), "risk-factors", "leakage")
    assert "- Honest: AUROC 0.660. Copies before the split: **0.990**." in said(app)


def test_the_model_card_shows_limits_before_figures_and_turns_to_another_model_and_to_the_whole_bundle() -> None:
    app = open_page("evidence/card")
    shown = said(app)
    assert shown.index("Limits") < shown.index("Held-out figures")
    assert "Drawn for slide" in shown
    assert "Drawn for history" not in shown
    assert "Drawn for history" in said(turn(app, "history"))
    app.segmented_control(key="card_part").set_value("whole-bundle").run()
    assert not app.exception
    shown = said(app)
    assert "### Held-out figures" not in shown
    assert "not reported" in shown
    names = [item.label.split(":")[0] for item in app.expander]
    assert names == ["TRIPOD+AI", "CLAIM, 2024 update", "STARD-AI", "DECIDE-AI"]
    assert any("reproduced" in table.to_string() for table in tables(app))
