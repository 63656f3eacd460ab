"""What FHIR says of a scored slide, where no definition can tell whether it is meant."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pydicom
import pytest

from cervix import RESEARCH_NOTICE
from cervix.bundle import Bundle
from cervix.cli import main
from cervix.interop.exports import write_export
from cervix.interop.fhir.resources import VERSIONS
from cervix.slides.decision import class_areas_mm2
from cervix.slides.scoring import SlideScore
from cervix.sources.opening import open_slide
from cervix.sources.slide import Slide
from tests.dicom_slides import TELLING
from tests.interop.fhir_documents import (
    INSTANCE_UID,
    SERIES_UID,
    STUDY_UID,
    answered,
    as_dicom,
    by_reference,
    notes,
    of_slide,
    parts,
    references,
    resources,
)


@pytest.fixture(scope="module", params=VERSIONS)
def version(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(scope="module")
def slide(phantom_slide: Path) -> Slide:
    return open_slide(phantom_slide)


@pytest.fixture(scope="module")
def score(phantom_score: SlideScore, bundle: Bundle) -> SlideScore:
    return answered(phantom_score, bundle)


@pytest.fixture(scope="module")
def document(score: SlideScore, slide: Slide, bundle: Bundle, version: str) -> dict[str, Any]:
    return of_slide(score, slide, bundle, version)


def observations(document: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Text of the code -> Observation."""
    return {found["code"]["text"]: found for found in resources(document, "Observation")}


def components(observation: dict[str, Any]) -> dict[str, Any]:
    """Text of the code -> the value, of each component that has one."""
    return {
        part["code"]["text"]: next(value for name, value in part.items() if name.startswith("value"))
        for part in observation.get("component", [])
        if "dataAbsentReason" not in part
    }


def test_a_report_is_preliminary_says_the_answer_and_leads_to_all_it_rests_on(
    document: dict[str, Any], score: SlideScore
) -> None:
    targets = by_reference(document)
    assert references(document) <= set(targets)
    (report,) = resources(document, "DiagnosticReport")
    assert report["conclusion"].startswith(RESEARCH_NOTICE)
    assert score.summary.answer.sentence in report["conclusion"]
    assert score.summary.slide_sha256 in report["conclusion"]
    assert "no DICOM series" in report["conclusion"]
    assert [targets[part["reference"]] for part in report["result"]] == resources(document, "Observation")
    assert {part["status"] for part in (report, *resources(document, "Observation"))} == {"preliminary"}
    assert report["code"]["coding"][0]["code"] == "11526-1"
    assert not resources(document, "ImagingStudy")
    for found in resources(document, "Observation"):
        assert found["focus"][0]["identifier"]["value"] == score.summary.slide_sha256
        assert targets[found["device"]["reference"]]["resourceType"] == "Device"
        assert found["issued"] == score.summary.provenance.created
        assert "effectiveDateTime" not in found
        assert RESEARCH_NOTICE in notes(found)


def test_shares_are_percentages_with_an_interval_around_them_and_the_tiles_they_are_of(
    document: dict[str, Any], score: SlideScore, bundle: Bundle
) -> None:
    answer = score.summary.answer
    told = {title: found for title, found in observations(document).items() if title.startswith("Share of")}
    assert len(told) == 1 + len(bundle.session_of("tile").model.classes)
    for found in told.values():
        interval, tiles, *_ = components(found).values()
        assert 0 <= interval["low"]["value"] <= found["valueQuantity"]["value"] <= interval["high"]["value"] <= 100
        assert tiles["value"] == answer.accepted_tiles == len(score.tiles) - 3
        for amount in (found["valueQuantity"], interval["low"], interval["high"]):
            assert (amount["unit"], amount["system"], amount["code"]) == ("%", "http://unitsofmeasure.org", "%")
    cancerous = told["Share of tiles called cancerous, of those accepted"]
    assert cancerous["valueQuantity"]["value"] == pytest.approx(100 * answer.cancerous_share.value, abs=1e-4)
    assert components(cancerous)["Tiles called cancerous"]["value"] == answer.cancerous_tiles
    classes = [found["valueQuantity"]["value"] for title, found in told.items() if "most like" in title]
    assert sum(classes) == pytest.approx(100, abs=1e-3)
    assert max(classes) == pytest.approx(100 * max(answer.class_tiles.values()) / answer.accepted_tiles, abs=1e-4)


def test_a_share_of_all_tiles_read_says_so_and_how_many_they_are(score: SlideScore, slide: Slide, bundle: Bundle) -> None:
    answer = score.summary.answer.model_copy(update={"share_of": "read"})
    other = replace(score, summary=score.summary.model_copy(update={"answer": answer}))
    found = observations(of_slide(other, slide, bundle, "R5"))["Share of tiles called cancerous, of those read"]
    assert components(found)["Tiles that the share is of"]["value"] == answer.tiles > answer.accepted_tiles


def test_tiles_and_areas_are_counted_in_their_units(document: dict[str, Any], score: SlideScore, bundle: Bundle) -> None:
    found = observations(document)["Answer for the slide"]
    assert found["valueCodeableConcept"]["text"] == score.summary.answer.headline
    counts = components(found)
    assert {part["code"] for part in counts.values()} == {"{tiles}"}
    assert [part["value"] for part in counts.values()] == [len(score.tiles) - 2, 1, 2]
    model = bundle.session_of("tile").model
    assert model.limits[0] in notes(found)
    tissue = observations(document)["Area of tissue"]
    assert tissue["valueQuantity"]["value"] == pytest.approx(score.summary.tissue_area_mm2, abs=1e-4)
    areas = class_areas_mm2(score.tiles, model, score.summary.spacing_um_px)
    assert [part["value"] for part in components(tissue).values()] == pytest.approx(list(areas.values()), abs=1e-4)
    assert {part["code"] for part in (tissue["valueQuantity"], *components(tissue).values())} == {"mm2"}


