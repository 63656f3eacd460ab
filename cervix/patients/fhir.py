"""Scores as FHIR R5: a Bundle of RiskAssessment resources (https://hl7.org/fhir/R5/riskassessment.html)."""

from datetime import date
from decimal import Decimal

import pandas as pd
from fhir.resources.bundle import Bundle as FhirBundle

from cervix.bundle.manifest import DerivedTask, Model
from cervix.patients.vocabulary import PATIENT_ID
from cervix.provenance import Provenance

IDENTIFIER_SYSTEM = "urn:cervix-workbench:pseudonym"
HORIZON_YEARS = {"3y": 3, "5y": 5}
# SNOMED CT: cervical intraepithelial neoplasia grade 2 and 3; "or worse" has no code, so it stands in the text.
OUTCOME_CODES = {
    "cin2": ("285838002", "Cervical intraepithelial neoplasia grade 2"),
    "cin3": ("20365006", "Cervical intraepithelial neoplasia grade III"),
}
SNOMED = "http://snomed.info/sct"


def risk_assessments(scores: pd.DataFrame, model: Model, origin: Provenance) -> FhirBundle:
    """One RiskAssessment a woman, in a Bundle of type ``collection``, validated by the library's models.

    Every resource is ``preliminary``: research output that no clinician has signed. Where the model abstains there is
    no prediction, and a note says so. The subject is a pseudonym.

    Parameters
    ----------
    scores : DataFrame
        Of ``score_visits`` (``risk_<task>`` a question) or ``score_patients`` (``risk``).
    """
    entries = [{"resource": _assessment(row, model, origin)} for _, row in scores.iterrows()]
    return FhirBundle.model_validate(
        {"resourceType": "Bundle", "type": "collection", "timestamp": origin.created, "entry": entries}
    )


def _assessment(row: pd.Series, model: Model, origin: Provenance) -> dict[str, object]:
    notes = [
        origin.notice,
        f"Bundle {origin.bundle}, SHA-256 {origin.bundle_sha256}; {origin.provider}; Cervix Workbench {origin.app_version}.",
        *model.limits,
    ]
    predictions = [] if row["abstained"] else [_prediction(task, row, model.title) for task in model.derived_tasks]
    if not predictions:
        notes.insert(0, "No prediction: the model abstains, as too little is known.")
    return {
        "resourceType": "RiskAssessment",
        "status": "preliminary",
        "subject": {"identifier": {"system": IDENTIFIER_SYSTEM, "value": str(row.get(PATIENT_ID, row.name))}},
        "occurrenceDateTime": _moment(row.get("last_visit"), origin.created),
        "method": {"text": f"{model.title}, {origin.bundle} ({origin.bundle_sha256[:10]})"},
        "performer": {"display": "Cervix Workbench, research software; not a medical device"},
        **({"prediction": predictions} if predictions else {}),
        "note": [{"text": text} for text in notes],
    }


def _prediction(task: DerivedTask, row: pd.Series, method: str) -> dict[str, object]:
    disease, _, horizon = task.id.partition("-")
    risk = row["risk"] if "risk" in row else row[f"risk_{task.id}"]
    code = OUTCOME_CODES.get(disease)
    prediction: dict[str, object] = {
        "outcome": {"text": task.title} | ({"coding": [_coding(*code)]} if code else {}),
        "probabilityDecimal": Decimal(f"{float(risk):.6f}"),
        "rationale": f"{method}. Probability in 0..1, calibrated; see the model card of the bundle.",
    }
    if horizon in HORIZON_YEARS:
        years = HORIZON_YEARS[horizon]
        prediction["whenRange"] = {
            "low": _years(0),
            "high": _years(years),
        }
    return prediction


def _coding(code: str, display: str) -> dict[str, str]:
    return {"system": SNOMED, "code": code, "display": display}


def _years(value: int) -> dict[str, object]:
    return {"value": Decimal(value), "unit": "years", "system": "http://unitsofmeasure.org", "code": "a"}


def _moment(last_visit: object, created: str) -> str:
    """The day the risk counts from: her last visit, or the moment of scoring where that is not dated."""
    if isinstance(last_visit, pd.Timestamp | date) and not pd.isna(last_visit):
        return pd.Timestamp(last_visit).date().isoformat()
    return created


def fhir_json(scores: pd.DataFrame, model: Model, origin: Provenance) -> str:
    """``risk_assessments`` as JSON text."""
    return str(risk_assessments(scores, model, origin).model_dump_json(indent=1))
