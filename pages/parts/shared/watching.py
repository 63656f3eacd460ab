"""A job that scores or gathers cases while somebody looks on: how far it is, and a button that stops it."""

import time

import streamlit as st

from cervix.jobs import Job

CountedJob = Job[tuple[int, int], int]
"""Its progress is how many are done of how many, its result how many it made."""
POLL_EVERY_S = 1.0


@st.fragment(run_every=POLL_EVERY_S)
def watch(job: CountedJob, key: str) -> None:
    """Until the job ends; then the page runs again.

    Parameters
    ----------
    key : of the button
    """
    if not job.active:
        st.rerun()
    bar, stop = st.columns([6, 1], vertical_alignment="center")
    done, total = job.progress or (0, 0)
    seconds = time.monotonic() - job.created
    words = f"{done:,} of {total:,} · about {seconds * (total - done) / done:.0f} s left" if done else "Starting …"
    bar.progress(done / total if total else 0.0, words)
    if stop.button("Stop", icon=":material/stop:", key=key, width="stretch"):
        job.cancel()
