"""The page Start: what a visitor sees first, and the shelf."""

import time
import zipfile
from pathlib import Path

import pytest

from cervix.bundle import Bundle
from cervix.samples import shown
from cervix.samples.cases import CASES, FACTORS
from cervix.samples.tcga import opened_by, real_slides
from cervix.settings import PROJECT_ROOT, get_settings
from pages.parts.shared.sandbox import HOME, Sandbox
from tests.file_server import Archive
from tests.pages.opening import PATIENCE_S, open_page, texts


@pytest.fixture(autouse=True)
def _own_home(home: Path) -> None:
    """Each test has an app home of its own and no network."""


def test_every_case_is_one_click_away_with_its_story_and_how_it_was_made() -> None:
    app = open_page("start")
    assert not app.exception
    said = texts(app)
    shelf = [case for case in CASES if case.id != FACTORS]
    for case in shelf:
        assert case.story in said
        assert case.look_at in said
        assert case.made in said
    links = [element.proto for element in app.get("page_link")]
    assert [(link.page, link.query_string) for link in links if "case=" in link.query_string] == [
        (case.page, f"case={case.id}") for case in shelf
    ]


def test_the_limits_of_every_model_stand_on_the_first_page(bundle: Bundle) -> None:
    said = texts(open_page("start"))
    for model in bundle.manifest.models:
        assert model.limits[0] in said


def test_the_picture_of_a_scored_slide_is_shown_for_the_bundle_that_scored_it_alone(
    bundle: Bundle, shipped_bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert shown.hero(bundle) is None
    scored = shown.hero(shipped_bundle)
    assert scored is not None
    assert not app_says(scored.headline)
    monkeypatch.setenv("CERVIX_BUNDLE_DIR", str(PROJECT_ROOT / "bundle"))
    get_settings.cache_clear()
    assert app_says(scored.headline)


def app_says(headline: str) -> bool:
    app = open_page("start")
    assert not app.exception
    return headline in [heading.value for heading in app.header]


def test_a_real_carcinoma_is_fetched_with_its_diagnosis_said_and_can_then_be_opened(
    archive: Archive, cases_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    slide = real_slides()[0]
    with zipfile.ZipFile(cases_dir / "slides/dicom_macos.zip") as packed:
        names = [name for name in packed.namelist() if name.startswith("case/")]
        archive.contents |= {f"/{slide.series.id}/{Path(name).name}": packed.read(name) for name in names}
    assert "can be fetched where this server may use the network" in texts(open_page("start"))
    monkeypatch.setenv("CERVIX_OFFLINE", "0")
    monkeypatch.setenv("CERVIX_IDC_ADDRESS", archive.address)
    get_settings.cache_clear()
    app = open_page("start")
    assert "nobody marked it on the slide" in texts(app)
    assert all(slide.diagnosis in texts(app) for slide in real_slides())
    app.button(key=f"real_fetch_{slide.patient}").click().run()
    deadline = time.monotonic() + PATIENCE_S
    while not (opened := [button for button in app.button if button.key == f"real_open_{slide.patient}"]):
        assert time.monotonic() < deadline, "waited in vain"
        app.run()
    assert not app.exception
    opened[0].click().run()
    assert app.session_state["slide_path"] == opened_by(slide, get_settings())
    assert app.session_state["slide_credit"] == slide.credit


def test_in_a_sandbox_no_real_slide_is_offered_because_it_would_go_with_it() -> None:
    app = open_page("start")
    assert "Real cervical carcinomas" in [heading.value for heading in app.header]
    app.session_state[HOME] = Sandbox()
    app.run()
    assert not app.exception
    assert "Real cervical carcinomas" not in [heading.value for heading in app.header]
