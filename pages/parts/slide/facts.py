"""What is known of a slide before it is scored, and the button that starts it."""

import streamlit as st

from cervix.bundle import Bundle
from cervix.errors import NoTissue
from cervix.plain_text import escaped
from cervix.slides.desk import SlideJob
from cervix.slides.gate import GateReport
from cervix.slides.scoring import SlidePlan
from cervix.sources.slide import Slide
from pages.parts.shared.frame import duration, show_metrics
from pages.parts.slide.intake import show_upload_fate
from pages.parts.slide.resources import (
    desk,
    device_speed,
    gate_report,
    opened,
    outlined,
    owner,
    put_on_shelf,
    remembered_spacing,
    slide_plan,
)


def opened_with_scale() -> Slide | None:
    """The chosen slide with a known scale; asks for the scale where the file does not state it."""
    slide = opened(st.session_state["slide_path"])
    if slide.spacing_um_px is not None:
        return slide
    remembered = remembered_spacing(slide)
    st.warning("This file does not state its scale, which the model needs. It is not guessed.")
    spacing = st.number_input(
        "Micrometres per pixel (about 0.25 for a 40× scan, 0.5 for 20×)",
        min_value=0.05,
        max_value=10.0,
        value=remembered,
        step=0.05,
        format="%.3f",
        placeholder="for example 0.5",
        key=f"slide_spacing_{slide.sha256}",
    )
    if spacing is None:
        for notice in slide.notices:
            st.info(notice)
        return None
    return slide.with_spacing(spacing)


def plan_or_ask(slide: Slide, bundle: Bundle) -> SlidePlan | None:
    """Tissue and grid; where no tissue is found, the offer to score everything, knowingly."""
    key = f"slide_everywhere_{slide.sha256}"
    try:
        return slide_plan(slide, bundle, bool(st.session_state.get(key)))
    except NoTissue as error:
        st.warning(f"{escaped(str(error))} You can score the whole scanned area instead; most of its tiles will be glass.")
        st.checkbox("Score everything although no tissue was found", key=key)
        return None


def show_facts_and_start(slide: Slide, bundle: Bundle, plan: SlidePlan) -> SlideJob | None:
    """Facts, quality gate and the start button. Returns the job that runs, if one does."""
    for notice in slide.notices:
        st.info(notice)
    gate = gate_report(slide, plan, plan.everywhere)
    tiles = bundle.session_of("tile").model.tiles
    assert tiles is not None, "a tile model declares its tiles"
    with st.container(border=True):
        picture, facts = st.columns([1, 5])
        outline = outlined(slide, plan, plan.everywhere)
        put_on_shelf(slide, outline)
        picture.image(outline, caption="Tissue found (outlined)", width=150)
        with facts:
            power = f"{slide.magnification:g}× objective" if slide.magnification else "objective not stated"
            show_metrics(
                {
                    "Size": (
                        f"{slide.width_l0_px:,} × {slide.height_l0_px:,}",
                        f"pixels, pyramid of {len(slide.level_downsamples)}",
                    ),
                    "Scale": (f"{slide.spacing_um_px:g} µm/px", f"stated by the {slide.spacing_source}; {power}"),
                    "Tissue": (
                        f"{plan.tissue.area_mm2(slide.known_spacing_um_px):.2f} mm²",
                        f"{gate.tissue_share:.0%} of the slide",
                    ),
                    "Tiles": (f"{len(plan.grid):,}", f"{tiles.size_px} px at {tiles.spacing_um_px:g} µm/px"),
                }
            )
            name = st.session_state.get("slide_name", "")
            if name:
                st.text(name)
            downsamples = ", ".join(f"{value:g}" for value in slide.level_downsamples)
            st.caption(f"Format {slide.vendor} · downsamples {downsamples} · SHA-256 {slide.sha256[:12]}…")
            show_upload_fate(slide.sha256)
            _show_gate(gate)
            return _show_start(slide, bundle, plan, gate)


def _show_gate(gate: GateReport) -> None:
    if gate.warnings:
        st.warning("\n".join(f"- {warning}" for warning in gate.warnings), icon=":material/visibility:")
    else:
        st.caption(f"Quality: {gate.tiles} tiles checked; sharp, without pen marks, not empty.")


def _show_start(slide: Slide, bundle: Bundle, plan: SlidePlan, gate: GateReport) -> SlideJob | None:
    job = desk().job(slide, bundle, everywhere=plan.everywhere)
    if job is not None and job.active:
        return job
    if desk().score(slide, bundle, everywhere=plan.everywhere) is not None:
        return None
    kept = desk().tiles_kept(slide, bundle, plan)
    if job is not None and job.state == "failed":
        st.error(job.error)
    elif job is not None and job.state == "cancelled":
        st.info("Scoring was stopped.")
    knowingly = True
    if gate.wrong_stain:
        st.warning(f"{gate.wrong_stain} The model was trained on H&E only.", icon=":material/palette:")
        knowingly = st.checkbox("Score it although the stain looks wrong", key=f"slide_stain_{slide.sha256}")
    seconds = (len(plan.grid) - kept) / device_speed(bundle)
    label = f"Continue from tile {kept:,}" if kept else "Score this slide"
    start, estimate = st.columns([1, 3], vertical_alignment="center")
    if start.button(label, type="primary", icon=":material/play_arrow:", key="slide_score", disabled=not knowingly):
        desk().start(slide, bundle, plan, owner())
        st.rerun()
    estimate.caption(f"About {duration(seconds)} on {bundle.session_of('tile').device_label}.")
    return None
