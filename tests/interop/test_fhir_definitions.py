"""FHIR by the official definitions: every kind of document of ours is valid, and broken ones are seen to be broken.

All that needs the definitions stands in this one file, because reading them takes a quarter of a minute.
"""

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cervix.bundle import Bundle
from cervix.card.formats import card_file
from cervix.interop.fhir.resources import VERSIONS
from cervix.patients.visits import VisitTable, read_visits
from cervix.slides.scoring import SlideScore
from cervix.sources.opening import open_slide
from cervix.sources.slide import Slide
from tests.interop.fhir_documents import (
    WOMEN,
    alone,
    answered,
    as_dicom,
    of_factors,
    of_histories,
    of_slide,
    read,
    resources,
)
from tests.interop.fhir_rules import broken_rules

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module", params=VERSIONS)
def version(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(scope="module")
def table() -> VisitTable:
    return read(WOMEN)


@pytest.fixture(scope="module")
def document(table: VisitTable, bundle: Bundle, version: str) -> dict[str, Any]:
    return of_histories(table, bundle, version)


@pytest.fixture(scope="module")
def slide(phantom_slide: Path, tmp_path_factory: pytest.TempPathFactory) -> Slide:
    """The phantom, as if it had come as a DICOM series."""
    return as_dicom(open_slide(phantom_slide), tmp_path_factory.mktemp("dicom"))


@pytest.fixture(scope="module")
def report(phantom_score: SlideScore, slide: Slide, bundle: Bundle, version: str) -> dict[str, Any]:
    """Of a slide with an answer and an ImagingStudy."""
    return of_slide(answered(phantom_score, bundle), slide, bundle, version)


def test_histories_are_valid_by_the_official_definitions(document: dict[str, Any], version: str) -> None:
    assert broken_rules(document, version) == []


@pytest.mark.parametrize("name", ["x01_unused_column_costs_visit.csv", "x03_histology_not_monotone.csv"])
def test_lost_cells_and_proven_lesions_are_valid_by_the_official_definitions(
    name: str, cases_dir: Path, bundle: Bundle, version: str
) -> None:  # fmt: skip
    table = read_visits((cases_dir / "patients" / name).read_bytes())
    assert broken_rules(of_histories(table, bundle, version), version) == []


@pytest.mark.parametrize("model", ["risk-factors", "risk-factors-with-tests"])
def test_risk_factors_are_valid_by_the_official_definitions(model: str, bundle: Bundle, version: str) -> None:
    assert broken_rules(of_factors(model, bundle, version), version) == []


def test_slides_are_valid_by_the_official_definitions(
    report: dict[str, Any], phantom_slide: Path, phantom_score: SlideScore, bundle: Bundle, version: str
) -> None:
    assert broken_rules(report, version) == []
    refused = of_slide(phantom_score, open_slide(phantom_slide), bundle, version)
    assert "valueQuantity" not in resources(refused, "Observation")[1]
    assert broken_rules(refused, version) == []


def test_a_bundle_as_a_device_is_valid_by_the_official_definitions(bundle: Bundle, version: str) -> None:
    device = json.loads(card_file(bundle, f"fhir-{version.lower()}"))
    assert device["resourceType"] == "Device"
    assert broken_rules(alone(device), version) == []
    assert broken_rules(alone(device | {"softwareVersion": "1"}), version)


def _assessed(document: dict[str, Any]) -> dict[str, Any]:
    return resources(document, "RiskAssessment")[0]


MISTAKES: dict[str, Callable[[dict[str, Any]], object]] = {
    "bdl-7": lambda document: document["entry"][1].update(fullUrl=document["entry"][0]["fullUrl"]),
    "bdl-1": lambda document: document.update(total=1),
    "ras-2": lambda document: _assessed(document)["prediction"][0].update(probabilityDecimal=100.1),
    "per-1": lambda document: _assessed(document)["prediction"][0]["whenPeriod"].update(end="2001-01-01"),
    "obs-6": lambda document: resources(document, "Observation")[0].update(dataAbsentReason={"text": "none"}),
    "subject\n  Field required": lambda document: _assessed(document).pop("subject"),
    "likelihood\n  Extra inputs": lambda document: _assessed(document).update(likelihood=1),
    "Invalid DateTime": lambda document: _assessed(document).update(occurrenceDateTime="today"),
}


@pytest.mark.parametrize("rule", MISTAKES)
def test_the_validator_sees_each_kind_of_mistake(rule: str, document: dict[str, Any], version: str) -> None:
    broken = copy.deepcopy(document)
    MISTAKES[rule](broken)
    assert any(rule in said for said in broken_rules(broken, version))


def test_the_validator_tells_r4_from_r5_and_sees_a_missing_full_url(table: VisitTable, bundle: Bundle) -> None:
    old, new = (of_histories(table, bundle, version) for version in ("R4", "R5"))
    assert any("deviceName" in said for said in broken_rules(old, "R5"))
    assert any("Device" in said for said in broken_rules(new, "R4"))
    del new["entry"][0]["fullUrl"]
    assert any("bdl-15" in said for said in broken_rules(new, "R5"))


def _diagnosed(report: dict[str, Any]) -> dict[str, Any]:
    return resources(report, "DiagnosticReport")[0]


def _share(report: dict[str, Any]) -> dict[str, Any]:
    return resources(report, "Observation")[1]


def _series(report: dict[str, Any]) -> dict[str, Any]:
    return resources(report, "ImagingStudy")[0]["series"][0]


MISTAKES_OF_SLIDES: dict[str, Callable[[dict[str, Any]], object]] = {
    "obs-6": lambda report: _share(report).update(dataAbsentReason={"text": "none"}),
    "qty-3": lambda report: _share(report)["valueQuantity"].pop("system"),
    "status\n  Field required": lambda report: _diagnosed(report).pop("status"),
    "conclusions\n  Extra inputs": lambda report: _diagnosed(report).update(conclusions="none"),
    "subject\n  Field required": lambda report: resources(report, "ImagingStudy")[0].pop("subject"),
    "uid\n  Field required": lambda report: _series(report)["instance"][0].pop("uid"),
    "string_pattern_mismatch": lambda report: _series(report).update(uid="1_2"),
}


@pytest.mark.parametrize("rule", MISTAKES_OF_SLIDES)
def test_the_validator_sees_each_kind_of_mistake_in_a_slide(rule: str, report: dict[str, Any], version: str) -> None:
    broken = copy.deepcopy(report)
    MISTAKES_OF_SLIDES[rule](broken)
    assert any(rule in said for said in broken_rules(broken, version))


def test_the_study_of_a_report_has_another_name_in_each_version(report: dict[str, Any], version: str) -> None:
    other = "R4" if version == "R5" else "R5"
    assert any("tudy" in said for said in broken_rules({**report, "entry": [{"resource": _diagnosed(report)}]}, other))
