"""The objects of a scored slide, stored in the hospital's archive when somebody who may asks for it and confirms."""

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
    """A button, for admins of a server that has an archive."""
    if not get_settings().archive_url or not person().may_store:
        return
    reason = why_no_objects(slide)
    if st.button(
        "Store in the archive",
        icon=":material/archive:",
        key="slide_store",
        disabled=bool(reason),
        help=reason or None,
        width="stretch",
    ):
        _ask(slide, score, bundle)


@st.dialog("Store in the archive")
def _ask(slide: Slide, score: SlideScore, bundle: Bundle) -> None:
    st.markdown(WHAT)
    if not st.button("Store them", icon=":material/archive:", key="slide_store_now", type="primary"):
        return
    # Only whoever stores needs pydicom and highdicom: the app starts without them.
    from cervix.interop.dicom.storing import store_score

    try:
        with st.spinner("Writing and sending …"), archive_of(get_settings()) as archive:
            stored = store_score(score, slide, bundle.session_of("tile"), archive)
    except CervixError as error:
        st.error(escaped(str(error)), icon=":material/cloud_off:")
        return
    st.success(f"The archive lists {len(stored)} new series with this study.")
    st.dataframe(
        [{"modality": series.modality, "objects": series.instances, "series": series.key[:8]} for series in stored],
        hide_index=True,
    )
