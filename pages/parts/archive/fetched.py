"""A slide that lies in another store is fetched before it opens: asked for, awaited, opened or told why not."""

import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import streamlit as st

from cervix.archive.viewing import held_for_viewing
from cervix.bundle import Bundle
from cervix.jobs import Job
from cervix.plain_text import escaped
from cervix.settings import Settings, get_settings
from pages.parts.archive.resources import board

POLL_EVERY_S = 1.0
AWAITED = "archive_awaited_slide"


def fetch_and_open(row: dict[str, Any], bundle: Bundle) -> None:
    """Begin to fetch a slide; ``open_awaited`` opens it once it is there."""
    key = _key(row)
    board().submit(key, partial(_fetch, row["locator"], row["slide_sha256"], get_settings(), bundle))
    st.session_state[AWAITED] = row


def open_awaited(open_it: Callable[[dict[str, Any], Path], None]) -> None:
    """What became of the slide that this session waits for, if it waits for one."""
    row = st.session_state.get(AWAITED)
    if row is None:
        return
    job = board().get(_key(row))
    if job is not None and job.active:
        _await(row)
        return
    _forget()
    if job is not None and job.state == "failed":
        st.error(escaped(job.error), icon=":material/cloud_off:")
    elif job is not None and isinstance(job.result, Path):
        open_it(row, job.result)


@st.fragment(run_every=POLL_EVERY_S)
def _await(row: dict[str, Any]) -> None:
    job = board().get(_key(row))
    if job is None or not job.active:
        st.rerun()
    with st.container(horizontal=True, vertical_alignment="center", key="archive_fetching"):
        st.caption(f"Fetching the slide to this server … {time.monotonic() - job.created:.0f} s. It opens when it is here.")
        st.button("Do not wait", icon=":material/close:", key="archive_fetch_stop", on_click=_forget,
                  help="What is on its way still comes, and opens at once the next time.")  # fmt: skip


def _key(row: dict[str, Any]) -> str:
    return f"fetch {row['locator']} {row['slide_sha256']}"


def _forget() -> None:
    st.session_state.pop(AWAITED, None)


def _fetch(locator: str, slide_sha256: str, settings: Settings, bundle: Bundle, job: Job[tuple[int, int], object]) -> Path:
    del job
    with held_for_viewing(locator, slide_sha256, settings, bundle) as path:
        return path
