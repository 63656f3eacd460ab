"""What other systems send as FHIR becomes a visit table; what of it cannot be read is told by resource and marks the woman."""

import json
import random
from datetime import date
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from cervix.bundle import Bundle
from cervix.cli import main
from cervix.errors import CervixError, PatientFileError
from cervix.interop.fhir.reading import visits_of_bundle
from cervix.interop.fhir.resources import LOINC, VERSIONS
from cervix.interop.fhir.women import IDENTIFIER_SYSTEM, risk_bundle
from cervix.interop.patient_files import read_patient_file, to_be_held
from cervix.patients.completeness import CELLS, SET_ASIDE
from cervix.patients.history_scoring import score_visits
from cervix.patients.visit_sample import sample_visits_csv
from cervix.patients.visit_vocabulary import AGE, VISIT_DATE
from cervix.patients.visits import VisitTable, read_visits
from cervix.patients.vocabulary import PATIENT_ID
from cervix.provenance import provenance_of
from cervix.sources import json_text
from cervix.sources.json_text import is_json, read_json
from tests.interop.fhir_made import (
    BIOPSY,
    CYTOLOGY,
    DETECTED,
    HIDDEN,
    HPV,
    HPV_16_TEST,
    HSIL,
    ICD,
    LOOP,
    NILM,
    NOT_DETECTED,
    TREATED,
    Resource,
    bundle_of,
    concept,
    condition,
    observation,
    patient,
    procedure,
    report,
)

TODAY = date(2026, 1, 1)
DAY = "2024-05-01"


def read(*resources: Resource, **more: Any) -> VisitTable:
    return visits_of_bundle(bundle_of(*resources), today=TODAY, **more)


def smear(answer: Resource) -> Resource:
    return observation(CYTOLOGY, "", DAY, valueCodeableConcept=answer)


def hpv_test(**more: Any) -> Resource:
    return observation(HPV, DETECTED, DAY, **more)


def known(table: VisitTable, row: int = -1) -> dict[str, str]:
    """The codes of one visit that are known."""
    cells = table.frame.iloc[row].drop([PATIENT_ID, VISIT_DATE, AGE, "time_years", "slide"])
    return {str(name): str(cell) for name, cell in cells.items() if not pd.isna(cell)}


def lost(table: VisitTable) -> int:
    return int(table.losses[[SET_ASIDE, CELLS]].to_numpy().sum())


def told(table: VisitTable) -> str:
    return "\n".join([*table.notices, *map(str, table.problems)])


def test_a_history_coded_as_the_published_decision_support_codes_it_is_the_same_table() -> None:
    table = read(patient(), *TREATED)
    same = read_visits(
        b"patient_id,visit_date,age,cytology,hpv_result,histology,treatment\n"
        b"woman 1,2022-03-01,36,HSIL,positive,,\nwoman 1,2022-04-12,37,,,CIN3,\nwoman 1,2022-05-10,37,,,,LEEP\n"
        b"woman 1,2024-05-15,39,NILM,negative,,\nwoman 1,2025-05-20,40,NILM,negative,,\n"
    )
    pd.testing.assert_frame_equal(table.frame.reset_index(drop=True), same.frame.reset_index(drop=True))
    assert not table.problems
    assert not len(table.losses)


