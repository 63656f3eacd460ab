"""Documents of FHIR as the tests make them, and how to find one's way in them."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian

from cervix.bundle import Bundle
from cervix.interop.fhir.resources import FhirVersion, entry
from cervix.interop.fhir.slide import slide_bundle
from cervix.interop.fhir.women import risk_bundle
from cervix.patients.history_scoring import score_visits
from cervix.patients.reading import read_patients
from cervix.patients.sample import sample_table_csv
from cervix.patients.scoring import score_patients
from cervix.patients.visits import VisitTable, read_visits
from cervix.provenance import provenance_of
from cervix.slides.decision import decide_tiles
from cervix.slides.scoring import SlideScore
from cervix.sources.slide import Slide
from tests.dicom_slides import PATIENT

STUDY_UID, SERIES_UID, INSTANCE_UID = (
    "1.2.826.0.1.3680043.8.498.1",
    "1.2.826.0.1.3680043.8.498.2",
    "1.2.826.0.1.3680043.8.498.3",
)
HEADER = "patient_id,visit_date,age,cytology,hpv_result,hpv_16,histology,treatment,smoker,hiv"
WOMEN = """
A-1,2016-02-29,30,NILM,negative,,,,no,
A-1,2020-02-29,34,HSIL,positive,positive,,,no,unclear
<i>B</i> "2",2021-05-01,41,ASC-US,?!,,,,,
undated,,50,LSIL,positive,,,,,
nothing known,2022-01-01,40,,,,,,,
proven,2021-01-01,35,HSIL,positive,,CIN3,,,
treated,2021-01-01,35,HSIL,positive,,CIN3,LEEP,,
""".strip()


def read(rows: str) -> VisitTable:
    return read_visits(f"{HEADER}\n{rows}\n".encode())


def of_histories(table: VisitTable, bundle: Bundle, version: FhirVersion) -> dict[str, Any]:
    session = bundle.session("history")
    made = risk_bundle(score_visits(table, session), table.frame, session.model, provenance_of(bundle, "history"), version)
    return json.loads(json.dumps(made, allow_nan=False))


def of_factors(model: str, bundle: Bundle, version: FhirVersion) -> dict[str, Any]:
    session = bundle.session(model)
    table = read_patients(sample_table_csv(3).encode())
    return risk_bundle(score_patients(table, session), table.frame, session.model, provenance_of(bundle, model), version)


def of_slide(score: SlideScore, slide: Slide, bundle: Bundle, version: FhirVersion) -> dict[str, Any]:
    made = slide_bundle(score, slide, bundle.session_of("tile").model, version)
    return json.loads(json.dumps(made, allow_nan=False))


def answered(score: SlideScore, bundle: Bundle) -> SlideScore:
    """The same slide, as if every tile were recognised but the last three: one is not, two could not be read."""
    novelty = np.zeros(len(score.tiles), np.float32)
    novelty[-3:] = np.inf, np.nan, np.nan
    tiles = score.tiles.assign(novelty=novelty)
    answer = decide_tiles(tiles, bundle.session_of("tile").model)
    return replace(score, tiles=tiles, summary=score.summary.model_copy(update={"answer": answer}))


def as_dicom(slide: Slide, folder: Path) -> Slide:
    """The slide as if it lay in the folder as a DICOM series of two levels: files of UIDs and a patient, without pixels."""
    for number in (1, 2):
        instance = Dataset()
        instance.file_meta = FileMetaDataset()
        instance.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        instance.SOPClassUID = "1.2.840.10008.5.1.4.1.1.77.1.6"
        instance.SOPInstanceUID = f"{INSTANCE_UID}.{number}"
        instance.StudyInstanceUID, instance.SeriesInstanceUID = STUDY_UID, SERIES_UID
        for keyword, value in PATIENT.items():
            setattr(instance, keyword, value)
        instance.save_as(folder / f"level-{number}.dcm", enforce_file_format=True)
    return replace(slide, path=folder / "level-1.dcm")


def alone(resource: dict[str, Any]) -> dict[str, Any]:
    """A document of one resource."""
    name = uuid4()
    return {"resourceType": "Bundle", "type": "collection", "entry": [entry(name, resource)]}


def resources(document: dict[str, Any], kind: str) -> list[dict[str, Any]]:
    return [entry["resource"] for entry in document["entry"] if entry["resource"]["resourceType"] == kind]


def by_reference(document: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {entry["fullUrl"]: entry["resource"] for entry in document["entry"]}


def notes(resource: dict[str, Any]) -> list[str]:
    return [note["text"] for note in resource["note"]]


def parts(of: object) -> Iterator[dict[str, Any]]:
    """Every JSON object within a document, itself included."""
    if isinstance(of, dict):
        yield of
    for value in of.values() if isinstance(of, dict) else of if isinstance(of, list) else ():
        yield from parts(value)


def references(document: dict[str, Any]) -> set[str]:
    """Every address that the document refers to."""
    return {part["reference"] for part in parts(document) if isinstance(part.get("reference"), str)}
