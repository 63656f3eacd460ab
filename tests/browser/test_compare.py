"""Two bundles are compared in Chromium: a candidate is uploaded as a zip, the verdict is read and taken along."""

import zipfile
from pathlib import Path

from playwright.sync_api import Page, expect

from tests.browser.chromium import needs_browser
from tests.browser.server import free_port, running_app
from tests.bundle.altered import change_predictions, copy_of_risk_models

pytestmark = needs_browser


def test_an_uploaded_candidate_is_compared_and_the_comparison_taken_along(page: Page, tmp_path: Path) -> None:
    active, candidate = copy_of_risk_models(tmp_path / "active"), copy_of_risk_models(tmp_path / "candidate")
    change_predictions(candidate, "risk-factors", lambda frame: frame.assign(p_yes=frame["p_no"], p_no=frame["p_yes"]))
    archive = tmp_path / "candidate.zip"
    with zipfile.ZipFile(archive, "w") as packed:
        for path in candidate.rglob("*"):
            packed.write(path, path.relative_to(tmp_path))
    with running_app(tmp_path / "home", free_port(), CERVIX_BUNDLE_DIR=str(active)) as address:
        page.goto(f"{address}/compare")
        expect(page.get_by_text("Nothing to compare yet")).to_be_visible()
        page.locator("input[type=file]").set_input_files(archive)
        expect(page.get_by_text("Keep the active bundle.")).to_be_visible()
        expect(page.locator(".js-plotly-plot").get_by_text("Limit of the rule")).to_be_visible()
        expect(page.get_by_text("What changed in the manifest")).to_be_visible()
        with page.expect_download() as download:
            page.get_by_role("button", name="Download the comparison").click()
        text = Path(download.value.path()).read_text(encoding="utf-8")
    assert "AUROC falls by less than 0.02 | not met" in text
    assert not list((tmp_path / "home").rglob("*.onnx"))