@pytest.mark.parametrize(
    ("resource", "expected"),
    [
        (report(HPV, ["10828004", "708298003"], DAY), {"hpv_result": "positive", "hpv_16": "positive"}),
        (observation("71431-1", DETECTED, DAY), {"hpv_result": "positive", "hpv_other_hr": "positive"}),
        # 18 or 45: a positive names no type, a negative speaks of 18.
        (observation("75694-0", DETECTED, DAY), {"hpv_result": "positive"}),
        (observation("75694-0", NOT_DETECTED, DAY), {"hpv_18": "negative"}),
        (observation("95539-3", DETECTED, DAY), {"hpv_result": "positive", "hpv_other_hr": "positive"}),
        (hpv_test(valueCodeableConcept=concept(DETECTED, text="HPV 16 positive")),
         {"hpv_result": "positive", "hpv_16": "positive"}),
        (smear({"text": "Low-grade squamous intraepithelial lesion"}), {"cytology": "LSIL"}),
        (smear(concept("x", display="Adenocarcinoma in situ (disorder)")), {"cytology": "AIS"}),
        (observation("x", DETECTED, DAY, code={"text": "HPV 18"}), {"hpv_result": "positive", "hpv_18": "positive"}),
        (observation("x", "447760009", DAY, code={"text": "Cervical biopsy"}), {"histology": "AIS"}),
        (observation("82810-3", "77386006", DAY), {"pregnant": "yes"}),
        (procedure("x", DAY, code={"text": "LLETZ"}), {"treatment": "LEEP"}),
        (procedure("116140006", "", occurrenceDateTime=DAY), {"treatment": "hysterectomy"}),
        (condition("N87.1", ICD, onsetDateTime=DAY), {"histology": "CIN2"}),
        (condition("363354003", onsetDateTime=DAY), {"histology": "SCC"}),
        ({**report(HPV, [], DAY), "conclusion": "Not detected"}, {"hpv_result": "negative"}),
        ({**observation("104132-6", "", DAY, code={"text": "Genotyping"}), "valueCodeableConcept": {}, "component": [
            {"code": concept(HPV_16_TEST, LOINC), "valueCodeableConcept": concept(DETECTED)},
            {"code": concept("77400-0", LOINC), "valueString": "not detected"}]},
         {"hpv_result": "positive", "hpv_16": "positive", "hpv_18": "negative"}),
    ],
)  # fmt: skip
def test_what_a_resource_says(resource: Resource, expected: dict[str, str]) -> None:
    table = read(patient(), observation(CYTOLOGY, NILM, "2020-05-01"), resource)
    assert known(table) == expected
    assert not table.problems


@pytest.mark.parametrize(
    ("resource", "found"),
    [
        (observation(CYTOLOGY, "999", DAY), "Observation 2 of 2, cytology: found 'SNOMED CT 999'"),
        (observation(CYTOLOGY, DETECTED, DAY), "Observation 2 of 2, cytology"),
        (hpv_test(valueCodeableConcept=concept(DETECTED, text="Not detected")), "Observation 2 of 2, hpv_result"),
        (hpv_test(valueCodeableConcept=None, valueQuantity={"value": 0}), "a valueQuantity where a code"),
        (hpv_test(valueCodeableConcept=None), "no value"),
        (report(CYTOLOGY, [], DAY), "DiagnosticReport 1 of 1, cytology: found 'no coded conclusion'"),
        (report(HPV, [DETECTED], DAY, result=[{"reference": "Observation/7"}]), "DiagnosticReport 1 of 1: found 'results that"),
        (hpv_test(code=concept("38372-9", LOINC, text="HPV DNA, low and high risk")), "the code LOINC 38372-9"),
        (observation("x", HSIL, DAY), "Observation 2 of 2: found 'the code LOINC x'"),
        (observation(CYTOLOGY, HSIL, ""), "found 'no date'"),
        (observation(CYTOLOGY, HSIL, "2024-05"), "found 'the date 2024-05'"),
        (observation(CYTOLOGY, HSIL, "2031-05-01"), "accepted is a day from 1900 to 2026-01-01"),
        (observation(CYTOLOGY, HSIL, DAY, modifierExtension=[{"url": "x"}]), "a modifierExtension"),
        (observation(CYTOLOGY, HSIL, DAY, status="quite sure"), "found 'the status quite sure'"),
        (observation(CYTOLOGY, HSIL, DAY, subject={"reference": "Patient/2"}), "a subject that is no Patient of this file"),
        (condition("N87.1", ICD, recordedDate=DAY), "found 'no date'"),
        (condition("", onsetDateTime=DAY, code={"coding": [concept(code, ICD)["coding"][0] for code in ("N87.0", "N87.1")]}),
         "Condition 1 of 1: found 'codes that say different things'"),
        (procedure("120038005", DAY, code=concept("120038005", display="Cervix excision (procedure)")), "Procedure 1 of 1"),
        (condition("D06.9", ICD, code={"text": "Carcinoma in situ of cervix, unspecified"}), "Condition 1 of 1"),
        (condition("D06.9", ICD, onsetDateTime=DAY), "the code D06.9"),
        (condition("Z90.710", ICD, onsetDateTime=DAY), "the code Z90.710"),
        (condition("N87.1", ICD, onsetDateTime=DAY, verificationStatus={"text": "ruled out"}), "verification status ruled out"),
        (condition("77386006"), "a pregnancy without a date"),
        (procedure(LOOP, DAY, notDone=True), "that it was not done"),
        (observation("x", DETECTED, DAY), "the code LOINC x"),
        ({"resourceType": "OperationOutcome", "issue": [{"severity": "error"}]}, "OperationOutcome 1 of 1"),
        (bundle_of(bundle_of(observation(CYTOLOGY, HSIL, DAY))), "Entry 1 of 1"),
        ({**bundle_of(), "entry": [{"response": {"status": "404"}}]}, "Entry 1 of 1"),
        ({"resourceType": "List", "contained": [procedure(LOOP, "")]}, "Procedure 1 in List 1 of 1: found 'no date'"),
        ({"resourceType": "OperationOutcome", "issue": [{"severity": "fatal"}]}, "OperationOutcome 1 of 1"),
    ],
)  # fmt: skip
def test_what_cannot_be_read_is_told_by_resource_and_marks_the_woman(resource: Resource, found: str) -> None:
    resources = patient(), observation(CYTOLOGY, NILM, "2020-05-01"), resource
    table = read(*resources)
    assert found in str(table.problems[0])
    assert table.problems[0].row == 3
    assert lost(table) == 1
    with pytest.raises(PatientFileError, match="strict"):
        read(*resources, strict=True)


