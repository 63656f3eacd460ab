"""Every page runs without an exception, with data, without data and with a broken bundle."""

import io
import re
import shutil
import time
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray
from PIL import Image
from sklearn.metrics import roc_auc_score
from streamlit.testing.v1 import AppTest

from cervix import RESEARCH_NOTICE
from cervix.bundle import Bundle, published_risks
from cervix.bundle.manifest import Manifest
from cervix.evaluation import published
from cervix.evaluation.heldout import load_table
from cervix.evaluation.left_out import HEADING, TABLE, left_out_verdict
from cervix.evaluation.metrics import metric_titles
from cervix.patients.sample import sample_table_csv
from cervix.patients.visit_sample import sample_visits_csv
from cervix.settings import PROJECT_ROOT, get_settings
from cervix.slides.phantom import phantom_region
from cervix.slides.pyramid import write_pyramid
from tests.bundle.altered import bundle_of_risk_models, change_predictions
from tests.bundle.published import NAME, published_table, write_published_bundle
from tests.patients.published_women import rounds_of_row, visits_csv

PATIENCE_S = 60.0
PAGES = [
    "overview.py", "slides.py", "patients.py", "performance.py", "model_card.py", "label_desk.py", "readers.py", "retrain.py",
    "compare.py",
]  # fmt: skip
TIMEOUT_S = 60


def open_page(name: str) -> AppTest:
    app = AppTest.from_file(str(PROJECT_ROOT / "pages/navigation.py"), default_timeout=TIMEOUT_S).run()
    return app if name == "overview.py" else app.switch_page(name).run()


def published_accuracy(manifest: Manifest) -> str:
    """Of the publication that the slide model follows, as pages write it."""
    figures = manifest.model("slide").evaluation.published
    return f"{100 * next(figure.value for figure in figures if figure.metric == 'accuracy'):g} %"


def look_at(path: Path) -> AppTest:
    """The slide page with a slide already brought in."""
    app = open_page("slides.py")
    app.session_state["slide_path"] = path
    app.session_state["slide_name"] = app.session_state["slide_credit"] = ""
    return app.run()


def scored(path: Path) -> AppTest:
    """The slide page with a slide that was scored on it."""
    app = look_at(path)
    app.button(key="slide_score").click().run()
    deadline = time.monotonic() + PATIENCE_S
    while [button for button in app.button if button.key == "slide_pause"]:
        assert time.monotonic() < deadline, "waited in vain"
        app.run()
    assert not app.exception
    return app


def turn_to(app: AppTest, tabs: str, view: str) -> None:
    """Open one of the tabs of a patient's page."""
    app.session_state[tabs] = view
    app.run()
    assert not app.exception


def hypothetical(app: AppTest) -> list[str]:
    return [metric.value for metric in app.metric if "hypothetical" in metric.label]


def texts(app: AppTest) -> str:
    blocks = [*app.markdown, *app.warning, *app.error, *app.info, *app.caption, *app.success]
    return "\n".join(str(block.value) for block in blocks)


@pytest.fixture(autouse=True)
def _own_home(home: Path) -> None:
    """Each test has an app home of its own and no network."""


@pytest.mark.parametrize("name", PAGES)
def test_every_page_opens_empty_with_notice_and_provenance(name: str) -> None:
    app = open_page(name)
    assert not app.exception
    assert RESEARCH_NOTICE in texts(app)
    assert "Bundle made-for-tests" in texts(app)


