"""What each page shows to whom, without a browser: nothing before signing in, other people's slides to readers only."""

import time
from pathlib import Path
from typing import Any

import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

from cervix import RESEARCH_NOTICE
from cervix.settings import PROJECT_ROOT, get_settings
from cervix.slides.phantom import phantom_region
from cervix.slides.pyramid import write_pyramid
from cervix.web import let_in, upload_tokens
from cervix.web.passed import has_passed
from tests.test_sign_in import COMPLETE

TIMEOUT_S = 60
SESSION = "test session id"  # what AppTest calls its one session


class User(dict[str, Any]):
    """What ``st.user`` is to a page."""

    def to_dict(self) -> dict[str, Any]:
        return dict(self)


@pytest.fixture(autouse=True)
def _lists(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: ARG001 - an app home of its own
    monkeypatch.setenv("CERVIX_READERS", "@ward.example")
    monkeypatch.setenv("CERVIX_ADMINS", "chief@ward.example")
    get_settings.cache_clear()


PLAY = "Play the demo (5 min)"


def sign_in(monkeypatch: pytest.MonkeyPatch, **claims: object) -> None:
    always = {"is_logged_in": True, "sub": "7f3a", "iat": time.time()}
    monkeypatch.setattr(st, "user", User(always | claims))


def open_app(section: object = COMPLETE, page: str | None = None) -> AppTest:
    app = AppTest.from_file(str(PROJECT_ROOT / "pages/navigation.py"), default_timeout=TIMEOUT_S)
    if section is not None:
        app.secrets["auth"] = section
    name, _, view = (page or "").partition("/")
    if view:
        app.session_state[f"{name}_view"] = view
    app.run()
    return app.switch_page(f"{name}.py").run() if page else app


def texts(app: AppTest) -> str:
    return "\n".join(
        str(block.value) for block in [*app.markdown, *app.warning, *app.error, *app.info, *app.caption, *app.text]
    )


def buttons(app: AppTest) -> list[str]:
    return [button.label for button in app.button]


@pytest.mark.parametrize("page", [None, "slide", "patient", "improve/label", "improve/audit"])
def test_before_signing_in_every_page_is_the_gate_and_nothing_else(page: str | None) -> None:
    app = open_app(page=page)
    assert not app.exception
    assert [title.value for title in app.title] == ["Cervix Workbench"]
    assert RESEARCH_NOTICE in texts(app)
    assert buttons(app) == ["Sign in"]
    assert "Bundle" not in texts(app)
    assert "tokens" not in app.session_state


@pytest.mark.parametrize(
    ("address", "role"),
    [("chief@ward.example", "admin"), ("ada@ward.example", "reader"), ("eve@elsewhere.example", "viewer")],
)
def test_whoever_signed_in_sees_the_pages_and_his_name_and_role(
    address: str, role: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    sign_in(monkeypatch, email=address)
    app = open_app()
    assert not app.exception
    assert buttons(app) == ["Sign out", PLAY]
    assert address in texts(app)
    assert {"admin": "everything", "reader": "label cases", "viewer": "that you bring"}[role] in texts(app)


def test_a_sign_in_that_is_too_old_leads_to_the_gate(monkeypatch: pytest.MonkeyPatch) -> None:
    sign_in(monkeypatch, email="ada@ward.example", iat=time.time() - 13 * 3600)
    app = open_app()
    assert buttons(app) == ["Sign in"]
    assert "more than 12 h ago" in texts(app)


def test_whoever_has_no_name_is_told_so_and_may_leave(monkeypatch: pytest.MonkeyPatch) -> None:
    sign_in(monkeypatch, sub="")
    app = open_app(page="slide")
    assert not app.exception
    assert "The sign-in provider names nobody" in texts(app)
    assert buttons(app) == ["Sign out"]


@pytest.mark.parametrize(
    ("section", "sentence"),
    [
        ({}, "found no redirect_uri, no cookie_secret, no client_id"),
        (COMPLETE | {"client_id": ""}, "found no client_id."),
        (None, "Roles are given, but nobody can sign in"),
    ],
)
@pytest.mark.parametrize("page", [None, "slide"])
def test_a_wrong_configuration_is_one_sentence_on_every_page_even_for_who_signed_in(
    section: object, sentence: str, page: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    sign_in(monkeypatch, email="chief@ward.example", is_logged_in=True)
    app = open_app(section, page)
    assert not app.exception
    assert sentence in texts(app)
    assert "Bundle" not in texts(app)
    assert "Sign in" not in buttons(app)


def test_secrets_that_cannot_be_read_are_not_taken_for_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CERVIX_READERS")
    monkeypatch.delenv("CERVIX_ADMINS")
    get_settings.cache_clear()
    broken = tmp_path / "secrets.toml"
    broken.write_text("[auth\nclient_id = ", encoding="utf-8")
    monkeypatch.setattr(st.secrets, "_secrets", None)
    with monkeypatch.context() as only_here:
        only_here.setattr("streamlit.config.get_option", _with_secrets(broken))
        app = open_app(None)
        assert "secrets.toml cannot be read" in texts(app)
        assert not buttons(app)
    assert "Bundle" in texts(open_app(None))


def _with_secrets(path: Path) -> Any:
    asked = st.get_option

    def get_option(key: str) -> Any:
        return [str(path)] if key == "secrets.files" else asked(key)

    return get_option


def test_without_sign_in_nothing_is_new(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CERVIX_READERS")
    monkeypatch.delenv("CERVIX_ADMINS")
    get_settings.cache_clear()
    app = open_app(None)
    assert not app.exception
    assert buttons(app) == [PLAY]
    assert "local reader" not in texts(app)


def ways(app: AppTest) -> list[str]:
    return list(app.button_group(key="slide_way").options)


def test_what_others_brought_is_shown_to_readers_and_not_to_viewers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "inbox").mkdir()
    monkeypatch.setenv("CERVIX_INBOX", str(tmp_path / "inbox"))
    get_settings.cache_clear()
    slide = tmp_path / "slide.tiff"
    write_pyramid(slide, phantom_region(800, 600, seed=5), 0.5)

    def recent_slides(address: str, brings: Path | None = None) -> AppTest:
        sign_in(monkeypatch, email=address)
        app = open_app(page="slide")
        if brings:
            app.session_state["slide_path"] = brings
            app.session_state["slide_name"] = app.session_state["slide_credit"] = ""
            app.run()
        app.session_state["slide_way"] = "Recent slides"
        app.run()
        assert not app.exception
        return app

    brought = recent_slides("eve@elsewhere.example", slide)
    assert "Open slide" in buttons(brought)
    read = recent_slides("ada@ward.example")
    assert "Open slide" in buttons(read)
    assert ways(read) == ["Upload", "Server folders", "Recent slides"]
    viewed = recent_slides("eve@elsewhere.example")
    assert "Open slide" not in buttons(viewed)
    assert "Slides that others opened are shown to readers only" in texts(viewed)
    assert ways(viewed) == ["Upload", "Recent slides"]


def test_files_are_taken_from_a_session_once_it_is_behind_the_gate_and_no_longer(monkeypatch: pytest.MonkeyPatch) -> None:
    open_app()
    assert not has_passed(SESSION)
    sign_in(monkeypatch, email="ada@ward.example")
    app = open_app()
    assert has_passed(SESSION)
    app.button(key="sign_out").click().run()
    assert not has_passed(SESSION)
    let_in(SESSION)
    sign_in(monkeypatch, email="ada@ward.example", iat=time.time() - 13 * 3600)
    open_app()
    assert not has_passed(SESSION)


def test_signing_out_takes_this_session_s_addresses_back(monkeypatch: pytest.MonkeyPatch) -> None:
    sign_in(monkeypatch, email="ada@ward.example")
    app = open_app(page="slide")
    token = app.session_state["tokens"]["upload"]
    assert upload_tokens.find(token) is not None
    app.button(key="sign_out").click().run()
    assert upload_tokens.find(token) is None
