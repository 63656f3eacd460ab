"""A newcomer's path through a real Chromium: real slide and real table in, answers read off the page."""

from collections.abc import Iterator
from pathlib import Path

import pypdf
import pytest
from fhir.resources.bundle import Bundle as FhirBundle
from playwright.sync_api import Browser, Page, expect

from cervix.patients.visit_sample import sample_visits_csv
from tests.browser.chromium import WAIT_MS, WIDTHS, needs_browser
from tests.browser.server import free_port, running_app

pytestmark = needs_browser
NOTICE = "Research and demonstration only. Not a medical device."


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def address(home: Path) -> Iterator[str]:
    with running_app(home, free_port()) as started:
        yield started


def test_the_first_page_shows_a_verified_bundle_and_the_notice(page: Page, address: str) -> None:
    page.goto(address)
    page.get_by_text("golden replays passed").wait_for()
    expect(page.get_by_text(NOTICE)).to_be_visible()
    expect(page.get_by_text("CPU (int8); chosen by CERVIX_DEVICE")).to_be_visible()


def test_the_real_uci_table_is_uploaded_scored_and_explained(page: Page, address: str, data_dir: Path) -> None:
    page.goto(f"{address}/patients")
    page.locator("input[type=file]").set_input_files(data_dir / "tables/uci_risk_factors_cervical_cancer.csv")
    page.get_by_text("exactly additive").wait_for()
    scored = page.get_by_test_id("stMetric").filter(has_text="Patients scored")
    expect(scored).to_contain_text("858")
    with page.expect_download() as download:
        page.get_by_role("button", name="Download the scores (CSV)").click()
    table = Path(download.value.path()).read_text(encoding="utf-8").splitlines()
    assert len(table) == 859
    assert NOTICE in table[1]


def test_visits_are_uploaded_ranked_explained_imagined_and_taken_away(page: Page, address: str, tmp_path: Path) -> None:
    visits = tmp_path / "visits.csv"
    visits.write_text(sample_visits_csv(), encoding="utf-8")

    def download(label: str) -> Path:
        with page.expect_download() as got:
            page.get_by_role("button", name=label).click()
        return Path(got.value.path())

    page.goto(f"{address}/patients")
    page.locator("input[type=file]").set_input_files(visits)
    page.get_by_text("What the model would have said at each visit").wait_for()
    expect(page.get_by_test_id("stMetric").filter(has_text="Patients scored")).to_contain_text("40")
    expect(page.get_by_text("women would be recalled", exact=False)).to_be_visible()

    page.get_by_role("tab", name="Why her").click()
    page.get_by_text("they add up to her risk exactly", exact=False).wait_for()
    expect(page.get_by_text("for her ages and dates alone", exact=False)).to_be_visible()
    page.get_by_role("tab", name="What if").click()
    before = page.get_by_test_id("stMetric").filter(has_text="hypothetical").first.inner_text()
    page.get_by_role("combobox", name="Cytology").click()
    page.get_by_role("option", name="HSIL", exact=True).click()
    expect(page.get_by_test_id("stMetric").filter(has_text="hypothetical").first).not_to_have_text(before)

    table = download("Download the scores (CSV)").read_text(encoding="utf-8").splitlines()
    assert len(table) == 41
    assert "risk_cin3-5y" in table[0]
    assert NOTICE in table[1]
    whole = FhirBundle.model_validate_json(download("Download the scores (FHIR R5)").read_bytes())
    assert len(whole.entry) == 40
    page.get_by_role("tab", name="Guideline and export").click()
    expect(page.get_by_text("At these risks the ladder says", exact=False)).to_be_visible()
    one = FhirBundle.model_validate_json(download("Her risk (FHIR R5)").read_bytes())
    assert len(one.entry) == 1
    report = pypdf.PdfReader(download("Her page (PDF)")).pages[0].extract_text()
    assert NOTICE in report
    assert "Why (Shapley values of visits)" in report


@pytest.mark.parametrize("width", WIDTHS.values(), ids=WIDTHS)
@pytest.mark.parametrize(
    ("path", "landmark"),
    [
        ("", "golden replays passed"),
        ("slides", "Upload a slide or try the sample"),
        ("patients", "Upload a table or try a sample"),
        ("performance", "Beside simple rivals"),
        ("performance", "The published recipe, reproduced"),
        ("model_card", "Held-out figures"),
    ],
)
def test_no_page_is_wider_than_the_screen_or_shows_an_exception(
    browser: Browser, address: str, width: int, path: str, landmark: str
) -> None:
    page = browser.new_page(viewport={"width": width, "height": 900})
    page.set_default_timeout(WAIT_MS)
    page.goto(f"{address}/{path}")
    page.get_by_text(landmark).first.wait_for()
    page.wait_for_timeout(500)
    assert page.evaluate("document.querySelector('[data-testid=stMain]').scrollWidth") <= width
    expect(page.get_by_test_id("stException")).to_have_count(0)
    expect(page.get_by_text(NOTICE).first).to_be_visible()
    page.close()


def test_nothing_is_fetched_from_elsewhere(page: Page, address: str) -> None:
    hosts: set[str] = set()
    page.on("request", lambda request: hosts.add(request.url.split("/")[2]) if request.url.startswith("http") else None)
    page.goto(f"{address}/performance")
    page.get_by_text("ROC curve").wait_for()
    page.wait_for_timeout(1000)
    assert hosts == {address.removeprefix("http://")}


def test_no_patient_data_reaches_the_log(home: Path, address: str) -> None:  # noqa: ARG001 - the app must have run
    log = (home / "app.log").read_text(encoding="utf-8", errors="replace")
    assert "Traceback" not in log
    assert "uci_risk_factors" not in log
    assert "CMU-1" not in log
