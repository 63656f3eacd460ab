"""From a CSV of microRNA to the answer through a real Chromium, and the same after a reload."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.browser.chromium import needs_browser
from tests.browser.server import free_port, running_app
from tests.bundle.made.tumours import drawn_tumours, sample_csv

pytestmark = [*needs_browser, pytest.mark.slow]


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory, tumour_root: Path) -> Iterator[str]:
    with running_app(tmp_path_factory.mktemp("tumours-home"), free_port(), CERVIX_BUNDLE_DIR=str(tumour_root)) as started:
        yield f"{started}/slide"


def test_a_table_is_brought_answered_drawn_and_found_again(page: Page, address: str, tmp_path: Path) -> None:
    table = tmp_path / "tumours.csv"
    table.write_bytes(sample_csv(drawn_tumours()[0]))
    page.goto(address)
    page.get_by_text("Molecular", exact=True).click()
    page.locator("[class*=st-key-tumours_upload] input[type=file]").set_input_files([str(table)])
    expect(page.get_by_role("heading", name="Adenocarcinoma")).to_be_visible()
    expect(page.locator(".st-key-tumour_markers .js-plotly-plot")).to_be_visible()
    expect(page.locator(".st-key-tumour_added .js-plotly-plot")).to_contain_text("toward AC")
    with page.expect_download() as saved:
        page.get_by_role("button", name="Scores (CSV)").click()
    assert b"Not a medical device" in Path(saved.value.path()).read_bytes()
    assert "slide_view=molecular" in page.url
    page.reload()
    expect(page.get_by_role("heading", name="Adenocarcinoma")).to_be_visible()
    assert "T00" not in page.url, "an address names no tumour"
