"""The case shelf: one card a case, the whole card opens it."""

from collections.abc import Sequence

import streamlit as st

from cervix.samples.cases import Case
from cervix.samples.shown import thumbnail


def show_shelf(cases: Sequence[Case]) -> None:
    """Cases with their pictures, their stories and what to look at."""
    st.header("Cases to try", anchor=False)
    with st.container(horizontal=True, key="shelf"):
        for case in cases:
            _show_card(case)


def _show_card(case: Case) -> None:
    """One case. The link covers the card; what stands on it is read with it."""
    with st.container(border=True, key=f"case_card_{case.id}", gap="xsmall"):
        st.image(_thumbnail(case), width="stretch", alt="")
        st.page_link(f"{case.page}.py", label=f"**{case.title}**", query_params={"case": case.id})
        st.caption(case.story)
        st.caption(f"*Look at:* {case.look_at}")
        st.caption(f":gray-badge[{case.made}]", help=case.credit)


@st.cache_data(show_spinner=False)
def _thumbnail(case: Case) -> str:
    return thumbnail(case)
