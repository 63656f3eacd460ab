"""The tour driven through in a real Chromium: every step lights its part of the page, and nothing of it is left."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from pages.parts.start.tour_steps import STEPS
from tests.browser.chromium import DRAWN, needs_browser, until
from tests.browser.server import SHIPPED, free_port, running_app

pytestmark = [*needs_browser, pytest.mark.slow]
CARD, LIGHT = "#cervix-tour .card", "#cervix-tour .light:not([hidden])"
KEPT = {"app.log"}
ANSWERS_WITHIN_MS = 1_000
"""So long the server is given to answer a wish; its answer must not undo a later one."""


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


@pytest.fixture
def sandboxes(tmp_path: Path) -> Path:
    """Where the server makes its sandboxes."""
    (tmp_path / "tmp").mkdir()
    return tmp_path / "tmp"


@pytest.fixture
def address(home: Path, sandboxes: Path) -> Iterator[str]:
    with running_app(home, free_port(), **SHIPPED, TMPDIR=str(sandboxes)) as started:
        yield started


def files_of(home: Path) -> set[str]:
    return {str(path.relative_to(home)) for path in home.rglob("*") if path.is_file()}


def test_every_step_is_lit_and_what_it_did_is_gone_afterwards(page: Page, address: str, home: Path, sandboxes: Path) -> None:
    page.set_viewport_size({"width": 1366, "height": 768})
    page.goto(address)
    page.get_by_role("button", name="Play the demo").wait_for()
    before = files_of(home)
    page.get_by_role("button", name="Play the demo").click()
    page.locator(CARD).wait_for()
    page.keyboard.press("Space")
    expect(page.locator("#cervix-tour .hold")).to_have_text("Play")
    for number, step in enumerate(STEPS, start=1):
        expect(page.locator("#cervix-tour h2")).to_have_text(step.title, timeout=60_000)
        expect(page.locator("#cervix-tour .count")).to_have_text(f"{number} of {len(STEPS)}")
        page.locator(LIGHT).wait_for()
        expect(page.get_by_test_id("stException")).to_have_count(0)
        for selector in step.press:
            page.locator(selector).first.evaluate("button => button.click()")
            page.wait_for_timeout(1_000)
            page.locator(DRAWN).wait_for()
        assert list(sandboxes.glob("cervix-demo-*")), "it plays in a sandbox"
        page.keyboard.press("ArrowRight")
    expect(page.locator(CARD)).to_have_count(0)
    expect(page.get_by_text("Sandbox")).to_have_count(0)
    assert not list(sandboxes.glob("cervix-demo-*"))
    # Figures of the bundle, made ahead for whoever comes, are no trace of the visitor.
    assert {name for name in files_of(home) - before if not name.startswith("figures/")} <= KEPT


def test_it_goes_on_by_itself_and_stops_for_whoever_touches_the_page(page: Page, address: str) -> None:
    page.goto(address)
    page.get_by_role("button", name="Play the demo").click()
    page.locator(LIGHT).wait_for()
    page.mouse.click(5, 300)
    expect(page.locator("#cervix-tour .hold")).to_have_text("Play")
    page.wait_for_timeout(ANSWERS_WITHIN_MS)
    expect(page.locator("#cervix-tour .hold")).to_have_text("Play")
    page.locator("#cervix-tour .hold").click()
    page.mouse.click(5, 300)
    page.locator("#cervix-tour .hold").click()
    page.wait_for_timeout(ANSWERS_WITHIN_MS)
    expect(page.locator("#cervix-tour .hold")).to_have_text("Pause")
    expect(page.locator("#cervix-tour .count")).to_have_text(f"2 of {len(STEPS)}", timeout=60_000)
    page.keyboard.press("Escape")
    expect(page.locator(CARD)).to_have_count(0)
    until(page, "location.pathname.endsWith('/slide')")
