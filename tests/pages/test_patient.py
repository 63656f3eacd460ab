"""The page Patient."""

import json
import re
from datetime import date, timedelta
from pathlib import Path

import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score
from streamlit.testing.v1 import AppTest
from streamlit.testing.v1.element_tree import Selectbox

from cervix.patients.sample import sample_table_csv
from cervix.patients.visit_sample import sample_visits_csv
from cervix.samples.cases import CASES, Case
from cervix.settings import get_settings
from tests.interop.fhir_made import CYTOLOGY, TREATED, bundle_of, observation, patient
from tests.pages.opening import hypothetical, open_page, texts, turn_to
from tests.patients.published_women import rounds_of_row, visits_csv


def listed(app: AppTest) -> pd.DataFrame:
    """The work-list."""
    return next(frame.value for frame in app.dataframe if "Flag" in frame.value)


def problems(app: AppTest) -> pd.DataFrame:
    return next(frame.value for frame in app.dataframe if "Became" in frame.value)


def shown(app: AppTest) -> dict[str, str]:
    return {metric.label: metric.value for metric in app.metric}


def who(app: AppTest) -> str:
    """Who is open."""
    return next(heading.value for heading in app.subheader)


def menu(app: AppTest, label: str) -> Selectbox:
    return next(box for box in app.selectbox if box.label == label)


def open_case(app: AppTest, case: str) -> None:
    """Follow the card of a case of the shelf."""
    app.query_params["case"] = case
    app.run()


@pytest.fixture(autouse=True)
def _own_home(home: Path) -> None:
    """Each test has an app home of its own and no network."""


def test_the_sample_table_is_scored_and_explained() -> None:
    app = open_page("patient")
    open_case(app, "factors")
    assert not app.exception
    assert "no real women" in texts(app)
    assert shown(app)["Patients scored"] == "60"
    ranked = listed(app)
    assert len(ranked) == 60
    assert list(ranked["Biopsy positive"].dropna()) == sorted(ranked["Biopsy positive"].dropna(), reverse=True)
    assert ranked["What matters most"].iloc[0]
    assert ranked["Hidden alone"].notna().all()
    assert who(app) == f"Row {ranked['Row'].iloc[0]}: {ranked['Patient'].iloc[0]}"
    assert "exactly additive" in texts(app), "what drove the score stands first"
    turn_to(app, "patients_view_factors", "Factor sheet")
    assert any("Factor" in frame.value for frame in app.dataframe)


def test_a_factor_is_changed_and_the_hypothetical_risk_moves_and_is_reset() -> None:
    app = open_page("patient")
    open_case(app, "factors")
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
    app = open_page("patient")
    app.file_uploader(key="patients_upload").upload("visits.csv", content, "text/csv").run()
    assert problems(app)["Meant"].tolist() == ["NILM"]
    assert shown(app)["Needs correction"] == "1"
    app.button(key="patients_correct").click().run()
    assert not app.exception
    assert shown(app)["Needs correction"] == "0"
    assert "corrected copy of your file" in texts(app)
    app.button(key="patients_uncorrected").click().run()
    assert shown(app)["Needs correction"] == "1"


def test_the_work_list_is_searched_narrowed_and_put_in_another_order() -> None:
    app = open_page("patient")
    open_case(app, "list")
    app.text_input(key="patients_find").set_value("-01").run()
    found = listed(app)
    assert set(found["Patient"]) == {f"SAMPLE-0{number}" for number in range(10, 20)}
    menu(app, "Order").set_value("Pseudonym").run()
    assert listed(app)["Patient"].tolist() == sorted(found["Patient"])
    app.segmented_control(key="patients_whom").set_value("No answer").run()
    assert "SAMPLE-012" in listed(app)["Patient"].tolist()
    app.text_input(key="patients_find").set_value("nobody").run()
    assert not app.exception
    assert "No patient matches" in texts(app)


@pytest.mark.parametrize("sample", ["factors", "list"])
def test_the_list_is_explained_on_request_and_kept_until_the_table_changes(sample: str) -> None:
    app = open_page("patient")
    open_case(app, sample)
    assert not [box for box in app.selectbox if box.key == "cohort_input"]
    app.button(key="cohort_explain").click().run()
    assert not app.exception
    assert "patients with an answer" in texts(app)
    assert app.selectbox(key="cohort_input").options
    app.run()
    assert not [button for button in app.button if button.key == "cohort_explain"]


