"""Labels of one slide as QuPath objects, written and read back."""

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast
from uuid import uuid5

import numpy as np
from pydantic import ValidationError
from sqlalchemy import Connection, select

from cervix import RESEARCH_NOTICE
from cervix.bundle.classes import NO_ANSWER_COLOUR, ClassInfo
from cervix.errors import LabelRefused
from cervix.labels.files.exchange import KEYS, ImportReport
from cervix.labels.files.of_slide import LEVEL_0, WITHOUT_CLASS, kept_plane, labels_of_slide
from cervix.labels.store.cases import tile_id
from cervix.labels.store.events import Action, LabelEvent, checked_key, checked_reader
from cervix.labels.store.label_store import LabelStore
from cervix.labels.store.leases import store_clock
from cervix.labels.store.recording import append
from cervix.labels.store.tables import events
from cervix.slides.qupath import qupath_boxes, qupath_class, tile_feature, write_features
from cervix.sources.plane import FilePlane

# QuPath keeps two decimal places of a file's pixel.
WHOLE_WITHIN_PX = 0.02


def write_qupath(
    store: LabelStore, slide_sha256: str, path: Path, *, classes: Sequence[ClassInfo] = (), reader: str = ""
) -> int:
    """Write the labels of a slide that count, or what one reader said; returns how many tiles there are.

    Coordinates are QuPath's: in the file's pixels, from the corner of the scanned part, as the plane says that the tiles
    were gathered with.

    Parameters
    ----------
    classes : sequence of ClassInfo
        Of the tile model: words and colours of the labels. Others stand in the file as the store has them, in grey.

    Raises
    ------
    LabelRefused
        If there is nothing to write.
    """
    found = labels_of_slide(store, slide_sha256, reader)
    plane, known = found.plane or LEVEL_0, {item.id: qupath_class(item.title, item.colour) for item in classes}
    tiles = found.tiles[["x_l0_px", "y_l0_px", "size_l0_px"]].to_numpy(np.int64)
    features = []
    for case, name, box in zip(found.tiles.index, found.tiles["label"], qupath_boxes(tiles, plane), strict=True):
        shown = known.get(name) or qupath_class(name, NO_ANSWER_COLOUR)
        features.append({"id": found.keys.get(case, str(uuid5(KEYS, case)))} | tile_feature(box, shown, {}))
    facts = {
        "slide_sha256": slide_sha256,
        "reader": found.whose,
        "plane": plane.model_dump(),
        "notice": RESEARCH_NOTICE,
    }
    write_features(features, facts, path)
    return len(features)


def read_qupath(
    store: LabelStore, path: Path, reader: str, *, classes: Sequence[ClassInfo] = (), slide_sha256: str = ""
) -> ImportReport:
    """Add a reader's labels from QuPath objects that lie exactly where tiles of the store lie, in QuPath's pixels.

    The class is a class of the tiles or its title, unsure or unusable. Objects without a class are ignored; those that
    match no tile or class are named. The same file again adds nothing; an object whose class was changed adds a label.

    Parameters
    ----------
    classes : sequence of ClassInfo
        Of the tile model: their titles are read as well as their ids.
    slide_sha256 : str
        The slide the objects lie on; by default what the file's ``provenance`` says, which QuPath does not keep.

    Raises
    ------
    LabelRefused
        If the file is not GeoJSON, or nothing says which slide it belongs to.
    """
    features, told = _features(path)
    if not reader.strip():
        raise LabelRefused(
            "Nothing says whose labels these are",
            expected="the reader, whom GeoJSON does not name",
            action="Name them (--reader on the command line).",
        )
    reader = checked_reader(reader)
    slide = slide_sha256 or str(told.get("slide_sha256", ""))
    if not slide:
        raise LabelRefused("The file does not say on which slide its objects lie", action="Name the slide's SHA-256.")
    titles = {item.id: item.title for item in classes}
    labels = {name.lower(): label for label in store.classes("tile") for name in (label, titles.get(label, label))}
    actions = {name.lower(): action for action, name in WITHOUT_CLASS.items()}
    report = ImportReport()
    with store.database.writing() as connection:
        plane = _told_plane(told) or kept_plane(connection, slide) or LEVEL_0
        for number, feature in enumerate(features, start=1):
            name = _class_name(feature)
            if name is None:
                continue
            try:
                case = tile_id(slide, *_square(feature, plane))
                action = actions.get(name.lower(), "label")
                label = None if action != "label" else labels.get(name.lower(), name)
                key = _key(connection, feature, case, reader, action, label)
                event = LabelEvent(case, reader, cast(Action, action), label, key, comment="from QuPath")
                report.count(append(connection, event, store_clock(connection))[1])
            except LabelRefused as error:
                report.problems.append(f"object {number}: {error}")
    return report


