"""A newcomer's path through a real Chromium: real slide and real table in, answers read off the page."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from cervix import RESEARCH_NOTICE as NOTICE
from cervix.bundle import Bundle
from tests.browser.chromium import VIOLATION, WIDTHS, needs_browser, new_page, until_holds, watch
from tests.browser.server import SHIPPED, free_port, running_app

pytestmark = needs_browser


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def address(home: Path) -> Iterator[str]:
    with running_app(home, free_port(), **SHIPPED) as started:
        yield started


PAGES = {
    "": "Play the demo",
    "slide": "Drop a slide here",
    "patient": "Open a case, or bring a table",
    "archive": "No run has been started",
    "evidence": "Strongest rival",
    "evidence?evidence_view=card": "Held-out figures",
    "improve?improve_view=gather": "Nothing is gathered yet",
    "improve?improve_view=agree": "have been labelled yet",
    "improve?improve_view=audit": "No entries yet",
}
"""Address of a page without anything open -> what it says then."""


def test_the_first_page_shows_the_notice_a_verified_bundle_and_where_it_runs(
    page: Page, address: str, shipped_bundle: Bundle
) -> None:
    page.goto(address)
    page.get_by_role("button", name="Play the demo").wait_for()
    strip = page.locator(".st-key-strip")
    expect(strip).to_contain_text(NOTICE)
    expect(strip).to_contain_text("The slide model never saw a cervix.")
    strip.get_by_role("button", name=f"Bundle {shipped_bundle.manifest.version} · CPU").click()
    expect(page.get_by_text("recorded answers given again")).to_be_visible()
    expect(page.get_by_text("CPU (int8); chosen by CERVIX_DEVICE", exact=False)).to_be_visible()
    expect(page.get_by_text(shipped_bundle.manifest.first_of("tile").limits[0]).first).to_be_visible()


@pytest.mark.parametrize("width", WIDTHS.values(), ids=WIDTHS)
def test_no_page_is_wider_than_the_screen_or_shows_an_exception(browser: Browser, address: str, width: int) -> None:
    page = new_page(browser, viewport={"width": width, "height": 900})
    violations = watch(page)
    for path, landmark in PAGES.items():
        page.goto(f"{address}/{path}")
        page.get_by_text(landmark).first.wait_for()
        page.wait_for_timeout(300)
        assert not violations, path
        assert page.evaluate("document.querySelector('[data-testid=stMain]').scrollWidth") <= width, path
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
    with page.expect_response(lambda answer: "/slides/" in answer.url and "/slide/" in answer.url and answer.status == 200):
        page.goto(f"{address}/slide")
        page.get_by_role("link", name="Squamous-cell carcinoma").click()
        page.locator(".maplibregl-canvas").first.scroll_into_view_if_needed()
    page.locator(".cervix-scale-bar").wait_for()
    page.wait_for_timeout(1000)


def test_a_violation_would_be_noticed_and_a_foreign_picture_is_not_fetched(browser: Browser, address: str) -> None:
    page = new_page(browser)
    refused: dict[str, str] = {}
    # The browser announces a request and then does not send it.
    page.on("requestfailed", lambda request: refused.update({request.url: request.failure or ""}))
    violations = watch(page)
    page.goto(address)
    page.get_by_role("button", name="Play the demo").wait_for()
    page.evaluate("document.body.append(Object.assign(new Image(), {src: 'http://evil.example/a.png'}))")
    page.evaluate("document.body.append(Object.assign(document.createElement('script'), {text: 'window.ran = 1'}))")
    until_holds(page, lambda: len(violations) >= 2 and refused)
    page.close()
    assert [found.removeprefix(VIOLATION).split()[0] for found in violations] == ["img-src", "script-src-elem"]
    assert refused["http://evil.example/a.png"] == "csp"


def test_another_site_cannot_show_the_app_in_a_frame(page: Page, address: str) -> None:
    refused: list[str] = []
    page.on("requestfailed", lambda request: refused.append(request.failure or ""))
    page.set_content(f'<iframe src="{address}"></iframe>')
    until_holds(page, lambda: refused)
    assert refused == ["net::ERR_BLOCKED_BY_RESPONSE"]


def test_no_patient_data_reaches_the_log(home: Path, address: str) -> None:  # noqa: ARG001 - the app must have run
    log = (home / "app.log").read_text(encoding="utf-8", errors="replace")
    assert "Traceback" not in log
    assert "uci_risk_factors" not in log
    assert "CMU-1" not in log
