"""A dispute between two readers is settled in Chromium, found in the store, and taken along as a file."""

from pathlib import Path

import pandas as pd
from playwright.sync_api import Page, expect

from cervix.labels import open_store
from tests.browser.chromium import needs_browser
from tests.browser.server import free_port, running_app
from tests.labels.making import TILES, filled, label

pytestmark = needs_browser


def show(page: Page, view: str) -> None:
    page.get_by_test_id("stButtonGroup").get_by_text(view, exact=True).click()


def test_a_dispute_is_settled_seen_in_the_store_and_exported(page: Page, tmp_path: Path) -> None:
    home = tmp_path / "home"
    with filled(open_store(f"sqlite:///{home / 'labels.sqlite'}")) as store:
        for reader, said in (("Ada", "scc"), ("Ben", "ac")):
            label(store, TILES[0], reader, said)
            label(store, TILES[1], reader, "benign")
    with running_app(home, free_port()) as address:
        page.goto(f"{address}/improve?improve_view=agree")
        steps = page.get_by_role("radiogroup", name="Step of the loop")
        expect(steps.get_by_role("radio", name="3 Agree")).to_be_checked()
        show(page, "Agreement")
        expect(page.locator(".js-plotly-plot").get_by_text("Ada and Ben")).to_be_visible()
        page.get_by_test_id("stButtonGroup").get_by_text("Disputes").click()
        expect(page.get_by_test_id("stImage").locator("img")).to_be_visible()
        page.get_by_role("button", name="Adenocarcinoma").click()
        expect(page.get_by_text("Settled: Adenocarcinoma")).to_be_visible()
        expect(page.get_by_text("Nothing is disputed")).to_be_visible()
        show(page, "Files")
        with page.expect_download() as download:
            page.get_by_role("button", name="Every event (CSV)").click()
        events = pd.read_csv(Path(download.value.path()))
    with open_store(f"sqlite:///{home / 'labels.sqlite'}") as store:
        truth = store.truths().set_index("case_id").loc[TILES[0]]
        trail = store.audit_trail()
    assert (truth["label"], truth["status"]) == ("ac", "adjudicated")
    assert events["action"].tolist() == ["label"] * 4 + ["adjudicate"]
    assert trail["what"].tolist() == ["export"]
