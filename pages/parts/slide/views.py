"""The slide page's pieces: running score, answer, viewer, one tile, gallery, exports."""

from collections.abc import Sequence
from functools import partial
from typing import Any

import streamlit as st

from cervix.bundle import Bundle, Model
from cervix.bundle.classes import NO_CLASS, UNREAD
from cervix.errors import CervixError
from cervix.plain_text import escaped
from cervix.slides.charts import probability_histogram, viewer_figure
from cervix.slides.decision import SlideAnswer, class_areas_mm2, decide_tiles, hot_spots, tile_at, tiles_within
from cervix.slides.deepzoom import WorldMap
from cervix.slides.desk import SlideJob
from cervix.slides.explanation import cancer_probability, explain_tile, gallery, most_suspicious
from cervix.slides.exports import EXPORTS
from cervix.slides.layers import CAM_PREFIX, UNRECOGNISED_LAYER, score_layers
from cervix.slides.scoring import ScoreProgress, SlideScore
from cervix.sources.slide import Slide
from pages.parts.shared.components import viewer
from pages.parts.shared.frame import STILL_CHART, show_metrics
from pages.parts.slide.resources import (
    desk,
    export_bytes,
    final_layers,
    inset_picture,
    offer_layers,
    slide_url,
)

POLL_EVERY_S = 1.0
RANKED_TILES = 50
FIRST_ANSWER_TILES = 64


@st.fragment(run_every=POLL_EVERY_S)
def show_progress(slide: Slide, bundle: Bundle, job: SlideJob) -> None:
    """The running score, polled; the whole page runs again when it ends."""
    if not job.active:
        st.rerun()
    progress = job.progress
    bar, hold, stop = st.columns([6, 1.2, 1], vertical_alignment="center")
    paused = job.paused
    if hold.button(
        "Continue" if paused else "Pause",
        icon=f":material/{'play_arrow' if paused else 'pause'}:",
        key="slide_pause",
        width="stretch",
    ):
        (job.pause_requested.clear if paused else job.pause_requested.set)()
        st.rerun(scope="fragment")
    if stop.button("Stop", icon=":material/stop:", key="slide_stop", width="stretch"):
        job.cancel()
    model = bundle.session_of("tile").model
    if progress is None:
        ahead = desk().ahead_of(job)
        bar.progress(0.0, f"Starting, with {ahead} other slides" if ahead else "Reading the first tiles …")
        show_map(slide, model, {}, live=True)
        return
    bar.progress(progress.done / progress.total, _progress_line(progress, paused=paused))
    st.caption(_split_line(progress))
    first = "" if progress.done >= min(FIRST_ANSWER_TILES, progress.total) else " (few tiles yet)"
    st.info(f"**So far, over the whole slide{first}: {progress.answer.headline}.** {_answer_line(progress.answer)}")
    layers = score_layers(progress.tiles, model, f"live-{progress.done}")
    show_map(slide, model, offer_layers(slide, layers), answer=progress.answer, live=True)


def _progress_line(progress: ScoreProgress, *, paused: bool) -> str:
    done = f"{progress.done:,} of {progress.total:,} tiles"
    if paused:
        return f"{done} · paused"
    return f"{done} · {progress.tiles_per_s:.1f} tiles/s · about {progress.eta_s:.0f} s left"


def _split_line(progress: ScoreProgress) -> str:
    new = max(1, progress.done - progress.resumed)
    parts = {"read": progress.read_s, "infer": progress.infer_s, "post": progress.post_s}
    split = " · ".join(f"{name} {1000 * seconds / new:.0f} ms" for name, seconds in parts.items())
    resumed = f" · {progress.resumed:,} tiles from before" if progress.resumed else ""
    return f"A tile takes: {split}{resumed}"


def _answer_line(answer: SlideAnswer) -> str:
    share = answer.cancerous_share
    interval = f" Cancerous tiles {share.value:.0%} ({share.low:.0%}–{share.high:.0%}) of {answer.counted}." if share else ""
    return f"{answer.reason}{interval}"


