"""The slide desk through a real Chromium: streamed uploads, live scores, the map and its instruments, exports."""

import json
import re
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pypdf
import pytest
import tifffile
from playwright.sync_api import Page, expect

from cervix.slides.phantom import PHANTOM_SPACING_UM_PX, phantom_region
from cervix.slides.pyramid import write_pyramid
from tests.browser.chromium import DRAWN, WAIT_MS, box_of, choose, needs_browser, until, until_holds
from tests.browser.line import Line, line_to
from tests.browser.server import SHIPPED, free_port, running_app, running_server

pytestmark = needs_browser
NOTICE = "Research and demonstration only. Not a medical device."
PICKER = "Click a tile on the map, or pick one by rank"
MAP_LOOK = """() => {
  const canvas = document.querySelector('.maplibregl-canvas');
  const box = canvas.getBoundingClientRect();
  return [canvas.mine, box.x, box.y, box.width, box.height,
    document.querySelector('.js-plotly-plot')._fullLayout.map._subplot.map.getZoom(),
    document.querySelector('[data-testid=stMain]').scrollTop];
}"""
"""Whether it is the element that was marked; where and how large it stands on the screen; its zoom; how far is scrolled."""
SETTLED_MS = 1_000
"""A map that has just been drawn is fitted to its place once more, and nothing tells when."""
MAP_STILL = "document.querySelector('.js-plotly-plot')?._fullLayout?.map?._subplot?.map?.isMoving() === false"
"""There is a map, and it does not move."""
MAP_ZOOM = "document.querySelector('.js-plotly-plot')._fullLayout.map._subplot.map.getZoom()"
MAP_LAYERS = "document.querySelector('.js-plotly-plot')._fullLayout.map._subplot.map.getStyle().layers"
MAP_CENTER = "JSON.stringify(document.querySelector('.js-plotly-plot')._fullLayout.map._subplot.map.getCenter())"


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("slides-home")


@pytest.fixture(scope="module")
def address(home: Path) -> Iterator[str]:
    with running_app(home, free_port()) as started:
        yield f"{started}/slide"


@pytest.fixture
def shipped_address(tmp_path: Path) -> Iterator[str]:
    """The made model scores hundreds of tiles before a person has clicked; the one that ships does not."""
    with running_app(tmp_path / "home", free_port(), **SHIPPED) as started:
        yield f"{started}/slide"


def upload(page: Page, *paths: Path) -> None:
    page.locator("input.pick-files").set_input_files([str(path) for path in paths])


def canvas_middle(page: Page) -> tuple[float, float]:
    canvas = page.locator(".maplibregl-canvas").first
    canvas.wait_for()
    canvas.scroll_into_view_if_needed()
    page.locator(".cervix-scale-bar").wait_for()
    until(page, MAP_STILL)
    page.wait_for_timeout(SETTLED_MS)
    box = box_of(page, canvas)
    return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2


def marked_map(page: Page) -> object:
    """Zoom in, mark the map's element and say how it looks then."""
    page.locator(".cervix-scale-bar").wait_for()
    until(page, MAP_STILL)
    page.evaluate("document.querySelector('.maplibregl-canvas').mine = true")
    page.get_by_role("button", name="Zoom in").click()
    page.wait_for_timeout(SETTLED_MS)
    until(page, MAP_STILL)
    page.evaluate("document.querySelector('[data-testid=stMain]').scrollTop = 0")
    return page.evaluate(MAP_LOOK)


def scored(page: Page, address: str, data_dir: Path) -> None:
    """The page with the real slide scored, by this test or an earlier one."""
    page.goto(address)
    upload(page, data_dir / "slides/CMU-1-Small-Region.svs")
    start = page.get_by_role("button", name="Score this slide")
    start.or_(page.get_by_text("One tile, explained")).first.wait_for()
    if start.is_visible():
        start.click()
    page.get_by_text("One tile, explained").wait_for()
    page.locator(".cervix-scale-bar").wait_for()


def test_a_real_slide_is_streamed_scored_and_explained_by_a_click(page: Page, address: str, home: Path, data_dir: Path) -> None:
    page.goto(address)
    upload(page, data_dir / "slides/CMU-1-Small-Region.svs")
    expect(page.get_by_text("2,220 × 2,967 px · 0.499 µm/px (stated by the file, 20× objective)")).to_be_visible(
        timeout=WAIT_MS
    )
    page.get_by_role("button", name="Score this slide").click()
    page.get_by_text("100 % of tiles not recognised").first.wait_for()
    page.get_by_text("Not recognised 0.51 mm²", exact=False).wait_for()

    x, y = canvas_middle(page)
    until(page, f"{MAP_LAYERS}.at(-1).id.startsWith('cervix-heat')")
    expect(page.locator(".cervix-legend")).to_have_text("No answer")
    expect(page.locator("select.layer option")).to_have_text(["Class map", "Tiles not recognised", "None"])
    page.mouse.click(x, y)
    page.get_by_text("The slide has no answer, so this tile gets no answer.").wait_for()
    expect(page.get_by_text("Tile at x 896, y 1,344")).to_be_visible()
    expect(page.get_by_label(PICKER)).to_have_count(0)
    expect(page.get_by_text(re.compile(r"carcinoma \d+%"))).to_have_count(0)
    expect(page.get_by_text("Grad-CAM opacity")).to_have_count(0)
    assert not [path for path in home.rglob("*") if "CMU" in path.name], "the name is not kept"


