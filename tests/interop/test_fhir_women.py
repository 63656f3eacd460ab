"""What FHIR says of women, where no definition can tell whether it is meant."""

import io
import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from cervix import RESEARCH_NOTICE, __version__
from cervix.bundle import Bundle
from cervix.cli import main
from cervix.interop.fhir.resources import VERSIONS
from cervix.interop.fhir.women import IDENTIFIER_SYSTEM, fhir_json, risk_bundle
from cervix.patients.history_scoring import score_visits
from cervix.patients.reading import read_patients
from cervix.patients.sample import sample_table_csv
from cervix.patients.scoring import score_patients
from cervix.patients.visit_sample import sample_visits_csv
from cervix.patients.visits import VisitTable, read_visits
from cervix.patients.vocabulary import PATIENT_ID
from cervix.provenance import provenance_of
from tests.interop.fhir_documents import WOMEN, by_reference, notes, of_factors, of_histories, read, references, resources


@pytest.fixture(scope="module")
def table() -> VisitTable:
    return read(WOMEN)


@pytest.fixture(scope="module")
def scores(table: VisitTable, bundle: Bundle) -> pd.DataFrame:
    return score_visits(table, bundle.session("history")).set_index(PATIENT_ID, drop=False)


@pytest.fixture(scope="module", params=VERSIONS)
def version(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(scope="module")
def document(table: VisitTable, bundle: Bundle, version: str) -> dict[str, Any]:
    return of_histories(table, bundle, version)


def assessments(document: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Pseudonym -> her RiskAssessment."""
    targets = by_reference(document)
    return {
        targets[found["subject"]["reference"]]["identifier"][0]["value"]: found
        for found in resources(document, "RiskAssessment")
    }


@pytest.mark.parametrize("model", ["risk-factors", "risk-factors-with-tests"])
def test_a_risk_rests_on_the_factors_that_are_known(model: str, bundle: Bundle, version: str) -> None:
    session = bundle.session(model)
    table = read_patients(sample_table_csv(3).encode())
    scores = score_patients(table, session)
    document = of_factors(model, bundle, version)
    assert len(resources(document, "RiskAssessment")) == 3
    for found, (line, row) in zip(resources(document, "RiskAssessment"), scores.iterrows(), strict=True):
        known = table.frame.loc[line, session.model.features.names].notna().sum()
        assert len(found["basis"]) == known
        assert found["prediction"][0]["probabilityDecimal"] == pytest.approx(100 * row["risk"], abs=1e-4)
        assert "whenPeriod" not in found["prediction"][0]


def test_every_entry_has_its_own_address_and_every_reference_leads_to_one(document: dict[str, Any]) -> None:
    targets = by_reference(document)
    assert len(targets) == len(document["entry"])
    for address, resource in targets.items():
        assert address == f"urn:uuid:{resource['id']}"
    assert references(document) <= set(targets)
    for found in resources(document, "RiskAssessment"):
        assert targets[found["subject"]["reference"]]["resourceType"] == "Patient"
        assert targets[found["performer"]["reference"]]["resourceType"] == "Device"
        assert found["identifier"][0]["value"] == f"urn:uuid:{found['id']}"


def test_two_exports_share_no_address(table: VisitTable, bundle: Bundle) -> None:
    one, other = (of_histories(table, bundle, "R5") for _ in range(2))
    assert one["id"] != other["id"]
    assert not by_reference(one).keys() & by_reference(other).keys()


def test_a_patient_is_her_pseudonym_and_nothing_else(document: dict[str, Any], table: VisitTable) -> None:
    patients = resources(document, "Patient")
    assert [patient["identifier"] for patient in patients] == [
        [{"system": IDENTIFIER_SYSTEM, "value": name}] for name in dict.fromkeys(table.frame[PATIENT_ID])
    ]
    assert all(patient.keys() == {"resourceType", "id", "identifier"} for patient in patients)


def test_probabilities_are_percentages(document: dict[str, Any], scores: pd.DataFrame) -> None:
    for name, found in assessments(document).items():
        for prediction in found.get("prediction", []):
            task = {"CIN2+": "cin2", "CIN3+": "cin3"}[prediction["outcome"]["text"][:5]]
            years = prediction["outcome"]["text"][-7]
            assert prediction["probabilityDecimal"] == pytest.approx(100 * scores.at[name, f"risk_{task}-{years}y"], abs=1e-4)
    assert assessments(document)["A-1"]["prediction"][0]["probabilityDecimal"] > 50


def test_a_horizon_is_a_period_from_the_last_visit_and_never_an_age(document: dict[str, Any]) -> None:
    assert "whenRange" not in json.dumps(document)
    assert "probabilityRange" not in json.dumps(document)
    periods = {found["outcome"]["text"]: found["whenPeriod"] for found in assessments(document)["A-1"]["prediction"]}
    assert periods == {
        "CIN2+ within 3 years": {"start": "2020-02-29", "end": "2023-02-28"},
        "CIN3+ within 3 years": {"start": "2020-02-29", "end": "2023-02-28"},
        "CIN2+ within 5 years": {"start": "2020-02-29", "end": "2025-02-28"},
        "CIN3+ within 5 years": {"start": "2020-02-29", "end": "2025-02-28"},
    }
    undated = assessments(document)["undated"]["prediction"][0]
    assert "whenPeriod" not in undated
    assert "has no date" in undated["rationale"]


def test_an_assessment_took_place_when_it_was_made(document: dict[str, Any]) -> None:
    for found in resources(document, "RiskAssessment"):
        assert found["occurrenceDateTime"] == document["timestamp"] > "2022-01-01"
        assert found["status"] == "preliminary"
        for prediction in found.get("prediction", []):
            assert prediction.get("whenPeriod", {}).get("start", "") <= found["occurrenceDateTime"]


def test_codes_come_from_their_fixed_lists(document: dict[str, Any], version: str) -> None:
    assert document["type"] == "collection"
    assert {found["status"] for found in resources(document, "RiskAssessment")} == {"preliminary"}
    assert {found["status"] for found in resources(document, "Observation")} == {"unknown"}
    (device,) = resources(document, "Device")
    assert device["name" if version == "R5" else "deviceName"][0]["type"] == "user-friendly-name"


def test_outcomes_are_disorders_by_their_right_name_or_words_alone(document: dict[str, Any]) -> None:
    for prediction in assessments(document)["A-1"]["prediction"]:
        if prediction["outcome"]["text"].startswith("CIN2+"):
            assert prediction["outcome"]["coding"] == [
                {
                    "system": "http://snomed.info/sct",
                    "code": "285838002",
                    "display": "Cervical intraepithelial neoplasia grade 2 (disorder)",
                }
            ]
        else:
            assert prediction["outcome"].keys() == {"text"}
    # A morphology, as a pathologist sees it, is nobody's outcome.
    assert "20365006" not in json.dumps(document)


def test_an_assessment_rests_on_the_results_of_her_own_visits(document: dict[str, Any]) -> None:
    targets = by_reference(document)
    found = assessments(document)["A-1"]
    basis = [targets[item["reference"]] for item in found["basis"]]
    assert {seen["subject"]["reference"] for seen in basis} == {found["subject"]["reference"]}
    told = [
        (
            seen["effectiveDateTime"],
            seen["code"]["text"],
            seen["valueQuantity"]["value"] if "valueQuantity" in seen else seen["valueCodeableConcept"]["text"],
        )
        for seen in basis
    ]
    assert told == [
        ("2016-02-29", "Age", 30),
        ("2016-02-29", "Cytology", "NILM"),
        ("2016-02-29", "HPV test", "negative"),
        ("2016-02-29", "Smokes", "no"),
        ("2020-02-29", "Age", 34),
        ("2020-02-29", "Cytology", "HSIL"),
        ("2020-02-29", "HPV test", "positive"),
        ("2020-02-29", "HPV 16", "positive"),
        ("2020-02-29", "Smokes", "no"),
    ]
    codes = {seen["code"]["text"]: seen["code"].get("coding", [{}])[0].get("code") for seen in basis}
    assert codes == {"Age": "30525-0", "Cytology": "10524-7", "HPV test": None, "HPV 16": None, "Smokes": None}
    cited = {item["reference"] for other in resources(document, "RiskAssessment") for item in other["basis"]}
    assert cited == {address for address, seen in targets.items() if seen["resourceType"] == "Observation"}


def test_an_undated_result_has_no_day_and_says_so(document: dict[str, Any]) -> None:
    targets = by_reference(document)
    seen = [targets[item["reference"]] for item in assessments(document)["undated"]["basis"]]
    assert seen
    for observation in seen:
        assert "effectiveDateTime" not in observation
        assert notes(observation) == ["At visit 1 of 1, which has no date."]


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("nothing known", "without any test result"),
        ("proven", "Diagnosis known: CIN3 by histology on 2021-01-01"),
        ("treated", "treated by LEEP on 2021-01-01"),
    ],
)
def test_where_there_is_no_answer_there_is_no_prediction_and_a_note(name: str, why: str, document: dict[str, Any]) -> None:
    found = assessments(document)[name]
    assert "prediction" not in found
    assert notes(found)[0].startswith("No prediction. ")
    assert why in notes(found)[0]


def test_the_software_has_name_versions_and_the_notice(document: dict[str, Any], version: str, bundle: Bundle) -> None:
    (device,) = resources(document, "Device")
    assert device["identifier"][0]["value"] == bundle.sha256
    named = device["name"][0]["value"] if version == "R5" else device["deviceName"][0]["name"]
    assert named == "Cervix Workbench"
    assert device["version"][0]["value"] == __version__
    assert bundle.sha256 in device["version"][1]["value"]
    for resource in (device, *resources(document, "RiskAssessment")):
        assert RESEARCH_NOTICE in notes(resource)
    assert all(bundle.sha256[:10] in found["method"]["text"] for found in resources(document, "RiskAssessment"))


def test_the_mark_of_what_an_answer_does_not_rest_on_is_its_first_note(document: dict[str, Any]) -> None:
    found = assessments(document)
    assert notes(found['<i>B</i> "2"'])[0] == "Incomplete: 1 cell could not be read."
    # HIV is read by no model, so its cell costs nothing.
    assert notes(found["A-1"])[0] == RESEARCH_NOTICE


def test_a_visit_set_aside_is_marked(bundle: Bundle, version: str) -> None:
    table = read("C,2020-01-01,30,NILM,negative,,,,,\nC,2021-13-45,,HSIL,positive,,,,,")
    (found,) = resources(of_histories(table, bundle, version), "RiskAssessment")
    assert notes(found)[0] == "Incomplete: rests on 1 of 2 visits."


def test_an_unused_column_costs_no_visit_and_no_mark(cases_dir: Path, bundle: Bundle, version: str) -> None:
    table = read_visits((cases_dir / "patients/x01_unused_column_costs_visit.csv").read_bytes())
    document = of_histories(table, bundle, version)
    risks = {name: found["prediction"][0]["probabilityDecimal"] for name, found in assessments(document).items()}
    assert risks["P1"] == risks["P2"] == risks["P4"] > 50
    marks = {name: notes(found)[0] for name, found in assessments(document).items()}
    # "former" stands in a column that the model reads: the one cell that is lost.
    assert marks.pop("P3") == "Incomplete: 1 cell could not be read."
    assert set(marks.values()) == {RESEARCH_NOTICE}


def test_a_proven_lesion_has_no_risk_of_being_found(cases_dir: Path, bundle: Bundle, version: str) -> None:
    table = read_visits((cases_dir / "patients/x03_histology_not_monotone.csv").read_bytes())
    document = of_histories(table, bundle, version)
    answered = {name for name, found in assessments(document).items() if "prediction" in found}
    assert answered == {"HSIL-no-biopsy", "old-LSIL"}
    old = assessments(document)["old-LSIL"]
    assert old["prediction"][0]["whenPeriod"] == {"start": "1994-01-01", "end": "1997-01-01"}
    assert old["occurrenceDateTime"] > old["prediction"][0]["whenPeriod"]["end"]


def test_one_woman_of_many_takes_nobody_along(table: VisitTable, scores: pd.DataFrame, bundle: Bundle) -> None:
    session = bundle.session("history")
    one = scores.loc["A-1"].to_frame().T
    text = fhir_json(one, table.frame, session.model, provenance_of(bundle, "history"), "R4")
    document = json.loads(text)
    assert list(assessments(document)) == ["A-1"]
    assert len(resources(document, "Observation")) == 9
    assert "undated" not in text


def test_a_pseudonym_holds_no_character_that_fhir_forbids(table: VisitTable, scores: pd.DataFrame, bundle: Bundle) -> None:
    session = bundle.session("history")
    named = {PATIENT_ID: "A\x07\x1b1"}
    visits = table.frame[table.frame[PATIENT_ID] == "A-1"].assign(**named)
    made = risk_bundle(scores.loc[["A-1"]].assign(**named), visits, session.model, provenance_of(bundle, "history"))
    assert list(assessments(made)) == ["A\N{REPLACEMENT CHARACTER}\N{REPLACEMENT CHARACTER}1"]


def test_rows_without_a_pseudonym_are_named_by_their_line(bundle: Bundle) -> None:
    session = bundle.session("risk-factors")
    rows = pd.read_csv(io.StringIO(sample_table_csv(2)), dtype=str, keep_default_na=False)
    for unnamed in (rows.assign(**{PATIENT_ID: ""}), rows.drop(columns=PATIENT_ID)):
        table = read_patients(unnamed.to_csv(index=False).encode())
        document = risk_bundle(
            score_patients(table, session), table.frame, session.model, provenance_of(bundle, "risk-factors")
        )
        assert list(assessments(document)) == ["row 2", "row 3"]


@pytest.mark.parametrize("version", ["r4", "R5"])
def test_the_command_line_writes_it_beside_the_scores(version: str, home: Path, tmp_path: Path) -> None:
    del home
    (tmp_path / "visits.csv").write_text(sample_visits_csv(), encoding="utf-8")
    out = tmp_path / "scores.csv"
    assert main(["patients", str(tmp_path / "visits.csv"), "--out", str(out), "--device", "cpu", "--fhir", version]) == 0
    document = json.loads((tmp_path / "scores.fhir.json").read_text(encoding="utf-8"))
    assert len(resources(document, "RiskAssessment")) == len(pd.read_csv(out))
    assert ("deviceName" in resources(document, "Device")[0]) == (version == "r4")
