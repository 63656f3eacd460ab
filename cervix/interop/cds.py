"""A card for one patient by CDS Hooks: the guideline's step, the published risk, the model's beside it, and what is missing.

CDS Hooks 2.0 (HL7, https://cds-hooks.hl7.org/2.0/), hook ``patient-view``. Pure: a request comes in as parsed JSON, an answer
goes out; nothing is fetched, kept or logged. ``fhirServer`` and ``fhirAuthorization`` of a request are never used.
"""

import re
from collections.abc import Iterator
from datetime import date
from typing import Any, Final
from uuid import NAMESPACE_URL, uuid5

import pandas as pd

from cervix import RESEARCH_NOTICE, __version__
from cervix.bundle import Bundle, Model
from cervix.errors import HookRefused, NoResultsInFile, PatientFileError, PrefetchMissing
from cervix.interop.fhir.coding import CONDITIONS, ICD_10, ICD_10_CM, ICD_MARKING, TESTS
from cervix.interop.fhir.elements import object_of
from cervix.interop.fhir.reading import READ_AS_FHIR, visits_of_bundle
from cervix.interop.fhir.resources import LOINC, PRODUCT, Resource
from cervix.patients.completeness import completeness_of
from cervix.patients.guideline import Step, published_tables, step_for
from cervix.patients.guideline.ladder import COLPOSCOPY, LADDER
from cervix.patients.guideline.step import MODEL_ALONE
from cervix.patients.history_scoring import beyond_note, score_visits
from cervix.patients.scoring import NO_ANSWER
from cervix.patients.visits import VisitTable
from cervix.plain_text import escaped, printable

HOOK, SERVICE = "patient-view", "cervix-screening"
LONGEST_SUMMARY: Final = 139
"""Characters of a card's summary: fewer than 140 (CDS Hooks 2.0, Card Attributes)."""
PROBLEMS_TOLD: Final = 5
NEEDED: Final = ("patient", "observations", "reports", "procedures", "conditions")
# https://hl7.org/fhir/R5/datatypes.html#id
_ID: Final = re.compile(r"[A-Za-z0-9.-]{1,64}")
# Steps at which somebody should look soon. No card is ever critical: this is no medical device.
_SOON: Final = frozenset(rung.action for rung in LADDER[: LADDER.index(COLPOSCOPY) + 1])


def services() -> Resource:
    """The answer to discovery: the one service, and what of a patient has to be sent along."""
    tests = ",".join(f"{LOINC}|{observed.code}" for observed in TESTS)
    marking = (f"{system}|{code}" for system in (ICD_10, ICD_10_CM) for code in ICD_MARKING)
    had = ",".join(dict.fromkeys((*(f"{answer.system}|{answer.code}" for answer in CONDITIONS), *marking)))
    of = "patient={{context.patientId}}"
    return {
        "services": [
            {
                "hook": HOOK,
                "id": SERVICE,
                "title": "Cervical screening: published and modelled risk of CIN3+",
                "description": f"{RESEARCH_NOTICE} The step of the 2019 ASCCP guideline, the published risk that it rests "
                "on and a model's risk beside it, or why there is none.",
                "prefetch": {
                    "patient": "Patient/{{context.patientId}}",
                    "observations": f"Observation?{of}&code={tests}",
                    "reports": f"DiagnosticReport?{of}&code={tests}",
                    # All of them: no list has every code of a hysterectomy, and words name it too.
                    "procedures": f"Procedure?{of}",
                    "conditions": f"Condition?{of}&code={had}",
                },
                "usageRequirements": "All of the prefetch is needed: this service asks no FHIR server.",
            }
        ]
    }


