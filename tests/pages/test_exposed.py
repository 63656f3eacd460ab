"""A server that others can reach and on which nobody signs in: everybody looks, nobody changes anything, and it says why."""

from pathlib import Path

import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

from cervix.labels import LabelStore, open_store
from cervix.settings import get_settings
from cervix.web import upload_store
from tests.bundle.altered import bundle_of_risk_models, candidate_of_risk_models
from tests.labels.making import TILES, filled, label
from tests.pages.test_sign_in import buttons, open_app, texts

PAGES = [None, "patient", "improve/audit"]


def listen_on(address: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = st.get_option
    monkeypatch.setattr(st, "get_option", lambda key: address if key == "server.address" else asked(key))


@pytest.fixture(autouse=True)
def exposed(home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Listening on every address, with an app home of its own."""
    listen_on(None, monkeypatch)
    return home


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CERVIX_OPEN_DEMO_ROOM", "true")
    get_settings.cache_clear()


@pytest.fixture
def labelled(exposed: Path) -> LabelStore:  # noqa: ARG001 - the settings' store
    with filled(open_store(get_settings().label_store_url)) as store:
        label(store, TILES[0], "Ada", "scc")
        label(store, TILES[0], "Ben", "ac")
        yield store


@pytest.fixture
def candidate(exposed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("CERVIX_BUNDLE_DIR", str(bundle_of_risk_models(tmp_path / "shipped")))
    get_settings.cache_clear()
    candidate_of_risk_models(exposed / "bundles/better", "0.9.0")
    return "better"


@pytest.mark.parametrize("page", PAGES)
def test_every_page_says_that_everybody_is_a_viewer_and_how_that_changes(page: str | None) -> None:
    app = open_app(None, page)
    assert not app.exception
    assert "everybody here is a viewer" in texts(app)
    assert "Sign-in and roles" in texts(app)
    assert "CERVIX_OPEN_DEMO_ROOM=true" in texts(app)


@pytest.mark.usefixtures("opened")
@pytest.mark.parametrize("page", PAGES)
def test_a_demo_room_is_opened_by_a_setting_and_every_page_says_so(page: str | None) -> None:
    app = open_app(None, page)
    assert not app.exception
    assert "Demo room" in texts(app)
    assert "a viewer" not in texts(app)


@pytest.mark.parametrize("page", PAGES)
def test_on_this_computer_alone_no_page_says_anything_about_it(page: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    listen_on("127.0.0.1", monkeypatch)
    app = open_app(None, page)
    assert not app.exception
    assert "Others can reach" not in texts(app)
    assert "Demo room" not in texts(app)


def files(app: AppTest) -> AppTest:
    return app.segmented_control(key="readers_view").set_value("Files").run()


@pytest.mark.usefixtures("labelled")
def test_nobody_labels_settles_exports_imports_or_backs_up() -> None:
    assert "may look at this page but not label" in texts(open_app(None, "improve/label"))
    readers = open_app(None, "improve/agree")
    assert not files(readers).get("download_button")
    assert not readers.get("file_uploader")
    readers.segmented_control(key="readers_view").set_value("Disputes").run()
    assert "Only an admin settles a case" in texts(readers)
    assert not [key for key in (button.key for button in readers.button) if "settle" in str(key)]


def test_nobody_promotes_retrains_or_brings_a_candidate(candidate: str) -> None:
    app = open_app(None, "improve/compare")
    assert not app.get("file_uploader")
    app.selectbox(key="compare_folder").set_value(candidate).run()
    assert not app.exception
    assert "Only an admin promotes and rolls back" in texts(app)
    assert not {button.key for button in app.button} & {"promote", "promote_anyway", "roll_back", "promotion_keep"}


@pytest.mark.usefixtures("opened")
def test_in_a_demo_room_all_of_it_is_there(labelled: LabelStore, candidate: str) -> None:  # noqa: ARG001 - in the store
    assert len(files(open_app(None, "improve/agree")).get("download_button")) == 3
    app = open_app(None, "improve/compare")
    assert app.get("file_uploader")
    app.selectbox(key="compare_folder").set_value(candidate).run()
    assert "promote" in {button.key for button in app.button}


def test_an_uploaded_slide_is_neither_deleted_nor_kept_by_anybody(phantom_slide: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def with_upload() -> AppTest:
        app = open_app(None, "slide")
        app.session_state["slide_path"] = upload_store().store_picture("phantom.tiff", memoryview(phantom_slide.read_bytes()))
        app.session_state["slide_name"] = app.session_state["slide_credit"] = ""
        app.run()
        assert not app.exception
        return app

    closed = with_upload()
    assert "Score this slide" in buttons(closed)
    assert "Delete it now" not in buttons(closed)
    assert "Keep this upload on the server" not in [toggle.label for toggle in closed.toggle]
    listen_on("::1", monkeypatch)
    assert "Delete it now" in buttons(with_upload())


def test_a_name_in_the_session_makes_nobody_known() -> None:
    app = open_app(None, "improve/label")
    app.session_state["reader_name"] = "Ada"
    app.run()
    assert "local reader may look" in texts(app)
