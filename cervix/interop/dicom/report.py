"""The answer as a Comprehensive 3D SR by TID 1500: counts, shares with intervals, areas, and what they rest on."""

from typing import Final
from uuid import UUID

import numpy as np
from highdicom import UID
from highdicom.sr import (
    CodedConcept,
    Comprehensive3DSR,
    DeviceObserverIdentifyingAttributes,
    GraphicTypeValues3D,
    ImageRegion3D,
    Measurement,
    MeasurementReport,
    MeasurementsAndQualitativeEvaluations,
    ObservationContext,
    ObserverContext,
    PlanarROIMeasurementsAndQualitativeEvaluations,
    QualitativeEvaluation,
    RelationshipTypeValues,
    SourceImageForMeasurementGroup,
    TextContentItem,
    TrackingIdentifier,
)
from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code

from cervix.bundle.classes import NO_CLASS, UNREAD, UNRECOGNISED
from cervix.interop.dicom.made import MANUFACTURER, Maker
from cervix.interop.dicom.source import SourceSlide
from cervix.interop.dicom.terms import AREA, SQUARE_MM, TILES, UNITLESS, class_category, class_type, own
from cervix.slides.decision import class_areas_mm2
from cervix.slides.scoring import SlideScore, SlideSummary

REPORT_SERIES: Final = 9003
WHOLE_SLIDE_IMAGING: Final = Code("112703", "DCM", "Whole Slide Imaging")
SHARE: Final = "cancerous-share"
AREA_DIGITS: Final = 6


def structured_report(score: SlideScore, source: SourceSlide, maker: Maker) -> Comprehensive3DSR:
    """The slide's answer over the part that was scanned, and a group for each kind of tiles.

    Where the slide has no answer there is neither a share nor an area of any class, as on the page.
    """
    report = MeasurementReport(
        observation_context=ObservationContext(
            observer_device_context=ObserverContext(
                codes.DCM.Device,
                DeviceObserverIdentifyingAttributes(
                    uid=UID.from_uuid(str(UUID(hex=maker.origin.bundle_sha256[:32]))),
                    name=MANUFACTURER,
                    manufacturer_name=MANUFACTURER,
                    model_name=maker.name,
                    serial_number=maker.serial,
                ),
            )
        ),
        procedure_reported=WHOLE_SLIDE_IMAGING,
        imaging_measurements=[_of_the_slide(score.summary, source, maker), *_of_kinds(score, source, maker)],
        referenced_images=[source.header],
    )
    return Comprehensive3DSR(
        evidence=[source.header],
        content=report,
        is_complete=True,
        specific_character_set=source.header.SpecificCharacterSet,
        **maker.identity(REPORT_SERIES),
    )


def _of_the_slide(summary: SlideSummary, source: SourceSlide, maker: Maker) -> PlanarROIMeasurementsAndQualitativeEvaluations:
    """The answer, the counts and the share that it goes by, on the rectangle that the map covers."""
    answer, share = summary.answer, summary.answer.cancerous_share
    counts = {
        "tiles": ("Tiles read", answer.tiles),
        "recognised-tiles": ("Tiles recognised by the model", answer.accepted_tiles),
        "unrecognised-tiles": ("Tiles not recognised", answer.unrecognised_tiles),
        "unread-tiles": ("Tiles that could not be read", answer.unread_tiles),
        "cancerous-tiles": ("Tiles called cancerous", answer.cancerous_tiles),
    }
    measured = [_count(own(name, title), value) for name, (title, value) in counts.items()]
    measured.append(Measurement(own("tissue-area", "Area of tissue"), round(summary.tissue_area_mm2, AREA_DIGITS), SQUARE_MM))
    if share is not None:
        title = f"Share of the {answer.share_of} tiles that is called cancerous"
        measured += [
            Measurement(own(SHARE, title), float(share.value), UNITLESS),
            Measurement(own(f"{SHARE}-low", "Lower limit of its 95 % interval"), float(share.low), UNITLESS),
            Measurement(own(f"{SHARE}-high", "Upper limit of its 95 % interval"), float(share.high), UNITLESS),
        ]
    group = PlanarROIMeasurementsAndQualitativeEvaluations(
        tracking_identifier=TrackingIdentifier(UID(), "slide"),
        referenced_region=ImageRegion3D(
            GraphicTypeValues3D.POLYGON, _outline_mm(summary, source), source.header.FrameOfReferenceUID
        ),
        finding_type=own("slide", "Part of the slide that was scanned"),
        algorithm_id=maker.algorithm_of_measurements(),
        measurements=measured,
        qualitative_evaluations=[QualitativeEvaluation(own("answer", "Answer"), own(answer.verdict, answer.headline))],
    )
    said = [
        answer.sentence,
        answer.rule,
        maker.model.organs_seen,
        *summary.notices,
        *maker.model.intended_use,
        maker.model.notice,
    ]
    group[0].ContentSequence.extend(
        TextContentItem(codes.DCM.Comment, words, RelationshipTypeValues.CONTAINS) for words in said if words
    )
    return group


def _of_kinds(score: SlideScore, source: SourceSlide, maker: Maker) -> list[MeasurementsAndQualitativeEvaluations]:
    """A group for each class that the accepted tiles look most like, for those not recognised, and for those not read."""
    summary, model = score.summary, maker.model
    answer, areas = summary.answer, class_areas_mm2(score.tiles, model, summary.spacing_um_px)
    kinds: list[tuple[str, CodedConcept, CodedConcept | None, int]] = []
    if not answer.abstained:
        kinds += [(item.id, class_type(item), class_category(item), answer.class_tiles[item.id]) for item in model.classes]
    kinds += [
        (UNRECOGNISED, own(UNRECOGNISED, NO_CLASS[UNRECOGNISED]), None, answer.unrecognised_tiles),
        (UNREAD, own(UNREAD, NO_CLASS[UNREAD]), None, answer.unread_tiles),
    ]
    return [
        MeasurementsAndQualitativeEvaluations(
            tracking_identifier=TrackingIdentifier(UID(), name),
            finding_type=finding,
            finding_category=category,
            algorithm_id=maker.algorithm_of_measurements(),
            measurements=[
                Measurement(AREA, round(areas[name], AREA_DIGITS), SQUARE_MM),
                _count(own("most-probable-tiles", "Tiles of this kind"), tiles),
            ],
            source_images=[SourceImageForMeasurementGroup(source.header.SOPClassUID, source.header.SOPInstanceUID)],
        )
        for name, finding, category, tiles in kinds
    ]


def _count(name: CodedConcept, tiles: int) -> Measurement:
    return Measurement(name, tiles, TILES)


def _outline_mm(summary: SlideSummary, source: SourceSlide) -> np.ndarray:
    """The corners of the scanned part on the glass, the first again at the end: ``(5, 3)`` in mm."""
    left, top, width, height = summary.plane.bounds_l0_px
    right, bottom = left + width, top + height
    return source.to_slide_mm(np.array([left, right, right, left, left]), np.array([top, top, bottom, bottom, top]))
