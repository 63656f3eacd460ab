"""Evidence in Chromium: the summary on the first screen, a slider that moves the matrix, tiles of one's own."""

import io
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest
from PIL import Image
from playwright.sync_api import Browser, Page, expect

from tests.browser.chromium import WIDTHS, box_of, choose, needs_browser, new_page
from tests.browser.server import free_port, running_app
from tests.bundle.made.tiles import SHIPPED_CLASSES, TILE_PX, centres_rgb, tissue_of

pytestmark = needs_browser
CHART = ".js-plotly-plot"
FIRST_SCREEN = {"width": 1366, "height": 768}


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with running_app(tmp_path_factory.mktemp("home"), free_port(), CERVIX_OFFLINE="1", CERVIX_DEVICE="cpu") as address:
        yield address


def test_the_slider_moves_the_matrix_to_the_counts_of_the_predictions(page: Page, address: str, bundle_root: Path) -> None:
    page.set_viewport_size(FIRST_SCREEN)
    page.goto(f"{address}/evidence")
    verdict = page.get_by_role("heading", name=re.compile("^Holds within its laboratories"))
    verdict.wait_for()
    words = [page.get_by_text(text) for text in ("Strongest rival.", "Worst failure.", "Card and downloads")]
    for part in (verdict, page.locator(CHART).first, *words):
        part.wait_for()
        box = box_of(page, part)
        assert box["y"] + box["height"] <= FIRST_SCREEN["height"], "all of the summary is on the first screen"
    page.get_by_role("slider").wait_for()
    frame = pd.read_parquet(bundle_root / "slide/predictions.parquet")
    frame = frame[frame["label"].isin(["scc", "ac"])]
    score = frame["p_scc"] / (frame["p_scc"] + frame["p_ac"])
    slider = page.get_by_role("slider")
    slider.focus()
    for _ in range(10):
        page.keyboard.press("ArrowLeft")
    called = score >= 0.4
    expect(page.get_by_text(re.compile("^40 %$")).first).to_be_visible()
    expect(page.get_by_text(f"{called.sum()} of {len(frame)}")).to_be_visible()
    missed = int((~called & (frame["label"] == "scc")).sum())
    found = int((called & (frame["label"] == "scc")).sum())
    matrix = page.locator(CHART).nth(1)
    expect(matrix).to_contain_text(f"{missed}{missed / (missed + found):.1%} of row")
    expect(matrix).to_contain_text(f"{found}{found / (missed + found):.1%} of row")
    page.get_by_role("button", name="Back to the model's own").click()
    expect(page.get_by_text(f"{(score >= 0.5).sum()} of {len(frame)}")).to_be_visible()


def test_tiles_of_ones_own_are_scored_with_curves_gallery_and_drift(page: Page, address: str, tmp_path: Path) -> None:
    path = tmp_path / "mine.zip"
    with zipfile.ZipFile(path, "w") as archive:
        # Two classes the wrong way round, so that there are mistakes to show.
        for told, colour in zip(("benign", "ac", "scc"), centres_rgb(SHIPPED_CLASSES)[:3], strict=True):
            for number in range(6):
                png = io.BytesIO()
                Image.fromarray(tissue_of(colour, TILE_PX, TILE_PX, seed=number)).save(png, "PNG")
                archive.writestr(f"{told}/p{number // 2}/{number}.png", png.getvalue())
    page.goto(f"{address}/evidence?evidence_view=own")
    page.get_by_text("not kept").wait_for()
    page.locator("input[type=file]").set_input_files(str(path))
    page.get_by_text("18 cases scored").wait_for()
    page.get_by_text("Drift against the bundle's test set").wait_for()
    expect(page.get_by_text("Only 12 cases")).to_be_visible()
    expect(page.locator("[data-testid=stImage] img").first).to_be_visible()
    expect(page.get_by_test_id("stException")).to_have_count(0)
    with page.expect_download() as download:
        page.get_by_role("button", name="Download the scores (CSV)").click()
    scores = pd.read_csv(download.value.path())
    assert len(scores) == 18
    assert scores["notice"].str.contains("Not a medical device").all()


def test_published_risks_fit_on_a_phone_and_their_table_is_taken_along(
    browser: Browser, published_root: Path, tmp_path: Path
) -> None:
    with running_app(tmp_path / "home", free_port(), CERVIX_BUNDLE_DIR=str(published_root)) as address:
        page = new_page(browser, viewport={"width": WIDTHS["phone"], "height": 900})
        page.goto(f"{address}/evidence?evidence_model=history&evidence_view=world")
        page.get_by_text("1.5 million real women").wait_for()
        expect(page.locator(CHART).nth(1)).to_contain_text("after colposcopy")
        choose(page, "Published risk", "CIN3+ at once")
        page.get_by_text("55 of them count").wait_for()
        assert page.evaluate("document.querySelector('[data-testid=stMain]').scrollWidth") <= WIDTHS["phone"]
        expect(page.get_by_test_id("stException")).to_have_count(0)
        with page.expect_download() as download:
            page.get_by_role("button", name="Download the whole table (CSV)").click()
        table = pd.read_csv(download.value.path())
        assert len(table) == 168
        assert set(table["guides"]) == {"yes", "no"}
        assert table["notice"].str.contains("Not a medical device").all()
        page.close()