def test_one_thing_wrong_in_a_report_costs_nothing_of_the_rest() -> None:
    table = read(patient(), report(HPV, ["708298003", "999"], DAY))
    assert known(table) == {"hpv_result": "positive", "hpv_16": "positive"}
    assert lost(table) == 1


def test_two_results_of_a_day_that_contradict_count_as_not_known() -> None:
    table = read(patient(), observation(CYTOLOGY, NILM, DAY), observation(CYTOLOGY, HSIL, DAY), observation(HPV, DETECTED, DAY))
    assert known(table) == {"hpv_result": "positive"}
    assert {problem.column for problem in table.problems} == {"Observation 1 of 3, cytology", "Observation 2 of 3, cytology"}
    assert int(table.losses["contradictions"].iloc[0]) == 1


def test_a_result_that_is_none_is_not_read_and_one_that_may_change_is_marked() -> None:
    table = read(
        patient(),
        observation(CYTOLOGY, NILM, "2020-05-01", status="preliminary"),
        *(observation(CYTOLOGY, HSIL, DAY, status=status) for status in ("entered-in-error", "cancelled", "registered")),
        procedure(LOOP, DAY, status="not-done"),
        condition("B20", ICD, verificationStatus={"coding": [{"code": "RO"}, {"code": "refuted"}]}),
        condition("N87.1", ICD, onsetDateTime=DAY, verificationStatus="refuted"),
        observation("8480-6", "x", DAY, code={"text": "Systolic blood pressure"}),
        observation("94500-6", DETECTED, DAY, code={"text": "SARS-CoV-2 RNA"}),
        condition("M47.812", ICD, code={"text": "Cervical spondylosis"}),
    )
    assert len(table.frame) == 1
    assert not table.problems
    for words in (
        "Observation 1 of 6 (preliminary)", "Observation with the status cancelled", "Procedure with the status not-done",
        "2 Condition that is refuted", "Not used: 2 Observation, 1 Condition",
    ):  # fmt: skip
        assert words in told(table)


