"""A second slide beside the first."""

import streamlit as st

from cervix.bundle import Bundle
from cervix.errors import CervixError
from cervix.plain_text import escaped
from cervix.sources.slide import Slide
from pages.parts.slide.resources import desk, final_layers, offer_layers, reopened, seen_lately, slide_words
from pages.parts.slide.viewer import show_map

CHOICES_AT_MOST = 24


@st.fragment
def show_beside(slide: Slide, bundle: Bundle) -> None:
    """Two maps next to each other, each with its own heat layer: this slide, and one seen before."""
    others = {entry.sha256: entry for entry in seen_lately(CHOICES_AT_MOST) if entry.sha256 != slide.sha256}
    if not others:
        st.info("No other slide has been opened here yet. Open one, then come back to this one.")
        return
    picked = st.selectbox(
        "Second slide",
        list(others),
        format_func=lambda sha: slide_words(others[sha]),
        key="slide_second",
    )
    try:
        second = reopened(others[picked])
    except CervixError as error:
        st.error(escaped(str(error)))
        return
    for side, shown, key in zip(st.columns(2), (slide, second), ("slide_left", "slide_right"), strict=True):
        with side:
            _show_one(shown, bundle, key)


def _show_one(slide: Slide, bundle: Bundle, key: str) -> None:
    model = bundle.session_of("tile").model
    score = desk().score(slide, bundle) if slide.spacing_um_px is not None else None
    st.caption(f"{slide.sha256[:8]}… · {score.summary.answer.headline if score else 'not scored yet'}")
    urls = offer_layers(slide, final_layers(score, model)) if score else {}
    show_map(slide, model, urls, answer=score.summary.answer if score else None, key=key)
