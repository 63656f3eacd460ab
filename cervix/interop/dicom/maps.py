"""One pixel a tile: the Parametric Map of probabilities and novelty, and the fractional Segmentation by class."""

from typing import Any, Final

import numpy as np
from highdicom import PixelMeasuresSequence, PlaneOrientationSequence, PlanePositionSequence, VOILUTTransformation
from highdicom.enum import CoordinateSystemNames, DimensionOrganizationTypeValues
from highdicom.pm import ParametricMap, RealWorldValueMapping
from highdicom.seg import Segmentation, SegmentationFractionalTypeValues, SegmentationTypeValues, SegmentDescription
from highdicom.seg.enum import SegmentAlgorithmTypeValues
from numpy.typing import NDArray
from pydicom import Dataset
from pydicom.datadict import tag_for_keyword

from cervix.interop.dicom.made import Maker
from cervix.interop.dicom.source import SourceSlide
from cervix.interop.dicom.terms import UNITLESS, class_category, class_type, own
from cervix.slides.decision import recognised_tiles, tile_probabilities
from cervix.slides.deepzoom import value_grid
from cervix.slides.exports import tile_table
from cervix.slides.scoring import SlideScore

NOVELTY: Final = "novelty"
MAP_SERIES, SEGMENTATION_SERIES = 9001, 9002
WINDOW_AT_LEAST: Final = 1e-3
FRACTIONS: Final = 255
"""Steps of a probability in the segmentation: it is rounded to 1/255."""


def parametric_map(score: SlideScore, source: SourceSlide, maker: Maker) -> ParametricMap:
    """Probability of each class and novelty, one frame each, float32, one pixel a tile of the score's lattice.

    NaN where nothing was scored or read, and in the classes where the model does not recognise the tile: the heatmap's values.
    """
    model = maker.model
    table = tile_table(score, model)
    frames = [value_grid(table, table[f"p_{label}"].to_numpy(np.float32), score.summary.lattice) for label in model.class_ids]
    novelty = value_grid(table, table[NOVELTY].to_numpy(np.float32), score.summary.lattice)
    furthest = float(np.max(novelty, initial=0.0, where=np.isfinite(novelty)))
    mappings = [
        [_mapping(item.short, item.title, 1.0, own(f"p_{item.id}", f"Probability of {item.title}"))] for item in model.classes
    ]
    mappings.append(
        [_mapping("Novelty", "Distance from the tiles of the training", furthest, own(NOVELTY, "Novelty of the tile"))]
    )
    made = ParametricMap(
        source_images=[source.header],
        pixel_array=np.stack([*frames, novelty], axis=-1)[np.newaxis],
        contains_recognizable_visual_features=False,
        real_world_value_mappings=mappings,
        voi_lut_transformations=[_window(1.0)],
        content_label="PROBABILITIES",
        content_description=maker.in_short,
        **_placed(score, source),
        **maker.identity(MAP_SERIES),
    )
    _tell_frames_apart(made, [1.0] * len(frames) + [furthest])
    return made


def segmentation(score: SlideScore, source: SourceSlide, maker: Maker) -> Segmentation:
    """A segment a class with the probability of it, of the tiles that the model recognises; 0 elsewhere."""
    model = maker.model
    known = recognised_tiles(score.tiles, model)
    shares = np.where(known[:, np.newaxis], tile_probabilities(score.tiles, model), 0.0)
    frames: list[NDArray[np.float32]] = [
        np.nan_to_num(value_grid(score.tiles, shares[:, index], score.summary.lattice)) for index in range(shares.shape[1])
    ]
    segments = [
        SegmentDescription(
            number,
            item.title,
            class_category(item),
            class_type(item),
            SegmentAlgorithmTypeValues.AUTOMATIC,
            maker.algorithm(),
            tracking_uid=None,
        )
        for number, item in enumerate(model.classes, start=1)
    ]
    return Segmentation(
        source_images=[source.header],
        pixel_array=np.clip(np.stack(frames, axis=-1), 0.0, 1.0)[np.newaxis],
        segmentation_type=SegmentationTypeValues.FRACTIONAL,
        fractional_type=SegmentationFractionalTypeValues.PROBABILITY,
        max_fractional_value=FRACTIONS,
        segment_descriptions=segments,
        omit_empty_frames=False,
        content_label="CLASSES",
        content_description=maker.in_short,
        **_placed(score, source),
        **maker.identity(SEGMENTATION_SERIES),
    )


def _mapping(label: str, meaning: str, highest: float, quantity: Any) -> RealWorldValueMapping:
    """Stored values are real ones, 0 to ``highest``, without a unit."""
    return RealWorldValueMapping(label, meaning, UNITLESS, (0.0, highest), slope=1, intercept=0, quantity_definition=quantity)


def _tell_frames_apart(made: ParametricMap, highest: list[float]) -> None:
    """Give each frame an index of its quantity and a window of its own; highdicom gives all of them one."""
    index = Dataset()
    index.DimensionOrganizationUID = made.DimensionIndexSequence[0].DimensionOrganizationUID
    index.DimensionIndexPointer = tag_for_keyword("LUTLabel")
    index.FunctionalGroupPointer = tag_for_keyword("RealWorldValueMappingSequence")
    index.DimensionDescriptionLabel = "LUT Label"
    made.DimensionIndexSequence.append(index)
    del made.SharedFunctionalGroupsSequence[0].FrameVOILUTSequence
    for number, (frame, top) in enumerate(zip(made.PerFrameFunctionalGroupsSequence, highest, strict=True), start=1):
        content = frame.FrameContentSequence[0]
        content.DimensionIndexValues = [*content.DimensionIndexValues, number]
        frame.FrameVOILUTSequence = [_window(top)]


def _window(highest: float) -> VOILUTTransformation:
    """From 0 to ``highest``."""
    return VOILUTTransformation(window_center=highest / 2, window_width=max(highest, WINDOW_AT_LEAST))


def _placed(score: SlideScore, source: SourceSlide) -> dict[str, Any]:
    """Arguments that place a map over its source."""
    lattice = score.summary.lattice
    where = source.map_geometry(lattice)
    return {
        "pixel_measures": PixelMeasuresSequence(where.spacing_mm, source.slice_thickness_mm or None),
        "plane_orientation": PlaneOrientationSequence(CoordinateSystemNames.SLIDE, where.orientation),
        "plane_positions": [PlanePositionSequence(CoordinateSystemNames.SLIDE, where.centre_mm, (1, 1))],
        "tile_pixel_array": True,
        "tile_size": (lattice.rows, lattice.columns),
        "dimension_organization_type": DimensionOrganizationTypeValues.TILED_SPARSE,
    }
