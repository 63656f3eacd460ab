"""A slide that lies in another store is fetched before it opens: asked for, awaited, opened or told why not."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from secrets import token_hex
from typing import Any

import streamlit as st

from cervix.archive.viewing import held_for_viewing
from cervix.bundle import Bundle
from cervix.plain_text import escaped
from cervix.settings import Settings, get_settings
from cervix.sources.downloads import Arriving, Onlooker
from pages.parts.archive.resources import fetches
from pages.parts.shared.fetching import FetchJob, show_fetching

POLL_EVERY_S = 1.0
AWAITED = "archive_awaited_slide"
"""The row that this session waits for and the key of its job, which no other session has: to stop is one's own affair."""


def fetch_and_open(row: dict[str, Any], bundle: Bundle) -> None:
    """Begin to fetch a slide; ``open_awaited`` opens it once it is there."""
    stop_fetching()
    key = token_hex(8)
    fetches().submit(key, partial(_fetch, row["locator"], row["slide_sha256"], get_settings(), bundle))
    st.session_state[AWAITED] = row, key


def open_awaited(open_it: Callable[[dict[str, Any], Path], None]) -> None:
    """What became of the slide that this session waits for, if it waits for one."""
    if AWAITED not in st.session_state:
        return
    row, key = st.session_state[AWAITED]
    job = fetches().get(key)
    if job is not None and job.active:
        _await(key)
        return
    del st.session_state[AWAITED]
    if job is not None and job.state == "failed":
        st.error(escaped(job.error), icon=":material/cloud_off:")
    elif job is not None and job.result is not None:
        open_it(row, job.result)


@st.fragment(run_every=POLL_EVERY_S)
def _await(key: str) -> None:
    job = fetches().get(key)
    if job is None or not job.active:
        st.rerun()
    with st.container(horizontal=True, vertical_alignment="center", key="archive_fetching"):
        show_fetching(job, begun=False)
        st.button("Stop", icon=":material/stop:", key="archive_fetch_stop", on_click=stop_fetching,
                  help="Nothing of the slide is kept on this server.")  # fmt: skip


def stop_fetching() -> None:
    """Stop the fetch that this session waits for, if there is one."""
    _, key = st.session_state.pop(AWAITED, (None, ""))
    if (job := fetches().get(key)) is not None:
        job.cancel()


def _fetch(locator: str, slide_sha256: str, settings: Settings, bundle: Bundle, job: FetchJob) -> Path:
    def arriving(now: Arriving) -> None:
        job.progress = now

    with held_for_viewing(locator, slide_sha256, settings, bundle, Onlooker(arriving, job.cancel_requested)) as path:
        return path
