"""The hospital's archive as a way in: slides looked for, fetched, opened."""

from dataclasses import dataclass
from functools import partial

import streamlit as st

from cervix.errors import CervixError
from cervix.intake.archived import fetch_archived, is_begun
from cervix.jobs import JobBoard
from cervix.plain_text import escaped
from cervix.settings import Settings, get_settings
from cervix.sources.dicomweb import PAGE, ArchivedInstance, ArchivedSeries, archive_of
from cervix.sources.downloads import Arriving
from cervix.web import upload_store
from pages.parts.shared.fetching import FetchJob, show_fetching
from pages.parts.slide.look import choose

AT_ONCE = 2
A_ROW = 2
EVERY_S = 1.0
# Somebody waits for the list, and can ask again.
ATTEMPTS = 2
FOUND, AWAITED = "archive_found", "archive_awaited"


@dataclass(frozen=True)
class Found:
    """What the archive answered to a search; kept in the session until it is asked again."""

    asked: tuple[str, int]
    slides: tuple[tuple[ArchivedSeries, ArchivedInstance | None], ...] = ()
    """Each with its largest level."""
    more: bool = False
    problem: str = ""


@st.cache_resource(show_spinner=False)
def _board() -> JobBoard[Arriving, None]:
    return JobBoard(AT_ONCE)


def show_archive() -> None:
    """A search, one page of slides, and a button that fetches or opens each."""
    settings = get_settings()
    words, again = st.columns([4, 1], vertical_alignment="bottom")
    asked = words.text_input(
        "Accession number, or UID of a study or series",
        key="archive_words",
        placeholder="empty for all slides",
        help="It is sent to the archive as part of an address, and kept nowhere here.",
    ).strip()
    if again.button("Ask again", icon=":material/refresh:", key="archive_again", width="stretch"):
        st.session_state.pop(FOUND, None)
    turned = f"archive_page_{asked}"
    page = int(st.session_state.get(turned, 1)) - 1
    found = _found(asked, page, settings)
    if found.problem:
        st.error(escaped(found.problem), icon=":material/cloud_off:")
        return
    if not found.slides and page == 0:
        st.info("The archive has no such slide." if asked else "The archive has no slides.")
        return
    busy = any((job := _job(series)) is not None and job.active for series, _ in found.slides)
    st.fragment(_show, run_every=EVERY_S if busy else None)(found.slides, settings, busy)
    if page or found.more:
        st.number_input(f"Page, {PAGE} slides each", 1, page + 1 + found.more, page + 1, key=turned, width=160)
    st.caption("Neither names nor numbers of patients are shown. What is fetched is kept, cleaned and deleted as an upload is.")


def _found(asked: str, page: int, settings: Settings) -> Found:
    """What was found lately, else what the archive answers now."""
    found = st.session_state.get(FOUND)
    if isinstance(found, Found) and found.asked == (asked, page):
        return found
    try:
        with st.spinner("Asking the archive …"), archive_of(settings, attempts=ATTEMPTS) as archive:
            slides, more = archive.slides(asked, page)
            largest = (next(iter(archive.instances_of(series)), None) for series in slides)
            found = Found((asked, page), tuple(zip(slides, largest, strict=True)), more)
    except CervixError as error:
        found = Found((asked, page), problem=str(error))
    st.session_state[FOUND] = found
    return found


def _show(slides: tuple[tuple[ArchivedSeries, ArchivedInstance | None], ...], settings: Settings, busy: bool) -> None:
    for start in range(0, len(slides), A_ROW):
        for column, (series, largest) in zip(st.columns(A_ROW), slides[start : start + A_ROW], strict=False):
            with column:
                _show_row(series, largest, settings)
    if busy and not any((job := _job(series)) is not None and job.active for series, _ in slides):
        st.rerun()  # the last one has come: nothing is left to look for every second


def _show_row(series: ArchivedSeries, largest: ArchivedInstance | None, settings: Settings) -> None:
    store, job = upload_store(), _job(series)
    path = store.fetched(series.key)
    with st.container(border=True, gap="xsmall"):
        with st.container(horizontal=True, vertical_alignment="center", gap="small", key=f"archive_row_{series.key}"):
            st.markdown(f"Slide {series.key[:8]}  \n:small[{_facts(series, largest)}]", width="stretch")
            if path is not None:
                if st.session_state.get(AWAITED) == series.key or st.button(
                    "Open", icon=":material/play_arrow:", key=f"archive_open_{series.key}", type="primary"
                ):
                    st.session_state.pop(AWAITED, None)
                    choose(path, name=f"Archive {series.key[:8]}")
                    st.rerun()
            elif job is not None and job.active:
                st.button("Stop", icon=":material/stop:", key=f"archive_stop_{series.key}", on_click=job.cancel)
            else:
                words = "Go on" if is_begun(series, store) else "Fetch"
                if st.button(words, icon=":material/download:", key=f"archive_fetch_{series.key}", disabled=largest is None):
                    st.session_state[AWAITED] = series.key
                    _board().submit(series.key, partial(_fetch, series, settings))
                    st.rerun()
        if path is None and job is not None:
            show_fetching(job, begun=is_begun(series, store))


def _facts(series: ArchivedSeries, largest: ArchivedInstance | None) -> str:
    """Nothing of a patient: size, number of files."""
    if largest is None:
        return "no level of a slide in it"
    size = f"{largest.columns_px:,} × {largest.rows_px:,} px" if largest.columns_px and largest.rows_px else "size not stated"
    files = f" · {series.instances:,} files" if series.instances is not None else ""
    return f"{size}{files}"


def _job(series: ArchivedSeries) -> FetchJob | None:
    return _board().get(series.key)


def _fetch(series: ArchivedSeries, settings: Settings, job: FetchJob) -> None:
    def arriving(step: Arriving) -> None:
        job.progress = step

    fetch_archived(series, upload_store(), settings, arriving=arriving, cancel=job.cancel_requested)
