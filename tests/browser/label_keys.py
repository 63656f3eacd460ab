"""Keys at the label desk, pressed as a reader would: the case that comes next is looked at first."""

from playwright.sync_api import Page, TimeoutError

from tests.browser.chromium import WAIT_MS, until

TILE = "document.querySelector('[data-testid=stImage] img')?.src"
LOOK_MS = 400
AGAIN_AFTER_MS = 5_000


def press(page: Page, key: str) -> None:
    """A key, and the case that comes next looked at for a moment.

    The desk takes no answer to a case that was hardly shown, and on a busy machine a case is on the page before the desk
    knows it: then the key is pressed again, as a reader would.
    """
    before = page.evaluate(TILE)
    for _ in range(WAIT_MS // AGAIN_AFTER_MS):
        page.keyboard.press(key)
        try:
            until(page, f"{TILE} && {TILE} !== {before!r}", timeout_ms=AGAIN_AFTER_MS)
        except TimeoutError:
            continue
        page.wait_for_timeout(LOOK_MS)
        return
    raise AssertionError(f"key {key!r} brought no other case")
