"""The chosen tile in the dock: its pixels, its Grad-CAM, its probabilities, and why."""

from collections.abc import Sequence
from html import escape

import numpy as np
import streamlit as st

from cervix.bundle import Bundle, Model
from cervix.errors import CervixError
from cervix.labels.similar.found import Asked
from cervix.plain_text import escaped
from cervix.slides.decision import SlideAnswer, answered_tiles, tile_probabilities
from cervix.slides.explanation import TileExplanation, cancer_probability, explain_tile, most_suspicious
from cervix.slides.scoring import SlideScore
from cervix.sources.slide import Slide
from pages.parts.shared.people import person
from pages.parts.shared.similar import show_similar
from pages.parts.shared.store import label_store_or_stop

RANKED_TILES = 50


def called_class(answer: SlideAnswer, model: Model) -> str:
    """The class to show first: the carcinoma that most tiles look like where there is one, else what most look like."""
    classes: Sequence[str] = model.cancer_task.positive if answer.cancerous_tiles else model.class_ids
    return max(classes, key=lambda label: answer.class_tiles.get(label, 0))


def first_tile(score: SlideScore, model: Model) -> tuple[int, int] | None:
    """The tile to explain before one is chosen: the most certain one of the called class; none without an answer."""
    answered = np.flatnonzero(answered_tiles(score.tiles, model))
    if not len(answered):
        return None
    column = model.class_ids.index(called_class(score.summary.answer, model))
    row = answered[tile_probabilities(score.tiles, model)[answered, column].argmax()]
    x, y = score.tiles[["x_l0_px", "y_l0_px"]].to_numpy()[row]
    return int(x), int(y)


def show_tile(slide: Slide, score: SlideScore, bundle: Bundle, corner: tuple[int, int] | None) -> None:
    """One tile at full resolution with its probabilities and Grad-CAM."""
    session = bundle.session_of("tile")
    with st.container(key="slide_tile_dock", gap="small"):
        heading = st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute")
        heading.markdown("**One tile, explained**", width="content")
        if score.summary.answer.abstained:
            _show_silent_tile(slide, score, bundle, corner)
            return
        _show_picker(slide, score, session.model, corner)
        if corner is None:
            return
        try:
            explained = explain_tile(slide, score.summary, *corner, session)
        except CervixError as error:
            st.error(escaped(str(error)))
            return
        if not explained.recognised:
            st.image(explained.pixels, caption="Tile", width=200)
            st.info("The model does not recognise this tile, so this tile gets no answer.", icon=":material/block:")
            return
        with heading.popover("Grad-CAM", icon=":material/tune:", type="tertiary", key="slide_cam_tools"):
            label, opacity = _ask_for_cam(explained, session.model)
        _show_explained(explained, session.model, label, opacity)
        if person().may_browse:
            place = (*corner, score.summary.size_l0_px)
            _show_similar(bundle, Asked(explained.embedding, slide.sha256, place))


def _show_silent_tile(slide: Slide, score: SlideScore, bundle: Bundle, corner: tuple[int, int] | None) -> None:
    """A tile of a slide without an answer: what it looks like, and nothing that would rank or name it."""
    if corner is None:
        st.write("Click a tile on the map to look at it. The slide has no answer, so no tile of it gets one.")
        return
    try:
        explained = explain_tile(slide, score.summary, *corner, bundle.session_of("tile"))
    except CervixError as error:
        st.error(escaped(str(error)))
        return
    st.image(explained.pixels, caption=f"Tile at x {corner[0]:,}, y {corner[1]:,}", width=200)
    st.info("The slide has no answer, so this tile gets no answer.", icon=":material/block:")


def _show_picker(slide: Slide, score: SlideScore, model: Model, corner: tuple[int, int] | None) -> None:
    cancer = cancer_probability(score.tiles, model)
    order = most_suspicious(score.tiles, model, RANKED_TILES)
    corners = [(int(x), int(y)) for x, y in score.tiles[["x_l0_px", "y_l0_px"]].to_numpy()[order]]
    labels = {
        place: f"{rank}. carcinoma {100 * cancer[row]:.0f} % at x {place[0]:,}, y {place[1]:,}"
        for rank, (place, row) in enumerate(zip(corners, order, strict=True), start=1)
    }
    if corner is not None and corner not in labels:
        labels = {corner: f"Tile at x {corner[0]:,}, y {corner[1]:,}"} | labels

    def pick() -> None:
        if st.session_state["slide_ranked"] is not None:
            st.session_state.setdefault("slide_tile", {})[slide.sha256] = st.session_state["slide_ranked"]

    st.session_state["slide_ranked"] = corner
    st.selectbox(
        "Click a tile on the map, or pick one by rank",
        list(labels),
        index=None,
        format_func=labels.__getitem__,
        key="slide_ranked",
        on_change=pick,
        placeholder=f"the {len(corners)} most suspicious tiles" if corners else "no tile has an answer",
        label_visibility="collapsed",
    )


@st.fragment
def _show_similar(bundle: Bundle, asked: Asked) -> None:
    """Labelled tiles that look alike to the model, where somebody opens them."""
    part = st.expander("Similar labelled tiles", icon=":material/grid_view:", key="slide_similar", on_change="rerun")
    if part.open:
        with part:
            show_similar(label_store_or_stop(), bundle, "tile", asked, "slide_similar")


def _ask_for_cam(explained: TileExplanation, model: Model) -> tuple[str, float]:
    """Which class's Grad-CAM to lay over the tile, at first that of its most probable one, and how strongly."""
    titles, classes = model.class_titles, model.class_ids
    label: str = st.radio(
        "Grad-CAM for", classes, index=classes.index(_best(explained)), format_func=titles.__getitem__, key="slide_cam"
    )
    return label, st.slider("Grad-CAM opacity", 0.0, 1.0, 0.7, 0.1, key="slide_cam_opacity")


def _best(explained: TileExplanation) -> str:
    return max(explained.probabilities, key=explained.probabilities.__getitem__)


def _show_explained(explained: TileExplanation, model: Model, label: str, opacity: float) -> None:
    with st.container(key="slide_tile_pictures"):
        plain, overlaid, why = st.columns(3, gap="small")
    plain.image(explained.pixels, caption="Tile", width="stretch")
    overlaid.image(explained.overlay(label, opacity), caption=f"Grad-CAM: {model.class_named(label).short}", width="stretch")
    limit = model.abstention_limit("novelty")
    why.caption(
        f"Most like {model.class_named(_best(explained)).mid_sentence}; the score comes from the bright areas of the Grad-CAM. "
        f"Recognised: novelty {explained.novelty:.1f} (limit {limit:.1f})."
    )
    st.html(_bars(explained, model))


def _bars(explained: TileExplanation, model: Model) -> str:
    """Probabilities as a table of bars."""
    rows = "".join(
        f"<tr><th scope='row'>{escape(item.title)}</th>"
        f"<td><span style='width:{100 * explained.probabilities[item.id]:.1f}%;background:{item.colour}'></span></td>"
        f"<td class='tabular'>{100 * explained.probabilities[item.id]:.1f} %</td></tr>"
        for item in model.classes
    )
    return f"<table class='bars' aria-label='Probability of each class'>{rows}</table>"
