"""A home of its own for a session that plays: what it labels, retrains and promotes there goes with it."""

import tempfile
from pathlib import Path

import streamlit as st
from streamlit.runtime.scriptrunner import get_script_run_ctx

from cervix.settings import sandboxes_by

HOME = "sandbox_home"
# What belongs to the visit and not to what is open in it.
KEPT = frozenset({HOME, "tokens", "token_session", "owner", "reader_name", "tour", "tour_turn", "tour_offered"})


def _home_of_session() -> Path | None:
    """The sandbox of the session that runs in this thread; none outside of pages."""
    if get_script_run_ctx(suppress_warning=True) is None:
        return None
    sandbox: tempfile.TemporaryDirectory[str] | None = st.session_state.get(HOME)
    return Path(sandbox.name) if sandbox is not None else None


sandboxes_by(_home_of_session)


def in_sandbox() -> bool:
    """Whether this session plays."""
    return HOME in st.session_state


def enter_sandbox() -> Path:
    """Give this session an empty home of its own, which is deleted when it leaves or ends."""
    leave_sandbox()
    _forget_what_is_open()
    st.session_state[HOME] = tempfile.TemporaryDirectory(prefix="cervix-demo-", ignore_cleanup_errors=True)
    return Path(st.session_state[HOME].name)


def leave_sandbox() -> None:
    """Back to the server's own home; nothing of the sandbox is left."""
    sandbox: tempfile.TemporaryDirectory[str] | None = st.session_state.pop(HOME, None)
    if sandbox is not None:
        _forget_what_is_open()
        sandbox.cleanup()


def _forget_what_is_open() -> None:
    """A session in another home has another bundle, other labels and other slides before it."""
    for key in [key for key in st.session_state if key not in KEPT]:
        del st.session_state[key]
