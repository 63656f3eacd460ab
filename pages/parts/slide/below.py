"""Below the map: the slide's facts, the gallery, all tiles, the rule, the timings, and what is printed."""

from html import escape

import streamlit as st

from cervix.bundle import Bundle, Model
from cervix.errors import CervixError
from cervix.plain_text import escaped
from cervix.slides.charts import probability_histogram
from cervix.slides.decision import class_areas_mm2
from cervix.slides.explanation import gallery
from cervix.slides.scoring import SlideScore
from cervix.sources.slide import Slide
from pages.parts.shared.frame import STILL_CHART, show_metrics
from pages.parts.slide.answer import areas_line
from pages.parts.slide.before import say_quality, scale_field
from pages.parts.slide.intake import show_upload_fate
from pages.parts.slide.look import Look
from pages.parts.slide.resources import gate_report, outlined
from pages.parts.slide.tile import called_class


def show_below(seen: Look, bundle: Bundle) -> None:
    """Everything of the open slide that need not be in sight at once."""
    _show_facts(seen, bundle)
    if seen.score is not None:
        model = bundle.session_of("tile").model
        show_gallery(seen.slide, seen.score, model)
        show_all_tiles(seen.score, model)
        _show_rule(seen.score, model)
        _show_print(seen.score, model)


def _facts_line(seen: Look, bundle: Bundle) -> str:
    slide = seen.slide
    facts = [f"{slide.width_l0_px:,} × {slide.height_l0_px:,} px"]
    if slide.spacing_um_px is not None:
        power = f", {slide.magnification:g}× objective" if slide.magnification else ""
        facts.append(f"{slide.spacing_um_px:g} µm/px ({_scale_words(slide)}{power})")
    if seen.plan is not None:
        tiles = bundle.session_of("tile").model.tiles
        assert tiles is not None, "a tile model declares its tiles"
        facts.append(f"{seen.plan.tissue.area_mm2(slide.known_spacing_um_px):.2f} mm² of tissue")
        facts.append(f"{len(seen.plan.grid):,} tiles of {tiles.size_px} px at {tiles.spacing_um_px:g} µm/px")
    return " · ".join(facts)


def _scale_words(slide: Slide) -> str:
    return "given by hand" if slide.spacing_source == "user" else f"stated by the {slide.spacing_source}"


def _show_facts(seen: Look, bundle: Bundle) -> None:
    """Facts in one line; in an expander all of them, the quality gate and what becomes of an upload."""
    slide, plan = seen.slide, seen.plan
    with st.container(key="slide_facts", gap="small"):
        st.caption(_facts_line(seen, bundle))
        if credit := st.session_state["slide_credit"]:
            st.caption(credit)
    with st.expander("About this slide", icon=":material/info:"):
        if name := st.session_state.get("slide_name", ""):
            st.text(name)
        if plan is not None:
            picture, facts = st.columns([1, 5])
            picture.image(outlined(slide, plan, plan.everywhere), caption="Tissue found (outlined)", width=150)
            with facts:
                gate = gate_report(slide, plan, plan.everywhere)
                show_metrics(
                    {
                        "Size": (
                            f"{slide.width_l0_px:,} × {slide.height_l0_px:,}",
                            f"pixels, in {len(slide.level_downsamples)} sizes",
                        ),
                        "Scale": (f"{slide.spacing_um_px:g} µm/px", _scale_words(slide)),
                        "Tissue": (
                            f"{plan.tissue.area_mm2(slide.known_spacing_um_px):.2f} mm²",
                            f"{100 * gate.tissue_share:.0f} % of the slide",
                        ),
                        "Tiles": (f"{len(plan.grid):,}", "of the model's size"),
                    }
                )
                say_quality(gate)
        for notice in slide.notices:
            st.info(notice)
        if seen.state == "scored" and slide.spacing_source == "user":
            scale_field(slide.sha256)
        downsamples = ", ".join(f"{value:g}" for value in slide.level_downsamples)
        st.caption(f"Format {slide.vendor} · downsamples {downsamples} · SHA-256 {slide.sha256[:12]}…")
        show_upload_fate(slide.sha256)


@st.fragment
def show_gallery(slide: Slide, score: SlideScore, model: Model) -> None:
    """The most certain and the most doubtful tiles of a class, at first of the one that was called."""
    answer = score.summary.answer
    if answer.abstained:
        return
    st.subheader("Most certain and most doubtful")
    label = st.segmented_control(
        "Class",
        model.class_ids,
        default=called_class(answer, model),
        format_func=model.class_titles.__getitem__,
        key="slide_gallery",
        required=True,
    )
    try:
        certain, doubtful = gallery(slide, score, model, label)
    except CervixError as error:
        st.error(escaped(str(error)))
        return
    if not certain:
        st.info(f"No tile that has an answer looks most like {model.class_named(label).mid_sentence}.")
        return
    for title, tiles in (("Most certain", certain), ("Most doubtful", doubtful)):
        if tiles:
            st.markdown(f"**{title}**")
            with st.container(horizontal=True):
                for tile in tiles:
                    st.image(tile.pixels, caption=f"{100 * tile.probability:.0f} %", width=140)


def show_all_tiles(score: SlideScore, model: Model) -> None:
    """The distribution of the scores, and the area of each class."""
    answer = score.summary.answer
    st.subheader("All tiles" if score.summary.triage is None else "The tiles that the triage saw")
    if not answer.abstained:
        st.plotly_chart(probability_histogram(score.tiles, model), key="slide_histogram", config=STILL_CHART)
    st.caption(areas_line(answer, class_areas_mm2(score.tiles, model, score.summary.spacing_um_px), model))


def _show_rule(score: SlideScore, model: Model) -> None:
    answer, timings, made = score.summary.answer, score.summary.timings, score.summary.provenance
    with st.expander("The rule that made this answer", icon=":material/rule:"):
        st.write(answer.rule)
        if model.slide_rule:
            st.caption(model.slide_rule.chosen_by)
        if not answer.abstained:
            counts = ", ".join(f"{model.class_titles[label]} {count:,}" for label, count in answer.class_tiles.items())
            st.caption(f"Most probable class of the accepted tiles: {counts}.")
    resumed = f"; {timings.resumed_tiles:,} tiles from before" if timings.resumed_tiles else ""
    st.caption(
        f"Scored on {made.provider} on {made.created[:10]}: {timings.tiles_per_s:.1f} tiles/s; reading {timings.read_s:.1f} s, "
        f"model {timings.infer_s:.1f} s, decision {timings.post_s:.1f} s{resumed}."
    )


def _show_print(score: SlideScore, model: Model) -> None:
    """On paper there is nothing to open: the rule, the organs and the notice are written out."""
    said = [model.notice, model.organs_seen if model.organs else "", score.summary.answer.rule]
    made = score.summary.provenance
    if score.summary.head is not None:
        said.insert(2, score.summary.head.sentence(score.summary.answer))
    said.append(f"Slide {score.summary.slide_sha256[:12]}…, bundle {made.bundle_sha256[:12]}…, {made.created[:10]}.")
    st.html("<div class='print-only'>" + "".join(f"<p>{escape(line)}</p>" for line in said if line) + "</div>")