def test_whose_a_result_is() -> None:
    """By the address of an entry, from its server, of a version, within the resource, and by an identifier; else by nothing."""
    mrn = {"system": "urn:oid:1.2.3", "value": f"{HIDDEN[2]}-1"}
    of = {
        "2020-01-01": {"reference": "urn:uuid:a"},
        "2021-01-01": {"reference": "https://one.example/Patient/1/_history/3"},
        "2022-01-01": {"identifier": mrn},
        "2023-01-01": {"reference": "#her"},
    }
    made = bundle_of(*(observation(CYTOLOGY, NILM, day, subject=subject) for day, subject in of.items()))
    made["entry"][3]["resource"]["contained"] = [{"resourceType": "Patient", "id": "her", "identifier": [mrn]}]
    made["entry"] += [
        {"fullUrl": "urn:uuid:a", "resource": patient("6")},
        {"fullUrl": "https://one.example/Patient/1", "resource": patient()},
        {"fullUrl": "https://two.example/Patient/1", "resource": patient(identifier=[])},
        {"fullUrl": "https://two.example/Patient/1", "resource": patient(identifier=[], meta={"versionId": "2"})},
        {"fullUrl": "https://one.example/Patient/7", "resource": patient("7", identifier=[])},
        {"fullUrl": "https://two.example/Observation/4", "resource": observation(CYTOLOGY, HSIL, "2024-01-01")},
        {
            "fullUrl": "https://two.example/Observation/5",
            "resource": observation(CYTOLOGY, HSIL, DAY, subject={"reference": "Patient/7"}),
        },
        {"resource": observation(CYTOLOGY, HSIL, "2025-01-01")},
    ]
    table = visits_of_bundle(made, today=TODAY)
    days = table.frame[VISIT_DATE].dt.strftime("%Y-%m-%d")
    rows = list(zip(table.frame[PATIENT_ID], days, table.frame["cytology"], strict=True))
    assert rows == [
        ("woman 1", "2020-01-01", "NILM"), ("woman 2", "2021-01-01", "NILM"), ("woman 2", "2022-01-01", "NILM"),
        ("woman 2", "2023-01-01", "NILM"), ("woman 3", "2024-01-01", "HSIL"),
    ]  # fmt: skip
    assert [problem.column for problem in table.problems] == ["Observation 6 of 7", "Observation 7 of 7"]
    assert not len(table.losses)


def test_a_diagnosis_recorded_after_the_treatment_is_not_another_lesion() -> None:
    listed = condition("285838002", onsetDateTime="2022-05-01"), condition("363354003", recordedDate="2024-01-01")
    table = read(patient(), report(BIOPSY, ["285838002", "363354003"], "2022-04-12"), procedure(LOOP, "2022-05-10"), *listed)
    assert len(table.frame) == 2
    assert not lost(table)
    assert "2 Condition that a biopsy says already" in told(table)


def test_a_diagnosis_that_began_after_a_treatment_may_be_a_lesion_that_came_back_and_marks_the_woman() -> None:
    before, again = (report(BIOPSY, ["285838002"], day) for day in ("2022-04-12", "2023-12-01"))
    loop, listed = procedure(LOOP, "2022-05-10"), condition("285838002", onsetDateTime="2024-01-01")
    table = read(patient(), before, loop, listed)
    assert lost(table) == 1
    assert "began after a treatment" in str(table.problems[0])
    assert not lost(read(patient(), before, loop, again, listed)), "a biopsy has found it again"


def test_a_woman_without_a_pseudonym_is_never_called_like_another() -> None:
    ours = patient("2", identifier=[{"system": IDENTIFIER_SYSTEM, "value": "woman 1"}])
    theirs = observation(CYTOLOGY, HSIL, DAY, subject={"reference": "Patient/2"})
    table = read(patient(), ours, observation(CYTOLOGY, NILM, DAY), theirs)
    assert list(zip(table.frame[PATIENT_ID], table.frame["cytology"], strict=True)) == [
        ("woman 2", "NILM"),
        ("woman 1", "HSIL"),
    ]