# Labels can be read, settled and taken along without a bundle.
@pytest.mark.parametrize("name", [name for name in PAGES if name != "readers.py"])
def test_a_damaged_bundle_is_named_on_every_page_and_nothing_is_scored(
    name: str, bundle_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(bundle_root, tmp_path / "bundle")
    content = bytearray((tmp_path / "bundle/risk-factors/fp32.onnx").read_bytes())
    content[100] ^= 1
    (tmp_path / "bundle/risk-factors/fp32.onnx").write_bytes(content)
    monkeypatch.setenv("CERVIX_BUNDLE_DIR", str(tmp_path / "bundle"))
    get_settings.cache_clear()
    app = open_page(name)
    assert not app.exception
    assert "risk-factors/fp32.onnx has changed since it was exported" in app.error[0].value
    assert not app.button


def test_overview_says_what_is_loaded_and_where_it_runs(bundle: Bundle) -> None:
    app = open_page("overview.py")
    shown = {metric.label: metric.value for metric in app.metric}
    assert shown["Bundle"].endswith("verified")
    assert shown["Scoring runs on"] == "CPU"
    assert shown["Models"] == str(len(bundle.manifest.models))


def test_the_sample_table_is_scored_and_explained() -> None:
    app = open_page("patients.py")
    app.button(key="patients_sample").click().run()
    assert not app.exception
    assert "not real patients" in texts(app)
    assert {metric.label: metric.value for metric in app.metric}["Patients scored"] == "60"
    ranked = app.dataframe[0].value
    assert len(ranked) == 60
    assert list(ranked["Biopsy positive"].dropna()) == sorted(ranked["Biopsy positive"].dropna(), reverse=True)
    assert ranked["What matters most"].iloc[0].startswith("+")
    turn_to(app, "patients_view_factors", "Why her")
    assert "exactly additive" in texts(app)


def test_a_factor_is_changed_and_the_hypothetical_risk_moves_and_is_reset() -> None:
    app = open_page("patients.py")
    app.button(key="patients_sample").click().run()
    turn_to(app, "patients_view_factors", "What if")
    assert "Hypothetical" in texts(app)
    app.multiselect(key="factor_chosen").set_value(["Dx:CIN", "Age"]).run()
    before = hypothetical(app)
    app.selectbox(key="factor_Dx:CIN").set_value("yes").run()
    assert not app.exception
    assert hypothetical(app) != before
    app.button(key="factor_reset").click().run()
    assert hypothetical(app) == []


def test_a_misspelt_code_is_put_right_with_one_click_and_taken_back_with_another() -> None:
    content = sample_visits_csv(5).replace("NILM", "NLIM", 1).encode()
    app = open_page("patients.py")
    app.file_uploader(key="patients_upload").upload("visits.csv", content, "text/csv").run()
    assert app.dataframe[0].value["Meant"].tolist() == ["NILM"]
    assert {metric.label: metric.value for metric in app.metric}["Needs correction"] == "1"
    app.button(key="patients_correct").click().run()
    assert not app.exception
    assert {metric.label: metric.value for metric in app.metric}["Needs correction"] == "0"
    assert "corrected copy of your file" in texts(app)
    app.button(key="patients_uncorrected").click().run()
    assert {metric.label: metric.value for metric in app.metric}["Needs correction"] == "1"


def test_the_work_list_is_searched_narrowed_and_put_in_another_order() -> None:
    app = open_page("patients.py")
    app.button(key="patients_sample_visits").click().run()
    app.text_input(key="patients_find").set_value("-01").run()
    found = app.dataframe[0].value
    assert set(found["Patient"]) == {f"SAMPLE-0{number}" for number in range(10, 20)}
    order = next(box for box in app.selectbox if box.label == "Order")
    order.set_value("Pseudonym").run()
    assert app.dataframe[0].value["Patient"].tolist() == sorted(found["Patient"])
    app.segmented_control(key="patients_whom").set_value("No answer").run()
    assert "SAMPLE-012" in app.dataframe[0].value["Patient"].tolist()
    app.text_input(key="patients_find").set_value("nobody").run()
    assert not app.exception
    assert "No patient matches" in texts(app)


@pytest.mark.parametrize("sample", ["patients_sample", "patients_sample_visits"])
def test_the_list_is_explained_on_request_and_kept_until_the_table_changes(sample: str) -> None:
    app = open_page("patients.py")
    app.button(key=sample).click().run()
    assert not [box for box in app.selectbox if box.key == "cohort_input"]
    app.button(key="cohort_explain").click().run()
    assert not app.exception
    assert "patients with an answer" in texts(app)
    assert app.selectbox(key="cohort_input").options
    app.run()
    assert not [button for button in app.button if button.key == "cohort_explain"]


def test_without_a_scored_slide_the_joint_view_says_what_to_do() -> None:
    app = open_page("patients.py")
    app.button(key="patients_sample_visits").click().run()
    turn_to(app, "patients_view", "With a slide")
    assert not app.exception
    assert "pairs this model learned from are made up" in texts(app)
    assert "No slide has been scored here yet" in texts(app)


def test_sample_visits_are_scored_and_ranked_and_a_womans_risk_is_followed() -> None:
    app = open_page("patients.py")
    app.button(key="patients_sample_visits").click().run()
    assert not app.exception
    assert "not real patients" in texts(app)
    shown = {metric.label: metric.value for metric in app.metric}
    assert (shown["Patients scored"], shown["No answer"]) == ("40", "4")
    ranked = app.dataframe[0].value
    risk = ranked["CIN2+ in 3 years"].dropna()
    assert list(risk) == sorted(risk, reverse=True)
    assert set(ranked["Flag"].iloc[-4:]) == {"no answer"}
    assert "What the model would have said after each episode" in texts(app)
    turn_to(app, "patients_view", "Why her")
    assert "they add up to her risk exactly" in texts(app)
    turn_to(app, "patients_view", "Guideline and export")
    assert "At these risks the ladder says" in texts(app)
    assert "simulated women" in texts(app)


def test_a_woman_after_treatment_gets_the_published_step_first(published_root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CERVIX_BUNDLE_DIR", str(published_root))
    get_settings.cache_clear()
    rounds = rounds_of_row("CIN 2 or 3", "Cotest-negative x2", "")
    content = visits_csv({"A": rounds}, last=date.today() - timedelta(days=30))
    app = open_page("patients.py")
    app.file_uploader(key="patients_upload").upload("table.csv", content, "text/csv").run()
    assert not app.exception
    assert "For this history the guideline says: Return in 1 year." in texts(app)
    assert "published (ASCCP 2019, 2,087 women)" in texts(app)


def test_columns_under_other_names_are_chosen_by_hand_and_remembered() -> None:
    content = b"Kennung;Besuch am;Alter;Abstrich\nw1;2015-01-01;30;NILM\nw2;2019-05-05;41;HSIL\n"
    app = open_page("patients.py")
    app.file_uploader(key="patients_upload").upload("table.csv", content, "text/csv").run()
    for name, cell in (("patient_id", "Kennung"), ("visit_date", "Besuch am"), ("age", "Alter"), ("cytology", "Abstrich")):
        app.selectbox(key=f"patients_column_{name}").set_value(cell)
    app.button(key="patients_columns_apply").click().run()
    assert not app.exception
    assert {metric.label: metric.value for metric in app.metric}["Patients scored"] == "2"
    app.file_uploader(key="patients_upload").upload("again.csv", content + b"w3;2020-01-01;50;LSIL\n", "text/csv").run()
    assert {metric.label: metric.value for metric in app.metric}["Patients scored"] == "3"


def test_bad_rows_are_left_out_or_stop_the_reading_as_one_chooses() -> None:
    lines = sample_visits_csv(5).splitlines()
    lines[2] = lines[2].replace("NILM", "PAP IV")
    app = open_page("patients.py")
    app.file_uploader(key="patients_upload").upload("visits.csv", "\n".join(lines).encode(), "text/csv").run()
    assert {metric.label: metric.value for metric in app.metric}["Patients scored"] == "5"
    app.toggle(key="patients_strict").set_value(True).run()
    assert "rows that cannot be used in full" in app.error[0].value


def test_the_threshold_says_who_would_be_recalled_and_what_it_costs() -> None:
    app = open_page("patients.py")
    app.button(key="patients_sample_visits").click().run()
    app.slider(key="patients_threshold").set_value(0.0).run()
    assert "36 of 36 women would be recalled" in texts(app)
    assert "finds 100%" in texts(app)
    app.slider(key="patients_threshold").set_value(20.0).run()
    assert not app.exception
    recalled = re.search(r"\*\*(\d+) of 36 women", texts(app))
    assert recalled is not None
    assert int(recalled.group(1)) < 20


def test_a_visit_that_has_not_taken_place_moves_the_risk_and_is_reset() -> None:
    app = open_page("patients.py")
    app.button(key="patients_sample_visits").click().run()
    turn_to(app, "patients_view", "What if")
    usual = hypothetical(app)
    assert len(usual) == 3, "the main question and the two that the guideline asks"
    app.selectbox(key="what_if_cytology").set_value("HSIL").run()
    raised = hypothetical(app)
    assert raised != usual
    assert "Hypothetical" in texts(app)
    app.button(key="what_if_reset").click().run()
    assert hypothetical(app) == usual


def test_an_episode_is_one_bar_and_what_the_model_does_not_read_or_was_not_taught_is_said() -> None:
    lines = [
        "patient_id,visit_date,age,cytology,hpv_result,via,histology",
        "A,2024-01-08,18,HSIL,positive,,",
        "A,2024-02-19,18,,,positive,benign",
    ]
    app = open_page("patients.py")
    app.file_uploader(key="patients_upload").upload("visits.csv", "\n".join(lines).encode(), "text/csv").run()
    assert "Not read by this model, and shown only: VIA." in texts(app)
    assert "Age (years) 18, in training 21 to 75" in texts(app)
    turn_to(app, "patients_view", "Why her")
    assert not app.exception
    assert "the episode of 2024-01-08 to 2024-02-19" in texts(app)


def test_a_visit_table_with_bad_rows_lists_them_and_scores_the_rest() -> None:
    lines = sample_visits_csv(5).splitlines()
    lines[2] = lines[2].replace("NILM", "PAP IV")
    app = open_page("patients.py")
    app.file_uploader(key="patients_upload").upload("visits.csv", "\n".join(lines).encode(), "text/csv").run()
    assert not app.exception
    problem = app.dataframe[0].value.iloc[0]
    assert (problem["Row"], problem["Column"], problem["Found"]) == (3, "cytology", "PAP IV")
    assert problem["Patient"].startswith("SAMPLE-")
    shown = {metric.label: metric.value for metric in app.metric}
    assert (shown["Patients scored"], shown["Needs correction"]) == ("5", "1")
    app.segmented_control(key="patients_whom").set_value("Needs correction").run()
    assert not app.exception
    listed = app.dataframe[1].value
    assert listed["Patient"].tolist() == [problem["Patient"]]
    assert listed["Rests on"].tolist() == ["1 cell could not be read"]
    assert "Incomplete: 1 cell could not be read." in texts(app)


def test_dates_that_can_be_read_two_ways_are_asked_about_once(cases_dir: Path) -> None:
    app = open_page("patients.py")
    content = (cases_dir / "patients/v10_dates_dot.csv").read_bytes()
    app.file_uploader(key="patients_upload").upload("visits.csv", content, "text/csv").run()
    assert "can be read two ways" in app.error[0].value
    app.radio(key="patients_answer_dates").set_value("dmy")
    app.button(key="patients_apply_dates").click().run()
    assert not app.exception
    assert {metric.label: metric.value for metric in app.metric}["Patients scored"] == "2"
    app.run()
    assert not [radio for radio in app.radio if radio.key == "patients_answer_dates"]


def test_a_proven_diagnosis_is_said_and_no_number_is_shown_for_it(cases_dir: Path) -> None:
    app = open_page("patients.py")
    content = (cases_dir / "patients/x03_histology_not_monotone.csv").read_bytes()
    app.file_uploader(key="patients_upload").upload("visits.csv", content, "text/csv").run()
    app.text_input(key="patients_find").set_value("CIN3").run()
    assert not app.exception
    assert "Diagnosis known: CIN3 by histology on 2025-06-01" in texts(app)
    assert app.dataframe[0].value["CIN2+ in 3 years"].isna().all()


def test_an_uploaded_table_lists_its_problems_and_keeps_the_good_rows() -> None:
    lines = sample_table_csv(5).splitlines()
    cells = lines[3].split(",")
    cells[1] = "=HYPERLINK(1)"
    lines[3] = ",".join(cells)
    app = open_page("patients.py")
    app.file_uploader(key="patients_upload").upload("table.csv", "\n".join(lines).encode(), "text/csv").run()
    assert not app.exception
    shown = {metric.label: metric.value for metric in app.metric}
    assert (shown["Patients scored"], shown["Needs correction"]) == ("5", "1")
    problem = app.dataframe[0].value.iloc[0]
    assert (problem["Row"], problem["Column"], problem["Became"]) == (4, "Age", "not known")


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "The file is empty"),
        (b"a^b\n1^2\n", "not that of the risk-factor table"),
        (b"\x00\x01\x02\x03" * 50, "not a text file"),
        (sample_table_csv(1).splitlines()[0].encode(), "a header but no rows"),
    ],
)
def test_a_table_that_cannot_be_read_is_one_sentence(content: bytes, sentence: str) -> None:
    app = open_page("patients.py")
    app.file_uploader(key="patients_upload").upload("table.csv", content, "text/csv").run()
    assert not app.exception
    assert sentence in app.error[0].value
    assert "\n" not in app.error[0].value
    app.button(key="patients_sample").click().run()
    assert {metric.label: metric.value for metric in app.metric}["Patients scored"] == "60", "the app goes on"


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("broken/zero_byte.svs", "The file is empty"),
        ("broken/text_renamed.svs", "a text file"),
        ("broken/cmu_truncated_50pct.svs", "a copy was cut short"),
        ("broken/opens_but_unreadable.svs", "opened but cannot be read"),
        ("broken/unsupported_compression.tiff", "cannot be opened"),
        ("odd/tiny_16px.svs", "smaller than one tile"),
    ],
)
def test_a_slide_that_cannot_be_scored_is_one_sentence(data_dir: Path, name: str, sentence: str) -> None:
    app = look_at(data_dir / "slides" / name)
    assert not app.exception
    assert sentence in app.error[0].value
    assert "\n" not in app.error[0].value