def test_without_a_scored_slide_the_joint_view_says_what_to_do() -> None:
    app = open_page("patient")
    open_case(app, "list")
    turn_to(app, "patients_view", "With a slide")
    assert not app.exception
    assert "pairs this model learned from are made up" in texts(app)
    assert "No slide has been scored here yet" in texts(app)


def test_sample_visits_are_scored_and_ranked_and_a_womans_risk_is_followed() -> None:
    app = open_page("patient")
    open_case(app, "list")
    assert not app.exception
    assert "no real women" in texts(app)
    counts = shown(app)
    assert (counts["Patients scored"], counts["No answer"]) == ("36", "4"), "who has no answer was not scored"
    ranked = listed(app)
    risk = ranked["CIN2+ in 3 years"].dropna()
    assert list(risk) == sorted(risk, reverse=True)
    assert set(ranked["Flag"].iloc[-4:]) == {"no answer"}
    assert ranked["Course"].iloc[0][-1] == pytest.approx(risk.iloc[0]), "drawn whole"
    assert ranked["Last finding"].iloc[0] == "ASC-H, HPV16+"
    assert who(app) == ranked["Patient"].iloc[0]
    assert counts["CIN2+ within 3 years"] == f"{risk.iloc[0]:.1f} %"
    assert "At these risks the ladder says" in texts(app)
    assert "they add up to her risk exactly" in texts(app)
    assert "simulated women" in texts(app)
    turn_to(app, "patients_woman", ranked["Patient"].iloc[-1])
    assert who(app) == ranked["Patient"].iloc[-1]
    assert "No answer" in shown(app).values() or "After treatment" in "".join(shown(app))


