"""How a slide that is being fetched is told of, wherever it comes from."""

from typing import Any

import streamlit as st

from cervix.jobs import Job
from cervix.plain_text import escaped
from cervix.sources.downloads import Arriving

FetchJob = Job[Arriving, Any]


def show_fetching(job: FetchJob, *, begun: bool) -> None:
    """How far it is, or how it ended; ``begun``: whether something of it is kept."""
    if job.active:
        arriving = job.progress
        st.progress(arriving.share if arriving else 0.0, _words(job, arriving))
    elif job.state == "failed":
        st.warning(escaped(job.error))
    elif job.state == "cancelled":
        st.caption("Stopped." + (" What has arrived whole is kept; the next try goes on from there." if begun else ""))


def _words(job: FetchJob, arriving: Arriving | None) -> str:
    if job.state == "waiting":
        return "Waits for the others"
    if job.cancel_requested.is_set():
        return "Stopping …"
    if arriving is None or arriving.left_s is None:
        return "Asking …"
    unit, name = (1e6, "MB") if arriving.total_bytes >= 1e6 else (1e3, "kB")
    done, total, a_second = (value / unit for value in (arriving.done_bytes, arriving.total_bytes, arriving.bytes_s))
    return f"{done:,.0f} of {total:,.0f} {name} · {a_second:.1f} {name}/s · {_time(arriving.left_s)} left"


def _time(seconds: float) -> str:
    return f"{seconds / 60:,.0f} min" if seconds >= 90 else f"{max(seconds, 0.0):.0f} s"