def test_an_answer_is_marked_with_the_organs_seen_and_the_gallery_opens_at_the_carcinoma_found(carcinoma_slide: Path) -> None:
    app = scored(carcinoma_slide)
    said = texts(app)
    assert "Cervix was not seen in training" in said
    assert "Organs seen in training: lung, colon, rectum. Cervix is not among them." in said
    assert "Other tissue 0.00 mm²" in said
    gallery = app.segmented_control(key="slide_gallery")
    assert (gallery.options[-1], gallery.value) == ("Other tissue", "scc")


def test_a_slide_without_scale_asks_for_it_and_goes_on(data_dir: Path) -> None:
    app = look_at(data_dir / "slides/broken/png_renamed.svs")
    assert "does not state its scale" in texts(app)
    app.number_input[0].set_value(0.5).run()
    assert not app.exception
    assert any(metric.value == "0.5 µm/px" for metric in app.metric) or "No tissue was found" in texts(app)


def picture(seed: int) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(phantom_region(500, 500, seed=seed)).save(buffer, "PNG")
    return buffer.getvalue()


def test_a_picture_too_coarse_for_the_model_is_refused_with_the_scale_in_sight(unscaled_slide: Path) -> None:
    app = look_at(unscaled_slide)
    app.number_input[0].set_value(1.38).run()
    (refusal,) = [error.value for error in app.error]
    assert "at most 0.75 µm per pixel" in refusal
    assert "found 1.38 µm" in refusal
    assert "slide_score" not in [button.key for button in app.button]
    app.number_input[0].set_value(0.5).run()
    assert not app.error
    assert "slide_score" in [button.key for button in app.button], "a scale that was mistyped can be put right"


