"""The slide page's pieces: running score, answer, viewer, one tile."""

import streamlit as st

from cervix.bundle import Bundle, Model, ModelSession
from cervix.errors import CervixError
from cervix.slides.deepzoom import WorldMap
from cervix.slides.explanation import explain_tile
from cervix.slides.figures import viewer_figure
from cervix.slides.reading import Slide
from cervix.slides.scoring import SlideScore
from pages.parts.frame import CLASS_TITLES, show_metrics
from pages.parts.slide_desk import job_board, map_urls

POLL_EVERY_S = 1.0
RANKED_TILES = 50
LAYERS = {"scc": "Squamous-cell", "ac": "Adenocarcinoma", "benign": "Benign", "novelty": "Novel", "none": "None"}


@st.fragment(run_every=POLL_EVERY_S)
def show_progress(slide: Slide, bundle: Bundle, key: str) -> None:
    """The running score, polled; the whole page runs again when it ends."""
    job = job_board().get(key)
    if job is None or not job.active:
        st.rerun()
    bar, stop = st.columns([5, 1], vertical_alignment="center")
    if stop.button("Stop", icon=":material/stop:", key="slide_stop", width="stretch"):
        job.cancel()
    progress = job.progress
    if progress is None:
        ahead = job_board().ahead_of(job)
        bar.progress(0.0, f"Waiting for {ahead} slide(s) before this one" if ahead else "Finding tissue …")
        return
    bar.progress(
        progress.done / progress.total,
        f"{progress.done:,} of {progress.total:,} tiles · {progress.tiles_per_s:.1f} tiles/s · "
        f"about {progress.eta_s:.0f} s left",
    )
    st.caption(f"So far, over the whole slide: **{progress.answer.headline}.** {progress.answer.reason}")
    show_viewer(slide, bundle.session("slide").model, progress.tiles, live=True)


def show_answer(score: SlideScore, model: Model) -> None:
    """The decision, its rule in words, and what it rests on. An abstention is as loud as a finding."""
    answer, timings = score.summary.answer, score.summary.timings
    show = {"cancer": st.error, "no-cancer": st.info, "undecided": st.warning, "abstained": st.warning}[answer.verdict]
    show(f"### {answer.headline}\n{answer.reason}")
    share = answer.cancerous_share
    show_metrics(
        {
            "Cancerous tiles": (f"{share.value:.0%}", f"{share.low:.0%}–{share.high:.0%}, n = {answer.accepted_tiles:,}")
            if share
            else ("–", "no accepted tile"),
            "Novel tiles": (
                f"{answer.novel_tiles / answer.tiles:.0%}",
                f"{answer.novel_tiles:,} of {answer.tiles:,}, left out",
            ),
            "Speed": (f"{timings.tiles_per_s:.1f} tiles/s", f"read {timings.read_s:.1f} s, infer {timings.infer_s:.1f} s"),
            "Scored on": (score.summary.provenance.provider, score.summary.provenance.created[:10]),
        }
    )
    with st.expander("The rule that made this answer"):
        st.write(answer.rule)
        if model.slide_rule:
            st.caption(model.slide_rule.chosen_by)
        counts = ", ".join(f"{CLASS_TITLES[label]} {count:,}" for label, count in answer.class_tiles.items())
        st.caption(f"Most probable class of the accepted tiles: {counts}.")


