"""The XML has the structure of the CHAI Applied Model Card 0.2 and the figures of the predictions."""

import json
import re
import xml.etree.ElementTree as ET

import pytest

from cervix import RESEARCH_NOTICE
from cervix.bundle import Bundle
from cervix.card.xml import NAMESPACE, chai_xml
from tests.card.conftest import Truth

METRIC = ["MetricGoal", "Results", "Interpretation", "TestType", "TestingDataDescription", "ValidationProcessAndJustification"]
# The sequences of https://mc.chai.org/v0.2/schema.xsd, retyped; what may be left out ends in a question mark.
SEQUENCES = {
    "AppliedModelCard": [
        "BasicInfo", "ReleaseInfo", "ModelSummary", "UsesAndDirections", "Warnings", "TrustIngredients", "KeyMetrics",
        "Resources", "Bibliography",
    ],
    "BasicInfo": ["ModelName", "ModelDeveloper", "DeveloperContact"],
    "ReleaseInfo": [
        "ReleaseStage", "ReleaseDate", "ReleaseVersion", "GlobalAvailability", "EHRCompatibility?", "RegulatoryApproval?",
    ],
    "ModelSummary": ["Summary", "Keywords"],
    "UsesAndDirections": [
        "IntendedUseAndWorkflow", "PrimaryIntendedUsers", "HowToUse", "TargetedPatientPopulation",
        "CautionedOutOfScopeSettings",
    ],
    "Warnings": ["KnownRisksAndLimitations", "KnownBiasesOrEthicalConsiderations", "ClinicalRiskLevel"],
    "TrustIngredients": ["AISystemFacts", "TransparencyInformation"],
    "AISystemFacts": [
        "OutcomesAndOutputs", "ModelType", "FoundationModels?", "InputDataSource", "OutputAndInputDataTypes",
        "DevelopmentDataCharacterization", "BiasMitigationApproaches", "OngoingMaintenance", "Security?", "Transparency?",
    ],
    "TransparencyInformation": ["FundingSource", "ThirdPartyInformation?", "StakeholdersConsulted"],
    "KeyMetrics": ["UsefulnessUsabilityEfficacy", "FairnessEquity", "SafetyReliability"],
    "UsefulnessUsabilityEfficacy": METRIC,
    "FairnessEquity": METRIC,
    "SafetyReliability": METRIC,
    "MetricResult": ["Label", "ValueJson"],
    "Resources": [
        "EvaluationReferences?", "ClinicalTrial?", "PeerReviewedPublications", "ReimbursementStatus?",
        "PatientConsentOrDisclosure",
    ],
}  # fmt: skip
REPEATED = {"Keywords": "Keyword", "Results": "MetricResult"}


def name_of(element: ET.Element) -> str:
    return element.tag.removeprefix(f"{{{NAMESPACE}}}")


def find(root: ET.Element, path: str) -> ET.Element:
    found = root.find("/".join(f"{{{NAMESPACE}}}{part}" for part in path.split("/")))
    assert found is not None
    return found


def results(root: ET.Element, metric: str) -> dict[str, dict[str, object]]:
    return {
        find(row, "Label").text: json.loads(find(row, "ValueJson").text) for row in find(root, f"KeyMetrics/{metric}/Results")
    }


def violations(element: ET.Element) -> list[str]:
    """What does not follow the sequences."""
    children, name = [name_of(child) for child in element], name_of(element)
    below = [problem for child in element for problem in violations(child)]
    if name in REPEATED:
        right = bool(children) and set(children) == {REPEATED[name]}
    elif name in SEQUENCES:
        pattern = "".join(f"({part.rstrip('?')} ){'?' if part.endswith('?') else ''}" for part in SEQUENCES[name])
        right = bool(re.fullmatch(pattern, "".join(f"{child} " for child in children)))
    else:
        right = not children and bool((element.text or "").strip())
    return below if right else [f"{name}: {children or element.text}", *below]


@pytest.fixture(scope="module")
def documents(bundle: Bundle) -> dict[str, ET.Element]:
    return {model.id: ET.fromstring(chai_xml(bundle, model)) for model in bundle.manifest.models}


