"""Everything that may be taken away from a scored slide."""

from functools import partial

import streamlit as st

from cervix.bundle import Bundle
from cervix.interop.exports import AUDIENCES, EXPORTS, why_no_export
from cervix.slides.scoring import SlideScore
from cervix.sources.slide import Slide
from pages.parts.slide.resources import export_bytes
from pages.parts.slide.storing import show_storing


def show_exports(slide: Slide, score: SlideScore, bundle: Bundle) -> None:
    """A button for each export, by whom it is for; a file is made when it is asked for."""
    stem = f"slide-{slide.sha256[:12]}"
    said = [
        "Each carries the bundle's hash and the research notice. The GeoJSON opens in QuPath by dropping it onto the slide; "
        "the heatmap has one pixel a tile and one channel a class. The FHIR report names no patient."
    ]
    for audience, heading in AUDIENCES.items():
        st.markdown(f"**{heading}**")
        with st.container(horizontal=True, gap="small"):
            for kind, export in EXPORTS.items():
                if export.audience != audience:
                    continue
                reason = why_no_export(kind, score, slide)
                st.download_button(
                    export.title,
                    partial(export_bytes, kind, score, slide, bundle),
                    file_name=f"{stem}{export.suffix}",
                    mime=export.media_type,
                    icon=":material/download:",
                    on_click="ignore",
                    key=f"slide_download_{kind}",
                    disabled=bool(reason),
                    help=reason or None,
                )
                said.append(reason or export.note)
    show_storing(slide, score, bundle)
    st.caption(" ".join(filter(None, said)))
