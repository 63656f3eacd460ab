"""What a sandbox holds before anybody plays in it."""

import streamlit as st

from cervix.errors import CervixError
from cervix.plain_text import escaped
from cervix.sandbox import fill
from cervix.settings import get_settings
from pages.parts.shared.frame import active_now
from pages.parts.shared.sandbox import enter_sandbox, in_sandbox

FILLED = "sandbox_filled"


def fill_sandbox() -> bool:
    """Give this session a sandbox with made cases, labels of made-up readers and a candidate bundle, once.

    Returns whether it has one; where it could not be filled, says why.
    """
    if not in_sandbox():
        enter_sandbox()
    home = str(get_settings().home)
    if st.session_state.get(FILLED) == home:
        return True
    bar = st.progress(0.0, "Making cases, readers and a candidate …")
    try:
        fill(get_settings(), active_now(), lambda share, words: bar.progress(share, escaped(words)))
    except CervixError as error:
        st.error(escaped(str(error)), icon=":material/error:")
        return False
    finally:
        bar.empty()
    st.session_state[FILLED] = home
    return True
