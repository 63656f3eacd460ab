"""The answer of a scored slide as FHIR R5 or R4: a DiagnosticReport with the Observations that it rests on.

Plain JSON objects; the tests hold them against the official definitions (docs/adr/0023-fhir.md).
"""

from pathlib import Path
from typing import Any, Final
from uuid import UUID, uuid4, uuid5

from cervix.bundle.classes import NO_CLASS
from cervix.bundle.manifest import Model
from cervix.bundle.sessions import ModelSession
from cervix.files import replacing
from cervix.interop.fhir.resources import (
    LOINC,
    PERCENT,
    URI_SYSTEM,
    Code,
    FhirVersion,
    Resource,
    Unit,
    annotations,
    coding,
    collection_head,
    concept,
    device_resource,
    entry,
    fhir_string,
    method_of,
    origin_notes,
    own_identifier,
    percentage,
    quantity,
    reference,
    resource_json,
)
from cervix.interop.whole import require_whole
from cervix.intervals import Interval
from cervix.slides.decision import class_areas_mm2, class_shares
from cervix.slides.scoring import SlideScore
from cervix.sources.dicom import UID_CHARACTERS_AT_MOST, dicom_head
from cervix.sources.identity import files_of
from cervix.sources.slide import Slide

SLIDE_SYSTEM: Final = "urn:cervix-workbench:slide-sha256"
# DICOM UIDs as identifiers (https://hl7.org/fhir/R5/imagingstudy.html#notes).
DICOM_UID_SYSTEM: Final = "urn:dicom:uid"
TILES: Final[Unit] = ("tiles", "{tiles}")
AREA: Final[Unit] = ("mm²", "mm2")
REPORT_CODE: Final[Code] = (LOINC, "11526-1", "Pathology study")
REPORT_CATEGORY: Final[Code] = (
    "http://terminology.hl7.org/CodeSystem/v2-0074", "PAT", "Pathology (gross & histopath, not surgical)",
)  # fmt: skip
SLIDE_MICROSCOPY: Final[Code] = ("http://dicom.nema.org/resources/ontology/DCM", "SM", "Slide Microscopy")
UNKNOWN: Final[Code] = ("http://terminology.hl7.org/CodeSystem/data-absent-reason", "unknown", "Unknown")
# A study has a patient, always; this software does not read who that is (https://hl7.org/fhir/R5/extension-data-absent-reason.html).
UNNAMED_PATIENT: Final[Resource] = {
    "extension": [{"url": "http://hl7.org/fhir/StructureDefinition/data-absent-reason", "valueCode": "masked"}],
    "type": "Patient",
    "display": "Not read by this software; the archive finds the patient by the study",
}
INTERVAL: Final = "95 % interval (Wilson's, at the number of independent tiles)"


def slide_bundle(score: SlideScore, slide: Slide, model: Model, version: FhirVersion = "R5") -> Resource:
    """A Bundle of type ``collection``: DiagnosticReport, Device, Observations, and of a DICOM slide the ImagingStudy.

    Report and Observations are ``preliminary``: research output that no pathologist has signed. They name no patient. The
    slide is the focus of each Observation, by its SHA-256; a DICOM slide's study, series and instances stand in the
    ImagingStudy, by their UIDs and nothing else of the file. Shares are percentages, 0..100, with their interval and the
    tiles they are of; areas are square millimetres. Where the slide has no answer, shares and the areas of classes are absent,
    and the reason is said.

    Parameters
    ----------
    slide : Slide
        The file that was scored; it is asked for its UIDs alone.
    model : Model
        The tile model that scored it.

    Raises
    ------
    SlideNotSuitable
        For a triage.
    """
    require_whole(score)
    # All ids of an export follow from a random one, so that no two exports of two slides are taken for one.
    namespace = uuid4()
    origin = score.summary.provenance
    device, report = uuid5(namespace, "device"), uuid5(namespace, "report")
    study = _imaging_study(slide, version)
    study_name = uuid5(namespace, "study") if study else None
    observations = {
        uuid5(namespace, f"observation {number}"): {**_common(score, model, device, study_name), **told}
        for number, told in enumerate(_observations(score, model))
    }
    entries = [
        entry(report, _report(report, score, model, list(observations), study_name, version)),
        entry(device, device_resource(origin, version, [model])),
        *([entry(study_name, study)] if study and study_name else []),
        *(entry(name, observation) for name, observation in observations.items()),
    ]
    return {**collection_head(uuid4(), origin), "entry": entries}


def write_slide_bundle(score: SlideScore, slide: Slide, session: ModelSession, path: Path, version: FhirVersion) -> None:
    """``slide_bundle`` as a JSON file."""
    with replacing(path) as temporary:
        temporary.write_text(resource_json(slide_bundle(score, slide, session.model, version)), encoding="utf-8")


def _report(
    name: UUID, score: SlideScore, model: Model, observations: list[UUID], study: UUID | None, version: FhirVersion
) -> Resource:
    summary = score.summary
    conclusion = [
        summary.provenance.notice,
        "Preliminary: written by software, read and signed by no pathologist.",
        summary.answer.sentence,
        model.organs_seen,
        f"Slide, SHA-256 {summary.slide_sha256}.",
        "" if study else "No imaging study is named: the slide is no DICOM series, or its UIDs could not be read.",
    ]
    return {
        "resourceType": "DiagnosticReport",
        "identifier": [own_identifier(name)],
        "status": "preliminary",
        "category": [concept("Pathology", REPORT_CATEGORY)],
        "code": concept("Score of a whole-slide image by software", REPORT_CODE),
        "issued": summary.provenance.created,
        "result": [reference(observation) for observation in observations],
        **({"study" if version == "R5" else "imagingStudy": [reference(study)]} if study else {}),
        "conclusion": fhir_string(" ".join(text for text in conclusion if text)),
    }


