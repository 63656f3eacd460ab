"""The whole loop in a real Chromium: score, label, retrain, compare, promote, see it, roll back."""

import shutil
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pandas as pd
import pytest
from playwright.sync_api import Page, expect

from cervix.bundle.loading import read_manifest
from cervix.labels import open_store
from cervix.samples.slides import SLIDE_NAME
from cervix.settings import PROJECT_ROOT
from tests.browser.chromium import needs_browser
from tests.browser.label_keys import LOOK_MS, press
from tests.browser.server import SHIPPED, free_port, running_app

pytestmark = [
    *needs_browser,
    pytest.mark.slow,
    pytest.mark.training,
    pytest.mark.skipif(find_spec("tensorflow") is None, reason="retraining needs the training environment"),
]

TILES = 12
RETRAINED_WITHIN_MS = 240_000


@pytest.fixture
def home(tmp_path: Path, data_dir: Path) -> Path:
    """A home in which the real sample slide is at hand already."""
    samples = tmp_path / "home/samples"
    samples.mkdir(parents=True)
    shutil.copy(data_dir / "slides" / SLIDE_NAME, samples / SLIDE_NAME)
    return tmp_path / "home"


@pytest.fixture
def address(home: Path) -> Iterator[str]:
    with running_app(home, free_port(), **SHIPPED) as started:
        yield started


def sample_scored(page: Page, address: str) -> None:
    page.goto(f"{address}/slide?case=squamous")
    page.get_by_text("One tile, explained").wait_for()


def tiles_labelled_by_keyboard(page: Page, address: str, home: Path) -> pd.DataFrame:
    page.goto(f"{address}/improve?improve_view=gather")
    page.get_by_role("button", name="Add its tiles").click()
    page.get_by_role("button", name="Label them").click()
    page.get_by_role("button", name="Squamous-cell carcinoma").wait_for()
    page.wait_for_timeout(LOOK_MS)
    for number in range(TILES):
        press(page, str(1 + number % 3))
    expect(page.get_by_text(f"{TILES} read")).to_be_visible()
    with open_store(f"sqlite:///{home / 'labels.sqlite'}") as store:
        return store.events()


def test_labels_of_the_sample_slide_become_the_next_bundle_and_are_taken_back(page: Page, address: str, home: Path) -> None:
    shipped, _ = read_manifest(PROJECT_ROOT / "bundle")
    name, version = shipped.name, shipped.version
    major, minor, patch = version.split(".")
    next_version = f"{major}.{minor}.{int(patch) + 1}"
    sample_scored(page, address)
    events = tiles_labelled_by_keyboard(page, address, home)
    assert len(events) == events["case_id"].nunique() == TILES
    assert events["label"].value_counts().min() >= TILES // 3
    assert events["blinded"].all()
    assert events["seconds_taken"].notna().all()

    page.goto(f"{address}/improve?improve_view=retrain")
    page.get_by_text("Quick try").click()
    page.get_by_role("button", name="Start").click()
    page.get_by_text("is in candidate-").wait_for(timeout=RETRAINED_WITHIN_MS)
    page.get_by_role("button", name="Compare it with the active bundle").click()
    page.get_by_text("On the newly labelled cases").wait_for()
    anyway = page.get_by_role("button", name="Promote it all the same")
    by_rules = page.get_by_role("button", name=f"Promote {name}")
    anyway.or_(by_rules).first.wait_for()
    if by_rules.count():
        by_rules.click()
    else:
        anyway.click()
        page.get_by_label("Why promote it anyway?").fill("The loop is tried from end to end")
        page.get_by_role("button", name="Promote against the rules").click()
    page.get_by_role("button", name="Promote now").click()
    page.get_by_text(f"Promoted: {name} {next_version}").wait_for()

    page.goto(address)
    expect(page.get_by_role("button", name=f"Bundle {next_version}")).to_be_visible()
    page.goto(f"{address}/improve?improve_view=compare")
    page.get_by_role("button", name="Roll back to").click()
    page.get_by_role("button", name="Roll back now").click()
    page.get_by_text(f"Rolled back: {name} {version}").wait_for()
    page.goto(address)
    expect(page.get_by_role("button", name=f"Bundle {version}")).to_be_visible()
    with open_store(f"sqlite:///{home / 'labels.sqlite'}") as store:
        trail = store.audit_trail()["what"].tolist()
    assert trail[:3] == ["roll back", "promote", "retrain"]