def test_the_map_stays_as_it_is_while_a_slide_is_answered_and_a_tile_of_it_is_explained(
    page: Page, address: str, carcinoma_slide: Path
) -> None:
    page.set_viewport_size({"width": 1366, "height": 768})
    page.goto(address)
    upload(page, carcinoma_slide)
    page.get_by_role("button", name="Score this slide").wait_for()
    before = marked_map(page)
    page.get_by_role("button", name="Score this slide").click()
    page.get_by_text("One tile, explained").wait_for()
    expect(page.locator(".cervix-legend")).to_contain_text("Squamous-cell carcinoma")
    assert page.evaluate(MAP_LOOK) == before, "the same element at the same place, zoom and scroll, to the end"
    for part in ("[class*=st-key-slide_answer_]", ".st-key-slide_tile_pictures"):
        box = box_of(page, page.locator(part))
        assert box["y"] + box["height"] < 768, "in sight"
    picker = page.get_by_label(PICKER)
    expect(picker).to_have_value(re.compile(r"carcinoma"))
    picture = page.locator(".st-key-slide_tile_pictures img").first
    first = picture.get_attribute("src") or ""
    choose(page, PICKER, re.compile(r"^2\. carcinoma"))
    expect(picker).to_have_value(re.compile(r"^2\. carcinoma"))
    # The list shows a choice before the app has heard of it; a reload before that would find the first tile again.
    expect(picture).not_to_have_attribute("src", first, timeout=WAIT_MS)
    page.locator(DRAWN).wait_for()
    page.get_by_test_id("stPopover").get_by_role("button", name="Grad-CAM").click()
    page.get_by_text("Grad-CAM opacity").wait_for()
    page.keyboard.press("Escape")
    expect(page.get_by_text("Recognised: novelty", exact=False)).to_be_visible()
    chosen = picker.input_value()
    page.reload()
    expect(picker).to_have_value(chosen, timeout=WAIT_MS)


def test_the_map_zooms_beyond_full_resolution_by_mouse_and_keyboard_and_keeps_its_place(
    page: Page, address: str, data_dir: Path
) -> None:
    scored(page, address, data_dir)
    x, y = canvas_middle(page)
    page.mouse.move(x, y)
    start = page.evaluate(MAP_ZOOM)
    page.mouse.wheel(0, 100)
    until(page, "document.querySelector('[data-testid=stMain]').scrollTop > 0")
    assert page.evaluate(MAP_ZOOM) == start, "the wheel scrolls the page until the map is clicked"
    expect(page.locator(".maplibregl-desktop-message")).to_contain_text("Ctrl")
    x, y = canvas_middle(page)
    page.mouse.click(x, y)
    page.get_by_text("so this tile gets no answer").wait_for()
    with page.expect_response(lambda answer: bool(re.search(r"/slide/(6|7|8)/", answer.url)) and answer.status == 200):
        for _ in range(10):
            page.mouse.wheel(0, -300)
            page.wait_for_timeout(200)
    until(page, f"{MAP_ZOOM} > {start} + 2 && {MAP_STILL}")
    near = page.evaluate(MAP_ZOOM)
    assert near > start + 2
    expect(page.locator(".cervix-scale-bar")).to_contain_text(re.compile(r"µm · .+×"))

    page.mouse.click(x + 3, y)
    page.wait_for_timeout(800)
    assert page.evaluate(MAP_ZOOM) == near
    page.locator(".maplibregl-map").focus()
    before = page.evaluate(MAP_CENTER)
    page.keyboard.press("ArrowRight")
    until(page, f"{MAP_CENTER} !== {before!r} && {MAP_STILL}")
    with page.expect_response(lambda answer: "/unrecognised/" in answer.url):
        page.locator("select.layer").select_option(label="Tiles not recognised")
    assert page.evaluate(MAP_ZOOM) == near, "another layer does not move the map"
    page.locator(".maplibregl-map").focus()
    page.keyboard.press("0")
    until(page, f"{MAP_ZOOM} < {near}")


