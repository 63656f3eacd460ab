"""One Chromium a module, a fresh page a test.

Not one for the session: Playwright keeps an event loop running in the main thread while it lives, and other tests need it.
"""

from collections.abc import Generator, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from tests.browser.chromium import LAUNCH_OPTIONS, STILL, WAIT_MS, WIDTHS, new_page, watch

expect.set_options(timeout=WAIT_MS / 3)
SHOWN_CHARACTERS = 2_000


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Function) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """What stood on the page when a test failed is printed with it."""
    report = yield
    page = item.funcargs.get("page")
    if report.when == "call" and report.failed and isinstance(page, Page) and not page.is_closed():
        report.sections.append((f"the page {page.url}", page.locator("body").inner_text()[:SHOWN_CHARACTERS]))
    return report


@pytest.fixture(scope="module", autouse=True)
def _made_bundle(bundle_root: Path) -> Iterator[None]:
    """Servers started here use the made bundle, where they are told nothing else."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CERVIX_BUNDLE_DIR", str(bundle_root))
        yield


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(**LAUNCH_OPTIONS)
        yield chromium
        chromium.close()


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    opened = new_page(browser, viewport={"width": WIDTHS["desktop"], "height": 1000}, reduced_motion="reduce")
    opened.add_init_script(STILL)
    violations = watch(opened)
    yield opened
    opened.close()
    assert not violations, "the app's own pages do what its Content-Security-Policy forbids"
