"""A slide is scored by two bundles that know other classes, through a real Chromium: both answers and the map's layer."""

import shutil
from pathlib import Path

from playwright.sync_api import Page, expect

from tests.browser.chromium import needs_browser
from tests.browser.server import free_port, running_app
from tests.bundle.made import write_risk_bundle

pytestmark = needs_browser


def test_a_slide_is_scored_by_a_second_bundle_and_the_map_shows_where_they_agree(
    page: Page, four_class_root: Path, two_class_root: Path, four_class_slide: Path, tmp_path: Path
) -> None:
    shutil.copytree(two_class_root, tmp_path / "home/bundles/two")
    write_risk_bundle(tmp_path / "home/bundles/women")
    with running_app(tmp_path / "home", free_port(), CERVIX_BUNDLE_DIR=str(four_class_root)) as address:
        page.goto(f"{address}/slide")
        page.locator("input.pick-files").set_input_files([str(four_class_slide)])
        page.get_by_role("button", name="Score this slide").click()
        page.get_by_text("One tile, explained").wait_for()
        page.get_by_role("button", name="Compare bundles").click()
        expect(page.get_by_text("cannot be compared here: it has no model of tiles.")).to_be_visible()
        page.get_by_role("combobox", name="Compare with another bundle").click()
        page.get_by_role("option").click()
        page.keyboard.press("Escape")
        page.get_by_role("button", name="Score with B: 40 tiles").click()
        both = page.locator(".st-key-slide_second")
        expect(both.get_by_text("Malignant or not: the same")).to_be_visible()
        # Normal: both say not malignant; dysplasia: a tumour to B alone; B knows nothing of the two carcinomas.
        expect(both.get_by_test_id("stMetricValue").nth(1)).to_have_text("50 %")
        expect(both.get_by_text("the active bundle", exact=False).first).to_be_visible()
        expect(both.get_by_text("not the active bundle")).to_be_visible()
        expect(both.get_by_text("B knows healthy, tumour.")).to_be_visible()
        with page.expect_response(lambda answer: "/agreement_map/" in answer.url) as asked:
            page.locator("select.layer").select_option(label="A and B: where they agree")
        assert asked.value.status == 200
        legend = page.locator(".cervix-legend")
        expect(legend).to_contain_text("B malignant, A not")
        expect(legend).not_to_contain_text("A malignant, B not")
        expect(page.get_by_test_id("stException")).to_have_count(0)
