"""Tiles as objects of QuPath: GeoJSON in level-0 pixels."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cervix.files import replacing
from cervix.slides.deepzoom import rgb_of


def qupath_class(name: str, colour: str) -> dict[str, object]:
    """A class as QuPath has it; ``colour`` is ``#rrggbb``."""
    return {"name": name, "color": list(rgb_of(colour))}


def tile_feature(
    x_l0_px: int, y_l0_px: int, size_l0_px: int, classification: Mapping[str, object], measurements: Mapping[str, float]
) -> dict[str, Any]:
    """A tile as a closed square with its class and measurements."""
    right, bottom = x_l0_px + size_l0_px, y_l0_px + size_l0_px
    ring = [[x_l0_px, y_l0_px], [right, y_l0_px], [right, bottom], [x_l0_px, bottom], [x_l0_px, y_l0_px]]
    return {
        "type": "Feature",
        "geometry": {"type": "Polygon", "coordinates": [ring]},
        "properties": {"objectType": "tile", "classification": classification, "measurements": dict(measurements)},
    }


def write_features(features: list[dict[str, Any]], provenance: Mapping[str, object], path: Path) -> None:
    """Write objects that QuPath 0.4 and later open by dragging the file onto the slide.

    The top-level member ``provenance`` is ours; readers of GeoJSON pass over members they do not know (RFC 7946, 6.1).
    """
    document = {"type": "FeatureCollection", "provenance": provenance, "features": features}
    with replacing(path) as temporary, temporary.open("w", encoding="utf-8") as stream:
        json.dump(document, stream, separators=(",", ":"))
