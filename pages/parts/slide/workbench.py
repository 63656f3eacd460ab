"""Map and dock: one layout in every state, so that the map is never drawn anew."""

import streamlit as st

from cervix.bundle import Bundle, Model
from cervix.slides.decision import hot_spots, tile_at
from cervix.slides.layers import score_layers
from cervix.slides.scoring import SlideScore
from pages.parts.molecular.beside import show_tumour_of_slide
from pages.parts.slide.answer import show_answer, show_organs, show_progress, show_region
from pages.parts.slide.before import ask_for_scale, offer_everything, offer_scoring, offer_the_rest, say_unsuitable
from pages.parts.slide.head import show_head
from pages.parts.slide.look import SHOWN, Look, look, remember_open
from pages.parts.slide.resources import final_layers, offer_layers
from pages.parts.slide.second import layers_with_second
from pages.parts.slide.tile import first_tile, show_tile
from pages.parts.slide.viewer import show_map

POLL_EVERY_S = 1.0
WIDTHS = (64, 36)


def show_workbench(seen: Look, bundle: Bundle) -> None:
    """The open slide on its map and, beside it, whatever is to be said or done now; runs by itself while a score runs."""
    st.session_state[SHOWN] = seen.mark
    st.fragment(_workbench, run_every=POLL_EVERY_S if seen.state == "scoring" else None)(bundle)


def _workbench(bundle: Bundle) -> None:
    seen = look(bundle)
    if st.session_state.get(SHOWN) != seen.mark:
        st.rerun()
    remember_open(seen.slide)
    with st.container(key="slide_workbench"):
        map_side, dock = st.columns(WIDTHS, gap="small")
        with map_side:
            tile, region = _show_map_of(seen, bundle)
        with dock, st.container(key="slide_dock", gap="small"):
            _show_dock(seen, bundle, tile, region)


def _show_dock(seen: Look, bundle: Bundle, tile: tuple[int, int] | None, region: list[tuple[float, float]] | None) -> None:
    model = bundle.session_of("tile").model
    match seen.state:
        case "unscaled":
            ask_for_scale(seen.slide)
        case "no-tissue":
            offer_everything(seen)
        case "unsuitable":
            say_unsuitable(seen)
        case "ready":
            offer_scoring(seen, bundle)
        case "scoring" if seen.job is not None:
            show_progress(seen.job, bundle)
        case _ if seen.score is not None:
            offer_the_rest(seen, bundle)
            show_answer(seen.score, model)
            show_head(seen.score, bundle)
            show_tumour_of_slide(seen.slide.sha256, seen.score, bundle)
            if region:
                show_region(seen.score, model, region)
            show_tile(seen.slide, seen.score, bundle, tile)
            show_organs(model)


def _show_map_of(seen: Look, bundle: Bundle) -> tuple[tuple[int, int] | None, list[tuple[float, float]] | None]:
    """The map with the layers there are; the tile and the region that are chosen on it."""
    slide, model = seen.slide, bundle.session_of("tile").model
    progress = seen.job.progress if seen.job is not None and seen.state == "scoring" else None
    if progress is not None:
        layers = score_layers(progress.tiles, model, f"live-{progress.done}")
        show_map(slide, model, offer_layers(slide, layers), answer=progress.answer)
        return None, None
    if seen.score is None:
        show_map(slide, model, {})
        return None, None
    score = seen.score
    tiles, regions = (st.session_state.setdefault(name, {}) for name in ("slide_tile", "slide_region"))
    corner, region = tiles.get(slide.sha256) or first_tile(score, model), regions.get(slide.sha256)
    spots = _spots(score, model)
    more, beside = layers_with_second(seen, bundle)
    done = show_map(
        slide,
        model,
        offer_layers(slide, final_layers(score, model) | more),
        answer=score.summary.answer,
        spots=spots,
        region=region,
        chosen=(*corner, score.summary.size_l0_px) if corner else None,
        beside=beside,
    )
    clicked = done.tile and tile_at(score.tiles, *done.tile)
    if done.spot is not None:
        clicked = tile_at(score.tiles, *spots[int(done.spot)])
    if clicked and clicked != corner:
        tiles[slide.sha256] = clicked
        st.rerun(scope="fragment")
    if done.region is not None:
        regions[slide.sha256] = [(float(x), float(y)) for x, y in done.region]
        st.rerun(scope="fragment")
    return corner, region


def _spots(score: SlideScore, model: Model) -> list[tuple[int, int]]:
    kept: dict[str, list[tuple[int, int]]] = st.session_state.setdefault("slide_spots", {})
    key = f"{score.summary.slide_sha256}-{score.summary.provenance.created}"
    if key not in kept:
        kept[key] = hot_spots(score.tiles, model)
    return kept[key]