def show_answer(score: SlideScore, model: Model) -> None:
    """The decision, its rule in words, and what it rests on. An abstention is as loud as a finding."""
    answer, timings = score.summary.answer, score.summary.timings
    _show_verdict(answer)
    show_organs(model)
    for notice in score.summary.notices:
        st.info(notice)
    share = answer.cancerous_share
    resumed = f", {timings.resumed_tiles:,} tiles from before" if timings.resumed_tiles else ""
    show_metrics(
        {
            "Cancerous tiles": (f"{share.value:.0%}", f"{share.low:.0%}–{share.high:.0%}, of {answer.counted}")
            if share
            else ("–", "no answer"),
            "Not recognised": (
                f"{answer.unrecognised_tiles / max(1, answer.tiles):.0%}",
                f"{answer.unrecognised_tiles:,} of {answer.tiles:,} tiles, left out",
            ),
            "Speed": (
                f"{timings.tiles_per_s:.1f} tiles/s",
                f"read {timings.read_s:.1f} s, infer {timings.infer_s:.1f} s, post {timings.post_s:.1f} s{resumed}",
            ),
            "Scored on": (score.summary.provenance.provider, score.summary.provenance.created[:10]),
        }
    )
    _show_areas(answer, class_areas_mm2(score.tiles, model, score.summary.spacing_um_px), model)
    with st.expander("The rule that made this answer"):
        st.write(answer.rule)
        if model.slide_rule:
            st.caption(model.slide_rule.chosen_by)
        if not answer.abstained:
            counts = ", ".join(f"{model.class_titles[label]} {count:,}" for label, count in answer.class_tiles.items())
            st.caption(f"Most probable class of the accepted tiles: {counts}.")


def show_organs(model: Model) -> None:
    """Beside an answer: which organs the model learned from, and that the cervix is not among them."""
    if model.organs and not model.saw_cervix:
        st.badge("Cervix was not seen in training", icon=":material/location_off:", color="orange")
    if model.organs:
        st.caption(escaped(model.organs_seen))


def _show_verdict(answer: SlideAnswer) -> None:
    show = {"cancer": st.error, "no-cancer": st.info, "undecided": st.warning, "abstained": st.warning}[answer.verdict]
    show(f"### {answer.headline}\n{answer.reason}")


def _show_areas(answer: SlideAnswer, areas: dict[str, float], model: Model) -> None:
    """Areas by class where there is an answer, and what has none in any case."""
    named = ({} if answer.abstained else model.class_titles) | NO_CLASS
    if not answer.unread_tiles:
        named.pop(UNREAD)
    st.caption(
        "Tissue area by most probable class: " + " · ".join(f"{title} {areas[key]:.2f} mm²" for key, title in named.items())
    )


def _most_seen(answer: SlideAnswer | None, classes: Sequence[str]) -> str:
    """The one of some classes that most tiles look like, to be shown first; without an answer the first of them."""
    tiles = answer.class_tiles if answer else {}
    return max(classes, key=lambda label: tiles.get(label, 0))


