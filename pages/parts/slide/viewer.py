"""The deep-zoom map of a slide with its instruments: the same element in every state of the page."""

from typing import Any

import streamlit as st

from cervix.bundle import Model
from cervix.bundle.classes import ATTENTION_COLOUR, NO_ANSWER_COLOUR, NOVELTY_COLOUR
from cervix.slides.agreement import KINDS, Agreement
from cervix.slides.charts import viewer_figure
from cervix.slides.decision import SlideAnswer
from cervix.slides.deepzoom import WorldMap
from cervix.slides.head import ATTENTION_MEANS
from cervix.slides.head_layer import ATTENTION_LAYER
from cervix.slides.layers import AGREEMENT_LAYER, CAM_PREFIX, CLASS_MAP, OTHER_CLASS_MAP, UNRECOGNISED_LAYER
from cervix.sources.slide import Slide
from pages.parts.shared.components import viewer
from pages.parts.slide.resources import inset_picture, slide_url


def show_map(
    slide: Slide,
    model: Model,
    urls: dict[str, str],
    *,
    answer: SlideAnswer | None = None,
    spots: list[tuple[int, int]] | None = None,
    chosen: tuple[int, int, int] | None = None,
    region: list[tuple[float, float]] | None = None,
    beside: list[dict[str, Any]] | None = None,
    key: str = "slide_map",
) -> Any:
    """The map with its instruments, at first with the class map over it.

    Nothing but the figure's slide makes the browser draw it anew: whatever else changes goes through the instruments, which
    work on the map that is there. Without hot spots nothing can be clicked or drawn yet.

    Parameters
    ----------
    beside : list of dict, optional
        Further layers, as ``layers_beside`` has them.

    Returns what was clicked or drawn in this run.
    """
    world = WorldMap(slide.width_l0_px, slide.height_l0_px)
    silent = answer is not None and answer.abstained
    unread = answer is not None and answer.unread_tiles > 0
    layers = [item for item in [*_layers(model, silent=silent, unread=unread), *(beside or [])] if item["id"] in urls]
    with st.container(key=f"viewer_{key}", gap=None):
        with st.container(key=key):
            st.plotly_chart(
                viewer_figure(world, slide_url(slide)),
                key=f"{key}_chart",
                config={"scrollZoom": True, "displaylogo": False, "displayModeBar": False},
            )
        return viewer(
            key=f"{key}_instruments",
            data={
                "slide": slide.sha256,
                "map_key": key,
                "world_px": world.world_px,
                "origin": list(world.origin_px),
                "width": slide.width_l0_px,
                "height": slide.height_l0_px,
                "spacing": slide.spacing_um_px,
                "overview": inset_picture(slide),
                "layers": [{**item, "url": urls[item["id"]]} for item in layers],
                "layer": CLASS_MAP,
                "spots": spots,
                "tile": chosen,
                "region": region,
                "selectable": spots is not None,
                "silent": silent,
            },
            on_tile_change=lambda: None,
            on_region_change=lambda: None,
            on_spot_change=lambda: None,
        )


def _layers(model: Model, *, silent: bool, unread: bool) -> list[dict[str, Any]]:
    """Every layer with its words and what its legend says; of a slide without an answer only what holds no answer."""
    none = _row("No answer", NO_ANSWER_COLOUR) if silent else _row("Not recognised", NO_ANSWER_COLOUR, "lines")
    lost = [_row("Could not be read", NO_ANSWER_COLOUR, "dots")] if unread else []
    rest = _row("Not recognised", NO_ANSWER_COLOUR)
    classes = [] if silent else [_row(item.title, item.colour, short=item.short) for item in model.classes]
    shown = [(CLASS_MAP, "Class map", [*classes, none, *lost])]
    if not silent:
        for item in model.classes:
            scale = _row(f"P({item.title}), 0 to 100 %", item.colour, "ramp", short=f"P({item.short})")
            shown.append((item.id, f"P({item.title})", [scale, rest]))
    shown.append((UNRECOGNISED_LAYER, "Tiles not recognised", [_row("Not recognised", NOVELTY_COLOUR)]))
    if not silent:
        for item in model.classes:
            scale = _row(f"Speaks for {item.mid_sentence}", item.colour, "ramp", short=f"For {item.short}")
            shown.append((CAM_PREFIX + item.id, f"Grad-CAM: {item.title}", [scale, rest]))
        looked = _row(f"{ATTENTION_MEANS} Little to much", ATTENTION_COLOUR, "ramp", short="Attention")
        shown.append(
            (ATTENTION_LAYER, "Attention of the slide head", [looked, _row("Not given to the head", NO_ANSWER_COLOUR)])
        )
    return [{"id": name, "title": title, "legend": legend} for name, title, legend in shown]


def layers_beside(other: Model, answer: SlideAnswer, agreement: Agreement) -> list[dict[str, Any]]:
    """Of two bundles A and B: where they agree, and the class map of B, with what their legends say."""
    there = [kind for place, kind in enumerate(KINDS) if (agreement.kinds == place).any()]
    legend = [_row(kind.title, kind.colour, kind.pattern, short=kind.short) for kind in there]
    class_map = next(item for item in _layers(other, silent=answer.abstained, unread=answer.unread_tiles > 0))
    return [
        {"id": AGREEMENT_LAYER, "title": "A and B: where they agree", "legend": legend},
        class_map | {"id": OTHER_CLASS_MAP, "title": "Class map of B"},
    ]


def _row(title: str, colour: str, pattern: str = "plain", *, short: str = "") -> dict[str, str]:
    return {"title": title, "short": short or title, "colour": colour, "pattern": pattern}
