"""The demonstration in Chromium: what a visitor waits for, from the command on."""

import statistics
import tempfile
import time
from pathlib import Path

import pandas as pd
from playwright.sync_api import Browser, Page, sync_playwright

from tests.browser.chromium import LAUNCH_OPTIONS
from tests.browser.server import SHIPPED, free_port, running_app

PATIENCE_MS = 90_000
PAGES = ("Slide", "Patient", "Archive", "Evidence", "Improve", "Start")
WANTED_S = {
    "command to the first page": 6.0,
    "another page": 0.5,
    "Evidence, the first time": 1.5,
    "case to its provisional answer": 4.0,
    "case to its end": 15.0,
}


def demo(runs: int) -> pd.DataFrame:
    """Seconds, medians over new servers: cold start, change of page, first Evidence, a case of the shelf."""
    took: dict[str, list[float]] = {what: [] for what in WANTED_S}
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(**LAUNCH_OPTIONS)
        for _ in range(runs):
            _one_visit(browser, took)
        browser.close()
    return pd.DataFrame(
        [
            {"what": what, "n": len(seconds), "median, s": round(statistics.median(seconds), 2),
             "slowest, s": round(max(seconds), 2), "wanted, s": f"<= {WANTED_S[what]:g}"}
            for what, seconds in took.items()
        ]
    )  # fmt: skip


def _one_visit(browser: Browser, took: dict[str, list[float]]) -> None:
    with tempfile.TemporaryDirectory() as home:
        before = time.perf_counter()
        with running_app(Path(home), free_port(), **SHIPPED) as address:
            page = browser.new_page(viewport={"width": 1366, "height": 768})
            page.set_default_timeout(PATIENCE_MS)
            page.goto(address)
            page.get_by_role("button", name="Play the demo").wait_for()
            took["command to the first page"].append(time.perf_counter() - before)
            took["Evidence, the first time"].append(_turn(page, "Evidence"))
            for number, name in enumerate(PAGES * 2):
                seconds = _turn(page, name)
                # The first visit of a page loads its libraries.
                if number >= len(PAGES):
                    took["another page"].append(seconds)
            before = time.perf_counter()
            page.get_by_role("link", name="Squamous-cell carcinoma").click()
            page.locator('[class*="st-key-slide_answer_2"]').wait_for()
            took["case to its provisional answer"].append(time.perf_counter() - before)
            page.get_by_role("button", name="Exports").wait_for()
            took["case to its end"].append(time.perf_counter() - before)
            page.close()


def _turn(page: Page, name: str) -> float:
    """Seconds from a click in the navigation to the title of the page."""
    before = time.perf_counter()
    page.get_by_test_id("stTopNavLink").filter(has_text=name).click()
    page.locator("h1", has_text="Cervix Workbench" if name == "Start" else name).wait_for()
    return time.perf_counter() - before
