"""Tiles as objects of QuPath: GeoJSON in QuPath's pixels, which count from the corner of the scanned part."""

import json
from collections.abc import Iterable, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cervix.files import replacing
from cervix.slides.deepzoom import rgb_of
from cervix.sources.plane import FilePlane

FEATURES_AT_ONCE = 1000
Feature = dict[str, Any]


def qupath_class(name: str, colour: str) -> dict[str, object]:
    """A class as QuPath has it; ``colour`` is ``#rrggbb``."""
    return {"name": name, "color": list(rgb_of(colour))}


def qupath_boxes(tiles_l0_px: NDArray[np.integer], plane: FilePlane) -> list[list[float]]:
    """Left, top, right and bottom in QuPath's pixels of tiles ``(n, 3)``: left, top and edge on level 0.

    With two decimal places, as QuPath keeps them; whole numbers where the file's pixels are square.
    """
    left, top, edge = tiles_l0_px.astype(np.float64).T
    corners = [*plane.to_qupath_px(left, top), *plane.to_qupath_px(left + edge, top + edge)]
    boxes = np.column_stack(corners)
    return (boxes.astype(np.int64) if plane.square else boxes.round(2)).tolist()  # type: ignore[no-any-return]


def tile_feature(box_px: Sequence[float], classification: Mapping[str, object], measurements: Mapping[str, float]) -> Feature:
    """A tile as a closed rectangle, square where the file's pixels are, with its class and measurements."""
    left, top, right, bottom = box_px
    ring = [[left, top], [right, top], [right, bottom], [left, bottom], [left, top]]
    return {
        "type": "Feature",
        "geometry": {"type": "Polygon", "coordinates": [ring]},
        "properties": {"objectType": "tile", "classification": classification, "measurements": measurements},
    }


def write_features(features: Iterable[Feature], provenance: Mapping[str, object], path: Path) -> None:
    """Write objects that QuPath 0.4 and later open by dragging the file onto the slide.

    The top-level member ``provenance`` is ours; readers of GeoJSON pass over members they do not know (RFC 7946, 6.1).
    """
    encode = json.JSONEncoder(separators=(",", ":")).encode
    opening = encode({"type": "FeatureCollection", "provenance": provenance, "features": []}).removesuffix("]}")
    with replacing(path) as temporary, temporary.open("w", encoding="utf-8") as stream:
        stream.write(opening)
        # json.dump would encode in Python, many times slower than part by part in C.
        left, separator = iter(features), ""
        while part := list(islice(left, FEATURES_AT_ONCE)):
            stream.write(separator + encode(part)[1:-1])
            separator = ","
        stream.write("]}")