def test_a_region_drawn_on_the_map_is_answered_and_cleared(page: Page, address: str, data_dir: Path) -> None:
    scored(page, address, data_dir)
    x, y = canvas_middle(page)
    page.get_by_role("button", name="Draw region").click()
    page.mouse.move(x - 90, y - 120)
    page.mouse.down()
    for to in [(x + 90, y - 120), (x + 90, y + 120), (x - 90, y + 120), (x - 90, y - 120)]:
        page.mouse.move(*to, steps=8)
    page.mouse.up()
    page.get_by_text("Within the region drawn:").wait_for()
    shown = page.locator(".st-key-slide_region_answer").inner_text()
    inside = int(re.search(r"drawn: (\d+) tiles", shown).group(1))  # type: ignore[union-attr]
    assert 5 < inside < 56
    page.get_by_role("button", name="Clear region").click()
    expect(page.get_by_text("Within the region drawn:")).to_have_count(0)


def test_every_export_is_downloaded_and_opens(page: Page, address: str, data_dir: Path, tmp_path: Path) -> None:
    scored(page, address, data_dir)
    page.get_by_role("button", name="Exports").click()

    def download(label: str) -> Path:
        with page.expect_download() as got:
            page.get_by_role("button", name=label).click()
        path = tmp_path / got.value.suggested_filename
        got.value.save_as(path)
        return path

    table = pd.read_csv(download("Tile table (CSV)"))
    assert (len(table), set(table["notice"])) == (56, {NOTICE})
    assert len(pd.read_parquet(download("Tile table (Parquet)"))) == 56
    objects = json.loads(download("QuPath objects (GeoJSON)").read_text(encoding="utf-8"))
    assert (len(objects["features"]), objects["provenance"]["notice"]) == (56, NOTICE)
    with tifffile.TiffFile(download("Heatmap (OME-TIFF)")) as heatmap:
        assert heatmap.asarray().shape[0] == 5
        assert NOTICE in str(heatmap.ome_metadata)
    fhir = json.loads(download("FHIR R4 report (JSON)").read_text(encoding="utf-8"))
    assert fhir["entry"][0]["resource"]["resourceType"] == "DiagnosticReport"
    report = pypdf.PdfReader(download("Case report (PDF)"))
    assert NOTICE in report.pages[0].extract_text()
    assert "No answer: not tissue the model knows" in report.pages[0].extract_text()


