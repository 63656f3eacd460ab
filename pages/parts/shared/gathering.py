"""Cases gathered in the background, for whoever starts it: step 1 of Improve, or the list of an archive run."""

from collections.abc import Callable

import streamlit as st

from cervix.jobs import JobBoard
from cervix.settings import get_settings
from pages.parts.shared.watching import CountedJob

JOB = "label_job"


@st.cache_resource
def _board() -> JobBoard[tuple[int, int], int]:
    return JobBoard()


def start_gathering(key: str, work: Callable[[CountedJob], int]) -> None:
    """Gather cases in the background; step 1 of Improve then shows this session how far it is."""
    # Whoever plays in a sandbox adds to its own store.
    key = f"{get_settings().home} {key}"
    _board().submit(key, work)
    st.session_state[JOB] = key


def gathering_job() -> CountedJob | None:
    """What this session started last; None where that is nothing, or long over."""
    return _board().get(st.session_state.get(JOB, ""))