def test_of_the_patient_asked_for_nothing_of_another_is_read() -> None:
    theirs = observation(CYTOLOGY, HSIL, DAY, subject={"reference": "Patient/2"})
    table = read(patient(), patient("2"), observation(CYTOLOGY, NILM, DAY), theirs, patient="1")
    assert known(table) == {"cytology": "NILM"}
    assert "a result of another patient" in str(table.problems[0])
    assert table.problems[0].patient == ""
    assert not len(table.losses)
    with pytest.raises(PatientFileError, match="not in the FHIR bundle"):
        read(patient("2"), theirs, patient="1")


def test_what_holds_for_a_time_is_said_of_the_visits_within_it() -> None:
    smears = [observation(CYTOLOGY, NILM, day) for day in ("2020-05-01", "2022-05-01", DAY)]
    table = read(
        patient(),
        *smears,
        condition("B20", ICD, onsetDateTime="2021-01-01"),
        condition("77386006", onsetDateTime="2022-04-01"),
        condition("370388006", recordedDate="2025-11-01"),
    )
    assert [str(code) for code in table.frame["hiv"]] == ["nan", "yes", "yes"]
    assert [str(code) for code in table.frame["pregnant"]] == ["nan", "yes", "nan"]
    assert [str(code) for code in table.frame["immunosuppressed"]] == ["nan", "nan", "yes"]
    assert "counted at it: Immunosuppressed" in told(table)
    over = condition("77386006", onsetDateTime="2024-04-01", clinicalStatus={"coding": [{"code": "resolved"}]})
    assert "pregnant" not in known(read(patient(), *smears, over))
    ended = read(patient(), *smears, condition("370388006", onsetDateTime="2019-01-01", abatementDateTime="2022-04-30"))
    assert [str(code) for code in ended.frame["immunosuppressed"]] == ["yes", "nan", "nan"]
    # Whoever has had HIV has it, whatever the list of problems says.
    kept = condition("B20", ICD, onsetDateTime="2021-01-01", clinicalStatus={"coding": [{"code": "resolved"}]})
    assert known(read(patient(), *smears, kept))["hiv"] == "yes"


@pytest.mark.parametrize("status", ["unconfirmed", "provisional", "differential", "refuted", "entered-in-error"])
def test_a_diagnosis_that_is_not_made_is_none(status: str) -> None:
    suspected = condition("N87.1", ICD, onsetDateTime=DAY, verificationStatus={"coding": [{"code": status}]})
    table = read(patient(), observation(CYTOLOGY, NILM, "2020-05-01"), suspected)
    assert len(table.frame) == 1
    assert f"Condition that is {status}" in told(table)


@pytest.mark.parametrize(
    "resource",
    [
        hpv_test(valueCodeableConcept=concept("UNK", "http://terminology.hl7.org/CodeSystem/v3-NullFlavor")),
        hpv_test(valueCodeableConcept=None, dataAbsentReason={"text": "not asked"}),
        hpv_test(valueCodeableConcept=None, hasMember=[{"reference": "Observation/7"}]),
        observation("x", "", DAY, code={"text": "Cytology"}, valueCodeableConcept={"text": "Negative for malignancy"}),
    ],
    ids=["null flavor", "absent", "a panel", "of another organ"],
)
def test_what_says_nothing_of_the_cervix_is_no_result_and_no_loss(resource: Resource) -> None:
    table = read(patient(), observation(CYTOLOGY, NILM, "2020-05-01"), resource)
    assert len(table.frame) == 1
    assert not table.problems
    assert not len(table.losses)


def test_an_age_is_read_in_years_alone() -> None:
    smear = observation(CYTOLOGY, NILM, DAY)

    def told_age(value: int, unit: str) -> VisitTable:
        quantity = {"value": value, "unit": unit, "code": unit}
        return read(patient(born=""), smear, observation("30525-0", "", DAY, valueCodeableConcept=None, valueQuantity=quantity))

    assert list(told_age(39, "a").frame[AGE]) == [39]
    months = told_age(60, "mo")
    assert months.frame[AGE].isna().all()
    assert "an age that is not in years" in told(months)


def test_a_result_within_a_report_is_read_as_one_of_its_own() -> None:
    within = observation(HPV, DETECTED, DAY, id="r", subject=None)
    del within["subject"]
    table = read(patient(), report(CYTOLOGY, [NILM], DAY, contained=[within], result=[{"reference": "#r"}]))
    assert known(table) == {"cytology": "NILM", "hpv_result": "positive"}
    assert not table.problems