def _common(score: SlideScore, model: Model, device: UUID, study: UUID | None) -> Resource:
    """What all Observations of a slide say. When the tissue was taken is not known, so they have no effective time."""
    summary = score.summary
    return {
        "resourceType": "Observation",
        "status": "preliminary",
        "focus": [
            {
                "identifier": {"system": SLIDE_SYSTEM, "value": summary.slide_sha256},
                "display": "Whole-slide image, by the SHA-256 of its files",
            }
        ],
        "issued": summary.provenance.created,
        "method": method_of(model, summary.provenance),
        "device": reference(device),
        **({"derivedFrom": [reference(study)]} if study else {}),
        "note": annotations(origin_notes(summary.provenance)),
    }


def _observations(score: SlideScore, model: Model) -> list[Resource]:
    """The answer, the share of cancerous tiles, the share of each class, and the areas."""
    answer = score.summary.answer
    rule = model.slide_rule
    if rule is None:
        raise ValueError(f"model {model.id!r} declares no slide rule")
    shares = class_shares(answer, rule)
    cancerous = _share(answer.cancerous_share, answer.counted_tiles)
    if answer.cancerous_share is not None:
        cancerous["component"].append(_counted("Tiles called cancerous", answer.cancerous_tiles))
    return [
        _answer(score, model),
        {"code": concept(f"Share of tiles called cancerous, of those {answer.share_of}"), **cancerous},
        *(
            {
                "code": concept(f"Share of accepted tiles most like {item.mid_sentence}"),
                **_share(shares.get(item.id), answer.accepted_tiles),
            }
            for item in model.classes
        ),
        _areas(score, model),
    ]


def _answer(score: SlideScore, model: Model) -> Resource:
    summary = score.summary
    answer = summary.answer
    told: Resource = (
        {"dataAbsentReason": concept(answer.headline, UNKNOWN)}
        if answer.abstained
        else {"valueCodeableConcept": concept(answer.headline)}
    )
    everywhere = "The whole scanned area was scored, because a person asked for it." if summary.everywhere else ""
    notes = [answer.reason, answer.rule, everywhere, *summary.notices, model.organs_seen, *model.limits]
    return {
        "code": concept("Answer for the slide"),
        **told,
        "component": [
            _counted("Tiles read and scored", answer.tiles),
            _counted("Tiles not recognised by the model", answer.unrecognised_tiles),
            _counted("Tiles that could not be read", answer.unread_tiles),
        ],
        "note": annotations([*origin_notes(summary.provenance), *notes]),
    }


def _share(share: Interval | None, tiles: int) -> Resource:
    """A share with its interval and the number of tiles; without one, why."""
    if share is None:
        return _absent()
    low, high = (quantity(percentage(limit), PERCENT) for limit in (share.low, share.high))
    return {
        "valueQuantity": quantity(percentage(share.value), PERCENT),
        "component": [
            {"code": concept(INTERVAL), "valueRange": {"low": low, "high": high}},
            _counted("Tiles that the share is of", tiles),
        ],
    }


def _areas(score: SlideScore, model: Model) -> Resource:
    summary = score.summary
    areas = class_areas_mm2(score.tiles, model, summary.spacing_um_px)

    def of(label: str, title: str) -> Resource:
        unanswered = summary.answer.abstained and label not in NO_CLASS
        told = _absent() if unanswered else {"valueQuantity": quantity(areas[label], AREA)}
        return {"code": concept(f"Area, {title}"), **told}

    return {
        "code": concept("Area of tissue"),
        "valueQuantity": quantity(summary.tissue_area_mm2, AREA),
        "component": [of(label, title) for label, title in (model.class_titles | NO_CLASS).items()],
    }


def _absent() -> Resource:
    return {"dataAbsentReason": concept("The slide has no answer", UNKNOWN)}


def _counted(text: str, tiles: int) -> dict[str, Any]:
    return {"code": concept(text), "valueQuantity": quantity(tiles, TILES)}


def _imaging_study(slide: Slide, version: FhirVersion) -> Resource | None:
    """The study of a DICOM slide with the instances that were opened; None for other slides, and where the UIDs are no UIDs."""
    opened = dicom_head(slide.path)
    if opened is None:
        return None
    heads = [opened, *(head for file in files_of(slide.path) if file != slide.path and (head := dicom_head(file)))]
    uids = [uid for head in heads for uid in (head.study_uid, head.series_uid, head.sop_instance_uid, head.sop_class_uid)]
    if any(not 0 < len(uid) <= UID_CHARACTERS_AT_MOST for uid in uids):
        return None
    microscopy = coding(SLIDE_MICROSCOPY)
    modality = {"coding": [microscopy]} if version == "R5" else microscopy
    kinds = {uid: {"system": URI_SYSTEM, "code": f"urn:oid:{uid}"} for uid in {head.sop_class_uid for head in heads}}
    return {
        "resourceType": "ImagingStudy",
        "identifier": [{"system": DICOM_UID_SYSTEM, "value": f"urn:oid:{opened.study_uid}"}],
        # Whether the archive has it is not known here.
        "status": "unknown",
        "modality": [modality],
        "subject": UNNAMED_PATIENT,
        "series": [
            {
                "uid": opened.series_uid,
                "modality": modality,
                "instance": [
                    {"uid": uid, "sopClass": kinds[kind]}
                    for uid, kind in sorted({head.sop_instance_uid: head.sop_class_uid for head in heads}.items())
                ],
            }
        ],
        "note": annotations(["The instances listed are those that were opened; the study may hold others."]),
    }