def show_map(
    slide: Slide,
    model: Model,
    urls: dict[str, str],
    *,
    answer: SlideAnswer | None = None,
    live: bool = False,
    spots: list[tuple[int, int]] | None = None,
    chosen: tuple[int, int, int] | None = None,
    region: list[tuple[float, float]] | None = None,
    key: str = "slide_map",
) -> Any:
    """The deep-zoom map with its instruments, at first with the heat of the carcinoma found.

    Returns what was clicked or drawn in this run.
    """
    world = WorldMap(slide.width_l0_px, slide.height_l0_px)
    selectable = spots is not None
    titles = {item.id: f"P({item.title})" for item in model.classes} | {UNRECOGNISED_LAYER: "Tiles not recognised"}
    titles |= {CAM_PREFIX + item.id: f"Grad-CAM: {item.title}" for item in model.classes}
    shown = [name for name in titles if name in urls]
    instruments = viewer(
        key=f"{key}_instruments_{live}",
        data={
            "slide": slide.sha256,
            "map_key": key,
            "world_px": world.world_px,
            "origin": list(world.origin_px),
            "width": slide.width_l0_px,
            "height": slide.height_l0_px,
            "spacing": slide.spacing_um_px,
            "overview": inset_picture(slide),
            "layers": [{"id": name, "title": titles[name], "url": urls[name]} for name in shown],
            "layer": _most_seen(answer, model.cancer_task.positive),
            "spots": spots,
            "tile": chosen,
            "region": region,
            "selectable": selectable,
        },
        on_tile_change=lambda: None,
        on_region_change=lambda: None,
        on_spot_change=lambda: None,
    )
    with st.container(key=key):
        st.plotly_chart(
            viewer_figure(world, slide_url(slide)),
            key=f"{key}_chart",
            config={"scrollZoom": True, "displaylogo": False, "displayModeBar": False},
        )
    return instruments


@st.fragment
def explore(slide: Slide, score: SlideScore, bundle: Bundle) -> None:
    """Map, one tile and a region: a click runs this part of the page alone."""
    model = bundle.session_of("tile").model
    chosen = st.session_state.setdefault("slide_tile", {})
    regions = st.session_state.setdefault("slide_region", {})
    spots = _spots(score, model)
    map_side, tile_side = st.columns([3, 2])
    with map_side:
        corner, region = chosen.get(slide.sha256), regions.get(slide.sha256)
        edge = score.summary.size_l0_px
        done = show_map(
            slide,
            model,
            offer_layers(slide, final_layers(score, model)),
            answer=score.summary.answer,
            spots=spots,
            region=region,
            chosen=(*corner, edge) if corner else None,
        )
    clicked = done.tile and tile_at(score.tiles, *done.tile)
    if done.spot is not None:
        clicked = tile_at(score.tiles, *spots[int(done.spot)])
    if clicked and clicked != corner:
        chosen[slide.sha256] = clicked
        st.rerun(scope="fragment")
    if done.region is not None:
        regions[slide.sha256] = [(float(x), float(y)) for x, y in done.region]
        st.rerun(scope="fragment")
    with tile_side:
        if region:
            _show_region(score, model, region)
        _show_tile(slide, score, bundle, corner)


def _spots(score: SlideScore, model: Model) -> list[tuple[int, int]]:
    kept: dict[str, list[tuple[int, int]]] = st.session_state.setdefault("slide_spots", {})
    key = f"{score.summary.slide_sha256}-{score.summary.provenance.created}"
    if key not in kept:
        kept[key] = hot_spots(score.tiles, model)
    return kept[key]


def _show_region(score: SlideScore, model: Model, region: list[tuple[float, float]]) -> None:
    """The answer within a drawn region, by the rule of the whole slide."""
    inside = tiles_within(score.tiles, region)
    with st.container(border=True, key="slide_region_answer"):
        st.markdown(f"**Within the region drawn: {len(inside):,} tiles**")
        if inside.empty:
            st.caption("No scored tile has its centre in this region. Draw it around some tissue.")
            return
        answer = decide_tiles(inside, model)
        _show_verdict(answer)
        st.caption(_answer_line(answer))
        _show_areas(answer, class_areas_mm2(inside, model, score.summary.spacing_um_px), model)
        st.caption("A region chosen after looking at the scores is biased towards a finding: it is not a second opinion.")


