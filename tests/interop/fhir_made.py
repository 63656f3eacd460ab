"""Resources as a laboratory's server would send them, of women who are nobody."""

from typing import Any

from cervix.interop.fhir.resources import LOINC, SNOMED

Resource = dict[str, Any]
ICD = "http://hl7.org/fhir/sid/icd-10-cm"
CYTOLOGY, HPV, HPV_16_TEST, BIOPSY = "10524-7", "82675-0", "77399-4", "65753-6"
NILM, LSIL, HSIL, DETECTED, NOT_DETECTED, CIN_3, LOOP = (
    "373887005",
    "62051000119105",
    "62061000119107",
    "260373001",
    "260415000",
    "20365006",
    "23140002",
)
HIDDEN = ("Zaphira", "Betelstrasse 7", "MRN-4711", "1985-03-02")
"""What a server knows of a woman and nothing of ours may keep."""


def concept(code: str, system: str = SNOMED, text: str = "", display: str = "") -> Resource:
    coding = {"system": system, "code": code} | ({"display": display} if display else {})
    return {"coding": [coding]} | ({"text": text} if text else {})


def patient(name: str = "1", born: str = HIDDEN[3], **more: Any) -> Resource:
    return {
        "resourceType": "Patient",
        "id": name,
        "identifier": [{"system": "urn:oid:1.2.3", "value": f"{HIDDEN[2]}-{name}"}],
        "name": [{"family": HIDDEN[0]}],
        "address": [{"text": HIDDEN[1]}],
        **({"birthDate": born} if born else {}),
        **more,
    }


def observation(test: str, answer: str, day: str, /, **more: Any) -> Resource:
    return {
        "resourceType": "Observation",
        "status": "final",
        "code": concept(test, LOINC),
        "subject": {"reference": "Patient/1"},
        **({"effectiveDateTime": day} if day else {}),
        "valueCodeableConcept": concept(answer),
    } | more


def report(test: str, answers: list[str], day: str, /, **more: Any) -> Resource:
    return {
        "resourceType": "DiagnosticReport",
        "status": "final",
        "code": concept(test, LOINC),
        "subject": {"reference": "Patient/1"},
        "effectiveDateTime": day,
        "conclusionCode": [concept(answer) for answer in answers],
    } | more


def procedure(code: str, day: str, /, **more: Any) -> Resource:
    return {
        "resourceType": "Procedure",
        "status": "completed",
        "code": concept(code),
        "subject": {"reference": "Patient/1"},
        "performedDateTime": day,
    } | more


def condition(code: str, system: str = SNOMED, /, **more: Any) -> Resource:
    return {"resourceType": "Condition", "code": concept(code, system), "subject": {"reference": "Patient/1"}} | more


def bundle_of(*resources: Resource, kind: str = "searchset") -> Resource:
    return {"resourceType": "Bundle", "type": kind, "entry": [{"resource": one} for one in resources]}


TREATED = (
    observation(HPV, DETECTED, "2022-03-01"),
    observation(CYTOLOGY, HSIL, "2022-03-01"),
    report(BIOPSY, [CIN_3], "2022-04-12"),
    procedure(LOOP, "2022-05-10"),
    report(HPV, ["787724008"], "2024-05-15"),
    report(CYTOLOGY, [NILM], "2024-05-15"),
    report(HPV, ["787724008"], "2025-05-20"),
    report(CYTOLOGY, [NILM], "2025-05-20"),
)
"""CIN3, a loop, and two negative cotests: a row of the published tables."""