@pytest.mark.parametrize(
    ("dates", "pregnant"),
    [
        ({"onsetPeriod": {"start": "2024-03-01", "end": "2024-09-01"}}, [False, True]),
        ({"onsetDateTime": "2024-03"}, [False, True]),
        ({"onsetDateTime": "2010-03"}, [False, False]),
        ({"onsetDateTime": "2024-01-01", "abatementDateTime": "2024-03"}, [False, False]),
        ({"onsetDateTime": "2024-01-01", "abatementPeriod": {"start": "2024-06-01"}}, [False, True]),
        ({"abatementDateTime": "2024"}, [False, True]),
    ],
)
def test_a_pregnancy_is_of_the_visits_within_it_however_it_is_dated(dates: Resource, pregnant: list[bool]) -> None:
    smears = [observation(CYTOLOGY, NILM, day) for day in ("2020-05-01", DAY)]
    table = read(patient(), *smears, condition("77386006", **dates))
    assert [str(code) == "yes" for code in table.frame.get("pregnant", ["", ""])] == pregnant
    assert not table.problems


@pytest.mark.parametrize("older", [{"versionId": "9"}, {"lastUpdated": "2024-05-02T01:00:00+02:00", "versionId": "4"}])
def test_of_a_resource_the_last_version_counts_whatever_it_says(older: Resource) -> None:
    newer = {key: {"versionId": "10", "lastUpdated": "2024-05-01T23:30:00Z"}[key] for key in older}
    wrong, error = (
        observation(CYTOLOGY, HSIL, DAY, id="1", meta=meta, status=status)
        for meta, status in ((older, "final"), (newer, "entered-in-error"))
    )
    one = "https://one.example/Observation/1"
    for addresses in ((None, None), (one, one), (one, f"{one}/_history/3")):
        made = bundle_of(patient(), observation(CYTOLOGY, NILM, "2020-05-01"))
        for address, resource in zip(addresses, (error, wrong), strict=True):
            absolute = {"subject": {"reference": "https://one.example/Patient/1"}} if address else {}
            made["entry"].append({"fullUrl": address, "resource": resource | absolute})
        made["entry"][0]["fullUrl"] = "https://one.example/Patient/1"
        table = visits_of_bundle(made, today=TODAY)
        assert known(table) == {"cytology": "NILM"}
        assert "1 Observation of an older version" in told(table)


def test_an_age_follows_from_a_birth_date_and_nothing_else_of_her_is_kept() -> None:
    table = read(patient(), *TREATED, observation(CYTOLOGY, "999", DAY))
    kept = table.frame.to_csv() + told(table) + table.losses.to_csv()
    assert not [secret for secret in HIDDEN if secret in kept]
    assert list(read(patient(born="1985-03"), *TREATED).frame[AGE]) == [36, 37, 37, 39, 40]
    of_the_year = read(patient(born="1985"), *TREATED)
    assert "middle of its month or year" in told(of_the_year)
    assert list(of_the_year.frame[AGE]) == [36, 36, 36, 38, 39]
    smears = [observation(CYTOLOGY, NILM, day) for day in ("2024-03-01", "2024-03-02")]
    assert list(read(patient(), *smears).frame[AGE]) == [38, 39], "on her birthday she is a year older"
    assert read(patient(born=""), *TREATED).frame[AGE].isna().all()
    twice = read(patient(), patient(born="1950-03-02"), *TREATED)
    assert twice.frame[AGE].isna().all()
    assert "two birth dates" in told(twice)
    newer = patient(meta={"versionId": "2"}), patient(born="1950-03-02", meta={"versionId": "1"})
    for versions in (newer, newer[::-1]):
        assert list(read(*versions, *TREATED).frame[AGE]) == [36, 37, 37, 39, 40]
    young = read(patient(born="2024-01-01"), observation(CYTOLOGY, NILM, DAY))
    assert "accepted is years from 10 to 110" in told(young)


