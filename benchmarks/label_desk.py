"""The label desk in Chromium: from a key to the next case."""

import statistics
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from cervix.bundle import Bundle, load_bundle
from cervix.intake.shelf import remember
from cervix.labels import open_store
from cervix.labels.gathering.tiles import gather_tiles, keep_cases
from cervix.settings import PROJECT_ROOT
from cervix.slides.phantom import PHANTOM_SPACING_UM_PX, phantom_region
from cervix.slides.pyramid import write_pyramid
from cervix.slides.results import save_score
from cervix.slides.scoring import score_slide
from cervix.sources.opening import open_slide

SIDE_PX = 2688
CASES = 60
KEYS = 30
LIMIT_MS = 200
LOOK_MS = 700
"""How long each tile is looked at: the next one is loaded meanwhile."""
WANTED_AN_HOUR = 2000


def label_desk(runs: int) -> pd.DataFrame:
    """Thirty keys over prepared tiles, timed inside the page from the key to the next tile drawn; the page is warm."""
    from playwright.sync_api import sync_playwright

    from tests.browser.chromium import LAUNCH_OPTIONS
    from tests.browser.server import free_port, running_app

    bundle = load_bundle(PROJECT_ROOT / "bundle", device="cpu")
    took: list[float] = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(**LAUNCH_OPTIONS)
        for _ in range(runs):
            with tempfile.TemporaryDirectory() as folder:
                home = Path(folder)
                _prepare(home, bundle)
                with running_app(home, free_port()) as address:
                    page = browser.new_page(viewport={"width": 1440, "height": 1000})
                    page.goto(f"{address}/improve?improve_view=label")
                    page.get_by_role("button", name="Unsure").wait_for(timeout=90_000)
                    page.wait_for_timeout(3000)
                    took += [_key(page, str(1 + number % 3)) for number in range(KEYS)]
                    page.close()
        browser.close()
    median, slow = statistics.median(took), float(np.quantile(took, 0.95))
    allowed = 3_600_000 / median
    return pd.DataFrame(
        {
            "keys": [len(took)],
            "key to next tile, median ms": [round(median)],
            "p95 ms": [round(slow)],
            "wanted, ms": [f"<= {LIMIT_MS}"],
            "tiles/h at no look": [round(allowed, -2)],
            f"s left to look at {WANTED_AN_HOUR:,}/h": [round(3600 / WANTED_AN_HOUR - median / 1000, 2)],
        }
    )


def _prepare(home: Path, bundle: Bundle) -> None:
    """A scored slide on the shelf and sixty of its tiles in the store."""
    path = home / "phantom.tiff"
    write_pyramid(path, phantom_region(SIDE_PX, SIDE_PX, seed=1, tissue_share=1.0), PHANTOM_SPACING_UM_PX)
    slide = open_slide(path)
    score = score_slide(slide, bundle)
    save_score(home / "results", score)
    remember(home / "recent", slide, slide.overview(16)[0])
    with open_store(f"sqlite:///{home / 'labels.sqlite'}") as store:
        classes = bundle.session_of("tile").model.class_ids
        keep_cases(store, "tile", classes, gather_tiles(slide, score, bundle, CASES), "benchmark")


def _key(page: Any, key: str) -> float:
    """Milliseconds from a key to another tile, loaded and in the document."""
    page.evaluate(
        """() => {
            const tile = () => document.querySelector('[data-testid=stImage] img');
            const old = tile().src;
            window.__took = new Promise(done => document.addEventListener('keydown', () => {
                const started = performance.now();
                const look = () => {
                    const now = tile();
                    if (now && now.src !== old && now.complete && now.naturalWidth) done(performance.now() - started);
                    else requestAnimationFrame(look);
                };
                look();
            }, {once: true, capture: true}));
        }"""
    )
    page.keyboard.press(key)
    milliseconds = page.evaluate("window.__took")
    page.wait_for_timeout(LOOK_MS)
    return float(milliseconds)