def test_a_slide_without_an_answer_has_no_percentage_and_says_why(
    phantom_score: SlideScore, slide: Slide, bundle: Bundle, version: str
) -> None:
    document = of_slide(phantom_score, slide, bundle, version)
    assert not [part for part in parts(document) if part.get("code") == "%" or "valueRange" in part]
    told = observations(document)
    assert told["Answer for the slide"]["dataAbsentReason"]["text"] == phantom_score.summary.answer.headline
    for title, found in told.items():
        if title.startswith("Share of"):
            assert found["dataAbsentReason"]["coding"][0]["code"] == "unknown"
            assert "component" not in found
    assert list(components(told["Area of tissue"])) == ["Area, Not recognised", "Area, Could not be read"]
    assert phantom_score.summary.answer.reason in resources(document, "DiagnosticReport")[0]["conclusion"]


def test_a_dicom_slide_is_found_by_its_study_and_names_no_patient(
    score: SlideScore, slide: Slide, bundle: Bundle, version: str, tmp_path: Path
) -> None:
    document = of_slide(score, as_dicom(slide, tmp_path), bundle, version)
    (study,) = resources(document, "ImagingStudy")
    assert study["identifier"] == [{"system": "urn:dicom:uid", "value": f"urn:oid:{STUDY_UID}"}]
    assert study["series"][0]["uid"] == SERIES_UID
    assert [instance["uid"] for instance in study["series"][0]["instance"]] == [f"{INSTANCE_UID}.1", f"{INSTANCE_UID}.2"]
    assert study["subject"].keys() == {"extension", "type", "display"}
    (report,) = resources(document, "DiagnosticReport")
    assert by_reference(document)[report["study" if version == "R5" else "imagingStudy"][0]["reference"]] == study
    assert all(
        by_reference(document)[found["derivedFrom"][0]["reference"]] == study for found in observations(document).values()
    )
    assert "no DICOM series" not in report["conclusion"]
    assert not resources(document, "Patient")
    text = json.dumps(document, ensure_ascii=False)
    assert not [value for value in TELLING if value in text]


def test_uids_that_are_none_are_left_out_and_that_is_said(
    score: SlideScore, slide: Slide, bundle: Bundle, tmp_path: Path
) -> None:
    series = as_dicom(slide, tmp_path)
    level = tmp_path / "level-2.dcm"
    level.write_bytes(level.read_bytes().replace(STUDY_UID.encode(), b"?" * len(STUDY_UID)))
    gone = replace(slide, path=tmp_path / "gone.dcm")
    for unnamed in (series, gone):
        document = of_slide(score, unnamed, bundle, "R4")
        assert not resources(document, "ImagingStudy")
        assert "its UIDs could not be read" in resources(document, "DiagnosticReport")[0]["conclusion"]


def test_a_series_of_a_hospitals_converter_is_named_by_its_own_uids(
    cmu_dicom: Path, score: SlideScore, slide: Slide, bundle: Bundle
) -> None:
    heads = [pydicom.dcmread(file, stop_before_pixels=True) for file in cmu_dicom.iterdir()]
    document = of_slide(score, replace(slide, path=next(cmu_dicom.iterdir())), bundle, "R4")
    (study,) = resources(document, "ImagingStudy")
    assert study["identifier"][0]["value"] == f"urn:oid:{heads[0].StudyInstanceUID}"
    assert study["series"][0]["uid"] == heads[0].SeriesInstanceUID
    assert [part["uid"] for part in study["series"][0]["instance"]] == sorted(head.SOPInstanceUID for head in heads)
    assert {part["sopClass"]["code"] for part in study["series"][0]["instance"]} == {f"urn:oid:{heads[0].SOPClassUID}"}


def test_it_is_an_export_of_the_page_and_of_the_command_line(
    phantom_slide: Path, score: SlideScore, slide: Slide, bundle: Bundle, home: Path, tmp_path: Path
) -> None:
    del home
    path = write_export("fhir-r4", score, slide, bundle.session_of("tile"), tmp_path, "slide")
    assert path.name == "slide-report.r4.fhir.json"
    assert "deviceName" in resources(json.loads(path.read_text(encoding="utf-8")), "Device")[0]
    out = tmp_path / "out"
    assert main(["slide", str(phantom_slide), "--out", str(out), "--device", "cpu", "--export", "fhir-r5"]) == 0
    (written,) = out.glob("*report.r5.fhir.json")
    assert resources(json.loads(written.read_text(encoding="utf-8")), "Device")[0]["name"][0]["value"] == "Cervix Workbench"


def test_a_device_says_what_the_bundle_is_for_and_what_it_is_not(document: dict[str, Any], bundle: Bundle) -> None:
    (device,) = resources(document, "Device")
    model = bundle.session_of("tile").model
    said = notes(device)
    assert said[0] == RESEARCH_NOTICE
    assert f"{model.title}. Intended use: {model.intended_use[0]}" in said
    assert f"{model.title}. Limit: {model.limits[0]}" in said
    assert any(model.training_data[0].name in text and model.organs_seen in text for text in said)
    assert said[-1].endswith(f"{len(model.known_failures)}.")