def test_what_is_held_of_a_file_names_nobody_and_reads_the_same() -> None:
    by_number = {"identifier": patient()["identifier"][0], "display": HIDDEN[0]}
    named = [observation(CYTOLOGY, NILM, "2020-05-01", subject=by_number, performer=[{"display": HIDDEN[0]}])]
    others = [{"resourceType": "Practitioner", "name": [{"family": HIDDEN[0]}]}]
    whole = bundle_of(patient(text={"div": HIDDEN[0]}), *TREATED, *named, *others, observation(CYTOLOGY, "999", DAY))
    held = to_be_held(json.dumps(whole).encode())
    assert [secret for secret in HIDDEN if secret.encode() in held] == [HIDDEN[3]]  # her birth date, of which her age is made
    table, same = read_patient_file(held), visits_of_bundle(whole)
    pd.testing.assert_frame_equal(table.frame, same.frame)
    assert told(table) == told(same)
    for other in (b"patient_id,age\n1,2\n", b'{"a": '):
        assert to_be_held(other) == other
    alone = to_be_held(json.dumps(others[0]).encode())
    assert json.loads(alone) == {"resourceType": "Practitioner"}
    assert to_be_held(b'["Zaphira"]') == b"[]"


@pytest.mark.parametrize("version", VERSIONS)
def test_our_own_export_read_back_gives_the_same_visits_and_risks(version: str, bundle: Bundle) -> None:
    session = bundle.session("history")
    rows = "\nundated,,50,LSIL,positive,,,,,,\nundated,,53,NILM,negative,,,,,,"
    header = b"patient_id,visit_date,age,cytology,hpv_result,hpv_16,hpv_18,hpv_other_hr,colposcopy,histology,treatment"
    for content in (sample_visits_csv().encode(), header + rows.encode()):
        table = read_visits(content)
        scores = score_visits(table, session)
        made = risk_bundle(scores, table.frame, session.model, provenance_of(bundle, "history"), version)
        back = visits_of_bundle(json.loads(json.dumps(made)))
        assert "not final" not in told(back), "that their status is unknown says nothing of our own"
        again = score_visits(back, session)
        assert list(again[PATIENT_ID]) == list(scores[PATIENT_ID])
        columns = [name for name in scores if name.startswith("risk_")]
        pd.testing.assert_frame_equal(again[columns].reset_index(drop=True), scores[columns].reset_index(drop=True))
        read_columns = [feature.column for feature in session.model.features.encoding]
        for name in dict.fromkeys([PATIENT_ID, VISIT_DATE, *read_columns]):
            pd.testing.assert_series_equal(back.frame[name].reset_index(drop=True), table.frame[name].reset_index(drop=True))


def test_a_woman_whose_file_was_not_read_in_full_stays_marked_through_our_own_export(bundle: Bundle) -> None:
    session = bundle.session("history")
    table = read_visits(
        b"patient_id,visit_date,age,cytology,hpv_result\nA,2024-05-01,35,NILM,?!\nB,2024-05-01,35,NILM,negative\n"
    )
    made = risk_bundle(score_visits(table, session), table.frame, session.model, provenance_of(bundle, "history"))
    assert list(visits_of_bundle(made).losses.index) == ["A"]


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b'{"resourceType": "Bundle", "a": NaN}', "NaN"),
        (b'{"resourceType": "Bundle", "resourceType": "Patient"}', "named twice"),
        (b"[" * 100_000, "nested too deeply"),
        (b"[" * 65 + b"]" * 65, "nested too deeply"),
        (b'{"a": "\xff"}', "not UTF-8"),
        (b'{"a": "Zaphira', "not JSON to its end"),
        (b'{"a": ' + b"9" * 5000 + b"}", "number that cannot be read"),
        (b"[" + b"1," * json_text.MOST_PARTS + b"1]", "too many parts"),
        (b'{"a": "' + b"x" * json_text.MOST_BYTES + b'"}', "too large"),
        (b"{}", "no FHIR Bundle"),
        (b"[1]", "no FHIR Bundle"),
        (b'{"resourceType": "Patient", "name": "Zaphira"}', "found Patient"),
        (b'{"resourceType": "Bundle", "type": "transaction"}', "another type"),
        (b'{"resourceType": "Bundle", "type": "searchset", "link": [{"relation": "next"}]}', "one page"),
        (b'{"resourceType": "Bundle", "type": "searchset", "total": 7}', "0 of 7 results"),
        (b'{"resourceType": "Bundle", "type": "searchset", "entry": {"resource": {}}}', "entries of this FHIR bundle"),
        (b'{"resourceType": "Bundle", "type": "searchset", "entry": [null]}', "entries of this FHIR bundle"),
        (b'{"resourceType": "Bundle", "a": ["\\ud800"]}', "half of one"),
        (b'{"resourceType": "Bundle", "type": "searchset"}', "No result"),
        (json.dumps(bundle_of(patient(), observation(CYTOLOGY, HSIL, ""))).encode(), "1 of them with problems"),
    ],
)  # fmt: skip
def test_what_is_no_bundle_of_results_is_refused_in_one_sentence_without_what_it_holds(content: bytes, expected: str) -> None:
    assert is_json(content)
    with pytest.raises(PatientFileError, match=expected) as refused:
        read_patient_file(content)
    assert not any(secret in str(refused.value) for secret in HIDDEN)