@pytest.fixture(scope="module")
def slide_of_315_mb(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("large") / "large.tiff"
    pixels = np.tile(phantom_region(2500, 2500, seed=9, tissue_share=0.2), (4, 4, 1))
    tifffile.imwrite(
        path,
        pixels,
        tile=(512, 512),
        photometric="rgb",
        resolution=(20_000, 20_000),
        resolutionunit="CENTIMETER",
        metadata=None,
    )
    assert path.stat().st_size > 314_000_000
    return path


@pytest.fixture
def line(address: str) -> Iterator[Line]:
    with line_to(int(address.rsplit(":", 1)[1].split("/")[0])) as line:
        yield line


@pytest.mark.slow
def test_300_mb_are_streamed_with_progress_though_the_connection_drops_half_way(
    page: Page, line: Line, slide_of_315_mb: Path
) -> None:
    line.cut_after, line.bytes_per_s = 150_000_000, 60_000_000
    offsets: list[int] = []
    page.on("request", lambda sent: offsets.append(int(sent.headers["upload-offset"])) if sent.method == "PUT" else None)
    page.goto(f"http://127.0.0.1:{line.port}/slide")
    page.get_by_text("Drop a slide here").wait_for()
    upload(page, slide_of_315_mb)
    figures = page.locator(".figures")
    expect(figures).to_contain_text(re.compile(r"MB of 315 MB · \d+ MB/s · \d+ s left"), timeout=WAIT_MS)
    expect(page.get_by_text("10,000 × 10,000 px")).to_be_visible(timeout=WAIT_MS)
    expect(page.get_by_role("button", name="Score this slide")).to_be_visible(timeout=WAIT_MS)
    expect(page.get_by_role("button", name="large.tiff")).to_be_visible()
    assert line.cuts == 1
    assert offsets[0] == 0
    assert offsets[-1] > 100_000_000, "what had arrived was not sent again"


def test_an_upload_can_be_cancelled_and_a_wrong_file_is_one_sentence(
    page: Page, line: Line, slide_of_315_mb: Path, data_dir: Path, home: Path
) -> None:
    line.bytes_per_s = 20_000_000
    page.goto(f"http://127.0.0.1:{line.port}/slide")
    page.get_by_text("Drop a slide here").wait_for()
    upload(page, slide_of_315_mb)
    page.get_by_text("s left").wait_for()
    page.get_by_role("button", name="Cancel").click()
    page.get_by_text("Drop a slide here").wait_for()
    until_holds(page, lambda: not list((home / "uploads/.parts").glob("*/*.part")))
    upload(page, data_dir / "tables/uci_risk_factors_cervical_cancer.csv")
    expect(page.locator(".problem")).to_contain_text("This kind of file is not a slide")
    upload(page, data_dir / "slides/broken/text_renamed.svs")
    page.get_by_text("This is not a slide that can be read").wait_for()
    expect(page.get_by_test_id("stException")).to_have_count(0)


@pytest.fixture(scope="module")
def slide_of_many_tiles(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Hundreds of tiles: no machine scores them all before a person has clicked."""
    path = tmp_path_factory.mktemp("many") / "many.tiff"
    write_pyramid(path, np.tile(phantom_region(1300, 1000, seed=11), (4, 4, 1)), PHANTOM_SPACING_UM_PX)
    return path


def test_scoring_is_seen_live_paused_stopped_and_goes_on_where_it_was(
    page: Page, shipped_address: str, slide_of_many_tiles: Path
) -> None:
    page.set_viewport_size({"width": 1366, "height": 768})
    page.goto(shipped_address)
    upload(page, slide_of_many_tiles)
    page.get_by_role("button", name="Score this slide").wait_for()
    before = marked_map(page)
    with page.expect_response(lambda answer: bool(re.search("class_map.*v=live", answer.url))):
        page.get_by_role("button", name="Score this slide").click()
        page.get_by_text("So far, over the whole slide").wait_for()
        page.get_by_role("button", name="Pause").click()
        page.get_by_text("· paused").wait_for()
    expect(page.get_by_text(re.compile(r"A tile takes: read \d+ ms · infer \d+ ms · post \d+ ms"))).to_be_visible()
    expect(page.locator(".cervix-legend")).to_contain_text("No")
    assert page.evaluate(MAP_LOOK) == before, "the map is the same element at the same place, zoom and scroll"
    headline = box_of(page, page.locator("[class*=st-key-slide_answer_]"))
    assert headline["y"] + headline["height"] < 768, "the answer is in sight"
    page.get_by_role("button", name="Continue").click()
    page.get_by_text("tiles/s", exact=False).first.wait_for()
    page.get_by_test_id("stMain").get_by_role("button", name="Stop").click()
    page.get_by_text("Scoring was stopped.").wait_for()
    expect(page.get_by_role("button", name=re.compile(r"Continue from tile \d+"))).to_be_visible()
    assert page.evaluate(MAP_LOOK) == before


@pytest.mark.slow
def test_a_killed_server_goes_on_with_what_it_was_scoring(page: Page, tmp_path: Path) -> None:
    inbox, port = tmp_path / "inbox", free_port()
    inbox.mkdir()
    # About a hundred tiles: no machine scores them all before the page has shown the first.
    write_pyramid(inbox / "slide.tiff", phantom_region(2600, 2000, seed=11), PHANTOM_SPACING_UM_PX)
    with running_server(tmp_path / "home", port, CERVIX_INBOX=str(inbox), **SHIPPED) as server:
        page.goto(f"http://127.0.0.1:{port}/slide")
        page.get_by_text("Server folders").click()
        page.get_by_role("button", name="Open slide").click()
        page.get_by_role("button", name="Score this slide").click()
        page.get_by_text("So far, over the whole slide").wait_for()
        server.send_signal(signal.SIGKILL)
        server.wait()
    (rows,) = (tmp_path / "home/results").rglob("rows.bin")
    kept = rows.stat().st_size
    assert kept > 0
    assert not list((tmp_path / "home/results").rglob("summary.json"))
    with running_app(tmp_path / "home", port, CERVIX_INBOX=str(inbox), **SHIPPED) as started:
        page.goto(f"{started}/slide")
        page.get_by_text("resume now", exact=False).wait_for()
        deadline = time.monotonic() + WAIT_MS / 1000
        while not (found := list((tmp_path / "home/results").rglob("summary.json"))):
            assert time.monotonic() < deadline
            time.sleep(0.2)
    timings = json.loads(found[0].read_text(encoding="utf-8"))["timings"]
    assert timings["resumed_tiles"] > 0


def test_two_slides_stand_side_by_side(page: Page, address: str, data_dir: Path) -> None:
    scored(page, address, data_dir)
    page.get_by_text("Second slide beside").click()
    page.get_by_role("combobox", name="Second slide").wait_for()
    expect(page.locator(".maplibregl-canvas")).to_have_count(3, timeout=WAIT_MS)
    expect(page.locator(".cervix-scale-bar")).to_have_count(3, timeout=WAIT_MS)


def test_nothing_of_a_slide_reaches_the_log(home: Path, address: str) -> None:  # noqa: ARG001 - the app must have run
    log = (home / "app.log").read_text(encoding="utf-8", errors="replace")
    assert "Traceback" not in log
    assert "CMU-1" not in log
    assert "large.tiff" not in log
