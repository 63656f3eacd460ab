"""The tour: where it is, what plays it, and the sandbox it plays in. What it shows stands in ``tour_steps``."""

from dataclasses import dataclass, replace
from typing import Any

import streamlit as st

from cervix.settings import get_settings
from pages.parts.shared.components import tour
from pages.parts.shared.sandbox import enter_sandbox, leave_sandbox
from pages.parts.start.tour_steps import STEPS, Step

TOUR, TURN = "tour", "tour_turn"
IDLE_S = 90
"""At a demonstration table the tour starts over when nobody has touched anything for so long."""


@dataclass(frozen=True)
class Place:
    """Where a tour is."""

    at: int = 0
    playing: bool = True

    @property
    def step(self) -> Step:
        return STEPS[self.at]


def moved(place: Place, wish: str, *, loops: bool) -> Place | None:
    """Where a tour is after a wish: ``next``, ``back``, ``pause``, ``play``, ``restart`` or ``end``; None once it has ended.

    A tour that ``loops`` starts over instead of ending after its last step.
    """
    last = place.at == len(STEPS) - 1
    if wish == "end" or (wish == "next" and last and not loops):
        return None
    if wish == "restart" or (wish == "next" and last):
        return Place()
    if wish in ("next", "back"):
        return replace(place, at=max(0, place.at + (1 if wish == "next" else -1)))
    return replace(place, playing=wish == "play") if wish in ("pause", "play") else place


def start_tour() -> None:
    """From the beginning, in a sandbox: whatever the tour does leaves no trace. For a button's ``on_click``."""
    enter_sandbox()
    st.session_state[TOUR] = Place()
    st.session_state[TURN] = True


def end_tour() -> None:
    """Leave the tour and its sandbox."""
    leave_sandbox()
    st.session_state.pop(TOUR, None)


def is_playing() -> bool:
    """Whether this session is on a tour."""
    return TOUR in st.session_state


def _go() -> None:
    """What the tour's control asked for."""
    place: Place | None = st.session_state.get(TOUR)
    # A click that comes twice, or late, is about another step, or about a control that is gone.
    asked = st.session_state.get("tour_control", {}).get("go")
    if place is None or not asked or int(asked["at"]) != place.at:
        return
    demo = get_settings().demo
    if asked["wish"] == "restart":
        start_tour()
        return
    now = moved(place, str(asked["wish"]), loops=demo)
    if now is None:
        end_tour()
        return
    if now.at < place.at and asked["wish"] == "next":
        start_tour()
        return
    st.session_state[TOUR] = now
    st.session_state[TURN] = now.at != place.at


def begin_at_a_table() -> None:
    """At a demonstration table a visit begins with the tour; whoever ends it may look around."""
    if get_settings().demo and not st.session_state.get("tour_offered"):
        start_tour()
    st.session_state["tour_offered"] = True


def show_tour(page: str) -> None:
    """Turn to the page of the step, and show the control over it.

    Parameters
    ----------
    page : the page that this run would show, as in its address; empty for the first
    """
    place: Place | None = st.session_state.get(TOUR)
    if place is None:
        return
    step = place.step
    if st.session_state.pop(TURN, False):
        st.session_state.update(step.state)
        if step.params or step.page != (page or "start"):
            st.switch_page(f"{step.page}.py", query_params=dict(step.params))
    tour(key="tour_control", data=_told(place), on_go_change=_go)
    if step.prepare is not None:
        step.prepare()


def _told(place: Place) -> dict[str, Any]:
    step = place.step
    return {
        "at": place.at,
        "steps": len(STEPS),
        "title": step.title,
        "text": step.text,
        "target": step.target,
        "press": list(step.press),
        "seconds": step.seconds,
        "playing": place.playing,
        "idle_s": IDLE_S if get_settings().demo else 0,
    }
