"""Where a slide head looked, as a layer over the map."""

from dataclasses import replace

import numpy as np
import pandas as pd

from cervix.bundle.classes import ATTENTION_COLOUR, NO_ANSWER_COLOUR
from cervix.slides.deepzoom import HeatLayer, heat_layer
from cervix.slides.head import ATTENTION, looked_at
from cervix.slides.layers import UNANSWERED_VALUE

# Ids of classes hold no underscore, so no class has this name.
ATTENTION_LAYER = "head_attention"


def attention_layers(tiles: pd.DataFrame, version: str) -> dict[str, HeatLayer]:
    """The layer of attention by its name, in grey what the head was not given; none where no head was asked.

    Parameters
    ----------
    tiles : as ``SlideScore.tiles``
    version : changes with the values, so that a browser asks again
    """
    if ATTENTION not in tiles or tiles[ATTENTION].isna().all():
        return {}
    looked = looked_at(tiles)
    left_out = UNANSWERED_VALUE * np.isnan(looked).astype(np.float32)
    grey = heat_layer(tiles, left_out, NO_ANSWER_COLOUR, version)
    return {ATTENTION_LAYER: replace(heat_layer(tiles, np.nan_to_num(looked), ATTENTION_COLOUR, version), under=grey)}
