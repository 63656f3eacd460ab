"""The slide viewer: a Plotly map whose raster layers are the routes of ``cervix.web``."""

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from cervix.slides.decision import CLASS_TITLES
from cervix.slides.deepzoom import CLASS_COLOURS, MAP_TILE_PX, WorldMap

VIEWER_HEIGHT = 620
# Beyond this many points a browser's hover slows down; the rest stay visible in the heat layer.
MAX_CLICKABLE_TILES = 20_000
SELECTION_COLOUR = "#111111"
# At its maxzoom a layer of the map is hidden, so it lies beyond any zoom that can be reached.
LAYER_MAX_ZOOM = 24
HOVER_DISTANCE_PX = 400


def viewer_figure(
    world: WorldMap,
    tile_url: str,
    tiles: pd.DataFrame | None = None,
    *,
    heat_url: str | None = None,
    heat_opacity: float = 0.6,
) -> go.Figure:
    """A deep-zoom map of a slide.

    Parameters
    ----------
    tile_url, heat_url : str
        Absolute addresses with ``{z}/{x}/{y}``.
    tiles : DataFrame, optional
        ``SlideScore.tiles``; each gets a hover text and can be clicked.
    """
    figure = go.Figure()
    if tiles is not None and len(tiles):
        figure.add_trace(_clickable_tiles(world, tiles.head(MAX_CLICKABLE_TILES)))
    else:
        figure.add_trace(go.Scattermap(lon=[], lat=[]))
    layers = [{"sourcetype": "raster", "source": [tile_url], "below": "traces", "maxzoom": LAYER_MAX_ZOOM}]
    if heat_url:
        layers.append(
            {
                "sourcetype": "raster",
                "source": [heat_url],
                "below": "traces",
                "maxzoom": LAYER_MAX_ZOOM,
                "opacity": heat_opacity,
            }
        )
    lon, lat = world.lon_lat(world.width_l0_px / 2, world.height_l0_px / 2)
    figure.update_layout(
        map={
            "style": "white-bg",
            "layers": layers,
            "center": {"lon": float(lon), "lat": float(lat)},
            "zoom": world.zoom_to_fit(2 * MAP_TILE_PX, VIEWER_HEIGHT),
        },
        height=VIEWER_HEIGHT,
        margin={"l": 0, "r": 0, "t": 0, "b": 0},
        showlegend=False,
        uirevision="keep the view",
        clickmode="event+select",
        # The nearest centre is the tile under the pointer; far zoomed in, that centre can be half a tile away.
        hoverdistance=HOVER_DISTANCE_PX,
    )
    return figure


def _clickable_tiles(world: WorldMap, tiles: pd.DataFrame) -> go.Scattermap:
    half = tiles["size_l0_px"].to_numpy() / 2
    lon, lat = world.lon_lat(tiles["x_l0_px"].to_numpy() + half, tiles["y_l0_px"].to_numpy() + half)
    classes = [name.removeprefix("p_") for name in tiles.columns if name.startswith("p_")]
    probability = tiles[[f"p_{label}" for label in classes]].to_numpy()
    top = probability.argmax(axis=1)
    lines = [f"{CLASS_TITLES.get(label, label)} %{{customdata[{index}]:.0%}}" for index, label in enumerate(classes)]
    return go.Scattermap(
        lon=lon,
        lat=lat,
        mode="markers",
        marker={"size": 9, "opacity": 0.45, "color": [CLASS_COLOURS.get(classes[index], "#767676") for index in top]},
        # The browser marks the chosen tile itself: a figure that changed with each click would lose the reader's place.
        selected={"marker": {"opacity": 1.0, "size": 20, "color": SELECTION_COLOUR}},
        unselected={"marker": {"opacity": 0.45}},
        customdata=np.column_stack([probability, tiles["novelty"]]),
        hovertemplate="<br>".join([*lines, f"novelty %{{customdata[{len(classes)}]:.1f}}", "click for Grad-CAM"])
        + "<extra></extra>",
    )


def probability_histogram(tiles: pd.DataFrame) -> go.Figure:
    """How sure the model is, over all tiles: the distribution of the cancer probability."""
    cancer = 1.0 - tiles["p_benign"]
    figure = go.Figure(go.Histogram(x=cancer, xbins={"start": 0, "end": 1.0001, "size": 0.05}, marker_color="#5B6B73"))
    figure.update_layout(
        height=220,
        margin={"l": 10, "r": 10, "t": 10, "b": 10},
        xaxis={"title": "Probability of carcinoma", "range": [0, 1]},
        yaxis={"title": "Tiles"},
        bargap=0.05,
    )
    return figure
