"""What readers said of the tiles of one slide, for files that show them on it."""

from dataclasses import dataclass
from typing import Final

import pandas as pd
from sqlalchemy import Connection, select

from cervix.errors import LabelRefused
from cervix.labels.store.events import checked_reader
from cervix.labels.store.label_store import LabelStore
from cervix.labels.store.tables import cases
from cervix.sources.plane import FilePlane

LEVEL_0: Final = FilePlane(bounds_x_px=0, bounds_y_px=0, bounds_width_px=0, bounds_height_px=0)
"""Level-0 pixels as they are: of slides of which no plane is known."""
WITHOUT_CLASS: Final = {"unsure": "Unsure", "unusable": "Unusable"}
"""Answers that are not a class of the model: action -> words."""
EVERYBODY: Final = "all, what counts"


@dataclass(frozen=True)
class SlideLabels:
    """Labels of a slide's tiles.

    Attributes
    ----------
    tiles : DataFrame
        By case id: ``x_l0_px, y_l0_px, size_l0_px`` and ``label``, a class or one of ``WITHOUT_CLASS``'s words.
    keys : dict
        Case id -> key of the event; empty where what counts was asked for.
    plane : FilePlane or None
        The one that the tiles were gathered with.
    whose : str
        The reader, or that it is what counts.
    """

    tiles: pd.DataFrame
    keys: dict[str, str]
    plane: FilePlane | None
    whose: str


def labels_of_slide(store: LabelStore, slide_sha256: str, reader: str = "") -> SlideLabels:
    """The labels of a slide that count, or what one reader said; ``LabelRefused`` where there are none."""
    of_slide = store.cases("tile").set_index("case_id")
    of_slide = of_slide[of_slide["source"] == slide_sha256]
    table = store.reads("tile") if reader else store.truths("tile")
    if reader:
        table = table[(table["reader"] == checked_reader(reader)) & (table["action"] != "skip")]
        said = table["label"].where(table["action"] == "label", table["action"].map(WITHOUT_CLASS))
    else:
        table = table[table["label"].notna()]
        said = table["label"]
    names = {case: str(name) for case, name in zip(table["case_id"], said, strict=True) if case in of_slide.index}
    if not names:
        raise LabelRefused("No tile of this slide is labelled", action="Label some, or name another slide or reader.")
    tiles = of_slide.loc[list(names), ["x_l0_px", "y_l0_px", "size_l0_px"]].astype("int64").assign(label=list(names.values()))
    keys = dict(zip(table["case_id"], table["key"], strict=True)) if reader else {}
    with store.database.reading() as connection:
        plane = kept_plane(connection, slide_sha256)
    return SlideLabels(tiles, keys, plane, reader or EVERYBODY)


def kept_plane(connection: Connection, slide_sha256: str) -> FilePlane | None:
    """The plane that a slide's tiles were gathered with; None where they came without."""
    wanted = (cases.c.source == slide_sha256) & (cases.c.kind == "tile") & cases.c.file_plane.is_not(None)
    kept = connection.scalar(select(cases.c.file_plane).where(wanted).limit(1))
    return FilePlane.model_validate(kept) if kept is not None else None
