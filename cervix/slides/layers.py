"""The scores of a slide as layers over its map: in colour where there is an answer, in grey where there is none."""

from dataclasses import replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cervix.bundle.classes import NO_ANSWER_COLOUR, NOVELTY_COLOUR, UNRECOGNISED
from cervix.bundle.manifest import Model
from cervix.slides.agreement import KINDS, Agreement
from cervix.slides.decision import answered_tiles, most_probable, read_tiles, recognised_tiles, tile_probabilities
from cervix.slides.deepzoom import OPACITY_RANGE, HeatLayer, cam_mosaic, heat_layer, rgb_of
from cervix.slides.grid import TileLattice
from cervix.slides.scoring import SlideScore

# Ids of classes hold no underscore, so no class has the name of another's Grad-CAM.
CAM_PREFIX = "cam_"
CLASS_MAP = "class_map"
UNRECOGNISED_LAYER = UNRECOGNISED
AGREEMENT_LAYER, OTHER_CLASS_MAP = "agreement_map", "other_class_map"
UNANSWERED_VALUE = 0.6


def score_layers(tiles: pd.DataFrame, model: Model, version: str) -> dict[str, HeatLayer]:
    """The class map, a layer of probability for each class, and one of the tiles that are not recognised, by name.

    Tiles without an answer, and those that could not be read, are grey in the layers of the classes.

    Parameters
    ----------
    version : str
        Changes with the values, so that a browser asks again.
    """
    answered, grey = answered_tiles(tiles, model), _unanswered(tiles, model, version)
    probability = np.where(answered[:, None], tile_probabilities(tiles, model), np.nan)
    layers = {
        item.id: replace(heat_layer(tiles, probability[:, index], item.colour, version), under=grey)
        for index, item in enumerate(model.classes)
    }
    unknown = (read_tiles(tiles) & ~recognised_tiles(tiles, model)).astype(np.float32)
    return (
        {CLASS_MAP: class_map(tiles, model, version)}
        | layers
        | {UNRECOGNISED_LAYER: heat_layer(tiles, unknown, NOVELTY_COLOUR, version)}
    )


def class_map(tiles: pd.DataFrame, model: Model, version: str) -> HeatLayer:
    """Each tile in the colour of its most probable class; grey lines where it has no answer, dots where it was not read.

    A slide without an answer is plain grey.
    """
    answered, read = answered_tiles(tiles, model), read_tiles(tiles)
    top = np.where(answered, most_probable(tiles, model), -1)

    def cells(where: NDArray[np.bool_], colour: str) -> HeatLayer:
        return heat_layer(tiles, where.astype(np.float32), colour, version)

    drawn = replace(cells(~read, NO_ANSWER_COLOUR), pattern="dots")
    drawn = replace(cells(read & ~answered, NO_ANSWER_COLOUR), pattern="lines" if answered.any() else "plain", under=drawn)
    for index, item in enumerate(model.classes):
        if (top == index).any():
            drawn = replace(cells(top == index, item.colour), under=drawn)
    return drawn


def cam_layers(score: SlideScore, model: Model, version: str) -> dict[str, HeatLayer]:
    """The mosaic of Grad-CAM for each class, by name, with the tiles that have no answer in grey."""
    answered, grey = answered_tiles(score.tiles, model), _unanswered(score.tiles, model, version)
    if not answered.any():
        return {CAM_PREFIX + label: grey for label in model.class_ids}
    return {
        CAM_PREFIX + item.id: replace(
            cam_mosaic(score.tiles[answered], score.rows[answered], index, item.colour, version), under=grey
        )
        for index, item in enumerate(model.classes)
    }


def agreement_layer(agreement: Agreement, version: str) -> HeatLayer:
    """Where two bundles agree and differ, each kind of place in its colour; what is no answer of both in lines or dots."""
    raster = agreement.raster
    lattice = TileLattice(*raster.bounds_l0_px, max(1, round(raster.cell_l0_px)))
    drawn: HeatLayer | None = None
    for place, kind in enumerate(KINDS):
        opacity = np.where(agreement.kinds == place, OPACITY_RANGE[1], 0).astype(np.uint8)
        if drawn is None or opacity.any():
            drawn = HeatLayer(opacity, rgb_of(kind.colour), raster.cell_l0_px, lattice, version, drawn, kind.pattern)
    assert drawn is not None, "there are kinds"
    return drawn


def _unanswered(tiles: pd.DataFrame, model: Model, version: str) -> HeatLayer:
    silent: NDArray[np.float32] = UNANSWERED_VALUE * (~answered_tiles(tiles, model)).astype(np.float32)
    return heat_layer(tiles, silent, NO_ANSWER_COLOUR, version)
