"""How a headless Chromium is found and started, and what a person does in it over and over."""

import os
import re
import shutil
import time
from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, FloatRect, Locator, Page, Response, TimeoutError

NAMES = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome")
"""The first that is installed. The one without windows needs a third less processor time."""
CHROMIUM = next(filter(None, map(shutil.which, NAMES)), None)
LAUNCH_OPTIONS = {
    "executable_path": CHROMIUM,
    "args": [
        "--no-sandbox",
        "--use-gl=angle",
        "--use-angle=swiftshader",
        "--enable-unsafe-swiftshader",
        # WebGL alone, for the map, is drawn in software as a graphics card would: pages drawn so take three times as long.
        "--disable-gpu-compositing",
        "--disable-gpu-rasterization",
        "--disable-background-networking",
        "--disable-component-update",
        "--no-first-run",
    ],
}
WAIT_MS = 180_000
POLL_MS = 5
OPENED_MS = 3_000
WIDTHS = {"desktop": 1440, "phone": 390}
ROOT = "#root"
"""What the app's page has before anything is drawn; files that are opened have none."""
DRAWN = "[data-testid=stApp][data-test-script-state=notRunning]"
"""The app while none of its pages is being drawn."""
VIOLATION = "violation of the policy: "
TELL_VIOLATIONS = (
    "document.addEventListener('securitypolicyviolation', found => "
    f"console.error('{VIOLATION}' + found.violatedDirective + ' ' + found.blockedURI + ' ' + found.sourceFile))"
)


STILL = """addEventListener('DOMContentLoaded', () => {
    const style = document.createElement('style')
    style.textContent = '*, *::before, *::after { animation: none !important; transition: none !important; }'
    document.head.append(style)
})"""
"""Nothing moves by itself: every picture of a movement is drawn in software."""


def watch(page: Page) -> list[str]:
    """What a page will have done that its Content-Security-Policy forbids, those included that its scripts catch."""
    found: list[str] = []
    page.add_init_script(TELL_VIOLATIONS)
    page.on("console", lambda told: found.append(told.text) if told.text.startswith(VIOLATION) else None)
    return found


def new_page(browser: Browser | BrowserContext, **options: Any) -> Page:
    """A page with patience, on which an address is open when the app has drawn it.

    A click on a page still being drawn for the first time may go nowhere. ``options``: as ``Browser.new_page`` takes them.
    """
    page = browser.new_page(**options)
    page.set_default_timeout(WAIT_MS)
    goto = page.goto

    def opened(url: str, **options: Any) -> Response | None:
        answer = goto(url, **options)
        if page.locator(ROOT).count():
            page.locator(DRAWN).wait_for()
        return answer

    page.goto = opened
    return page


def until(page: Page, expression: str, argument: object = None, timeout_ms: float = WAIT_MS) -> None:
    """Wait until an expression is true on a page.

    ``Page.wait_for_function`` evaluates within the page, which the page's own policy forbids; ``Page.evaluate`` does not.
    Raises Playwright's ``TimeoutError``.
    """
    deadline = time.monotonic() + timeout_ms / 1e3
    while not page.evaluate(expression, argument):
        if time.monotonic() > deadline:
            raise TimeoutError(f"not true within {timeout_ms / 1e3:g} s: {expression}")
        page.wait_for_timeout(POLL_MS)


def until_holds(page: Page, holds: Callable[[], object], timeout_ms: float = WAIT_MS) -> None:
    """Wait, while the page goes on, until something outside it is true, such as what its events have told.

    Raises Playwright's ``TimeoutError``.
    """
    deadline = time.monotonic() + timeout_ms / 1e3
    while not holds():
        if time.monotonic() > deadline:
            raise TimeoutError(f"did not come about within {timeout_ms / 1e3:g} s")
        page.wait_for_timeout(POLL_MS)


def box_of(page: Page, part: Locator, timeout_ms: float = WAIT_MS) -> FloatRect:
    """Where a part stands on the screen, in CSS pixels; one that is being drawn anew, or stands there twice, is waited for.

    Raises Playwright's ``TimeoutError``.
    """
    deadline = time.monotonic() + timeout_ms / 1e3
    while True:
        boxes = [found.bounding_box() for found in part.all()]
        if len(boxes) == 1 and boxes[0] is not None:
            return boxes[0]
        if time.monotonic() > deadline:
            raise TimeoutError(f"not on the screen within {timeout_ms / 1e3:g} s: {part}")
        page.wait_for_timeout(POLL_MS)


def choose(page: Page, label: str, option: str | re.Pattern[str], timeout_ms: float = WAIT_MS) -> None:
    """Pick the first fitting option of a list; a list that closes because the page moves beneath it is opened again.

    Raises Playwright's ``TimeoutError``.
    """
    deadline = time.monotonic() + timeout_ms / 1e3
    box = page.get_by_role("combobox", name=label)
    while True:
        box.click()
        try:
            page.get_by_role("option", name=option).first.click(timeout=OPENED_MS)
        except TimeoutError:
            if time.monotonic() > deadline:
                raise
            page.keyboard.press("Escape")
        else:
            return


needs_browser = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None and not os.environ.get("CERVIX_REQUIRE_BROWSER"), reason="no Chromium is installed"),
]
