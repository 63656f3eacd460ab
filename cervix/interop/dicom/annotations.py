"""Tiles as bulk Microscopy Annotations: those called cancerous, and those that readers labelled."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
import pandas as pd
from highdicom import UID
from highdicom.ann import (
    AnnotationCoordinateTypeValues,
    AnnotationGroup,
    AnnotationGroupGenerationTypeValues,
    GraphicTypeValues,
    Measurements,
    MicroscopyBulkSimpleAnnotations,
)
from highdicom.sr import CodedConcept
from numpy.typing import NDArray

from cervix import RESEARCH_NOTICE, __version__
from cervix.bundle.classes import ClassInfo
from cervix.interop.dicom.made import Maker, identity
from cervix.interop.dicom.source import SourceSlide
from cervix.interop.dicom.terms import PROBABILITY_OF_CANCER, TISSUE, UNITLESS, class_category, class_type, long_string, own
from cervix.slides.decision import cancerous_tiles, tile_probabilities
from cervix.slides.scoring import SlideScore
from cervix.sources.plane import FilePlane

ANNOTATION_SERIES, LABEL_SERIES = 9004, 9005
LABEL_DESK: Final = "Label desk"


def hot_tiles(score: SlideScore, source: SourceSlide, maker: Maker) -> MicroscopyBulkSimpleAnnotations | None:
    """The tiles called cancerous, by the carcinoma that each looks most like, with the probability of cancer.

    None where there is none: an object of annotations holds at least one.
    """
    model = maker.model
    called = cancerous_tiles(score.tiles, model)
    malignant = [index for index, item in enumerate(model.classes) if item.role == "malignant"]
    shares = tile_probabilities(score.tiles, model)[:, malignant]
    likest = shares.argmax(axis=1)
    boxes = score.tiles[["x_l0_px", "y_l0_px", "size_l0_px"]].to_numpy(np.int64)
    groups: list[AnnotationGroup] = []
    for place, index in enumerate(malignant):
        here = called & (likest == place)
        if not here.any():
            continue
        item = model.classes[index]
        groups.append(
            AnnotationGroup(
                len(groups) + 1,
                UID(),
                item.title,
                class_category(item),
                class_type(item),
                GraphicTypeValues.RECTANGLE,
                _rectangles(boxes[here], source.plane),
                AnnotationGroupGenerationTypeValues.AUTOMATIC,
                algorithm_identification=maker.algorithm(),
                measurements=[Measurements(PROBABILITY_OF_CANCER, shares[here].sum(axis=1), UNITLESS)],
                description=f"Tiles called cancerous. {maker.model.notice}",
            )
        )
    return _annotations(groups, source, maker.identity(ANNOTATION_SERIES)) if groups else None


def labelled_tiles(
    tiles: pd.DataFrame, source: SourceSlide, classes: Sequence[ClassInfo], whose: str
) -> MicroscopyBulkSimpleAnnotations:
    """What readers said of tiles, a group a label.

    Parameters
    ----------
    tiles : DataFrame
        ``x_l0_px, y_l0_px, size_l0_px`` and ``label``: the id of a class, or words where readers gave none. One row at least.
    classes : sequence of ClassInfo
        Words and codes of the labels; others stand as they are, under the private scheme.
    whose : str
        Who said so, in words.
    """
    known = {item.id: item for item in classes}
    boxes = tiles[["x_l0_px", "y_l0_px", "size_l0_px"]].to_numpy(np.int64)
    groups = []
    for number, label in enumerate(sorted(tiles["label"].unique()), start=1):
        item = known.get(label)
        groups.append(
            AnnotationGroup(
                number,
                UID(),
                item.title if item else long_string(label),
                class_category(item) if item else CodedConcept.from_code(TISSUE),
                class_type(item) if item else own(label, label),
                GraphicTypeValues.RECTANGLE,
                _rectangles(boxes[(tiles["label"] == label).to_numpy()], source.plane),
                AnnotationGroupGenerationTypeValues.MANUAL,
                description=f"Labels of {whose}. {RESEARCH_NOTICE}",
            )
        )
    return _annotations(groups, source, identity(LABEL_SERIES, LABEL_DESK, __version__, __version__))


def _annotations(
    groups: Sequence[AnnotationGroup], source: SourceSlide, made_by: Mapping[str, Any]
) -> MicroscopyBulkSimpleAnnotations:
    """In pixels of the total pixel matrix of level 0."""
    return MicroscopyBulkSimpleAnnotations(
        source_images=[source.header],
        annotation_coordinate_type=AnnotationCoordinateTypeValues.SCOORD,
        annotation_groups=groups,
        content_label="TILES",
        content_description=RESEARCH_NOTICE,
        **made_by,
    )


def _rectangles(tiles_l0_px: NDArray[np.integer], plane: FilePlane) -> list[NDArray[np.float32]]:
    """Corners, clockwise from the upper left, of tiles ``(n, 3)`` (left, top and edge on level 0): ``(4, 2)`` each.

    The corner of the matrix is 0, 0 and the centre of its first pixel 0.5, 0.5 (PS3.3, C.37.1.2).
    """
    x, y, edge = tiles_l0_px.astype(np.float64).T
    left, top = plane.to_file_px(x, y)
    right, bottom = plane.to_file_px(x + edge, y + edge)
    corners = np.stack([left, top, right, top, right, bottom, left, bottom], axis=1).reshape(-1, 4, 2)
    return list(corners.astype(np.float32))  # exact for whole pixels of any slide