def _show_tile(slide: Slide, score: SlideScore, bundle: Bundle, chosen: tuple[int, int] | None) -> None:
    """One tile at full resolution with its probabilities and Grad-CAM."""
    session = bundle.session_of("tile")
    st.markdown("**One tile, explained**")
    cancer = cancer_probability(score.tiles, session.model)
    order = most_suspicious(score.tiles, session.model, RANKED_TILES)
    corners = [(int(x), int(y)) for x, y in score.tiles[["x_l0_px", "y_l0_px"]].to_numpy()[order]]
    labels = {
        corner: f"{rank}. carcinoma {cancer[row]:.0%} at x {corner[0]:,}, y {corner[1]:,}"
        for rank, (corner, row) in enumerate(zip(corners, order, strict=True), start=1)
    }
    if chosen is not None and chosen not in labels:
        labels = {chosen: f"clicked: x {chosen[0]:,}, y {chosen[1]:,}"} | labels

    def pick() -> None:
        if st.session_state["slide_ranked"] is not None:
            st.session_state.setdefault("slide_tile", {})[slide.sha256] = st.session_state["slide_ranked"]

    st.session_state["slide_ranked"] = chosen
    st.selectbox(
        "Click a tile on the map, or pick one by rank",
        list(labels),
        index=None,
        format_func=labels.__getitem__,
        key="slide_ranked",
        on_change=pick,
        placeholder=f"the {len(corners)} most suspicious tiles" if corners else "no tile has an answer",
    )
    if chosen is None:
        st.info("No tile chosen yet.")
        return
    try:
        explained = explain_tile(slide, score.summary, *chosen, session)
    except CervixError as error:
        st.error(escaped(str(error)))
        return
    if score.summary.answer.abstained or not explained.recognised:
        why = "The slide has no answer" if score.summary.answer.abstained else "The model does not recognise this tile"
        st.image(explained.pixels, caption="Tile", width="stretch")
        st.info(f"{why}, so this tile gets no answer.", icon=":material/block:")
        return
    titles = session.model.class_titles
    classes = list(titles)
    best = max(classes, key=explained.probabilities.__getitem__)
    label = st.radio(
        "Grad-CAM for",
        classes,
        index=classes.index(best),
        format_func=titles.__getitem__,
        horizontal=True,
        key="slide_cam",
    )
    opacity = st.slider("Grad-CAM opacity", 0.0, 1.0, 0.5, 0.1, key="slide_cam_opacity")
    plain, overlaid = st.columns(2)
    plain.image(explained.pixels, caption="Tile", width="stretch")
    overlaid.image(explained.overlay(label, opacity), caption=f"Grad-CAM: {titles[label]}", width="stretch")
    for name in classes:
        st.progress(explained.probabilities[name], f"{titles[name]}: {explained.probabilities[name]:.1%}")
    limit = session.model.abstention_limit("novelty")
    st.caption(f"Novelty {explained.novelty:.1f} (limit {limit:.1f}): recognised. The score comes from the bright areas.")


@st.fragment
def show_gallery(slide: Slide, score: SlideScore, model: Model) -> None:
    """The most certain and the most doubtful tiles of a class, at first of what was found: the carcinoma, if there is one."""
    answer = score.summary.answer
    st.subheader("Most certain and most doubtful")
    label = st.segmented_control(
        "Class",
        model.class_ids,
        default=_most_seen(answer, model.cancer_task.positive if answer.cancerous_tiles else model.class_ids),
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
                    st.image(tile.pixels, caption=f"{tile.probability:.0%}", width=140)


def show_all_tiles(slide: Slide, score: SlideScore, bundle: Bundle) -> None:
    """The distribution of the scores, and every export."""
    st.subheader("All tiles")
    model = bundle.session_of("tile").model
    st.plotly_chart(probability_histogram(score.tiles, model), key="slide_histogram", config=STILL_CHART)
    stem = f"slide-{slide.sha256[:12]}"
    with st.container(horizontal=True):
        for kind, export in EXPORTS.items():
            st.download_button(
                export.title,
                partial(export_bytes, kind, score, slide, bundle),
                file_name=f"{stem}{export.suffix}",
                mime=export.media_type,
                icon=":material/download:",
                on_click="ignore",
                key=f"slide_download_{kind}",
            )
    st.caption(
        "Each carries the bundle's hash and the research notice. The GeoJSON opens in QuPath by dropping it onto the slide; "
        "the heatmap has one pixel a tile and one channel a class."
    )
