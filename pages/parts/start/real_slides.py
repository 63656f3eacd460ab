"""Real cervical carcinomas, fetched when somebody asks for one."""

from functools import partial

import streamlit as st

from cervix.bundle import Bundle
from cervix.jobs import JobBoard
from cervix.plain_text import escaped
from cervix.samples.tcga import (
    RealSlide,
    fetch_real_slide,
    is_begun,
    opened_by,
    real_slides,
    real_slides_at_hand,
)
from cervix.settings import Settings, get_settings
from cervix.sources.downloads import Arriving
from pages.parts.shared.fetching import FetchJob, show_fetching
from pages.parts.shared.frame import bundle_or_stop
from pages.parts.shared.people import person
from pages.parts.shared.sandbox import in_sandbox
from pages.parts.slide.look import choose

AT_ONCE = 2
AT_FIRST = 3
EVERY_S = 1.0
GROUPS = {"scc": "Squamous-cell carcinoma", "ac": "Adenocarcinoma"}
WHAT = (
    "Diagnostic slides of twelve women, the smallest of TCGA-CESC, from the NCI Imaging Data Commons. The diagnosis is that of "
    "her tumour, as her hospital gave it to TCGA; nobody marked it on the slide."
)


@st.cache_resource(show_spinner=False)
def _board() -> JobBoard[Arriving, None]:
    return JobBoard(AT_ONCE)


def show_real_slides() -> None:
    """Each slide with its diagnosis, its size, and a button that fetches or opens it. In a sandbox nothing is fetched."""
    if in_sandbox():
        return
    settings, bundle = get_settings(), bundle_or_stop()
    with st.container(key="real_slides"):
        st.header("Real cervical carcinomas", anchor=False)
        at_hand = [slide for slide in real_slides_at_hand(settings) if not person().anybody or opened_by(slide, settings)]
        if not at_hand:
            who = "where this server may use the network" if settings.offline else "by whoever signs in"
            st.caption(f"{len(real_slides())} slides of TCGA-CESC can be fetched {who}.")
            return
        st.caption(f"{WHAT} {escaped(_what_the_model_saw(bundle))}".strip())
        busy = any(job is not None and job.active for job in map(_job, at_hand))
        st.fragment(_show, run_every=EVERY_S if busy else None)(at_hand, settings, busy)


def _what_the_model_saw(bundle: Bundle) -> str:
    models = bundle.manifest.of_kind("tile")
    if not models or not models[0].organs or models[0].saw_cervix:
        return ""
    return "The slide model never saw a cervix: what it says here tests it, and may well be wrong or nothing."


def _show(slides: list[RealSlide], settings: Settings, busy: bool) -> None:
    for column, (label, title) in zip(st.columns(len(GROUPS), gap="medium"), GROUPS.items(), strict=True):
        with column.container(gap="xsmall"):
            st.markdown(f"**{title}**")
            of_label = [slide for slide in slides if slide.label == label]
            first = [slide for place, slide in enumerate(of_label) if place < AT_FIRST or _is_in_hand(slide, settings)]
            for slide in first:
                _show_row(slide, settings)
            if more := [slide for slide in of_label if slide not in first]:
                with st.expander(f"{len(more)} more, up to {more[-1].size_bytes / 1e6:,.0f} MB"):
                    for slide in more:
                        _show_row(slide, settings)
    if busy and not any(job is not None and job.active for job in map(_job, slides)):
        st.rerun()  # the last one has come: nothing is left to look for every second


def _is_in_hand(slide: RealSlide, settings: Settings) -> bool:
    return _job(slide) is not None or is_begun(slide, settings) or opened_by(slide, settings) is not None


def _show_row(slide: RealSlide, settings: Settings) -> None:
    job, path = _job(slide), opened_by(slide, settings)
    with st.container(border=True, gap="xsmall"):
        with st.container(horizontal=True, vertical_alignment="center", gap="small", key=f"real_row_{slide.patient}"):
            size = f"{slide.size_bytes / 1e6:,.0f} MB"
            st.markdown(f"{escaped(slide.diagnosis)}  \n:small[{slide.patient} · {size}]", width="stretch")
            if path is not None:
                if st.button("Open", icon=":material/play_arrow:", key=f"real_open_{slide.patient}", type="primary"):
                    choose(path, name=f"{slide.patient}: {slide.diagnosis}", credit=slide.credit)
                    st.switch_page("slide.py")
            elif job is not None and job.active:
                st.button("Stop", icon=":material/stop:", key=f"real_stop_{slide.patient}", on_click=job.cancel)
            else:
                begun = is_begun(slide, settings)
                if st.button("Go on" if begun else "Fetch", icon=":material/download:", key=f"real_fetch_{slide.patient}"):
                    _board().submit(slide.series.id, partial(_fetch, slide, settings))
                    st.rerun()
        if path is None and job is not None:
            show_fetching(job, begun=is_begun(slide, settings))


def _job(slide: RealSlide) -> FetchJob | None:
    return _board().get(slide.series.id)


def _fetch(slide: RealSlide, settings: Settings, job: FetchJob) -> None:
    def arriving(step: Arriving) -> None:
        job.progress = step

    fetch_real_slide(slide, settings, arriving=arriving, cancel=job.cancel_requested)
