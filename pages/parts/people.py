"""Who uses this session."""

import streamlit as st

from cervix.people import Person
from cervix.settings import get_settings


def person() -> Person:
    """Whoever uses this session: without sign-in a local reader, under the name he gave himself, who may do everything."""
    return Person(st.session_state.get("reader_name") or get_settings().reader, "admin")
