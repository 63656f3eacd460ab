"""The dock before a slide is scored: what is missing, what was seen, and the button."""

import streamlit as st

from cervix.bundle import Bundle
from cervix.plain_text import escaped
from cervix.slides.gate import GateReport
from cervix.sources.slide import Slide
from pages.parts.shared.frame import duration
from pages.parts.slide.look import Look, everywhere, scales
from pages.parts.slide.resources import desk, device_speed, gate_report, outlined, owner

OBJECTIVES_UM_PX = {"20×": 0.5, "40×": 0.25}
"""What scanners give with these objectives, within a few per cent."""


def ask_for_scale(slide: Slide) -> None:
    """The scale of a slide whose file does not state it: two buttons, and a field for any other."""
    sha256 = slide.sha256
    st.markdown("## What is its scale?")
    st.write("This file does not state its scale, which the model needs. It is not guessed.")
    scale_field(sha256)
    for notice in slide.notices:
        st.info(notice)


def scale_field(sha256: str) -> None:
    """Two buttons and a field for micrometres a pixel, with what was given before."""
    key = f"slide_spacing_{sha256}"

    def give(spacing: float | None = None) -> None:
        if spacing is not None:
            st.session_state[key] = spacing
        scales()[sha256] = st.session_state[key]

    if key not in st.session_state:
        st.session_state[key] = scales().get(sha256)
    with st.container(horizontal=True, vertical_alignment="bottom", gap="small"):
        for objective, spacing in OBJECTIVES_UM_PX.items():
            st.button(f"{objective} scan", key=f"slide_scale_{objective[:2]}", on_click=give, args=(spacing,))
        st.number_input(
            "Or micrometres per pixel",
            min_value=0.05,
            max_value=10.0,
            step=0.05,
            format="%.3f",
            placeholder="for example 0.5",
            key=key,
            on_change=give,
            width=200,
            help="About 0.25 for a 40× scan, 0.5 for 20×.",
        )


def offer_everything(seen: Look) -> None:
    """No tissue was found: the offer to score the whole scanned area, knowingly."""
    st.markdown("## No tissue found")
    st.warning(f"{seen.problem} You can score the whole scanned area instead; most of its tiles will be glass.")
    st.checkbox(
        "Score everything although no tissue was found",
        key=f"slide_everywhere_{seen.slide.sha256}",
        on_change=lambda: everywhere().add(seen.slide.sha256),
    )
    _mend_scale(seen.slide)


def say_unsuitable(seen: Look) -> None:
    """Why the slide cannot be scored, and its scale where it was mistyped."""
    st.error(seen.problem, icon=":material/broken_image:")
    _mend_scale(seen.slide)


def _mend_scale(slide: Slide) -> None:
    if slide.spacing_source == "user":
        scale_field(slide.sha256)


def offer_scoring(seen: Look, bundle: Bundle) -> None:
    """What scoring will take, what the quality gate says, and the button that starts it."""
    slide, plan = seen.slide, seen.plan
    assert plan is not None, "a slide that is ready has a plan"
    gate = gate_report(slide, plan, plan.everywhere)
    job = desk().job(slide, bundle, everywhere=plan.everywhere)
    kept = desk().tiles_kept(slide, bundle, plan)
    st.markdown("## Ready to score")
    if job is not None and job.state == "failed":
        st.error(escaped(job.error))
    elif job is not None and job.state == "cancelled":
        st.info("Scoring was stopped.")
    with st.container(key="slide_before_pictures"):
        picture, words = st.columns([2, 3], gap="small")
    picture.image(outlined(slide, plan, plan.everywhere), caption="Tissue found (outlined)", width="stretch")
    seconds = (len(plan.grid) - kept) / device_speed(bundle)
    words.markdown(
        f"**{len(plan.grid):,} tiles**, {plan.tissue.area_mm2(slide.known_spacing_um_px):.2f} mm² of tissue. About "
        f"{duration(seconds)} on {bundle.session_of('tile').device_label}."
    )
    with words:
        say_quality(gate)
    knowingly = True
    if gate.wrong_stain:
        st.warning(f"{gate.wrong_stain} The model was trained on H&E only.", icon=":material/palette:")
        knowingly = st.checkbox("Score it although the stain looks wrong", key=f"slide_stain_{slide.sha256}")
    if st.button(
        f"Continue from tile {kept:,}" if kept else "Score this slide",
        type="primary",
        icon=":material/play_arrow:",
        key="slide_score",
        disabled=not knowingly,
        width="stretch",
    ):
        desk().start(slide, bundle, plan, owner())
        st.rerun()
    _mend_scale(slide)


def offer_the_rest(seen: Look, bundle: Bundle) -> None:
    """Of a triage: how much of the slide was seen, and the button that scores the rest."""
    triage = seen.score.summary.triage if seen.score is not None else None
    if triage is None or seen.plan is None:
        return
    st.warning(f"Triage: {triage.words}. {triage.stopped}", icon=":material/rule:")
    left = triage.planned_tiles - max(triage.seen_tiles, desk().tiles_kept(seen.slide, bundle, seen.plan))
    if seen.job is not None and seen.job.state == "failed":
        st.error(escaped(seen.job.error))
    if st.button(
        f"Score the rest: {left:,} tiles, about {duration(left / device_speed(bundle))}",
        icon=":material/play_arrow:",
        key="slide_score_rest",
        width="stretch",
    ):
        desk().start(seen.slide, bundle, seen.plan, owner())
        st.rerun()


def say_quality(gate: GateReport) -> None:
    """What a look at some tiles found."""
    if gate.warnings:
        st.warning("\n".join(f"- {warning}" for warning in gate.warnings), icon=":material/visibility:")
    else:
        st.caption(f"Quality: {gate.tiles} tiles checked; sharp, without pen marks, not empty.")
