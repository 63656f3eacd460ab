"""A reload finds what was open, for whoever opened it; the address says nothing of it."""

import pytest
from streamlit.testing.v1 import AppTest

from pages.parts.shared.open_case import Opened
from tests.pages.opening import TIMEOUT_S

KEEPING = """
import streamlit as st

from pages.parts.shared.open_case import keep_open

keep_open("list", {"woman": "W-17"}, b"patient_id\\nW-17\\n")
"""
ASKING = """
import streamlit as st

from pages.parts.shared.open_case import open_again

st.session_state["found"] = open_again("{kind}")
"""


@pytest.fixture(autouse=True)
def _own_home(home: object) -> None:
    """Settings of a home of its own."""


def kept() -> str:
    """The address of a session that keeps a list open."""
    app = AppTest.from_string(KEEPING, default_timeout=TIMEOUT_S).run()
    assert not app.exception
    return str(app.query_params["open"])


def reloaded(kind: str, token: str, reader: str = "") -> Opened | None:
    app = AppTest.from_string(ASKING.format(kind=kind), default_timeout=TIMEOUT_S)
    app.query_params["open"] = token
    if reader:
        app.session_state["reader_name"] = reader
    app.run()
    assert not app.exception
    found: Opened | None = app.session_state["found"]
    return found


def test_a_reload_finds_the_list_and_the_address_does_not_name_it() -> None:
    token = kept()
    assert len(token) >= 32
    assert "W-17" not in token
    found = reloaded("list", token)
    assert found is not None
    assert (found.facts, found.content) == ({"woman": "W-17"}, b"patient_id\nW-17\n")


def test_an_address_opens_nothing_for_another_person_page_or_token() -> None:
    token = kept()
    assert reloaded("list", token, reader="Somebody Else") is None
    assert reloaded("slide", token) is None
    assert reloaded("list", token[:-1] + ("A" if token[-1] != "A" else "B")) is None


def test_what_is_kept_again_unchanged_keeps_its_address() -> None:
    app = AppTest.from_string(KEEPING, default_timeout=TIMEOUT_S).run()
    first = app.query_params["open"]
    assert app.run().query_params["open"] == first


CLOSING = """
from pages.parts.shared.open_case import forget_open

if st.query_params.get("close"):
    forget_open("list")
"""


def test_what_is_closed_is_held_no_more() -> None:
    app = AppTest.from_string(KEEPING + CLOSING, default_timeout=TIMEOUT_S)
    token = str(app.run().query_params["open"])
    assert reloaded("list", token) is not None
    app.query_params["close"] = "yes"
    assert not app.run().exception
    assert reloaded("list", token) is None
