"""A newcomer's path through a real Chromium: real slide and real table in, answers read off the page."""

import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from cervix.patients.visit_sample import sample_visits_csv
from tests.browser.chromium import CHROMIUM, LAUNCH_OPTIONS
from tests.browser.server import free_port, running_app

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None and not os.environ.get("CERVIX_REQUIRE_BROWSER"), reason="no Chromium is installed"),
]
WAIT_MS = 90_000
WIDTHS = {"desktop": 1440, "phone": 390}
NOTICE = "Research and demonstration only. Not a medical device."


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def address(home: Path) -> Iterator[str]:
    with running_app(home, free_port()) as started:
        yield started


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(**LAUNCH_OPTIONS)
        yield chromium
        chromium.close()


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    opened = browser.new_page(viewport={"width": WIDTHS["desktop"], "height": 1000})
    opened.set_default_timeout(WAIT_MS)
    yield opened
    opened.close()


def test_the_first_page_shows_a_verified_bundle_and_the_notice(page: Page, address: str) -> None:
    page.goto(address)
    page.get_by_text("golden replays passed").wait_for()
    expect(page.get_by_text(NOTICE)).to_be_visible()
    expect(page.get_by_text("CPU (int8); chosen by CERVIX_DEVICE")).to_be_visible()


def test_a_real_slide_is_uploaded_scored_and_explained_by_a_click(page: Page, address: str, data_dir: Path) -> None:
    tile_answers: list[int] = []
    page.on("response", lambda answer: tile_answers.append(answer.status) if "/slide/" in answer.url else None)
    page.goto(f"{address}/slides")
    page.locator("input[type=file]").set_input_files(data_dir / "slides/CMU-1-Small-Region.svs")
    expect(page.get_by_text("2,220 × 2,967", exact=True)).to_be_visible(timeout=WAIT_MS)
    page.get_by_role("button", name="Score this slide").click()
    page.get_by_text("No answer: not tissue the model knows").wait_for()
    page.get_by_text("100% of 50 tiles are unlike anything the model was trained on").wait_for()
    page.get_by_text("One tile, explained").wait_for()
    expect(page.get_by_test_id("stMain").get_by_role("button", name="Stop")).to_have_count(0)
    # The map of the running score gives way to the final one.
    page.wait_for_timeout(3000)
    canvas = page.locator(".maplibregl-canvas")
    expect(canvas).to_have_count(1)
    page.wait_for_function("performance.getEntriesByType('resource').some(entry => entry.name.includes('/scc/'))")
    assert 200 in tile_answers

    canvas.scroll_into_view_if_needed()
    box = canvas.bounding_box()
    assert box is not None
    page.wait_for_timeout(2000)
    page.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.get_by_text("Grad-CAM opacity").wait_for()
    expect(page.get_by_text("Grad-CAM:", exact=False).first).to_be_visible()
    expect(page.get_by_text("Novelty", exact=False).first).to_be_visible()

    picker = page.get_by_label("Click a tile on the map, or pick one by rank")
    clicked = picker.input_value()
    picker.click()
    page.get_by_role("option", name="1. carcinoma", exact=False).first.click()
    expect(picker).to_have_value(re.compile(r"^1\. carcinoma"))
    assert not clicked.startswith("1. ")

    with page.expect_download() as download:
        page.get_by_role("button", name="Download the tile table (CSV)").click()
    table = Path(download.value.path()).read_text(encoding="utf-8").splitlines()
    assert table[0].startswith("x_l0_px,y_l0_px,size_l0_px,tissue_fraction,p_benign,p_scc,p_ac,novelty,bundle")
    assert len(table) == 51
    assert NOTICE in table[1]


def test_the_map_keeps_its_place_when_a_tile_is_clicked_and_shows_tissue_beyond_full_resolution(
    page: Page, address: str, data_dir: Path
) -> None:
    enlarged: list[int] = []
    zoom = "document.querySelector('.js-plotly-plot')._fullLayout.map.zoom"
    page.on(
        "response",
        lambda answer: enlarged.append(answer.status) if re.search(r"/slide/(6|7|8)/", answer.url) else None,
    )
    page.goto(f"{address}/slides")
    page.locator("input[type=file]").set_input_files(data_dir / "slides/CMU-1-Small-Region.svs")
    page.get_by_text("One tile, explained").wait_for()
    canvas = page.locator(".maplibregl-canvas")
    canvas.scroll_into_view_if_needed()
    page.wait_for_timeout(2000)
    box = canvas.bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    start = page.evaluate(zoom)
    for _ in range(10):
        page.mouse.wheel(0, -300)
        page.wait_for_timeout(300)
    page.wait_for_timeout(1500)
    near = page.evaluate(zoom)
    assert near > start + 2
    page.mouse.click(box["x"] + box["width"] / 2 + 3, box["y"] + box["height"] / 2)
    page.get_by_text("Grad-CAM opacity").wait_for()
    page.wait_for_timeout(1000)
    assert page.evaluate(zoom) == near
    assert 200 in enlarged


def test_a_finished_score_is_there_again_after_a_reload(page: Page, address: str, data_dir: Path) -> None:
    page.goto(f"{address}/slides")
    page.locator("input[type=file]").set_input_files(data_dir / "slides/CMU-1-Small-Region.svs")
    page.get_by_text("No answer: not tissue the model knows").wait_for()
    expect(page.get_by_role("button", name="Score this slide")).to_have_count(0)


def test_scoring_can_be_stopped_and_started_again(page: Page, address: str) -> None:
    page.goto(f"{address}/slides")
    page.get_by_role("button", name="Try the sample slide").click()
    page.get_by_text("Generated phantom: nobody's tissue").wait_for()
    page.get_by_role("button", name="Score this slide").click()
    page.get_by_text("tiles/s", exact=False).first.wait_for()
    page.get_by_test_id("stMain").get_by_role("button", name="Stop").click()
    page.get_by_text("Scoring was stopped.").wait_for()
    expect(page.get_by_role("button", name="Score this slide")).to_be_visible()


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


def test_a_visit_file_is_uploaded_scored_and_downloaded(page: Page, address: str, tmp_path: Path) -> None:
    visits = tmp_path / "visits.csv"
    visits.write_text(sample_visits_csv(), encoding="utf-8")
    page.goto(f"{address}/patients")
    page.locator("input[type=file]").set_input_files(visits)
    page.get_by_text("risk after each visit").wait_for()
    expect(page.get_by_test_id("stMetric").filter(has_text="Patients scored")).to_contain_text("40")
    with page.expect_download() as download:
        page.get_by_role("button", name="Download the scores (CSV)").click()
    table = Path(download.value.path()).read_text(encoding="utf-8").splitlines()
    assert len(table) == 41
    assert "risk_cin3-5y" in table[0]
    assert NOTICE in table[1]


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
