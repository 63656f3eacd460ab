"""The model card through a real Chromium: read on the page, and taken along in all four formats."""

import xml.etree.ElementTree as ET
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pypdf
import pytest
from huggingface_hub import ModelCard
from playwright.sync_api import Browser, Page, expect
from sklearn.metrics import roc_auc_score

from cervix import RESEARCH_NOTICE
from tests.browser.chromium import DRAWN, WIDTHS, needs_browser, new_page
from tests.browser.server import free_port, running_app

pytestmark = needs_browser
NAMESPACE = "{https://mc.chai.org/v0.2/schema.xsd}"


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("card-home")


@pytest.fixture(scope="module")
def address(home: Path) -> Iterator[str]:
    with running_app(home, free_port()) as started:
        yield f"{started}/evidence?evidence_view=card"


def open_card(page: Page, address: str) -> None:
    page.goto(address)
    page.get_by_role("heading", name="Held-out figures").wait_for()
    page.locator(DRAWN).wait_for()


def download(page: Page, label: str) -> tuple[str, Path]:
    with page.expect_download() as got:
        page.get_by_role("button", name=label, exact=True).click()
    return got.value.suggested_filename, Path(got.value.path())


def auroc_of_scc(bundle_root: Path) -> float:
    """SCC versus AC on the held-out predictions, by scikit-learn alone."""
    rows = pd.read_parquet(bundle_root / "slide/predictions.parquet").query("label in ('scc', 'ac')")
    return float(roc_auc_score(rows["label"] == "scc", rows["p_scc"] / (rows["p_scc"] + rows["p_ac"])))


def test_all_four_files_are_taken_along_and_hold_the_same_figure(
    page: Page, address: str, browser: Browser, bundle_root: Path
) -> None:
    open_card(page, address)
    auroc = auroc_of_scc(bundle_root)

    name, path = download(page, "Markdown")
    assert name.endswith(".md")
    text = path.read_text(encoding="utf-8")
    found = [
        result.metric_value
        for result in ModelCard(text).data.eval_results
        if (result.dataset_config, result.metric_type) == ("scc-versus-ac", "auroc")
    ]
    assert found == [pytest.approx(auroc, abs=1e-4)]

    name, path = download(page, "PDF")
    assert name.endswith(".pdf")
    sheets = [sheet.extract_text() for sheet in pypdf.PdfReader(path).pages]
    assert all(RESEARCH_NOTICE in sheet for sheet in sheets)
    assert any(f"AUROC {auroc:.3f} (" in sheet for sheet in sheets), "drawn beside the tables"

    name, path = download(page, "XML (CHAI)")
    assert name.endswith(".xml")
    label = ET.parse(path).find(f".//{NAMESPACE}MetricResult/{NAMESPACE}ValueJson")
    assert f'"estimate": {auroc:.6f}' in label.text

    name, path = download(page, "HTML")
    assert name.endswith(".html")
    named = path.rename(path.with_suffix(".html"))
    asked: list[str] = []
    reader = new_page(browser, viewport={"width": WIDTHS["phone"], "height": 800})
    reader.on("request", lambda request: asked.append(request.url))
    reader.goto(named.as_uri())
    expect(reader.get_by_text(RESEARCH_NOTICE).first).to_be_visible()
    drawn = reader.get_by_role("img", name="ROC curve of Colours of tiles")
    assert drawn.evaluate("image => image.complete && image.naturalWidth > 100")
    assert f"AUROC {auroc:.3f} (" in drawn.get_attribute("alt")
    assert reader.evaluate("document.documentElement.scrollWidth") <= WIDTHS["phone"]
    assert {url.split(":")[0] for url in asked} <= {"file", "data"}
    reader.close()


def test_the_xml_follows_the_chosen_model(page: Page, address: str) -> None:
    open_card(page, f"{address}&evidence_model=risk-factors")
    name, path = download(page, "XML (CHAI)")
    assert "-risk-factors-" in name
    assert ET.parse(path).find(f".//{NAMESPACE}ModelName").text == "Risk of a positive biopsy from risk factors alone"


@pytest.mark.parametrize("width", WIDTHS.values(), ids=WIDTHS)
def test_figures_and_guidelines_are_read_on_the_page(browser: Browser, address: str, width: int) -> None:
    page = new_page(browser, viewport={"width": width, "height": 1000})
    open_card(page, address)
    roc = page.get_by_role("img", name="ROC curve of Colours of tiles")
    roc.scroll_into_view_if_needed()
    assert roc.evaluate("image => image.naturalWidth > 100")
    page.get_by_text("The whole bundle: licence").click()
    page.get_by_role("heading", name="Golden vectors").wait_for()
    page.get_by_text("DECIDE-AI:").click()
    expect(page.get_by_text("not reported", exact=True).last).to_be_visible()
    assert page.evaluate("document.querySelector('[data-testid=stMain]').scrollWidth") <= width
    expect(page.get_by_test_id("stException")).to_have_count(0)
    page.close()


def test_nothing_went_wrong_on_the_server(home: Path, address: str) -> None:  # noqa: ARG001 - the app must have run
    assert "Traceback" not in (home / "app.log").read_text(encoding="utf-8", errors="replace")
