"""The objects of a scored slide, stored in the hospital's archive when somebody who may asks for it and confirms."""

from functools import partial

import streamlit as st

from cervix.bundle import Bundle
from cervix.errors import CervixError
from cervix.interop.dicom import why_no_objects
from cervix.interop.whole import why_not_whole
from cervix.plain_text import escaped
from cervix.settings import get_settings
from cervix.slides.scoring import SlideScore
from cervix.sources.dicomweb import ArchivedSeries, archive_of
from cervix.sources.slide import Slide
from pages.parts.shared.people import person
from pages.parts.shared.store import label_store

WHAT_IS_DONE = "store in the archive"
WHAT = (
    "A parametric map, a segmentation, a report and, where tiles are called cancerous, annotations are filed with the study of "
    "this slide, under the patient whom the archive names. Each says that it is for research and demonstration only. They "
    "cannot be taken back from here."
)

KINDS = {"OT": "parametric map", "SEG": "segmentation", "SR": "report", "ANN": "annotations"}
"""Modality of a series of ours -> what it is, in the order in which they are told."""


def show_storing(slide: Slide, score: SlideScore, bundle: Bundle) -> None:
    """A button and a question, for admins of a server that has an archive."""
    if get_settings().archive_url and person().may_store:
        _show(slide, score, bundle)


@st.fragment
def _show(slide: Slide, score: SlideScore, bundle: Bundle) -> None:
    reason, place = why_no_objects(slide) or why_not_whole(score), f"slide_store_{slide.sha256}"
    if st.button(
        "Store in the archive",
        icon=":material/archive:",
        key="slide_store",
        disabled=bool(reason),
        help=reason or None,
    ):
        st.session_state[place] = None
    if reason or place not in st.session_state:
        return
    box = st.empty()
    if st.session_state[place] is None:
        with box.container(border=True):
            st.session_state[place] = _asked(slide, score, bundle, place)
    stored: list[ArchivedSeries] | None = st.session_state[place]
    if stored is not None:
        kinds = [*KINDS, *(series.modality for series in stored)]
        stored = sorted(stored, key=lambda series: kinds.index(series.modality))
        found = "\n".join(f"- {KINDS.get(series.modality, series.modality)}, series {series.key[:8]}" for series in stored)
        box.success(f"The archive lists {len(stored)} new series in the study of this slide:\n{found}")


def _asked(slide: Slide, score: SlideScore, bundle: Bundle, place: str) -> list[ArchivedSeries] | None:
    """What was stored, once somebody has said so; None before, and where it cannot be."""
    st.markdown(WHAT)
    with st.container(horizontal=True):
        now = st.button("Store them", icon=":material/archive:", key="slide_store_now", type="primary")
        st.button("Not now", key="slide_store_not", on_click=partial(st.session_state.pop, place, None))
    if not now:
        return None
    # Only whoever stores needs pydicom and highdicom: the app starts without them.
    from cervix.interop.dicom.storing import store_score

    try:
        with st.spinner("Writing and sending …"), archive_of(get_settings()) as archive:
            label_store().audit_append(person().name, WHAT_IS_DONE, slide.sha256, {"bundle_sha256": bundle.sha256})
            return store_score(score, slide, bundle.session_of("tile"), archive)
    except CervixError as error:
        st.error(escaped(str(error)), icon=":material/cloud_off:")
    except OSError as error:
        st.error(f"The objects could not be written on the server: {error.strerror}. Free some space and store again.")
    return None