@pytest.mark.parametrize(
    ("pixels", "sentence"),
    [
        (np.zeros((300, 300), np.uint8), "found greyscale"),
        (np.zeros((300, 300), np.uint16), "16 or more bits per channel"),
    ],
)
def test_a_picture_without_8_bit_colour_is_one_sentence(pixels: NDArray[np.generic], sentence: str) -> None:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    app = open_page("slides.py")
    app.file_uploader(key="slide_upload").upload("picture.png", buffer.getvalue(), "image/png").run()
    assert not app.exception
    assert sentence in app.error[0].value
    app.file_uploader(key="slide_upload").upload("good.png", picture(3), "image/png").run()
    assert not app.error, "the app goes on"


def test_the_scale_given_for_one_slide_is_not_used_for_the_next() -> None:
    app = open_page("slides.py")
    app.file_uploader(key="slide_upload").upload("first.png", picture(1), "image/png").run()
    app.number_input[0].set_value(0.25).run()
    assert app.button(key="slide_score")
    app.file_uploader(key="slide_upload").upload("second.png", picture(2), "image/png").run()
    assert "does not state its scale" in texts(app)
    assert app.number_input[0].value is None


def test_the_scale_given_for_a_slide_is_remembered_for_it() -> None:
    app = open_page("slides.py")
    app.file_uploader(key="slide_upload").upload("first.png", picture(1), "image/png").run()
    app.number_input[0].set_value(0.25).run()
    again = open_page("slides.py")
    again.file_uploader(key="slide_upload").upload("first.png", picture(1), "image/png").run()
    assert again.number_input[0].value == 0.25
    assert again.button(key="slide_score")