def test_every_model_has_every_element_in_the_order_of_the_schema_and_no_empty_text(documents: dict[str, ET.Element]) -> None:
    for root in documents.values():
        assert root.tag == f"{{{NAMESPACE}}}AppliedModelCard"
        assert violations(root) == []


def test_a_missing_misplaced_or_empty_element_is_noticed(bundle: Bundle) -> None:
    text = chai_xml(bundle, bundle.manifest.models[0])
    for pattern, replacement in (
        (r"<DeveloperContact>.*?</DeveloperContact>", ""),
        (r"(<Summary>.*?</Summary>)(\s*<Keywords>.*?</Keywords>)", r"\2\1"),
        (r"<FundingSource>.*?</FundingSource>", "<FundingSource> </FundingSource>"),
    ):
        damaged = re.sub(pattern, replacement, text, flags=re.DOTALL)
        assert damaged != text
        assert violations(ET.fromstring(damaged))


def test_the_figures_are_what_scikit_learn_makes_of_the_predictions(
    documents: dict[str, ET.Element], main_truth: Truth
) -> None:
    truth = main_truth
    useful = results(documents[truth.model.id], "UsefulnessUsabilityEfficacy")
    safe = results(documents[truth.model.id], "SafetyReliability")
    auroc = useful[f"AUROC, {truth.task.title}; n = {truth.n:,}"]
    assert auroc["estimate"] == pytest.approx(truth.auroc, abs=1e-6)
    assert auroc["lower"] <= auroc["estimate"] <= auroc["upper"]
    assert (auroc["kind"], auroc["level"]) == ("estimate_ci", 95)
    recall = useful[f"Sensitivity (recall), {truth.task.title}; n = {truth.n:,}"]
    assert recall["estimate"] == pytest.approx(100 * truth.sensitivity, abs=1e-4)
    assert recall["unit"] == "%"
    assert safe[f"Brier score, {truth.task.title}; n = {truth.n:,}"]["estimate"] == pytest.approx(truth.brier, abs=1e-6)
    missed = next(value for label, value in safe.items() if label.startswith("Positive cases missed"))
    assert missed["estimate"] == pytest.approx(100 - recall["estimate"], abs=1e-3)
    assert missed["lower"] <= missed["estimate"] <= missed["upper"]


def test_fairness_counts_its_subgroups_and_gives_each_an_interval(documents: dict[str, ET.Element]) -> None:
    for root in documents.values():
        found = results(root, "FairnessEquity")
        count = found.pop("Subgroups of the held-out cases that have their own figure")["value"]
        assert len(found) == count
        assert all(value["lower"] <= value["estimate"] <= value["upper"] for value in found.values())


def test_texts_with_markup_are_escaped_and_come_back_as_they_were(bundle: Bundle) -> None:
    model = bundle.manifest.models[0].model_copy(update={"title": "<b>A & B</b>", "limits": ['p < 0.05 & "quoted" ]]>']})
    root = ET.fromstring(chai_xml(bundle, model))
    assert find(root, "BasicInfo/ModelName").text == "<b>A & B</b>"
    assert 'p < 0.05 & "quoted" ]]>' in find(root, "Warnings/KnownRisksAndLimitations").text


def test_the_document_says_what_it_is_of_and_what_it_is_not(bundle: Bundle) -> None:
    text = chai_xml(bundle, bundle.manifest.models[0])
    assert text.startswith("<?xml version='1.0' encoding='UTF-8'?>")
    assert RESEARCH_NOTICE in text
    assert bundle.label in text
    assert "@misc{made-2026," in find(ET.fromstring(text), "Bibliography").text


def test_everything_a_model_says_of_its_limits_is_in_its_document(bundle: Bundle, documents: dict[str, ET.Element]) -> None:
    for model in bundle.manifest.models:
        told = find(documents[model.id], "Warnings/KnownRisksAndLimitations").text
        for sentence in (*model.limits, *model.known_failures):
            assert sentence in told
