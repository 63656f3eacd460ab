"""The objects of a scored slide, stored in the hospital's archive when somebody who may asks for it and confirms."""

from functools import partial

import streamlit as st

from cervix.bundle import Bundle
from cervix.errors import CervixError
from cervix.interop.dicom import why_no_objects
from cervix.plain_text import escaped
from cervix.settings import get_settings
from cervix.slides.scoring import SlideScore
from cervix.sources.dicomweb import archive_of
from cervix.sources.slide import Slide
from pages.parts.shared.people import person

WHAT = (
    "A parametric map, a segmentation, a report and annotations are filed with the study of this slide, under the patient "
    "whom the archive names. Each says that it is for research and demonstration only. They cannot be taken back from here."
)


def show_storing(slide: Slide, score: SlideScore, bundle: Bundle) -> None:
    """A button and a question, for admins of a server that has an archive."""
    if get_settings().archive_url and person().may_store:
        _show(slide, score, bundle)


@st.fragment
def _show(slide: Slide, score: SlideScore, bundle: Bundle) -> None:
    reason = why_no_objects(slide)
    asks = f"slide_store_{slide.sha256}"
    st.button(
        "Store in the archive",
        icon=":material/archive:",
        key="slide_store",
        disabled=bool(reason),
        help=reason or None,
        on_click=partial(st.session_state.__setitem__, asks, True),
        width="stretch",
    )
    if reason or not st.session_state.get(asks):
        return
    with st.container(border=True):
        st.markdown(WHAT)
        with st.container(horizontal=True):
            now = st.button("Store them", icon=":material/archive:", key="slide_store_now", type="primary")
            if st.button("Not now", key="slide_store_not"):
                del st.session_state[asks]
                st.rerun(scope="fragment")
        if now:
            _store(slide, score, bundle)


def _store(slide: Slide, score: SlideScore, bundle: Bundle) -> None:
    # Only whoever stores needs pydicom and highdicom: the app starts without them.
    from cervix.interop.dicom.storing import store_score

    try:
        with st.spinner("Writing and sending …"), archive_of(get_settings()) as archive:
            stored = store_score(score, slide, bundle.session_of("tile"), archive)
    except CervixError as error:
        st.error(escaped(str(error)), icon=":material/cloud_off:")
        return
    st.success(f"The archive lists {len(stored)} new series in the study of this slide.")
    st.dataframe(
        [{"Modality": series.modality, "Objects": series.instances, "Series": series.key[:8]} for series in stored],
        hide_index=True,
    )
