"""Two bundles are compared in Chromium, the candidate is promoted, another session is offered it, and it is rolled back."""

import re
import zipfile
from pathlib import Path

from playwright.sync_api import Browser, Page, expect

from tests.browser.chromium import needs_browser, new_page
from tests.browser.server import free_port, running_app
from tests.bundle.altered import bundle_of_risk_models, candidate_of_risk_models

pytestmark = needs_browser


def test_a_candidate_is_compared_promoted_and_rolled_back_while_another_session_goes_on(
    browser: Browser, page: Page, tmp_path: Path
) -> None:
    active, home = bundle_of_risk_models(tmp_path / "active"), tmp_path / "home"
    archive = packed(candidate_of_risk_models(tmp_path / "candidate", "0.9.1", worse=True), tmp_path / "candidate.zip")
    other = new_page(browser)
    with running_app(home, free_port(), CERVIX_BUNDLE_DIR=str(active)) as address:
        other.goto(address)
        other.get_by_role("button", name="Bundle 0.").wait_for()

        page.goto(f"{address}/improve?improve_view=compare")
        expect(page.get_by_text("Nothing to compare yet")).to_be_visible()
        page.get_by_role("button", name="Bring one").click()
        page.locator("input[type=file]").set_input_files(archive)
        expect(page.get_by_text("Keep the active bundle.")).to_be_visible()
        page.keyboard.press("Escape")
        expect(page.locator(".js-plotly-plot").get_by_text("Limit of the rule")).to_be_visible()
        expect(page.get_by_text("What changed in the manifest")).to_be_visible()
        with page.expect_download() as download:
            page.get_by_role("button", name="Download the comparison").click()
        assert "AUROC falls by less than 0.02 | not met" in Path(download.value.path()).read_text(encoding="utf-8")
        assert not list(home.rglob("*.onnx")), "an uploaded candidate is forgotten unless it is kept"

        page.get_by_role("button", name="Keep it on this server").click()
        page.get_by_role("button", name="Promote it all the same").click()
        page.get_by_label("Why promote it anyway?").fill("The clinic wants to try it.")
        page.get_by_role("button", name="Promote against the rules").click()
        page.get_by_role("button", name="Promote now").click()
        expect(page.get_by_text("Promoted: made-for-tests 0.9.1")).to_be_visible()
        expect(page.get_by_role("radio", name="6 Promote 0.9.1")).to_be_visible()
        expect(page.get_by_role("button", name="Bundle 0.9.1")).to_be_visible()

        other.get_by_role("link", name="Improve").first.click()
        expect(other.get_by_text("is now the active bundle")).to_be_visible()
        other.get_by_role("button", name="Use it now").click()
        expect(other.get_by_role("button", name="Bundle 0.9.1")).to_be_visible()

        page.goto(f"{address}/improve?improve_view=promote")
        expect(page.get_by_text("promoted by local reader")).to_be_visible()
        page.get_by_role("button", name="Roll back to the bundle that ships with the app").click()
        page.get_by_role("button", name="Roll back now").click()
        expect(page.get_by_text("Rolled back:")).to_be_visible()
        expect(page.get_by_role("button", name="Bundle 0.9.1")).to_have_count(0)
        page.get_by_role("radio", name="Audit trail").click()
        expect(page.get_by_text("Listed: 3 of 3, newest first.")).to_be_visible()
        expect(page).to_have_url(re.compile("improve_view=audit"))
        for opened in (page, other):
            expect(opened.get_by_test_id("stException")).to_have_count(0)
    other.close()


def packed(folder: Path, archive: Path) -> Path:
    with zipfile.ZipFile(archive, "w") as opened:
        for path in folder.rglob("*"):
            opened.write(path, path.relative_to(folder.parent))
    return archive
