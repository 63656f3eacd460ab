"""A newcomer's path through a real Chromium: real slide and real table in, answers read off the page."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from cervix import RESEARCH_NOTICE as NOTICE
from cervix.bundle import Bundle
from tests.browser.chromium import VIOLATION, WAIT_MS, WIDTHS, needs_browser, until, watch
from tests.browser.server import SHIPPED, free_port, running_app

pytestmark = needs_browser


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def address(home: Path) -> Iterator[str]:
    with running_app(home, free_port(), **SHIPPED) as started:
        yield started


def test_the_first_page_shows_a_verified_bundle_the_notice_and_what_the_slide_model_was_made_from(
    page: Page, address: str, shipped_bundle: Bundle
) -> None:
    page.goto(address)
    page.get_by_text("golden replays passed").wait_for()
    banner = page.get_by_test_id("stAlert").filter(has_text=NOTICE)
    expect(banner).to_be_visible()
    expect(banner).to_contain_text(shipped_bundle.manifest.first_of("tile").limits[0])
    expect(page.get_by_text("CPU (int8); chosen by CERVIX_DEVICE")).to_be_visible()


@pytest.mark.parametrize("width", WIDTHS.values(), ids=WIDTHS)
@pytest.mark.parametrize(
    ("path", "landmark"),
    [
        ("", "golden replays passed"),
        ("slides", "Upload a slide or try a sample"),
        ("patients", "Upload a table or try a sample"),
        ("performance", "Strongest rival."),
        ("model_card", "Held-out figures"),
        ("label_desk", "Nothing to label yet"),
        ("readers", "Nothing to label yet"),
        ("retrain", "No case has been given to readers yet"),
        ("compare", "Nothing to compare yet"),
        ("audit", "No entries yet"),
    ],
)
def test_no_page_is_wider_than_the_screen_or_shows_an_exception(
    browser: Browser, address: str, width: int, path: str, landmark: str
) -> None:
    page = browser.new_page(viewport={"width": width, "height": 900})
    page.set_default_timeout(WAIT_MS)
    violations = watch(page)
    page.goto(f"{address}/{path}")
    page.get_by_text(landmark).first.wait_for()
    page.wait_for_timeout(500)
    assert not violations
    assert page.evaluate("document.querySelector('[data-testid=stMain]').scrollWidth") <= width
    expect(page.get_by_test_id("stException")).to_have_count(0)
    expect(page.get_by_text(NOTICE).first).to_be_visible()
    page.close()


def test_nothing_is_fetched_from_elsewhere(page: Page, address: str) -> None:
    hosts: set[str] = set()
    page.on("request", lambda request: hosts.add(request.url.split("/")[2]) if request.url.startswith("http") else None)
    page.goto(f"{address}/evidence")
    page.get_by_text("ROC curve").wait_for()
    page.wait_for_timeout(1000)
    assert hosts == {address.removeprefix("http://")}


def test_the_sample_slide_s_map_is_drawn_within_the_policy(page: Page, address: str) -> None:
    tiles: list[int] = []
    page.on(
        "response", lambda answer: tiles.append(answer.status) if "/slides/" in answer.url and "/slide/" in answer.url else None
    )
    page.goto(f"{address}/slide")
    page.get_by_role("link", name="Squamous-cell carcinoma").click()
    page.locator(".maplibregl-canvas").first.scroll_into_view_if_needed()
    page.locator(".cervix-scale-bar").wait_for()
    until(page, "performance.getEntriesByType('resource').some(entry => /\\/slides\\/.*\\/slide\\//.test(entry.name))")
    page.wait_for_timeout(1000)
    assert 200 in tiles


def test_a_violation_would_be_noticed_and_a_foreign_picture_is_not_fetched(browser: Browser, address: str) -> None:
    page = browser.new_page()
    refused: dict[str, str] = {}
    # The browser announces a request and then does not send it.
    page.on("requestfailed", lambda request: refused.update({request.url: request.failure or ""}))
    violations = watch(page)
    page.goto(address)
    page.get_by_text("golden replays passed").wait_for()
    page.evaluate("document.body.append(Object.assign(new Image(), {src: 'http://evil.example/a.png'}))")
    page.evaluate("document.body.append(Object.assign(document.createElement('script'), {text: 'window.ran = 1'}))")
    page.wait_for_timeout(300)
    page.close()
    assert [found.removeprefix(VIOLATION).split()[0] for found in violations] == ["img-src", "script-src-elem"]
    assert refused["http://evil.example/a.png"] == "csp"


def test_another_site_cannot_show_the_app_in_a_frame(page: Page, address: str) -> None:
    refused: list[str] = []
    page.on("requestfailed", lambda request: refused.append(request.failure or ""))
    page.set_content(f'<iframe src="{address}"></iframe>')
    page.wait_for_timeout(500)
    assert refused == ["net::ERR_BLOCKED_BY_RESPONSE"]


def test_no_patient_data_reaches_the_log(home: Path, address: str) -> None:  # noqa: ARG001 - the app must have run
    log = (home / "app.log").read_text(encoding="utf-8", errors="replace")
    assert "Traceback" not in log
    assert "uci_risk_factors" not in log
    assert "CMU-1" not in log
