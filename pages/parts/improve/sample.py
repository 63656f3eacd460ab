"""Sample data for every step: a home of this session's own, filled with made-up labels and a candidate."""

import streamlit as st

from cervix.errors import CervixError
from cervix.improving import StepId
from cervix.plain_text import escaped
from cervix.sandbox import fill
from cervix.settings import get_settings
from pages.parts.improve.opened import open_step
from pages.parts.shared.frame import bundle_or_stop
from pages.parts.shared.sandbox import enter_sandbox, in_sandbox, leave_sandbox


def show_empty(words: str, key: str, icon: str, *ways: tuple[StepId, str]) -> None:
    """A step that has nothing to work on: why, the way there, and sample data.

    Parameters
    ----------
    key : of the place on the page
    ways : id of another step, and what its button says
    """
    with st.container(border=True, key=f"{key}_empty"):
        st.markdown(f"{icon} {words}")
        with st.container(horizontal=True, vertical_alignment="center"):
            for name, title in ways:
                if st.button(title, key=f"{key}_to_{name}", on_click=open_step, args=(name,)):
                    st.rerun()
            tried = not in_sandbox() and st.button(
                "Try it with sample data",
                key=f"{key}_sample",
                type="primary",
                icon=":material/science:",
                help="Opens a home of your own for this session, with tiles of drawn slides, labels of two made-up readers and "
                "a candidate that was retrained from them. Nothing of it is kept.",
            )
        if tried:
            _fill(key)


def _fill(key: str) -> None:
    bundle = bundle_or_stop()
    enter_sandbox()
    with st.status("Filling a home of your own …", expanded=True) as status:
        try:
            fill(get_settings(), bundle, lambda *told: status.update(label=escaped(str(told[-1]))))
        except CervixError as error:
            leave_sandbox()
            status.update(label="Nothing was filled.", state="error")
            st.error(escaped(str(error)), icon=":material/error:")
            return
    if key == "gather":
        open_step("waiting")
    st.rerun()
