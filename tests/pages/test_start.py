"""The page Start: what a visitor sees first, and the shelf."""

from pathlib import Path

import pytest

from cervix.bundle import Bundle
from cervix.samples import shown
from cervix.samples.cases import CASES
from cervix.settings import PROJECT_ROOT, get_settings
from tests.pages.opening import open_page, texts


@pytest.fixture(autouse=True)
def _own_home(home: Path) -> None:
    """Each test has an app home of its own and no network."""


def test_every_case_is_one_click_away_with_its_story_and_how_it_was_made() -> None:
    app = open_page("start")
    assert not app.exception
    said = texts(app)
    for case in CASES:
        assert case.story in said
        assert case.look_at in said
        assert case.made in said
    links = [element.proto for element in app.get("page_link")]
    assert [(link.page, link.query_string) for link in links if "case=" in link.query_string] == [
        (case.page, f"case={case.id}") for case in CASES
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
