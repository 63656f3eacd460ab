"""A model's facts in the order of the CHAI Applied Model Card, schema 0.2.

https://mc.chai.org/v0.2/schema.xsd (Coalition for Health AI). The same tree becomes XML and the card's sections.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass

from cervix.bundle import Bundle, Model
from cervix.bundle.manifest import TrainingData
from cervix.card.blocks import sentence
from cervix.card.chai_metrics import Metric, key_metrics


@dataclass(frozen=True)
class Part:
    """One element: text, parts, or the results of a metric.

    Attributes
    ----------
    title : str
        For readers; empty where the element is no heading.
    said_under : str
        Section of the card that already says the same; there the text is not repeated.
    of_bundle : bool
        Whether it is the same for every model of the bundle.
    """

    element: str
    title: str
    content: "str | tuple[Part, ...]"
    said_under: str = ""
    of_bundle: bool = False


def chai_card(bundle: Bundle, model: Model) -> tuple[Part, ...]:
    """The children of ``AppliedModelCard``, in the schema's order."""
    facts, of = bundle.manifest.card, bundle.manifest.card.models[model.id]
    return (
        Part("BasicInfo", "Basic information", (
            Part("ModelName", "Model", model.title),
            _bundle("ModelDeveloper", "Developer", facts.developer),
            _bundle("DeveloperContact", "Contact", facts.contact),
        )),
        Part("ReleaseInfo", "Release", (
            _bundle("ReleaseStage", "Stage", f"{bundle.manifest.stage}. {model.notice}"),
            _bundle("ReleaseDate", "Date", f"{bundle.manifest.created:%Y-%m-%d}"),
            _bundle("ReleaseVersion", "Version", bundle.label),
            _bundle("GlobalAvailability", "Availability", facts.availability),
            _bundle("RegulatoryApproval", "Regulatory approval", facts.regulatory_approval),
        )),
        Part("ModelSummary", "Summary", (
            Part("Summary", "Summary", f"{sentence(model.task)} {sentence(model.outcome)}"),
            Part("Keywords", "Keywords", tuple(Part("Keyword", "", word) for word in of.keywords)),
        )),
        Part("UsesAndDirections", "Uses and directions", (
            Part("IntendedUseAndWorkflow", "Intended use and workflow", _joined([*model.intended_use, of.workflow])),
            Part("PrimaryIntendedUsers", "Primary intended users", of.intended_users),
            Part("HowToUse", "How to use", of.how_to_use),
            Part("TargetedPatientPopulation", "Targeted patient population", of.population),
            Part("CautionedOutOfScopeSettings", "Cautioned out-of-scope settings", of.out_of_scope),
        )),
        Part("Warnings", "Warnings", (
            Part(
                "KnownRisksAndLimitations", "Known risks and limitations", _joined([*model.limits, *model.known_failures]),
                "Limits and Known failures",
            ),
            Part("KnownBiasesOrEthicalConsiderations", "Known biases or ethical considerations", of.biases_and_ethics),
            Part("ClinicalRiskLevel", "Clinical risk level", of.clinical_risk_level),
        )),
        Part("TrustIngredients", "Trust ingredients", (
            Part("AISystemFacts", "System facts", (
                Part("OutcomesAndOutputs", "Outcomes and outputs", _joined(
                    f"{item.name}: {item.meaning}" for item in model.outputs
                )),
                Part("ModelType", "Model type", model.architecture, "the line below its title"),
                Part("FoundationModels", "Foundation models", of.foundation_models),
                Part(
                    "InputDataSource", "Input data source", _joined(_source(data) for data in model.training_data),
                    "Training data",
                ),
                Part("OutputAndInputDataTypes", "Output and input data types", _joined(
                    f"{way} {item.name}: {item.dtype}, {' × '.join(str(size) for size in item.shape)}, {item.unit}"
                    for way, items in (("Input", model.inputs), ("Output", model.outputs))
                    for item in items
                )),
                Part(
                    "DevelopmentDataCharacterization", "Development data",
                    _joined(_counts(data) for data in model.training_data), "Training data",
                ),
                Part("BiasMitigationApproaches", "Bias mitigation", of.bias_mitigation),
                _bundle("OngoingMaintenance", "Ongoing maintenance", facts.maintenance),
                _bundle("Security", "Security", facts.security),
                _bundle("Transparency", "Transparency", facts.transparency),
            )),
            Part("TransparencyInformation", "Transparency information", (
                _bundle("FundingSource", "Funding source", facts.funding),
                _bundle("ThirdPartyInformation", "Third-party information", facts.third_party),
                _bundle("StakeholdersConsulted", "Stakeholders consulted", facts.stakeholders),
            )),
        )),
        Part("KeyMetrics", "Key metrics", _metrics(bundle, model)),
        Part("Resources", "Resources", (
            _bundle("EvaluationReferences", "Evaluation references", "The card and the held-out predictions of the bundle."),
            _bundle("ClinicalTrial", "Clinical trial", "None."),
            _bundle("PeerReviewedPublications", "Peer-reviewed publications", facts.peer_reviewed_publications),
            _bundle("PatientConsentOrDisclosure", "Patient consent or disclosure", facts.patient_consent),
        )),
        Part("Bibliography", "Bibliography", "\n\n".join(item.bibtex for item in facts.citations), "Citations", of_bundle=True),
    )  # fmt: skip


def _bundle(element: str, title: str, text: str) -> Part:
    return Part(element, title, text, of_bundle=True)


def _metrics(bundle: Bundle, model: Model) -> tuple[Part, ...]:
    """The three metrics. How they were tested is the same for all and is given under the first."""
    first, *others = key_metrics(bundle, model)
    return (_metric(first, ""), *(_metric(metric, first.title) for metric in others))


def _metric(metric: Metric, said_under: str) -> Part:
    results = tuple(
        Part("MetricResult", "", (Part("Label", "", result.label), Part("ValueJson", "", json.dumps(result.value))))
        for result in metric.results
    )
    return Part(metric.element, metric.title, (
        Part("MetricGoal", "Goal", metric.goal),
        Part("Results", "Results", results),
        Part("Interpretation", "Interpretation", metric.interpretation),
        Part("TestType", "Test type", metric.test_type, said_under),
        Part("TestingDataDescription", "Testing data", metric.testing_data, said_under),
        Part("ValidationProcessAndJustification", "Validation process and justification", metric.validation, said_under),
    ))  # fmt: skip


def _source(data: TrainingData) -> str:
    return f"{data.name} ({data.nature}; {data.licence}). {data.described} {data.citation}"


def _counts(data: TrainingData) -> str:
    if not data.counts:
        return f"{data.name}: {data.note}"
    splits = "; ".join(
        f"{split} {sum(counts.values()):,} cases ({', '.join(f'{label} {n:,}' for label, n in counts.items())}) "
        f"of {data.groups[split]:,} groups"
        for split, counts in data.counts.items()
    )
    return f"{data.name}, split by {data.grouped_by}: {splits}"


def _joined(texts: Iterable[str]) -> str:
    return " ".join(sentence(text) for text in texts)
