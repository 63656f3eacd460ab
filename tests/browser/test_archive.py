"""Many slides in the browser: the samples are scored while one watches, and one of them is opened in the viewer."""

from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.browser.chromium import WAIT_MS, needs_browser
from tests.browser.server import free_port, running_app

pytestmark = needs_browser
RUN_MS = 4 * WAIT_MS


@pytest.mark.slow
def test_the_sample_run_is_watched_to_its_end_and_a_slide_of_it_opened(page: Page, tmp_path: Path) -> None:
    with running_app(tmp_path / "home", free_port()) as address:
        page.goto(f"{address}/archive")
        page.get_by_role("button", name="Try it on the sample slides").click()
        # Streamlit has a button of that name too, while a page is being drawn.
        stop = page.get_by_test_id("stMain").get_by_role("button", name="Stop")
        expect(stop).to_be_visible()
        # As the run ends its figures stand there twice for a moment, those of before and those of the end.
        page.locator(".st-key-archive_figures", has_text="5 scored (100 %)").wait_for(timeout=RUN_MS)
        expect(stop).to_have_count(0)
        page.locator(".st-key-archive_actions").get_by_text("5 slides").wait_for()
        expect(page.get_by_role("button", name="Open in the viewer")).to_be_disabled()
        grid = page.get_by_test_id("stDataFrame")
        # The box of the first row: rows are drawn on a canvas.
        grid.click(position={"x": 16, "y": 62})
        page.get_by_role("button", name="Open in the viewer").click()
        page.locator("h1", has_text="Slide").wait_for()
        page.locator('[class*="st-key-slide_answer_"]').first.wait_for()
        expect(page.get_by_role("button", name="Exports")).to_be_visible()
        assert "tiff" not in page.url
