"""Tiles as bulk Microscopy Annotations: those called cancerous, and those that readers labelled."""

from collections.abc import Iterable, Mapping, Sequence
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
from numpy.typing import NDArray

from cervix.bundle.classes import ClassInfo
from cervix.interop.dicom.made import Maker
from cervix.interop.dicom.source import SourceSlide
from cervix.interop.dicom.terms import PROBABILITY_OF_CANCER, UNITLESS, class_category, class_type
from cervix.slides.decision import cancerous_tiles, tile_probabilities
from cervix.slides.scoring import SlideScore
from cervix.sources.plane import FilePlane

ANNOTATION_SERIES: Final = 9004


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
    groups = []
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
                description=f"Tiles called cancerous. {maker.origin.notice}",
            )
        )
    return _annotations(groups, source, maker.origin.notice, maker.identity(ANNOTATION_SERIES)) if groups else None


def _annotations(
    groups: Sequence[AnnotationGroup], source: SourceSlide, notice: str, identity: Mapping[str, Any]
) -> MicroscopyBulkSimpleAnnotations:
    """In pixels of the total pixel matrix of level 0."""
    return MicroscopyBulkSimpleAnnotations(
        source_images=[source.header],
        annotation_coordinate_type=AnnotationCoordinateTypeValues.SCOORD,
        annotation_groups=groups,
        content_label="TILES",
        content_description=notice,
        **identity,
    )


def _rectangles(tiles_l0_px: NDArray[np.integer], plane: FilePlane) -> list[NDArray[np.float32]]:
    """Corners, clockwise from the upper left, of tiles ``(n, 3)`` (left, top and edge on level 0): ``(4, 2)`` each.

    The corner of the matrix is 0, 0 and the centre of its first pixel 0.5, 0.5 (PS3.3, C.10.5.1.2).
    """
    x, y, edge = tiles_l0_px.astype(np.float64).T
    left, top = plane.to_file_px(x, y)
    right, bottom = plane.to_file_px(x + edge, y + edge)
    corners = np.stack([left, top, right, top, right, bottom, left, bottom], axis=1).reshape(-1, 4, 2)
    return list(corners.astype(np.float32))  # exact for whole pixels of any slide
