"""Which step of the loop is open, as other parts of the page ask for it."""

from typing import Literal

import streamlit as st

from cervix.improving import StepId

VIEW, SEEN, NEXT = "improve_view", "improve_view_seen", "improve_view_next"


def open_step(name: StepId | Literal["waiting"]) -> None:
    """Have a step open, or the one that then waits, at the next run of the page."""
    st.session_state[NEXT] = name
