"""A home of its own for a session that plays: what it labels, retrains and promotes there goes with it."""

import shutil
import tempfile
import time
import weakref
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from threading import Thread
from typing import Any, TypeVar

import streamlit as st
from streamlit.runtime.scriptrunner import get_script_run_ctx

from cervix.bundle.signature import vouched_by
from cervix.sandbox.candidate import sample_candidate
from cervix.settings import sandboxes_by

HOME = "sandbox_home"
PREFIX = "cervix-demo-"
LEFT_FOR_S = 24 * 3600
# What belongs to the visit and not to what is open in it.
KEPT = frozenset({HOME, "tokens", "token_session", "owner", "reader_name", "tour", "tour_turn", "tour_offered"})


Thing = TypeVar("Thing")


class Sandbox:
    """An empty folder that is deleted when it is left, or when nobody holds it any more, as after the end of a visit.

    Attributes
    ----------
    things : whatever works in it, by name, and how it is ended before the folder is deleted
    """

    def __init__(self) -> None:
        self.home = Path(tempfile.mkdtemp(prefix=PREFIX))
        self.things: dict[str, tuple[Any, Callable[[Any], None]]] = {}
        self._forgotten = weakref.finalize(self, _delete_soon, self.home, self.things)

    def leave(self) -> None:
        if self._forgotten.detach():
            _delete(self.home, self.things)


def _delete(home: Path, things: dict[str, tuple[Any, Callable[[Any], None]]]) -> None:
    # What came last may need what came before.
    for thing, end in reversed(things.values()):
        end(thing)
    shutil.rmtree(home, ignore_errors=True)


def _delete_soon(home: Path, things: dict[str, tuple[Any, Callable[[Any], None]]]) -> None:
    """In a thread of its own: the collector of garbage comes by in the midst of anything."""
    Thread(target=_delete, args=(home, things), name="sandbox").start()


def held_by_sandbox(name: str, make: Callable[[], Thing], end: Callable[[Thing], None]) -> Thing | None:
    """What works for this session's sandbox alone, made once and ended with it; None where the session has no sandbox."""
    sandbox: Sandbox | None = st.session_state.get(HOME)
    if sandbox is None:
        return None
    if name not in sandbox.things:
        sandbox.things[name] = (make(), end)
    thing: Thing = sandbox.things[name][0]
    return thing


def _sweep() -> None:
    """What a server that was killed has left, once it is a day old."""
    for left in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        with suppress(OSError):
            if time.time() - left.stat().st_mtime > LEFT_FOR_S:
                shutil.rmtree(left, ignore_errors=True)


def _home_of_session() -> Path | None:
    """The sandbox of the session that runs in this thread; none outside of pages."""
    if get_script_run_ctx(suppress_warning=True) is None:
        return None
    sandbox: Sandbox | None = st.session_state.get(HOME)
    return sandbox.home if sandbox is not None else None


def _is_our_sample(sha256: str) -> bool:
    """Whether a session that plays reads the candidate that comes with the app; elsewhere it is a bundle like others."""
    return _home_of_session() is not None and sha256 == sample_candidate().sha256


sandboxes_by(_home_of_session)
vouched_by(_is_our_sample)


def in_sandbox() -> bool:
    """Whether this session plays."""
    return HOME in st.session_state


def enter_sandbox() -> Path:
    """Give this session an empty home of its own, which is deleted when it leaves or ends."""
    leave_sandbox()
    _sweep()
    _forget_what_is_open()
    sandbox = st.session_state[HOME] = Sandbox()
    return sandbox.home


def leave_sandbox() -> None:
    """Back to the server's own home; nothing of the sandbox is left."""
    sandbox: Sandbox | None = st.session_state.pop(HOME, None)
    if sandbox is not None:
        _forget_what_is_open()
        sandbox.leave()


def _forget_what_is_open() -> None:
    """A session in another home has another bundle, other labels and other slides before it."""
    for key in [key for key in st.session_state if key not in KEPT]:
        del st.session_state[key]
