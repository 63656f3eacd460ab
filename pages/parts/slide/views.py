"""Which side of the tumour the page shows: its slide, or its microRNA. The address says so."""

from typing import Final

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from cervix.bundle import Bundle
from pages.parts.shared.open_case import CASE, SLIDE_VIEW

SLIDE, MOLECULAR = "slide", "molecular"
TITLES: Final = {SLIDE: "Slide", MOLECULAR: "Molecular"}
SEEN = "slide_view_seen"


def chosen_view(bundle: Bundle, line: DeltaGenerator) -> str:
    """The side that is chosen in the page's first line; without a molecular model the slide, and nothing to choose."""
    if not bundle.manifest.of_kind("molecular"):
        st.query_params.pop(SLIDE_VIEW, None)
        return SLIDE
    asked = SLIDE if CASE in st.query_params else str(st.query_params.get(SLIDE_VIEW, ""))
    if asked in TITLES and (asked != st.session_state.get(SEEN) or SLIDE_VIEW not in st.session_state):
        st.session_state[SLIDE_VIEW] = asked
    else:
        st.session_state.setdefault(SLIDE_VIEW, SLIDE)
    picked = line.segmented_control(
        "What to look at", list(TITLES), format_func=TITLES.__getitem__, key=SLIDE_VIEW, required=True, wrap=False,
        label_visibility="collapsed",
    )  # fmt: skip
    view = picked or SLIDE
    st.session_state[SEEN] = view
    if view == SLIDE:
        st.query_params.pop(SLIDE_VIEW, None)
    else:
        st.query_params[SLIDE_VIEW] = view
    return view
