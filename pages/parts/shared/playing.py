"""What a sandbox holds before anybody plays in it."""

import streamlit as st

from cervix.settings import get_settings
from pages.parts.shared.frame import active_now
from pages.parts.shared.sandbox import enter_sandbox, in_sandbox

FILLED = "sandbox_filled"


def fill_sandbox() -> None:
    """Give this session a sandbox with made cases, labels of made-up readers and a candidate bundle, once."""
    if not in_sandbox():
        enter_sandbox()
    home = str(get_settings().home)
    if st.session_state.get(FILLED) == home:
        return
    from cervix.sandbox import fill

    bar = st.progress(0.0, "Making cases, readers and a candidate …")
    fill(get_settings(), active_now(), lambda share, words: bar.progress(share, words))
    bar.empty()
    st.session_state[FILLED] = home