def _told_plane(provenance: Mapping[str, Any]) -> FilePlane | None:
    """The plane that a file written here names. 0.1.0 named none and wrote level-0 pixels; QuPath keeps nothing of this."""
    if not provenance:
        return None
    try:
        return FilePlane.model_validate(provenance.get("plane", LEVEL_0))
    except ValidationError:
        return None


def _features(path: Path) -> tuple[list[Any], dict[str, Any]]:
    """The objects of a file and what it says of where it comes from."""
    try:
        document = json.loads(path.read_bytes())
    except OSError as error:
        raise LabelRefused("The file cannot be opened", found=error.strerror or "") from error
    except (ValueError, RecursionError):  # RecursionError: brackets within brackets by the thousand
        document = None
    features = document.get("features") if isinstance(document, dict) else document  # QuPath can write a bare list
    if not isinstance(features, list):
        raise LabelRefused("The file is not GeoJSON", expected="a FeatureCollection, or a list of features")
    provenance = document.get("provenance") if isinstance(document, dict) else None
    return features, provenance if isinstance(provenance, dict) else {}


def _class_name(feature: Any) -> str | None:
    """The class of an object; None where it has none."""
    properties = feature.get("properties") if isinstance(feature, dict) else None
    classification = properties.get("classification") if isinstance(properties, dict) else None
    name = classification.get("name") if isinstance(classification, dict) else None
    return name if isinstance(name, str) else None


def _square(feature: Mapping[str, Any], plane: FilePlane) -> tuple[int, int, int]:
    """Left, top and side in level-0 pixels of an object that is a tile there: a square in whole pixels."""
    refused = LabelRefused("The object is not a tile", expected="a square polygon in whole pixels")
    try:
        ring = feature["geometry"]["coordinates"][0]
        corners = {(float(x), float(y)) for x, y in ring}
    except (LookupError, TypeError, ValueError, OverflowError):
        raise refused from None
    xs, ys = {x for x, _ in corners}, {y for _, y in corners}
    if len(corners) != 4 or len(xs) != 2 or len(ys) != 2:
        raise refused
    exact = [*plane.from_qupath_px(min(xs), min(ys)), *plane.from_qupath_px(max(xs), max(ys))]
    within = 0.0 if plane.square else WHOLE_WITHIN_PX / min(plane.file_px_per_l0_px_x, plane.file_px_per_l0_px_y)
    if not all(math.isfinite(value) and abs(value - round(value)) <= within for value in exact):
        raise refused
    left, top, right, bottom = map(round, exact)
    if right - left != bottom - top:
        raise refused
    return left, top, right - left


def _key(connection: Connection, feature: Mapping[str, Any], case: str, reader: str, action: str, label: str | None) -> str:
    """The key of an object's label: that of the event it was written from, or one that follows from what it says."""
    try:
        own = checked_key(str(feature.get("id", "")))
    except LabelRefused:
        own = ""
    row = connection.execute(
        select(events.c.case_id, events.c.reader, events.c.action, events.c.label).where(events.c.key == own)
    ).one_or_none()
    if row is not None and tuple(row) == (case, reader, action, label):
        return own
    return str(uuid5(KEYS, "|".join((own, case, reader, action, label or ""))))
