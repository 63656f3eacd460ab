"""The tour: where it goes, that it plays in a sandbox, and that nothing of it is left."""

import gc
import time
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from cervix.people import Person
from cervix.settings import get_settings
from pages.parts.shared.sandbox import Sandbox
from pages.parts.start.tour import Place, moved
from pages.parts.start.tour_steps import STEPS
from tests.pages.opening import TIMEOUT_S, open_page, texts
from tests.pages.test_exposed import listen_on

LAST = Place(at=len(STEPS) - 1)
PAGES = {"start", "slide", "patient", "evidence", "improve"}


@pytest.fixture(autouse=True)
def own_home(home: Path) -> Path:
    """Each test has an app home of its own and no network."""
    return home


@pytest.mark.parametrize(
    ("place", "wish", "then"),
    [
        (Place(), "next", Place(at=1)),
        (Place(), "back", Place()),
        (Place(at=3), "back", Place(at=2)),
        (Place(at=3), "pause", Place(at=3, playing=False)),
        (Place(at=3, playing=False), "play", Place(at=3)),
        (Place(at=3, playing=False), "next", Place(at=4, playing=False)),
        (Place(at=3), "restart", Place()),
        (Place(at=3), "end", None),
        (LAST, "next", None),
        (Place(at=3), "something else", Place(at=3)),
    ],
)
def test_a_wish_moves_the_tour(place: Place, wish: str, then: Place | None) -> None:
    assert moved(place, wish, loops=False) == then


def test_at_a_demonstration_table_the_end_is_the_beginning() -> None:
    assert moved(LAST, "next", loops=True) == Place()
    assert moved(LAST, "end", loops=True) is None


def test_a_tour_of_five_minutes_visits_every_page_and_ends_where_it_began() -> None:
    assert {step.page for step in STEPS} == PAGES
    assert (STEPS[0].page, STEPS[-1].page) == ("start", "start")
    assert 240 <= sum(step.seconds for step in STEPS) <= 330


def started() -> AppTest:
    app = open_page("start")
    app.button(key="play_demo").click().run()
    assert not app.exception
    return app


def test_it_plays_in_a_home_of_its_own_which_is_gone_when_it_is_left(own_home: Path) -> None:
    app = started()
    sandbox = app.session_state["sandbox_home"].home
    assert sandbox.is_dir()
    assert own_home not in sandbox.parents
    assert get_settings().home == own_home, "whoever is not on the tour has the server's home"
    app.button(key="leave_sandbox").click().run()
    assert not app.exception
    assert not sandbox.exists()
    assert "tour" not in app.session_state


def test_what_was_open_before_is_not_open_in_the_sandbox() -> None:
    app = open_page("start")
    app.session_state["slide_path"] = Path("/nowhere.tiff")
    app.button(key="play_demo").click().run()
    assert "slide_path" not in app.session_state


def test_a_demonstration_table_begins_by_itself_and_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CERVIX_DEMO", "true")
    get_settings.cache_clear()
    app = open_page("start")
    assert app.session_state["tour"] == Place()
    app.button(key="leave_sandbox").click().run()
    assert "tour" not in app.session_state, "whoever ends it may look around"


def test_without_a_tour_nothing_is_said_of_a_sandbox() -> None:
    assert "Sandbox" not in texts(open_page("start"))


def test_everybody_may_play_and_nobody_reaches_out_of_the_sandbox(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a server that others can reach a visitor is a viewer; in a sandbox an admin of what lies there."""
    listen_on(None, monkeypatch)
    monkeypatch.setenv("CERVIX_DICOMWEB_URL", "https://archive.example")
    monkeypatch.setenv("CERVIX_OFFLINE", "0")
    get_settings.cache_clear()
    app = open_page("start")
    app.button(key="play_demo").click().run()
    assert "Archive" not in app.switch_page("slide.py").run().segmented_control(key="slide_way").options
    app.session_state["improve_view"] = "agree"
    app.switch_page("improve.py").run()
    assert not app.exception
    viewer = Person("somebody", "viewer", anybody=True)
    playing = viewer.in_a_sandbox()
    assert playing.may_label
    assert playing.may_decide
    assert [playing.may_bring_bundles, playing.may_take_labels, playing.may_retrain] == [False] * 3
    assert app.button(key="leave_sandbox")


KEEPING_BUSY = """
import streamlit as st

from pages.parts.shared.sandbox import HOME, Sandbox, held_by_sandbox

ended = st.session_state["ended"]
held_by_sandbox("first", lambda: "store", ended.append)
held_by_sandbox("second", lambda: "outbox", ended.append)
held_by_sandbox("second", lambda: "another", ended.append)
"""


def test_what_works_in_a_sandbox_ends_before_it_is_deleted_the_last_first() -> None:
    app = AppTest.from_string(KEEPING_BUSY, default_timeout=TIMEOUT_S)
    ended: list[str] = []
    app.session_state["ended"] = ended
    app.run()
    assert not app.exception
    assert not ended, "without a sandbox nothing is held"
    sandbox = app.session_state["sandbox_home"] = Sandbox()
    app.run()
    assert not app.exception
    sandbox.leave()
    assert ended == ["outbox", "store"]
    assert not sandbox.home.exists()


def test_a_sandbox_that_nobody_holds_any_more_goes_by_itself() -> None:
    sandbox = Sandbox()
    home = sandbox.home
    del sandbox
    gc.collect()
    deadline = time.monotonic() + 60
    while home.exists():
        assert time.monotonic() < deadline
        time.sleep(0.02)
