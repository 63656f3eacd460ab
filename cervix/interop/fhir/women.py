"""Answers about women as FHIR R5 or R4: a Bundle of RiskAssessments with the Observations that each rests on.

Plain JSON objects; the tests hold them against the official definitions (docs/adr/0023-fhir.md).
"""

import json
from collections.abc import Callable, Iterator
from typing import Any, Final
from uuid import uuid4, uuid5

import numpy as np
import pandas as pd

from cervix.bundle.manifest import DerivedTask, Model
from cervix.interop.fhir.coding import ANSWER_BY_CODE, TEST_BY_CODE
from cervix.interop.fhir.resources import (
    LOINC,
    SNOMED,
    Code,
    FhirVersion,
    Resource,
    Unit,
    annotations,
    collection_head,
    concept,
    device_resource,
    entry,
    fhir_string,
    method_of,
    origin_notes,
    own_identifier,
    percentage,
    plain_number,
    quantity,
    reference,
)
from cervix.patients.completeness import completeness_of
from cervix.patients.guideline.step import STEP, STEP_REASON, STEP_RESTS_ON
from cervix.patients.history_scoring import beyond_note
from cervix.patients.scoring import NO_ANSWER
from cervix.patients.sequences import TIME_YEARS
from cervix.patients.visit_vocabulary import AGE, VISIT_COLUMNS, VISIT_DATE
from cervix.patients.vocabulary import COLUMNS, PATIENT_ID
from cervix.provenance import Provenance

IDENTIFIER_SYSTEM: Final = "urn:cervix-workbench:pseudonym"
HORIZON_YEARS: Final = {"3y": 3, "5y": 5}
# Codes of disorders, with their fully specified name. "Or worse" has no code, so it stands in the text. CIN3 has none at
# all: 20365006 is the morphology that a pathologist sees and no disorder of a woman.
OUTCOME_CODES: Final[dict[str, Code]] = {"cin2": (SNOMED, "285838002", ANSWER_BY_CODE[SNOMED, "285838002"].name)}
# What an observation is, where a code says neither more nor less than the column. HPV codes name an assay, columns do not.
OBSERVATION_CODES: Final[dict[str, Code]] = {
    column: (LOINC, code, TEST_BY_CODE[LOINC, code].name)
    for column, code in {"cytology": "10524-7", AGE: "30525-0", "Age": "30525-0"}.items()
}
_YEARS: Final[Unit] = ("years", "a")


def risk_bundle(
    scores: pd.DataFrame, inputs: pd.DataFrame, model: Model, origin: Provenance, version: FhirVersion = "R5"
) -> Resource:
    """A Bundle of type ``collection``: the software as Device, then of each woman Patient, Observations and RiskAssessment.

    Every assessment is ``preliminary``: research output that no clinician has signed. Of a woman nothing leaves but her
    pseudonym, her dates and what was read of her. Probabilities are percentages, 0..100, as the specification says. A
    horizon is the period from her last visit on; it is left out where that has no date. Where there is no answer there is
    no prediction, and a note says why; another says what an answer does not rest on.

    Parameters
    ----------
    scores : DataFrame
        Of ``score_visits`` (``risk_<task>`` a question) or ``score_patients`` (``risk``); all or some rows.
    inputs : DataFrame
        ``VisitTable.frame`` or ``PatientTable.frame`` that was scored; rows of others are not used.
    version : "R5" or "R4"
    """
    return {**collection_head(uuid4(), origin), "entry": list(_entries(scores, inputs, model, origin, version))}


def fhir_pieces(
    scores: pd.DataFrame, inputs: pd.DataFrame, model: Model, origin: Provenance, version: FhirVersion = "R5"
) -> Iterator[str]:
    """``risk_bundle`` as JSON text, piece by piece, so that a long list need not be held twice."""
    yield json.dumps(collection_head(uuid4(), origin), ensure_ascii=False)[:-1] + ', "entry": ['
    for position, one in enumerate(_entries(scores, inputs, model, origin, version)):
        yield (",\n" if position else "\n") + json.dumps(one, ensure_ascii=False, allow_nan=False)
    yield "\n]}\n"


def fhir_json(scores: pd.DataFrame, inputs: pd.DataFrame, model: Model, origin: Provenance, version: FhirVersion = "R5") -> str:
    """``risk_bundle`` as JSON text."""
    return "".join(fhir_pieces(scores, inputs, model, origin, version))


def _entries(
    scores: pd.DataFrame, inputs: pd.DataFrame, model: Model, origin: Provenance, version: FhirVersion
) -> Iterator[Resource]:
    # Random, so that two hospitals' woman "1" are never one; all ids of an export follow from it.
    namespace = uuid4()
    device = uuid5(namespace, "device")
    yield entry(device, device_resource(origin, version, [model]))
    observations_of = _visit_observations if TIME_YEARS in inputs else _factor_observations
    observed = observations_of(scores, inputs, model)
    for position, (line, row) in enumerate(scores.iterrows()):
        woman = uuid5(namespace, f"patient {position}")
        pseudonym = fhir_string(str(row.get(PATIENT_ID, ""))).strip() or f"row {line}"
        identifier = [{"system": IDENTIFIER_SYSTEM, "value": pseudonym}]
        yield entry(woman, {"resourceType": "Patient", "identifier": identifier})
        basis = []
        for number, observation in enumerate(observed(position)):
            seen = uuid5(namespace, f"observation {position} {number}")
            basis.append(reference(seen))
            yield entry(seen, {"resourceType": "Observation", "status": "unknown", "subject": reference(woman), **observation})
        name = uuid5(namespace, f"assessment {position}")
        yield entry(
            name,
            {
                "resourceType": "RiskAssessment",
                "identifier": [own_identifier(name)],
                "subject": reference(woman),
                "performer": reference(device),
                **({"basis": basis} if basis else {}),
                **_assessment(row, model, origin),
            },
        )


