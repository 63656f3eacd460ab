"""Sample data for every step: a home of this session's own, filled with made-up labels and a candidate."""

import streamlit as st

from cervix.improving import StepId
from pages.parts.shared.improve_step import open_step
from pages.parts.shared.playing import fill_sandbox
from pages.parts.shared.sandbox import in_sandbox


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
        if tried and fill_sandbox():
            if key == "gather":
                open_step("waiting")
            st.rerun()
