"""A FHIR bundle without who the women are: what reading it needs, and nothing else of their persons."""

import hmac
import secrets
from typing import Any, Final

from cervix.interop.fhir.resources import Resource
from cervix.interop.fhir.women import IDENTIFIER_SYSTEM

PATIENT_KEPT: Final = ("resourceType", "id", "identifier", "birthDate")
# Kinds of which more than the kind is read.
READ: Final = frozenset({"Observation", "DiagnosticReport", "Procedure", "Condition", "RiskAssessment", "OperationOutcome"})
NOT_READ: Final = ("text", "performer", "asserter", "recorder", "resultsInterpreter", "presentedForm", "encounter")


def without_persons(bundle: Any) -> Any:
    """A Bundle that ``visits_of_bundle`` reads as it reads the one given.

    Of a Patient there stay id, birth date and identifiers; of other kinds what is read. Identifiers that are no pseudonyms
    of ours are replaced by random ones, the same by the same, so that references by them still lead to her. Ids of resources
    stay. Of anything that is no Bundle there stays what it calls itself.
    """
    if not isinstance(bundle, dict):
        return []
    return _pared(bundle, secrets.token_bytes(32))


def _pared(resource: Resource, key: bytes) -> Resource:
    kind = resource["resourceType"] if isinstance(resource.get("resourceType"), str) else ""
    if kind == "Patient":
        resource = {name: resource[name] for name in PATIENT_KEPT if name in resource}
    elif kind in READ:
        resource = {name: value for name, value in resource.items() if name not in NOT_READ}
    elif kind != "Bundle":
        resource = {"resourceType": kind}
    return {name: _inner(value, key, name) for name, value in resource.items()}


def _inner(value: Any, key: bytes, name: str) -> Any:
    if isinstance(value, list):
        return [_inner(one, key, name) for one in value]
    if not isinstance(value, dict):
        return value
    if "resourceType" in value:
        return _pared(value, key)
    if name == "identifier":
        return _unnamed(value, key)
    return {inner: _inner(one, key, inner) for inner, one in value.items() if inner != "display" or name != "subject"}


def _unnamed(identifier: Resource, key: bytes) -> Resource:
    system, value = identifier.get("system"), identifier.get("value")
    if system == IDENTIFIER_SYSTEM or not isinstance(value, str):
        return {"system": system, "value": value if system == IDENTIFIER_SYSTEM else None}
    return {"system": system, "value": hmac.digest(key, value.encode(errors="replace"), "sha256").hex()}