def cards(request: Any, bundle: Bundle, *, today: date | None = None) -> Resource:
    """The answer to a call of the service: one card; none where nothing of cervical screening was sent, or of the dead.

    Parameters
    ----------
    request : JSON value
        Body of the call.
    bundle : Bundle
        With a model for screening histories.
    today : date, optional
        The day on which it is asked.

    Raises
    ------
    HookRefused
        If the request is not one of ``patient-view``.
    PrefetchMissing
        If what the discovery asks for was not sent, or only a page of it.
    """
    patient, sent = _checked(request)
    if _is_dead(request["prefetch"]["patient"]):
        return {"cards": []}
    day = today or date.today()
    try:
        table = visits_of_bundle(sent, patient=patient, today=day)
    except NoResultsInFile:
        return {"cards": []}
    except PatientFileError as error:
        raise PrefetchMissing(error.problem, expected=error.expected, found=error.found, action=error.action) from error
    session = bundle.session_of("sequence")
    scores = score_visits(table, session)
    if not len(scores):
        return {"cards": []}
    row = scores.iloc[0]
    step = step_for(table.frame, row, session.model, published_tables(bundle, session.model), today=day)
    card = {
        "uuid": str(uuid5(NAMESPACE_URL, f"{SERVICE} {request['hookInstance']}")),
        "summary": printable(_summary(step), LONGEST_SUMMARY),
        "indicator": "warning" if step.action in _SOON else "info",
        "detail": "\n\n".join(escaped(line) for line in _lines(step, row, table, session.model, bundle)),
        "source": {"label": f"{PRODUCT} {__version__}, research and demonstration only"},
    }
    return {"cards": [card]}


def _checked(request: Any) -> tuple[str, Resource]:
    """Id of the patient, and all that was sent of her as one Bundle."""
    if not isinstance(request, dict) or request.get("hook") != HOOK:
        raise HookRefused("This is no call of the service", expected=f"a JSON object with the hook {HOOK}", found="another")
    context, prefetch = request.get("context"), request.get("prefetch")
    patient = context.get("patientId") if isinstance(context, dict) else None
    if not isinstance(request.get("hookInstance"), str) or not isinstance(patient, str) or not _ID.fullmatch(patient):
        raise HookRefused("The call is incomplete", expected="hookInstance, and the id of a Patient as context.patientId")
    sent = prefetch if isinstance(prefetch, dict) else {}
    if missing := [name for name in NEEDED if name not in sent]:
        raise PrefetchMissing(
            "Not all of the prefetch was sent", expected=", ".join(NEEDED), found=f"none of {', '.join(missing)}",
        )  # fmt: skip
    for name in NEEDED[1:]:
        # An empty answer may be sent as null, a search that failed as what failed.
        if sent[name] is not None and object_of(sent[name]).get("resourceType") != "Bundle":
            raise PrefetchMissing(
                "A search of the prefetch was not answered", expected=f"a Bundle of {name}", found="another answer"
            )
    if not isinstance(sent["patient"], dict) or sent["patient"].get("id") != patient:
        raise PrefetchMissing("The patient was not sent", expected="the Patient of context.patientId", found="another, or none")
    entries = [{"resource": sent[name]} for name in NEEDED if sent[name] is not None]
    return patient, {"resourceType": "Bundle", "type": "batch-response", "entry": entries}


def _is_dead(patient: Resource) -> bool:
    return patient.get("deceasedBoolean") is True or bool(patient.get("deceasedDateTime"))


def _summary(step: Step) -> str:
    if not step.action:
        # Reasons may go on; what is beyond the first sentence stands in the detail.
        first, stop, _ = step.reason.partition(". ")
        return f"No guideline step: {first}{stop.strip()}"
    return f"{step.action} (guideline step, no advice; risk: {step.rests_on})"


def _lines(step: Step, row: pd.Series, table: VisitTable, model: Model, bundle: Bundle) -> Iterator[str]:
    """The published risk first, then the model's, then what is missing; the notice last."""
    yield step.headline
    yield from step.lines
    if row[NO_ANSWER] and row[NO_ANSWER] != step.reason:
        yield str(row[NO_ANSWER])
    if not row["abstained"]:
        first = model.derived_tasks[0]
        is_one = pd.isna(row["lowest"])  # no ensemble states a range
        band = "" if is_one else f" (its networks: {row['lowest']:.1%} to {row['highest']:.1%})"
        yield f"{MODEL_ALONE}: {first.title} {row[f'risk_{first.id}']:.1%}{band}."
    yield from filter(None, (completeness_of(row).note, beyond_note(row)))
    if table.problems:
        named = "; ".join(dict.fromkeys(problem.column for problem in table.problems[:PROBLEMS_TOLD]))
        more = f" and {len(table.problems) - PROBLEMS_TOLD:,} more" if len(table.problems) > PROBLEMS_TOLD else ""
        yield f"Not read: {named}{more}."
    yield from (notice for notice in table.notices if notice != READ_AS_FHIR)
    yield f"{RESEARCH_NOTICE} {model.title}, {bundle.label}. Limits: {model.limits[0]}"