def test_glass_alone_is_said_and_can_be_scored_knowingly(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).normal(242, 1.5, size=(800, 900, 1))
    write_pyramid(tmp_path / "glass.tiff", np.repeat(noise, 3, axis=2).astype(np.uint8), 0.5)
    app = look_at(tmp_path / "glass.tiff")
    assert "No tissue was found" in texts(app)
    assert not [button for button in app.button if button.key == "slide_score"]
    app.checkbox[0].check().run()
    assert not app.exception
    assert {metric.label: metric.value for metric in app.metric}["Tiles"] == "20"
    assert "empty: bubbles, folds or gaps" in texts(app)
    assert not app.button(key="slide_score").disabled


def test_a_stain_that_is_not_he_is_said_and_can_be_scored_knowingly(tmp_path: Path) -> None:
    pixels = phantom_region(700, 700, seed=5)
    brown = pixels[..., [0, 2, 1]]  # what absorbed green now absorbs blue
    write_pyramid(tmp_path / "brown.tiff", np.ascontiguousarray(brown), 0.5)
    app = look_at(tmp_path / "brown.tiff")
    assert "does not look like H&E" in texts(app)
    assert app.button(key="slide_score").disabled
    app.checkbox[0].check().run()
    assert not app.button(key="slide_score").disabled


