"""Tiles as objects of QuPath: GeoJSON in QuPath's pixels, which count from the corner of the scanned part."""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from cervix.files import replacing
from cervix.slides.deepzoom import rgb_of
from cervix.slides.plane import FilePlane


def qupath_class(name: str, colour: str) -> dict[str, object]:
    """A class as QuPath has it; ``colour`` is ``#rrggbb``."""
    return {"name": name, "color": list(rgb_of(colour))}


def tile_feature(
    x_l0_px: int, y_l0_px: int, size_l0_px: int, plane: FilePlane, classification: Mapping[str, object],
    measurements: Mapping[str, float],
) -> dict[str, Any]:  # fmt: skip
    """A tile as a closed rectangle, square where the file's pixels are, with its class and measurements."""
    left, top = map(_coordinate, plane.to_qupath_px(x_l0_px, y_l0_px))
    right, bottom = map(_coordinate, plane.to_qupath_px(x_l0_px + size_l0_px, y_l0_px + size_l0_px))
    ring = [[left, top], [right, top], [right, bottom], [left, bottom], [left, top]]
    return {
        "type": "Feature",
        "geometry": {"type": "Polygon", "coordinates": [ring]},
        "properties": {"objectType": "tile", "classification": classification, "measurements": dict(measurements)},
    }


def _coordinate(value: float) -> float:
    """As QuPath keeps it, with two places; a whole number without any."""
    return int(value) if value == int(value) else round(value, 2)


def write_features(features: Iterable[Mapping[str, object]], provenance: Mapping[str, object], path: Path) -> None:
    """Write objects that QuPath 0.4 and later open by dragging the file onto the slide.

    The top-level member ``provenance`` is ours; readers of GeoJSON pass over members they do not know (RFC 7946, 6.1).
    """
    encode = json.JSONEncoder(separators=(",", ":")).encode
    opening = encode({"type": "FeatureCollection", "provenance": provenance, "features": []}).removesuffix("]}")
    with replacing(path) as temporary, temporary.open("w", encoding="utf-8") as stream:
        stream.write(opening)
        # json.dump would encode in Python, ten times slower than feature by feature in C.
        for at, feature in enumerate(features):
            stream.write(("," if at else "") + encode(feature))
        stream.write("]}")
