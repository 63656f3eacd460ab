"""Slides: upload, score live, read the answer, look at any tile."""

import streamlit as st

from cervix.errors import CervixError
from cervix.samples import sample_slide
from cervix.settings import get_settings
from cervix.slides.figures import probability_histogram
from pages.parts.frame import STILL_CHART, bundle_or_stop, show_metrics
from pages.parts.slide_desk import (
    finished_score,
    job_board,
    job_key,
    opened,
    start_scoring,
    store_upload,
    tile_table_csv,
    tissue_plan,
)
from pages.parts.slide_views import show_answer, show_progress, show_tile, show_viewer

SLIDE_TYPES = ["svs", "tif", "tiff", "ndpi", "scn", "bif", "svslide", "png", "jpg", "jpeg"]

st.title("Slides")
bundle = bundle_or_stop()
model = bundle.session("slide").model

upload_side, sample_side = st.columns([3, 2], vertical_alignment="bottom")
upload = upload_side.file_uploader(
    "Whole-slide image (SVS, NDPI, SCN, BIF, tiled TIFF) or RGB picture (PNG, JPEG, TIFF)",
    type=SLIDE_TYPES,
    key="slide_upload",
)
if upload is not None and st.session_state.get("slide_upload_id") != upload.file_id:
    st.session_state.pop("slide_path", None)
    try:
        st.session_state["slide_path"] = store_upload(upload.name, upload.getbuffer())
    except OSError as error:
        st.error(f"The upload could not be kept on the server: {error.strerror}. Free some space and upload it again.")
        st.stop()
    st.session_state["slide_upload_id"] = upload.file_id
    st.session_state["slide_credit"] = ""
if sample_side.button("Try the sample slide", icon=":material/science:", key="slide_sample"):
    with st.spinner("Fetching the sample slide …"):
        sample = sample_slide(get_settings())
    st.session_state["slide_path"] = sample.path
    st.session_state["slide_credit"] = sample.credit
    if sample.kind == "phantom":
        st.toast("The sample slide could not be fetched; this is a generated phantom.")
sample_side.caption("An H&E slide of 2,220 × 2,967 px, fetched once; without a network, a generated phantom.")

if "slide_path" not in st.session_state:
    st.info("Upload a slide or try the sample. Scoring starts when you say so; nothing leaves this server.")
    st.stop()
if st.session_state["slide_credit"]:
    st.caption(st.session_state["slide_credit"])

try:
    slide = opened(st.session_state["slide_path"])
    if slide.spacing_um_px is None:
        st.warning("This file does not state its scale, which the model needs. It is not guessed.")
        spacing = st.number_input(
            "Micrometres per pixel (about 0.25 for a 40× scan, 0.5 for 20×)",
            min_value=0.05, max_value=10.0, value=None, step=0.05, format="%.3f",
            placeholder="for example 0.5", key=f"slide_spacing_{slide.sha256}",
        )  # fmt: skip
        if spacing is None:
            for notice in slide.notices:
                st.info(notice)
            st.stop()
        slide = slide.with_spacing(spacing)
    plan = tissue_plan(slide, slide.known_spacing_um_px, model.tiles)
except CervixError as error:
    st.error(str(error), icon=":material/broken_image:")
    st.stop()

for notice in slide.notices:
    st.info(notice)
with st.container(border=True):
    picture, facts = st.columns([1, 5])
    picture.image(plan.outlined, caption="Tissue found (outlined)", width=150)
    with facts:
        show_metrics(
            {
                "Size": (f"{slide.width_l0_px:,} × {slide.height_l0_px:,}", "pixels"),
                "Scale": (f"{slide.spacing_um_px:g} µm/px", f"stated by the {slide.spacing_source}"),
                "Tissue": (f"{plan.area_mm2:.2f} mm²", "outlined"),
                "Tiles": (f"{plan.tiles:,}", f"{model.tiles.size_px} px at {model.tiles.spacing_um_px:g} µm/px"),
            }
        )
    facts.caption(f"Format {slide.vendor} · pyramid levels: {len(slide.level_downsamples)} · SHA-256 {slide.sha256[:12]}…")
    job = job_board().get(job_key(slide, bundle))
    score = finished_score(slide, bundle)
    if score is None and (job is None or not job.active):
        if job is not None and job.state == "failed":
            facts.error(job.error)
        elif job is not None and job.state == "cancelled":
            facts.info("Scoring was stopped.")
        if facts.button("Score this slide", type="primary", icon=":material/play_arrow:", key="slide_score"):
            start_scoring(slide, bundle)
            st.rerun()

if score is None:
    if job is not None and job.active:
        show_progress(slide, bundle, job.key)
    else:
        show_viewer(slide, model, None)
    st.stop()

show_answer(score, model)
viewer_side, tile_side = st.columns([3, 2])
with viewer_side:
    chosen = show_viewer(slide, model, score.tiles)
with tile_side:
    show_tile(slide, score, bundle.session("slide"), chosen)
st.subheader("All tiles")
st.plotly_chart(probability_histogram(score.tiles), key="slide_histogram", config=STILL_CHART)
st.download_button(
    "Download the tile table (CSV)",
    tile_table_csv(score),
    file_name=f"tiles-{slide.sha256[:12]}.csv",
    mime="text/csv",
    icon=":material/download:",
    on_click="ignore",
    key="slide_download",
)