def test_a_woman_after_treatment_gets_the_published_step_first(published_root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CERVIX_BUNDLE_DIR", str(published_root))
    get_settings.cache_clear()
    rounds = rounds_of_row("CIN 2 or 3", "Cotest-negative x2", "")
    content = visits_csv({"A": rounds}, last=date.today() - timedelta(days=30))
    app = open_page("patient")
    app.file_uploader(key="patients_upload").upload("table.csv", content, "text/csv").run()
    assert not app.exception
    assert "For this history the guideline says: Return in 1 year." in texts(app)
    assert "published (ASCCP 2019, 2,087 women)" in texts(app)


def test_results_as_fhir_are_opened_like_a_table_and_told_by_resource_where_they_cannot_be_read() -> None:
    content = json.dumps(bundle_of(patient(), *TREATED, observation(CYTOLOGY, "999", "2025-06-01"))).encode()
    app = open_page("patient")
    app.file_uploader(key="patients_upload").upload("results.json", content, "application/json").run()
    assert not app.exception
    assert who(app).endswith("woman 1")
    assert shown(app)["Needs correction"] == "1"
    assert problems(app)["Column"].tolist() == ["Observation 3 of 3, cytology"]
    app.file_uploader(key="patients_upload").upload("none.json", b'{"resourceType": "Patient"}', "application/json").run()
    assert not app.exception
    assert [error.value for error in app.error] == [
        "This JSON is no FHIR Bundle: expected a FHIR R4 or R5 Bundle (collection, searchset, batch-response, document) of "
        "Patients and their results; found Patient."
    ]
    assert not app.selectbox


def test_columns_under_other_names_are_chosen_by_hand_and_remembered() -> None:
    content = b"Kennung;Besuch am;Alter;Abstrich\nw1;2015-01-01;30;NILM\nw2;2019-05-05;41;HSIL\n"
    app = open_page("patient")
    app.file_uploader(key="patients_upload").upload("table.csv", content, "text/csv").run()
    for name, cell in (("patient_id", "Kennung"), ("visit_date", "Besuch am"), ("age", "Alter"), ("cytology", "Abstrich")):
        app.selectbox(key=f"patients_column_{name}").set_value(cell)
    app.button(key="patients_columns_apply").click().run()
    assert not app.exception
    assert shown(app)["Patients scored"] == "2"
    app.file_uploader(key="patients_upload").upload("again.csv", content + b"w3;2020-01-01;50;LSIL\n", "text/csv").run()
    assert shown(app)["Patients scored"] == "3"


def test_bad_rows_are_left_out_or_stop_the_reading_as_one_chooses() -> None:
    lines = sample_visits_csv(5).splitlines()
    lines[2] = lines[2].replace("NILM", "PAP IV")
    app = open_page("patient")
    app.file_uploader(key="patients_upload").upload("visits.csv", "\n".join(lines).encode(), "text/csv").run()
    assert shown(app)["Patients scored"] == "5"
    app.toggle(key="patients_strict").set_value(True).run()
    assert "rows that cannot be used in full" in app.error[0].value


def test_the_threshold_says_who_would_be_recalled_and_what_it_costs() -> None:
    app = open_page("patient")
    open_case(app, "list")
    app.slider(key="patients_threshold_history").set_value(0.0).run()
    assert "36 of 36 women would be recalled" in texts(app)
    assert "finds 100%" in texts(app)
    app.slider(key="patients_threshold_history").set_value(20.0).run()
    assert not app.exception
    recalled = re.search(r"\*\*(\d+) of 36 women", texts(app))
    assert recalled is not None
    assert int(recalled.group(1)) < 20


def test_what_if_starts_from_her_as_she_is_and_no_further_visit_is_empty() -> None:
    app = open_page("patient")
    open_case(app, "rising")
    turn_to(app, "patients_view", "What if")
    usual = hypothetical(app)
    assert len(usual) == 3, "the main question and the two that the guideline asks"
    assert usual[0] == shown(app)["CIN2+ within 3 years"]
    moved = [metric.delta for metric in app.metric if "hypothetical" in metric.label]
    assert moved == ["+0.0 points"] * 3
    assert menu(app, "Cytology").value == "ASC-H", "as it was found"
    menu(app, "Cytology").set_value("NILM").run()
    assert hypothetical(app) != usual
    assert "Hypothetical" in texts(app)
    app.button(key="what_if_reset").click().run()
    assert hypothetical(app) == usual
    app.segmented_control(key="what_if_kind").set_value("A further visit").run()
    assert hypothetical(app) == []
    assert "Choose at least one result" in texts(app)
    menu(app, "Cytology").set_value("HSIL").run()
    assert not app.exception
    assert len(hypothetical(app)) == 3


@pytest.mark.parametrize("case", [case for case in CASES if case.page == "patient"], ids=lambda case: case.id)
def test_a_case_of_the_shelf_opens_from_the_address_on_its_woman_with_its_credit(case: Case) -> None:
    app = open_page("patient")
    app.query_params["case"] = case.id
    app.run()
    assert not app.exception
    assert case.credit in texts(app)
    assert not case.woman or who(app) == case.woman
    assert "case" not in app.query_params
    assert app.query_params["open"], "by which a reload finds it"


def test_a_reload_finds_the_list_what_was_said_of_it_and_the_woman() -> None:
    app = open_page("patient")
    content = sample_visits_csv(5).replace("NILM", "NLIM", 1).encode()
    app.file_uploader(key="patients_upload").upload("visits.csv", content, "text/csv").run()
    app.button(key="patients_correct").click().run()
    last = listed(app)["Patient"].iloc[-1]
    turn_to(app, "patients_woman", last)
    again = open_page("patient")
    again.query_params["open"] = app.query_params["open"]
    again.run()
    assert not again.exception
    assert who(again) == last
    assert "corrected copy of your file" in texts(again)
    again.button(key="patients_uncorrected").click().run()
    assert problems(again)["Meant"].tolist() == ["NILM"]
    again.button(key="patients_close").click().run()
    assert "open" not in again.query_params
    assert "Open a case, or bring a table" in texts(again)


def test_an_episode_is_one_bar_and_what_the_model_does_not_read_or_was_not_taught_is_said() -> None:
    lines = [
        "patient_id,visit_date,age,cytology,hpv_result,via,histology",
        "A,2024-01-08,18,HSIL,positive,,",
        "A,2024-02-19,18,,,positive,benign",
    ]
    app = open_page("patient")
    app.file_uploader(key="patients_upload").upload("visits.csv", "\n".join(lines).encode(), "text/csv").run()
    assert "Not read by this model, and shown only: VIA." in texts(app)
    assert "Age (years) 18, in training 21 to 75" in texts(app)
    assert not app.exception
    assert "the episode of 2024-01-08 to 2024-02-19" in texts(app)


def test_a_visit_table_with_bad_rows_lists_them_and_scores_the_rest() -> None:
    lines = sample_visits_csv(5).splitlines()
    lines[2] = lines[2].replace("NILM", "PAP IV")
    app = open_page("patient")
    app.file_uploader(key="patients_upload").upload("visits.csv", "\n".join(lines).encode(), "text/csv").run()
    assert not app.exception
    problem = problems(app).iloc[0]
    assert (problem["Row"], problem["Column"], problem["Found"]) == (3, "cytology", "PAP IV")
    assert problem["Patient"].startswith("SAMPLE-")
    counts = shown(app)
    assert (counts["Patients scored"], counts["Needs correction"]) == ("5", "1")
    app.segmented_control(key="patients_whom").set_value("To mend").run()
    assert not app.exception
    assert listed(app)["Patient"].tolist() == [problem["Patient"]]
    assert listed(app)["Rests on"].tolist() == ["1 cell could not be read"]
    assert "Incomplete: 1 cell could not be read." in texts(app)


def test_dates_that_can_be_read_two_ways_are_asked_about_once(cases_dir: Path) -> None:
    app = open_page("patient")
    content = (cases_dir / "patients/v10_dates_dot.csv").read_bytes()
    app.file_uploader(key="patients_upload").upload("visits.csv", content, "text/csv").run()
    assert "can be read two ways" in app.error[0].value
    app.radio(key="patients_answer_dates").set_value("dmy")
    app.button(key="patients_apply_dates").click().run()
    assert not app.exception
    assert shown(app)["Patients scored"] == "2"
    app.run()
    assert not [radio for radio in app.radio if radio.key == "patients_answer_dates"]


def test_a_proven_diagnosis_is_said_and_no_number_is_shown_for_it(cases_dir: Path) -> None:
    app = open_page("patient")
    content = (cases_dir / "patients/x03_histology_not_monotone.csv").read_bytes()
    app.file_uploader(key="patients_upload").upload("visits.csv", content, "text/csv").run()
    app.text_input(key="patients_find").set_value("CIN3").run()
    assert not app.exception
    assert "Diagnosis known: CIN3 by histology on 2025-06-01" in texts(app)
    assert listed(app)["CIN2+ in 3 years"].isna().all()


def test_an_uploaded_table_lists_its_problems_and_keeps_the_good_rows() -> None:
    lines = sample_table_csv(5).splitlines()
    cells = lines[3].split(",")
    cells[1] = "=HYPERLINK(1)"
    lines[3] = ",".join(cells)
    app = open_page("patient")
    app.file_uploader(key="patients_upload").upload("table.csv", "\n".join(lines).encode(), "text/csv").run()
    assert not app.exception
    counts = shown(app)
    assert (counts["Patients scored"], counts["Needs correction"]) == ("5", "1")
    problem = problems(app).iloc[0]
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
    app = open_page("patient")
    app.file_uploader(key="patients_upload").upload("table.csv", content, "text/csv").run()
    assert not app.exception
    assert sentence in app.error[0].value
    assert "\n" not in app.error[0].value
    open_case(app, "factors")
    assert shown(app)["Patients scored"] == "60", "the app goes on"


def test_a_table_without_the_other_tests_gets_no_answer_from_the_model_that_needs_them() -> None:
    rows = [line.split(",")[:-3] for line in sample_table_csv(5).splitlines()]
    content = "\n".join(",".join(cells) for cells in rows).encode()
    app = open_page("patient")
    app.file_uploader(key="patients_upload").upload("table.csv", content, "text/csv").run()
    assert "Columns of other tests missing" in texts(app)
    assert shown(app)["No answer"] == "0"
    app.segmented_control(key="patients_model").set_value("risk-factors-with-tests").run()
    assert shown(app)["No answer"] == "5"
    assert "No answer: too little is known" in texts(app)


def test_the_patient_page_says_how_well_its_model_ranks_before_it_ranks(bundle_root: Path) -> None:
    app = open_page("patient")
    open_case(app, "factors")
    held_out = pd.read_parquet(bundle_root / "risk-factors/predictions.parquet")
    assert f"held-out AUROC {roc_auc_score(held_out['label'] == 'yes', held_out['p_yes']):.2f}" in texts(app)
    assert "95 % interval" in texts(app)
