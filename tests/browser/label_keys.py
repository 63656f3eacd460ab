"""Keys at the label desk, pressed as a reader would: the case that comes next is looked at first."""

from playwright.sync_api import Page

TILE = "document.querySelector('[data-testid=stImage] img')?.src"
LOOK_MS = 400


def press(page: Page, key: str) -> None:
    """A key, and the case that comes next looked at for a moment."""
    before = page.evaluate(TILE)
    page.keyboard.press(key)
    page.wait_for_function(f"{TILE} && {TILE} !== {before!r}")
    page.wait_for_timeout(LOOK_MS)
