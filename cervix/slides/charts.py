"""The slide viewer: a Plotly map whose raster layers are the routes of ``cervix.web``."""

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from cervix.bundle.manifest import Model
from cervix.chart_template import laid_out
from cervix.slides.decision import answered_tiles
from cervix.slides.deepzoom import MAP_TILE_PX, WorldMap
from cervix.slides.explanation import cancer_probability

VIEWER_HEIGHT = 620
BINS = 20
# At its maxzoom a layer of the map is hidden, so it lies beyond any zoom that can be reached.
LAYER_MAX_ZOOM = 24


def viewer_figure(world: WorldMap, tile_url: str) -> go.Figure:
    """A deep-zoom map of a slide. ``tile_url`` is an absolute address with ``{z}/{x}/{y}``.

    The figure depends on the slide alone: Streamlit draws a chart anew when its figure changes, and the reader would lose
    the place. Heat layers, selections and instruments are put around it by ``pages/components/viewer.js``.
    """
    # A map needs a trace to be drawn at all.
    figure = go.Figure(go.Scattermap(lon=[], lat=[]))
    lon, lat = world.lon_lat(world.width_l0_px / 2, world.height_l0_px / 2)
    figure.update_layout(
        map={
            "style": "white-bg",
            "layers": [{"sourcetype": "raster", "source": [tile_url], "below": "traces", "maxzoom": LAYER_MAX_ZOOM}],
            "center": {"lon": float(lon), "lat": float(lat)},
            "zoom": world.zoom_to_fit(2 * MAP_TILE_PX, VIEWER_HEIGHT),
        },
        height=VIEWER_HEIGHT,
        margin={"l": 0, "r": 0, "t": 0, "b": 0},
        showlegend=False,
        uirevision="keep the view",
    )
    return figure


def probability_histogram(tiles: pd.DataFrame, model: Model) -> go.Figure:
    """How sure the model is: the distribution of the cancer probability over all tiles that have an answer."""
    cancer = cancer_probability(tiles[answered_tiles(tiles, model)], model)
    # Counted here: bins of Plotly's leave out tiles of exactly 1, of which a model that is certain has many.
    counts, edges = np.histogram(np.clip(cancer, 0, 1), bins=BINS, range=(0, 1))
    figure = go.Figure(go.Bar(x=(edges[1:] + edges[:-1]) / 2, y=counts, marker_color="#5B6B73"))
    xaxis, yaxis = {"title": "Probability of carcinoma", "range": [0, 1]}, {"title": "Tiles"}
    return laid_out(figure, 220, xaxis=xaxis, yaxis=yaxis, bargap=0.05)
