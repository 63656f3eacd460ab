"""``python -m benchmarks pictures``: the pictures of README and documents, taken anew from the running app."""

import io
import tempfile
from pathlib import Path

import pandas as pd
from PIL import Image
from playwright.sync_api import Browser, Page, sync_playwright

from cervix.settings import PROJECT_ROOT
from pages.parts.start.tour_steps import STEPS
from tests.browser.chromium import LAUNCH_OPTIONS
from tests.browser.server import SHIPPED, free_port, running_app

FOLDER = PROJECT_ROOT / "docs" / "images"
SIZES = {"1440": (1440, 900), "1366": (1366, 768), "390": (390, 844)}
PATIENCE_MS = 120_000
COLOURS = 128
SETTLED_MS = 2_500
STRIP_WIDTH_PX = {"1440": 480, "1366": 480, "390": 195}
COLUMNS = {"1440": 3, "1366": 3, "390": 6}
README = {
    "start": "",
    "slide": "slide?case=squamous",
    "patient": "patient?case=rising",
    "evidence": "evidence",
}


def pictures(_: int) -> pd.DataFrame:
    """Four pages for the README, and every step of the tour on three screens; returns what was written."""
    FOLDER.mkdir(exist_ok=True)
    with sync_playwright() as playwright, tempfile.TemporaryDirectory() as home:
        browser = playwright.chromium.launch(**LAUNCH_OPTIONS)
        with running_app(Path(home), free_port(), **SHIPPED) as address:
            for name, path in README.items():
                _page(browser, f"{address}/{path}", FOLDER / f"{name}.png")
            for name, size in SIZES.items():
                shots = _tour(browser, address, size)
                _sheet(shots, COLUMNS[name], STRIP_WIDTH_PX[name]).save(FOLDER / f"tour-{name}.png", optimize=True)
        browser.close()
    return pd.DataFrame([{"picture": path.name, "kB": path.stat().st_size // 1000} for path in sorted(FOLDER.glob("*.png"))])


def _page(browser: Browser, address: str, path: Path) -> None:
    page = browser.new_page(viewport={"width": 1366, "height": 768}, reduced_motion="reduce")
    page.set_default_timeout(PATIENCE_MS)
    page.goto(address)
    if "slide" in address:
        page.get_by_role("button", name="Exports").wait_for()
    _settle(page)
    _small(page.screenshot()).save(path, optimize=True)
    page.close()


def _tour(browser: Browser, address: str, size: tuple[int, int]) -> list[Image.Image]:
    page = browser.new_page(viewport={"width": size[0], "height": size[1]}, reduced_motion="reduce")
    page.set_default_timeout(PATIENCE_MS)
    page.goto(address)
    page.get_by_role("button", name="Play the demo").click()
    shots = []
    for number, step in enumerate(STEPS, start=1):
        page.locator("#cervix-tour .count", has_text=f"{number} of {len(STEPS)}").wait_for()
        if number == 1:
            page.keyboard.press("Space")
        for selector in step.press:
            page.locator(selector).first.evaluate("button => button.click()")  # as the tour does, whatever lies over it
            _settle(page)
        page.locator("#cervix-tour .light:not([hidden])").wait_for()
        if step.params.get("case") in ("squamous", "muscle"):
            page.get_by_role("button", name="Exports").wait_for()
        _settle(page)
        shots.append(Image.open(io.BytesIO(page.screenshot())))
        page.keyboard.press("ArrowRight")
    page.close()
    return shots


def _settle(page: Page) -> None:
    page.locator("[data-testid=stApp][data-test-script-state=notRunning]").wait_for()
    page.wait_for_timeout(SETTLED_MS)


def _small(content: bytes) -> Image.Image:
    return Image.open(io.BytesIO(content)).convert("RGB").quantize(COLOURS)


def _sheet(shots: list[Image.Image], columns: int, width_px: int) -> Image.Image:
    """Every shot in one picture, in their order."""
    height_px = round(width_px * shots[0].height / shots[0].width)
    rows = -(-len(shots) // columns)
    sheet = Image.new("RGB", (columns * (width_px + 8) - 8, rows * (height_px + 8) - 8), "white")
    for place, shot in enumerate(shots):
        small = shot.convert("RGB").resize((width_px, height_px), Image.Resampling.LANCZOS)
        sheet.paste(small, (place % columns * (width_px + 8), place // columns * (height_px + 8)))
    return sheet.quantize(COLOURS)
