"""A bundle with four other classes on the slide page, through a real Chromium: the map has their layers, in their words."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.browser.chromium import needs_browser
from tests.browser.server import free_port, running_app
from tests.bundle.made import FOUR

pytestmark = needs_browser


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory, four_class_root: Path) -> Iterator[str]:
    with running_app(tmp_path_factory.mktemp("four-home"), free_port(), CERVIX_BUNDLE_DIR=str(four_class_root)) as started:
        yield f"{started}/slide"


def test_a_slide_is_scored_and_its_map_shows_each_class(page: Page, address: str, four_class_slide: Path) -> None:
    page.goto(address)
    page.get_by_role("button", name="Bundle").click()
    page.get_by_text("Made up: knows nothing of medicine.").first.wait_for()
    page.keyboard.press("Escape")
    page.locator("input.pick-files").set_input_files([str(four_class_slide)])
    page.get_by_role("button", name="Score this slide").click()
    page.get_by_text("One tile, explained").wait_for()
    layers = page.locator("select.layer")
    layers.wait_for()
    for item in FOUR:
        expect(layers).to_contain_text(f"P({item.title})")
    with page.expect_response(lambda answer: f"/cam_{FOUR[1].id}/" in answer.url) as asked:
        layers.select_option(label=f"Grad-CAM: {FOUR[1].title}")
    assert asked.value.status == 200
