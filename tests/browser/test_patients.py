"""A gynaecologist's path through a real Chromium: a list with a misspelling in, an explained risk and its papers out."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pypdf
import pytest
from playwright.sync_api import Locator, Page, expect

from cervix import RESEARCH_NOTICE
from cervix.patients.visit_sample import sample_visits_csv
from tests.browser.chromium import WAIT_MS, choose, needs_browser
from tests.browser.server import free_port, running_app

pytestmark = needs_browser
# A row of the list and its header, and the middle of the column of boxes, in CSS px.
ROW_PX, BOXES_PX = 35, 20


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def address(home: Path, carcinoma_slide: Path) -> Iterator[str]:
    with running_app(home, free_port(), CERVIX_INBOX=str(carcinoma_slide.parent)) as started:
        yield started


def download(page: Page, label: str) -> Path:
    with page.expect_download() as got:
        page.get_by_role("button", name=label).click()
    return Path(got.value.path())


def fhir_release(file: Path, *, women: int) -> str:
    """The version of a FHIR file, told by how it names its device, once it holds so many assessments."""
    found = [entry["resource"] for entry in json.loads(file.read_text(encoding="utf-8"))["entry"]]
    assert sum(resource["resourceType"] == "RiskAssessment" for resource in found) == women
    return "R4" if "deviceName" in found[0] else "R5"


def metric(page: Page, label: str) -> Locator:
    return page.get_by_test_id("stMetric").filter(has_text=label).first


def open_row(page: Page, row: int) -> None:
    """Tick a row of the work-list, counted from 0; the table is a canvas and has no other handle."""
    table = page.locator("[class*=st-key-patients_list_]").get_by_test_id("stDataFrame")
    table.scroll_into_view_if_needed()
    table.click(position={"x": BOXES_PX, "y": (row + 1.5) * ROW_PX})


def chosen_woman(page: Page) -> str:
    heading = page.get_by_role("heading", name=re.compile(r"^SAMPLE-"))
    heading.wait_for()
    return heading.inner_text()


def open_visits(page: Page, address: str, path: Path) -> None:
    page.goto(f"{address}/patient")
    page.locator("input[type=file]").set_input_files(path)
    page.get_by_text("Her course", exact=True).wait_for()


@pytest.fixture
def visits(tmp_path: Path) -> Path:
    path = tmp_path / "visits.csv"
    path.write_text(sample_visits_csv(), encoding="utf-8")
    return path


def test_a_misspelt_code_is_found_corrected_and_its_row_scored(page: Page, address: str, tmp_path: Path) -> None:
    path = tmp_path / "misspelt.csv"
    path.write_text(sample_visits_csv().replace("NILM", "NLIM", 2), encoding="utf-8")
    open_visits(page, address, path)
    expect(page.get_by_text("2 cells could not be read", exact=False)).to_be_visible()
    expect(page.get_by_text("to be mended", exact=False)).to_be_visible()
    page.get_by_role("button", name="Show").click()
    expect(page.get_by_text("NLIM” → NILM (2×)", exact=False)).to_be_visible()
    copy = download(page, "Download the corrected copy (CSV)").read_text(encoding="utf-8")
    assert copy.count("NILM") == sample_visits_csv().count("NILM")
    page.keyboard.press("Escape")
    page.get_by_role("button", name="Correct and read again").click()
    expect(page.get_by_text("This is the corrected copy of your file.")).to_be_visible()
    expect(page.get_by_text("could not be read")).to_have_count(0)
    expect(metric(page, "Needs correction")).to_contain_text("0")


def test_a_list_is_ordered_a_woman_opened_explained_and_imagined(page: Page, address: str, visits: Path) -> None:
    open_visits(page, address, visits)
    expect(page.get_by_text("40 women", exact=False).first).to_be_visible()
    highest = chosen_woman(page)
    open_row(page, 2)
    expect(page.get_by_role("heading", name=highest)).to_have_count(0)
    third = chosen_woman(page)
    choose(page, "Order", "Most visits first")
    page.get_by_text("they add up to her risk exactly", exact=False).wait_for()
    expect(page.get_by_text("for her ages and dates alone", exact=False)).to_be_visible()
    page.get_by_role("tab", name="What if").click()
    expect(metric(page, "hypothetical")).to_contain_text("+0.0 points")
    before = metric(page, "hypothetical").text_content() or ""
    choose(page, "Cytology", "NILM")
    expect(metric(page, "hypothetical")).not_to_have_text(before)
    page.get_by_role("button", name="Reset").click()
    expect(metric(page, "hypothetical")).to_have_text(before)
    expect(metric(page, "Patients scored")).to_contain_text("36")
    expect(page.get_by_text("women would be recalled", exact=False)).to_be_visible()

    page.reload()
    assert chosen_woman(page) == third, "another order and a reload leave her open"
    page.set_viewport_size({"width": 390, "height": 844})
    expect(page.locator("[class*=st-key-patients_list_]")).to_be_hidden()
    choose(page, "Patient", re.compile(highest))
    page.get_by_role("heading", name=highest).wait_for()


def test_the_whole_list_is_explained_on_request(page: Page, address: str, visits: Path) -> None:
    open_visits(page, address, visits)
    page.get_by_role("button", name="Explain the list").click()
    page.get_by_text("How one input acts").wait_for()
    expect(page.get_by_text("n = 36 of 36 patients", exact=False)).to_be_visible()
    expect(page.locator(".st-key-cohort_swarm .scatterlayer .trace").nth(3)).to_be_attached()


def test_scores_report_and_fhir_of_visits_are_taken_away(page: Page, address: str, visits: Path) -> None:
    open_visits(page, address, visits)
    table = download(page, "Download the scores (CSV)").read_text(encoding="utf-8").splitlines()
    assert len(table) == 41
    assert "risk_cin3-5y" in table[0]
    assert RESEARCH_NOTICE in table[1]
    assert fhir_release(download(page, "Download the scores (FHIR R5)"), women=40) == "R5"
    expect(page.get_by_text("At these risks the ladder says", exact=False)).to_be_visible()
    page.get_by_role("tab", name="Take away").click()
    one = download(page, "Her risk (FHIR R5)")
    assert fhir_release(one, women=1) == "R5"
    assert chosen_woman(page) in one.read_text(encoding="utf-8")
    assert fhir_release(download(page, "Her risk (FHIR R4)"), women=1) == "R4"
    report = pypdf.PdfReader(download(page, "Her page (PDF)")).pages[0].extract_text()
    assert RESEARCH_NOTICE in report
    assert "Why (Shapley values of visits)" in report


def test_the_real_uci_table_has_a_factor_sheet_and_papers(page: Page, address: str, data_dir: Path) -> None:
    page.goto(f"{address}/patient")
    page.locator("input[type=file]").set_input_files(data_dir / "tables/uci_risk_factors_cervical_cancer.csv")
    page.get_by_text("exactly additive to her risk").wait_for()
    expect(metric(page, "Patients scored")).to_contain_text("757")
    page.get_by_role("tab", name="Factor sheet").click()
    page.get_by_text("Prior diagnoses").wait_for()
    page.get_by_role("tab", name="What if").click()
    choose(page, "Factors to change", "Age (years)")
    page.keyboard.press("Escape")
    expect(metric(page, "Biopsy positive, hypothetical")).to_be_visible()

    table = download(page, "Download the scores (CSV)").read_text(encoding="utf-8").splitlines()
    assert len(table) == 859
    assert RESEARCH_NOTICE in table[1]
    assert fhir_release(download(page, "Download the scores (FHIR R5)"), women=858) == "R5"
    page.get_by_role("tab", name="Take away").click()
    report = pypdf.PdfReader(download(page, "Her page (PDF)")).pages[0].extract_text()
    assert RESEARCH_NOTICE in report
    assert fhir_release(download(page, "Her risk (FHIR R5)"), women=1) == "R5"


def test_a_scored_slide_stands_beside_a_history(page: Page, address: str, visits: Path) -> None:
    page.goto(f"{address}/slide")
    page.get_by_text("Server folders").click()
    page.get_by_role("button", name="Open slide").first.click()
    page.get_by_role("button", name="Score this slide").click()
    page.get_by_text("One tile, explained").wait_for(timeout=2 * WAIT_MS)
    open_visits(page, address, visits)
    page.get_by_role("tab", name="With a slide").click()
    expect(page.get_by_text("made up", exact=False).first).to_be_visible()
    choose(page, "Slide of her biopsy", "896 × 896 px")
    for by in ("slide alone", "history alone", "both together"):
        expect(metric(page, by)).to_contain_text("%")
    expect(page.get_by_text("Joint risk by single tiles", exact=False)).to_be_visible()


def test_no_pseudonym_or_file_name_reaches_the_log(home: Path, address: str) -> None:  # noqa: ARG001 - the app must have run
    log = (home / "app.log").read_text(encoding="utf-8", errors="replace")
    assert "Traceback" not in log
    assert "uci_risk_factors" not in log
    assert "misspelt" not in log
    pseudonym = sample_visits_csv().splitlines()[1].split(",")[0]
    assert pseudonym not in log


GERMAN = """sep=;
Kennung;Untersuchungsdatum;Alter;Zytologie;HPV-Befund;Histologie;Raucherin
w1;03.05.2018;32,5;II-a;nicht nachgewiesen;;nein
w1;04.05.2024;38,5;IVa-p;nachgewiesen;;nein
w2;02.03.2023;44,0;III D1;positiv;unauffällig;ja
"""


def test_a_german_export_goes_from_drop_to_risk(page: Page, address: str, tmp_path: Path) -> None:
    path = tmp_path / "export.csv"
    path.write_text(GERMAN, encoding="cp1252")
    page.goto(f"{address}/patient")
    page.locator("input[type=file]").set_input_files(path)
    page.get_by_text("Say which column is which", exact=False).wait_for()
    choose(page, "Pseudonym", "Kennung")
    page.get_by_role("button", name="Read it this way").click()
    page.get_by_text("Dates such as 03/04/2020 can be read two ways", exact=False).wait_for()
    page.get_by_text("day first: 3 April 2020").click()
    page.get_by_role("button", name="Read it this way").click()
    page.get_by_text("Her course", exact=True).wait_for()
    expect(metric(page, "Patients scored")).to_contain_text("2")
    expect(metric(page, "Needs correction")).to_contain_text("0")
    table = download(page, "Download the scores (CSV)").read_text(encoding="utf-8")
    assert "2024-05-04" in table
    risk = float(table.splitlines()[1].split(",")[table.splitlines()[0].split(",").index("risk_cin2-3y")])
    assert risk > 0.5


def test_a_woman_of_whom_a_cell_was_lost_is_marked_in_list_table_paper_and_fhir(
    page: Page, address: str, cases_dir: Path
) -> None:
    open_visits(page, address, cases_dir / "patients/x01_unused_column_costs_visit.csv")
    expect(metric(page, "Needs correction")).to_contain_text("1")
    page.get_by_text("To mend", exact=True).click()
    page.get_by_role("heading", name="P3").wait_for()
    expect(page.get_by_text("Incomplete: 1 cell could not be read.")).to_be_visible()
    assert ",1 cell could not be read," in download(page, "Download the scores (CSV)").read_text(encoding="utf-8")
    page.get_by_role("tab", name="Take away").click()
    expect(page.get_by_text("No guideline step is shown", exact=False)).to_be_visible()
    paper = pypdf.PdfReader(download(page, "Her page (PDF)")).pages[0].extract_text()
    assert "Incomplete: 1 cell could not be read." in paper
    assert "Incomplete: 1 cell could not be read." in download(page, "Her risk (FHIR R5)").read_text(encoding="utf-8")