def test_the_inbox_is_searched_and_a_slide_opened_from_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    inbox = tmp_path / "inbox"
    (inbox / "ward 7").mkdir(parents=True)
    write_pyramid(inbox / "ward 7/cone.tiff", phantom_region(600, 500, seed=3), 0.5)
    (inbox / "broken <b>.svs").write_bytes(b"no slide")
    monkeypatch.setenv("CERVIX_INBOX", str(inbox))
    get_settings.cache_clear()
    app = open_page("slides.py")
    app.segmented_control(key="slide_way").set_value("Server folders").run()
    assert sorted(text.value for text in app.text) == ["broken <b>.svs", "ward 7/cone.tiff"]
    assert "cannot be read as a slide" in texts(app)
    app.text_input(key="inbox_search").set_value("cone").run()
    assert [text.value for text in app.text] == ["ward 7/cone.tiff"]
    app.button(key="inbox_open_0").click().run()
    assert not app.exception
    assert {metric.label: metric.value for metric in app.metric}["Size"] == "600 × 500"
    app.segmented_control(key="slide_way").set_value("Recent slides").run()
    assert "600 × 500 px" in [text.value for text in app.text]


def test_an_upload_can_be_kept_and_deleted() -> None:
    app = open_page("slides.py")
    app.file_uploader(key="slide_upload").upload("first.png", picture(1), "image/png").run()
    app.number_input[0].set_value(0.5).run()
    stored = app.session_state["slide_path"]
    keep = next(toggle for toggle in app.toggle if toggle.label.startswith("Keep"))
    keep.set_value(True).run()
    assert (stored.parent / "keep").is_file()
    app.button(key="slide_delete").click().run()
    assert not stored.exists()
    assert "Upload a slide or try a sample" in texts(app)


def test_a_table_without_the_other_tests_gets_no_answer_from_the_model_that_needs_them() -> None:
    rows = [line.split(",")[:-3] for line in sample_table_csv(5).splitlines()]
    content = "\n".join(",".join(cells) for cells in rows).encode()
    app = open_page("patients.py")
    app.file_uploader(key="patients_upload").upload("table.csv", content, "text/csv").run()
    assert "Columns of other tests missing" in texts(app)
    assert {metric.label: metric.value for metric in app.metric}["No answer"] == "0"
    app.segmented_control(key="patients_model").set_value("risk-factors-with-tests").run()
    assert {metric.label: metric.value for metric in app.metric}["No answer"] == "5"
    assert "No answer: too little is known" in texts(app)