def _assessment(row: pd.Series, model: Model, origin: Provenance) -> Resource:
    notes = [
        completeness_of(row).note,
        beyond_note(row),
        f"No prediction. {row[NO_ANSWER]}".strip() if row["abstained"] else "",
        _step_note(row),
        *origin_notes(origin),
        *model.limits,
    ]
    last_visit = _day(row.get("last_visit"))
    predictions = [] if row["abstained"] else [_prediction(task, row, last_visit) for task in model.derived_tasks]
    return {
        "status": "preliminary",
        "method": method_of(model, origin),
        "occurrenceDateTime": origin.created,
        **({"prediction": predictions} if predictions else {}),
        "note": annotations(notes),
    }


def _step_note(row: pd.Series) -> str:
    """The guideline's step, or why there is none; empty for scores that come without."""
    if STEP not in row:
        return ""
    reason = str(row[STEP_REASON])
    if not row[STEP]:
        return f"No guideline step: {reason}"
    told = f"Guideline step, no advice: {row[STEP]}. Risk: {row[STEP_RESTS_ON]}."
    return f"{told} By {reason}." if reason else told


def _prediction(task: DerivedTask, row: pd.Series, last_visit: pd.Timestamp | None) -> Resource:
    disease, _, horizon = task.id.partition("-")
    risk = float(row["risk"] if "risk" in row else row[f"risk_{task.id}"])
    years = HORIZON_YEARS.get(horizon)
    counted = ""
    when: Resource = {}
    if years and last_visit is not None:
        # whenRange would be an age of hers; a period cannot be taken for one.
        end = last_visit + pd.DateOffset(years=years)
        when = {"whenPeriod": {"start": str(last_visit.date()), "end": str(end.date())}}
        counted = " Counted from her last visit."
    elif years:
        counted = " Counted from her last visit, which has no date."
    return {
        "outcome": concept(task.title, OUTCOME_CODES.get(disease)),
        "probabilityDecimal": percentage(risk),
        **when,
        "rationale": f"A percentage, 0 to 100, calibrated as described in the model card of the bundle.{counted}",
    }


def _visit_observations(scores: pd.DataFrame, visits: pd.DataFrame, model: Model) -> Callable[[int], Iterator[Resource]]:
    """What was known at the visits, of the columns that the model reads; ages and results as they were read."""
    columns = dict.fromkeys(feature.column for feature in model.features.encoding) if model.features else {}
    cells = {column: visits[column].astype(object).to_numpy() for column in columns}
    days = visits[VISIT_DATE].to_numpy("datetime64[D]")
    rows_of = visits.groupby(PATIENT_ID, sort=False).indices
    women = scores[PATIENT_ID].to_numpy(object)

    def observations(position: int) -> Iterator[Resource]:
        rows = rows_of[women[position]]
        for visit, row in enumerate(rows, 1):
            undated = np.isnat(days[row])
            when = (
                {"note": [{"text": f"At visit {visit} of {len(rows)}, which has no date."}]}
                if undated
                else {"effectiveDateTime": str(days[row])}
            )
            for column, values in cells.items():
                if pd.isna(values[row]):
                    continue
                label = VISIT_COLUMNS[column].label if column in VISIT_COLUMNS else "Age"
                value = _years(values[row]) if column == AGE else {"valueCodeableConcept": concept(str(values[row]))}
                yield {"code": concept(label, OBSERVATION_CODES.get(column)), **when, **value}

    return observations


def _factor_observations(scores: pd.DataFrame, patients: pd.DataFrame, model: Model) -> Callable[[int], Iterator[Resource]]:
    """What was known of the risk factors that the model reads. The table has no dates."""
    names = model.features.names if model.features else []
    values = patients.loc[scores.index, names].to_numpy(np.float64)

    def observations(position: int) -> Iterator[Resource]:
        for name, value in zip(names, values[position], strict=True):
            if np.isnan(value):
                continue
            column = COLUMNS[name]
            if column.kind == "yes-no":
                told: Resource = {"valueCodeableConcept": concept("yes" if value else "no")}
            else:
                told = _years(value) if column.kind == "years" else {"valueQuantity": {"value": plain_number(value)}}
            yield {"code": concept(column.label, OBSERVATION_CODES.get(name)), **told}

    return observations


def _years(value: float) -> Resource:
    return {"valueQuantity": quantity(value, _YEARS)}


def _day(moment: Any) -> pd.Timestamp | None:
    return None if moment is None or pd.isna(moment) else pd.Timestamp(moment)