def show_viewer(slide: Slide, model: Model, tiles, *, live: bool = False) -> tuple[int, int] | None:  # type: ignore[no-untyped-def]
    """The deep-zoom map. Returns the level-0 corner of the tile in view, chosen by click or by rank."""
    layer = None
    if tiles is not None:
        picked = st.segmented_control(
            "Heat layer",
            list(LAYERS),
            default="scc",
            format_func=LAYERS.__getitem__,
            key="slide_layer_live" if live else "slide_layer",
        )
        layer = None if picked in (None, "none") else picked
    limit = model.abstention_limit("novelty")
    slide_url, heat_url = map_urls(slide, tiles, layer, limit)
    corner = None if live or tiles is None else st.session_state.get("slide_tile", {}).get(slide.sha256)
    figure = viewer_figure(WorldMap(slide.width_l0_px, slide.height_l0_px), slide_url, tiles, heat_url=heat_url)
    clickable = tiles is not None and not live
    event = st.plotly_chart(
        figure,
        key="slide_map_live" if live else f"slide_map_{clickable}",
        config={"scrollZoom": True, "displaylogo": False, "modeBarButtonsToRemove": ["toImage"]},
        on_select="rerun" if clickable else "ignore",
        selection_mode="points",
    )
    if not clickable:
        return None
    points = [point for point in event.selection.points if point.get("curve_number", 0) == 0]
    if points:
        row = tiles.iloc[points[0]["point_index"]]
        clicked = int(row["x_l0_px"]), int(row["y_l0_px"])
        # The map keeps its selection; only a new click may take the place of a tile picked by rank since.
        if clicked != st.session_state.setdefault("slide_click", {}).get(slide.sha256):
            st.session_state["slide_click"][slide.sha256] = clicked
            st.session_state.setdefault("slide_tile", {})[slide.sha256] = clicked
            corner = clicked
    return corner


def show_tile(slide: Slide, score: SlideScore, session: ModelSession, chosen: tuple[int, int] | None) -> None:
    """One tile at full resolution with its probabilities and Grad-CAM."""
    st.markdown("**One tile, explained**")
    ranked = score.tiles.assign(cancer=1.0 - score.tiles["p_benign"]).sort_values("cancer", ascending=False).head(RANKED_TILES)
    corners = [(int(x), int(y)) for x, y in zip(ranked["x_l0_px"], ranked["y_l0_px"], strict=True)]
    labels = {
        corner: f"{rank}. carcinoma {cancer:.0%} at x {corner[0]:,}, y {corner[1]:,}"
        for rank, (corner, cancer) in enumerate(zip(corners, ranked["cancer"], strict=True), start=1)
    }
    if chosen is not None and chosen not in labels:
        labels = {chosen: f"clicked: x {chosen[0]:,}, y {chosen[1]:,}"} | labels

    def pick() -> None:
        if st.session_state["slide_ranked"] is not None:
            st.session_state.setdefault("slide_tile", {})[slide.sha256] = st.session_state["slide_ranked"]

    st.session_state["slide_ranked"] = chosen
    st.selectbox(
        "Click a tile on the map, or pick one by rank",
        list(labels), index=None, format_func=labels.__getitem__, key="slide_ranked", on_change=pick,
        placeholder=f"the {len(corners)} most suspicious tiles",
    )  # fmt: skip
    if chosen is None:
        st.info("No tile chosen yet.")
        return
    try:
        explained = explain_tile(slide, score.summary, *chosen, session)
    except CervixError as error:
        st.error(str(error))
        return
    classes = session.model.classes
    best = max(classes, key=explained.probabilities.__getitem__)
    label = st.radio(
        "Grad-CAM for",
        classes,
        index=classes.index(best),
        format_func=CLASS_TITLES.__getitem__,
        horizontal=True,
        key="slide_cam",
    )
    opacity = st.slider("Grad-CAM opacity", 0.0, 1.0, 0.5, 0.1, key="slide_cam_opacity")
    plain, overlaid = st.columns(2)
    plain.image(explained.pixels, caption="Tile", width="stretch")
    overlaid.image(explained.overlay(label, opacity), caption=f"Grad-CAM: {CLASS_TITLES[label]}", width="stretch")
    for name in classes:
        st.progress(explained.probabilities[name], f"{CLASS_TITLES[name]}: {explained.probabilities[name]:.1%}")
    limit = session.model.abstention_limit("novelty")
    known = "unlike the training tiles, left out of the answer" if explained.novelty > limit else "within what the model knows"
    st.caption(f"Novelty {explained.novelty:.1f} (limit {limit:.1f}): {known}. Bright is where the score comes from.")