def test_the_patient_page_says_how_well_its_model_ranks_before_it_ranks(bundle_root: Path) -> None:
    app = open_page("patients.py")
    app.button(key="patients_sample").click().run()
    held_out = pd.read_parquet(bundle_root / "risk-factors/predictions.parquet")
    assert f"held-out AUROC {roc_auc_score(held_out['label'] == 'yes', held_out['p_yes']):.2f}" in texts(app)
    assert "95 % interval" in texts(app)


def test_performance_shows_every_model_with_intervals_rivals_and_published_figures(bundle: Bundle) -> None:
    app = open_page("performance.py")
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
    app = open_page("performance.py")
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
    app = open_page("performance.py")
    app.selectbox(key="performance_model").set_value("risk-factors").run()
    app.selectbox(key="performance_among_risk-factors").set_value("Age: under 30").run()
    frame = pd.read_parquet(bundle_root / "risk-factors/predictions.parquet")
    assert not app.exception
    assert f"{(frame['by_age'] == 'under 30').sum()} cases" in texts(app)


def test_a_labelled_table_is_evaluated_and_its_drift_shown(data_dir: Path) -> None:
    app = open_page("performance.py")
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
    app = open_page("performance.py")
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
    app = open_page("performance.py")
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
    app = open_page("performance.py")
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
    app = open_page("performance.py")
    app.selectbox(key="performance_model").set_value("history").run()
    assert not app.exception
    assert "is not a table of published risks" in app.error[0].value
    assert "AUROC" in {metric.label for metric in app.metric}


@pytest.mark.parametrize("model_id", ["slide", "history"])
def test_performance_shows_every_table_that_training_put_into_the_bundle(model_id: str, bundle: Bundle) -> None:
    app = open_page("performance.py")
    app.selectbox(key="performance_model").set_value(model_id).run()
    titles = [item.value for item in (*app.header, *app.subheader)]
    shown = [cell for table in app.dataframe for cell in table.value.to_numpy().ravel().tolist()]
    tables = bundle.manifest.model(model_id).evaluation.tables
    assert tables
    for table in tables:
        assert (HEADING if table.id == TABLE else table.title) in titles
        assert set(load_table(bundle, table).to_numpy().ravel()) <= set(shown)


def test_a_candidate_on_the_server_is_compared_and_the_verdict_comes_first(home: Path) -> None:
    app = open_page("compare.py")
    assert app.selectbox(key="compare_folder").disabled
    assert "Nothing to compare yet" in texts(app)
    other = bundle_of_risk_models(home / "bundles/candidate")
    change_predictions(other, "risk-factors", lambda frame: frame.assign(p_yes=frame["p_no"], p_no=frame["p_yes"]))
    app.run().selectbox(key="compare_folder").set_value("candidate").run()
    assert not app.exception
    assert app.warning[1].value.startswith("Keep the active bundle.")
    assert "The candidate has no such model." in app.warning[1].value
    rules = next(table.value for table in app.dataframe if "Rule" in table.value)
    assert dict(zip(rules["Rule"], rules["Finding"], strict=True))["AUROC falls by less than 0.02"] == "not met"
    differences = next(table.value for table in app.dataframe if "What" in table.value)
    assert "Held-out predictions" in set(differences["What"])
    (other / "risk-factors/golden.npz").write_bytes(b"damaged")
    (other / "manifest.json").touch()
    app.run()
    assert not app.exception
    assert "The candidate was refused, so nothing is compared. risk-factors/golden.npz" in app.error[0].value


def test_the_model_card_shows_limits_before_figures() -> None:
    app = open_page("model_card.py")
    shown = texts(app)
    assert shown.index("Limits") < shown.index("Held-out figures")
    assert "Drawn for slide" in shown
    assert "Drawn for history" not in shown


def test_the_model_card_turns_to_another_model_and_to_the_whole_bundle() -> None:
    app = open_page("model_card.py")
    turn_to(app, "card_part", "history")
    assert "Drawn for history" in texts(app)
    turn_to(app, "card_part", "whole-bundle")
    shown = texts(app)
    assert "Held-out figures" not in shown.replace("| Held-out figures |", "")
    assert "not reported" in shown
    names = [item.label.split(":")[0] for item in app.expander]
    assert names == ["TRIPOD+AI", "CLAIM, 2024 update", "STARD-AI", "DECIDE-AI"]
    assert "reproduced" in app.dataframe[1].value.to_string()
