"""Labelled cases that the bundle has not scored: scored in the background, once for all who ask."""

from functools import partial

import streamlit as st

from cervix.bundle import Bundle
from cervix.jobs import JobBoard
from cervix.labels.gathering.rescoring import rescore
from cervix.labels.similar.labelled import LabelledCases
from cervix.labels.store.cases import KINDS
from cervix.plain_text import escaped
from cervix.settings import get_settings
from pages.parts.shared.watching import CountedJob, watch


@st.cache_resource
def _board() -> JobBoard[tuple[int, int], int]:
    return JobBoard()


def offer_rescoring(cases: LabelledCases, bundle: Bundle, who: str, key: str) -> None:
    """A button that has the labelled cases without a score by this bundle scored, or how far that is.

    Parameters
    ----------
    key : of the place on the page
    """
    # One name for all sessions: two people who ask have them scored once. Whoever plays in a sandbox has a store of their own.
    name = f"{get_settings().label_store_url} {cases.kind} {bundle.sha256}"
    job = _board().get(name)
    if job is not None and job.active:
        watch(job, f"{key}_rescore_stop")
        return
    if job is not None and job.state == "failed":
        st.error(escaped(job.error), icon=":material/error:")
    waiting = cases.unscored()
    words = f"Score {len(waiting):,} labelled {KINDS[cases.kind].words} with this bundle"
    if waiting and st.button(words, key=f"{key}_rescore", icon=":material/autorenew:"):
        _board().submit(name, partial(_score, cases, waiting, bundle, who))
        st.rerun()


def _score(cases: LabelledCases, waiting: list[str], bundle: Bundle, who: str, job: CountedJob) -> int:
    try:
        return rescore(
            cases.store, cases.kind, waiting, bundle, who,
            on_progress=lambda *step: setattr(job, "progress", step), cancel=job.cancel_requested,
        )  # fmt: skip
    finally:
        cases.read_again()