def test_a_bundle_of_too_many_resources_is_refused() -> None:
    inner = bundle_of(*[patient()] * 10_001)
    with pytest.raises(PatientFileError, match=r"at most 50,000"):
        visits_of_bundle(bundle_of(*[inner] * 5, kind="batch-response"))


def test_searches_answered_together_are_one_table_and_what_two_of_them_bring_is_read_once() -> None:
    smear = observation(CYTOLOGY, HSIL, DAY, id="s")
    made = bundle_of(
        bundle_of(patient(), smear), bundle_of(patient(), smear, observation(HPV, DETECTED, DAY)), kind="batch-response"
    )
    table = visits_of_bundle(made, today=TODAY)
    assert known(table) == {"cytology": "HSIL", "hpv_result": "positive"}
    assert not table.problems
    made["entry"].append({"response": {"status": "403"}})
    assert lost(visits_of_bundle(made, today=TODAY)) == 1


def test_nothing_that_stands_in_the_place_of_something_else_breaks_the_reading() -> None:
    whole = bundle_of(patient(), *TREATED, condition("B20", ICD))
    choice = random.Random(24)
    for _ in range(30):
        made = json.loads(json.dumps(whole))
        for _ in range(3):
            at: Any = choice.choice(made["entry"])["resource"]
            while (
                isinstance(inner := at[key := choice.choice(list(at) if isinstance(at, dict) else range(len(at)))], dict | list)
                and inner
            ):
                if choice.random() < 0.2:
                    break
                at = inner
            at[key] = choice.choice(
                [None, [], {}, 7, True, "", "x" * 9000, [None], {"coding": [None, {"system": 1}]}, "2024-99-99"]
            )
        made["entry"].append({"resource": {"resourceType": choice.choice([None, [], {}, 7])}})
        assert is_json(to_be_held(json.dumps(made).encode()))
        try:
            table = visits_of_bundle(made, today=TODAY)
        except CervixError:
            continue
        assert len(table.frame) + table.rows_left_out


@pytest.mark.usefixtures("home")
def test_the_command_line_takes_a_bundle(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "results.json"
    file.write_bytes(b"\xef\xbb\xbf" + json.dumps(bundle_of(patient(), *TREATED, observation(CYTOLOGY, "999", DAY))).encode())
    assert main(["patients", str(file), "--out", str(tmp_path / "scores.csv")]) == 0
    assert list(pd.read_csv(tmp_path / "scores.csv")["rests_on"]) == ["1 cell could not be read"]
    assert "Observation 3 of 3, cytology" in capsys.readouterr().err
    assert read_json(file)["resourceType"] == "Bundle"
    with pytest.raises(PatientFileError, match="cannot be opened"):
        read_patient_file(tmp_path / "none.json")
