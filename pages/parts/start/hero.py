"""The first thing that a visitor sees: one sentence, one picture of a scored slide, one button."""

import streamlit as st

from cervix.bundle import Bundle
from cervix.plain_text import escaped
from cervix.samples.shown import Hero, hero
from pages.parts.start.tour import start_tour

SENTENCE = "See what two published kinds of model say about a slide or a screening history, why, and how far to trust them."


def show_hero(bundle: Bundle) -> None:
    """Left the sentence and what to press, right the picture with its answer."""
    scored = hero(bundle)
    with st.container(key="hero"):
        words, picture = st.columns([5, 6], vertical_alignment="center", gap="large")
        with words:
            st.title("Cervix Workbench", anchor=False)
            st.markdown(f'<p class="lead">{SENTENCE}</p>', unsafe_allow_html=True)
            st.button(
                "Play the demo (5 min)",
                type="primary",
                icon=":material/play_circle:",
                key="play_demo",
                on_click=start_tour,
            )
            with st.container(horizontal=True, gap="small"):
                st.page_link("slide.py", label="Bring a slide", icon=":material/grid_on:")
                st.page_link("patient.py", label="Bring a table", icon=":material/groups:")
        if scored is not None:
            with picture:
                _show_scored(scored, bundle)


def _show_scored(scored: Hero, bundle: Bundle) -> None:
    model = bundle.session_of("tile").model
    value, low, high = scored.share
    left, right = st.columns([3, 2], vertical_alignment="center")
    left.image(str(scored.picture), alt=f"A drawn slide with the class of each tile in colour: {scored.headline}")
    with right:
        st.header(scored.headline, anchor=False)
        named = [item for item in model.classes if scored.class_tiles.get(item.id)]
        legend = "".join(
            f'<span class="chip"><i style="background:{item.colour}"></i>{escaped(item.title)}</span>' for item in named
        )
        st.markdown(f'<div class="legend">{legend}</div>', unsafe_allow_html=True)
        st.markdown(f"**{value:.0%}** of tiles cancerous (95 % interval {low:.0%} to {high:.0%}, {escaped(scored.tiles)}).")
        st.caption("Drawn by rules, not a patient; the colours are what this bundle said of each tile.")
