"""Every page in both themes: no serious fault of accessibility, the answer to every key, no page wider than the screen."""

from collections.abc import Iterator
from pathlib import Path

import axe_playwright_python
import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.chromium import DRAWN, needs_browser, new_page
from tests.browser.server import SHIPPED, free_port, running_app

pytestmark = needs_browser
AXE = (Path(axe_playwright_python.__file__).parent / "axe.min.js").read_text(encoding="utf-8")
ADDRESSES = {
    "start": "",
    "slide": "slide",
    "patient": "patient",
    "a woman": "patient?case=rising",
    "archive": "archive",
    "evidence": "evidence",
    "card": "evidence?evidence_view=card",
    "label": "improve?improve_view=label",
    "audit": "improve?improve_view=audit",
}
GRAVE = ("serious", "critical")
# What Streamlit itself does and no page can mend, by axe's rule and the element.
STREAMLIT_S_OWN = {
    # The main block is focusable without a role.
    ("scrollable-region-focusable", "stMain"),
}


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with running_app(tmp_path_factory.mktemp("home"), free_port(), **SHIPPED) as started:
        yield started


def settled(page: Page) -> None:
    page.locator(DRAWN).wait_for()
    expect(page.locator("[data-stale=true]")).to_have_count(0)
    page.wait_for_timeout(600)


def grave_faults(page: Page) -> list[str]:
    """What axe-core calls serious or critical, with the element that has it. Run by the browser, not by the page."""
    page.evaluate(AXE)
    found = page.evaluate("axe.run(document, {resultTypes: ['violations']})")
    return [
        f"{fault['id']}: {node['html'][:160]} {node.get('failureSummary', '')[:200]}"
        for fault in found["violations"]
        if fault["impact"] in GRAVE
        for node in fault["nodes"]
        if not any(fault["id"] == rule and part in node["html"] for rule, part in STREAMLIT_S_OWN)
    ]


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_no_page_has_a_serious_fault_of_accessibility(browser: Browser, address: str, theme: str) -> None:
    page = new_page(
        browser,
        viewport={"width": 1366, "height": 768},
        color_scheme="light" if theme == "light" else "dark",
        reduced_motion="reduce",
    )
    faults: dict[str, list[str]] = {}
    for name, path in ADDRESSES.items():
        page.goto(f"{address}/{path}")
        settled(page)
        faults[name] = grave_faults(page)
    page.close()
    assert {name: found for name, found in faults.items() if found} == {}


def test_on_a_phone_the_pages_are_one_tap_away_and_no_drawer_lies_over_them(browser: Browser, address: str) -> None:
    page = new_page(browser, viewport={"width": 390, "height": 844}, reduced_motion="reduce")
    page.goto(address)
    page.locator(".st-key-phone_nav").get_by_role("link", name="Patient").click()
    page.locator("h1", has_text="Patient").wait_for()
    expect(page.get_by_test_id("stSidebar")).to_be_hidden()
    expect(page.locator(".st-key-phone_nav").get_by_role("link", name="Improve")).to_be_in_viewport(ratio=1)
    page.close()
