"""What every FHIR document of ours is made of: the collection, its entries, codes, amounts and the software as a Device.

Plain JSON objects in FHIR R5 (5.0.0) or R4 (4.0.1); the tests hold them against the official definitions
(docs/adr/0023-fhir.md).
"""

import json
from collections.abc import Iterable, Sequence
from typing import Any, Final, Literal, TypeAlias
from uuid import UUID

from cervix.bundle import Bundle, Model
from cervix.bundle.loading import SHORT_HASH
from cervix.provenance import Provenance, provenance_of

Resource: TypeAlias = dict[str, Any]
FhirVersion: TypeAlias = Literal["R5", "R4"]
# Element that names a device, and the part of it that holds the name.
DEVICE_NAMES: Final[dict[FhirVersion, tuple[str, str]]] = {"R5": ("name", "value"), "R4": ("deviceName", "name")}
VERSIONS: Final = tuple(DEVICE_NAMES)
MEDIA_TYPE: Final = "application/fhir+json"
BUNDLE_SYSTEM: Final = "urn:cervix-workbench:bundle-sha256"
# The system of identifiers that are URIs themselves (https://hl7.org/fhir/R5/identifier-registry.html).
URI_SYSTEM: Final = "urn:ietf:rfc:3986"
SNOMED, LOINC, UCUM = "http://snomed.info/sct", "http://loinc.org", "http://unitsofmeasure.org"
PRODUCT: Final = "Cervix Workbench"
Code: TypeAlias = tuple[str, str, str]
"""System, code and display of a coding."""
Unit: TypeAlias = tuple[str, str]
"""How a unit is written for people, and its UCUM code."""
PERCENT: Final[Unit] = ("%", "%")
PERCENT_DIGITS = 4
# Characters that FHIR strings must not hold (https://hl7.org/fhir/R5/datatypes.html#string).
_UNPRINTABLE: Final = dict.fromkeys([*range(9), 11, 12, *range(14, 32)], "\N{REPLACEMENT CHARACTER}")


def collection_head(export: UUID, origin: Provenance) -> Resource:
    """A Bundle of type ``collection`` without its entries; ``export`` names it."""
    return {
        "resourceType": "Bundle",
        "id": str(export),
        "identifier": own_identifier(export),
        "type": "collection",
        "timestamp": origin.created,
    }


def entry(name: UUID, resource: Resource) -> Resource:
    """An entry of a Bundle; the resource's id and address are its name."""
    return {"fullUrl": name.urn, "resource": {"resourceType": resource["resourceType"], "id": str(name), **resource}}


def reference(name: UUID) -> Resource:
    """A reference to the entry of that name."""
    return {"reference": name.urn}


def own_identifier(name: UUID) -> Resource:
    """A resource's name as its identifier."""
    return {"system": URI_SYSTEM, "value": name.urn}


def coding(code: Code) -> Resource:
    """A coding."""
    return {"system": code[0], "code": code[1], "display": code[2]}


def concept(text: str, code: Code | None = None) -> Resource:
    """Words, with a code where one says neither more nor less."""
    return {**({"coding": [coding(code)]} if code else {}), "text": text}


def quantity(value: float, unit: Unit) -> Resource:
    """An amount with its UCUM unit."""
    return {"value": plain_number(value), "unit": unit[0], "system": UCUM, "code": unit[1]}


def plain_number(value: float) -> int | float:
    """A number as people write it: 35 for 35.0, 0.1 for a float32's 0.10000000149."""
    rounded = round(float(value), PERCENT_DIGITS)
    return int(rounded) if rounded.is_integer() else rounded


def percentage(share: float) -> float:
    """A share of 0..1 as a percentage, 0..100."""
    return round(min(100.0 * share, 100.0), PERCENT_DIGITS)


def fhir_string(text: str) -> str:
    """The text without the characters that FHIR forbids in strings."""
    return text.translate(_UNPRINTABLE)


def annotations(texts: Iterable[str]) -> list[Resource]:
    """Notes of a resource; empty texts are none."""
    return [{"text": fhir_string(text)} for text in texts if text]


def method_of(model: Model, origin: Provenance) -> Resource:
    """Which model answered, as the method of an assessment or observation."""
    return {"text": f"{model.title}, {origin.bundle} ({origin.bundle_sha256[:SHORT_HASH]})"}


def origin_notes(origin: Provenance) -> list[str]:
    """The research notice, and where an answer comes from."""
    bundle = f"Bundle {origin.bundle}, SHA-256 {origin.bundle_sha256}"
    return [origin.notice, f"{bundle}; {origin.provider}; {PRODUCT} {origin.app_version}."]


def device_resource(origin: Provenance, version: FhirVersion, models: Sequence[Model]) -> Resource:
    """The software that answers as a Device: application and bundle of models, and of each model what it is for.

    Its identifier is the bundle's SHA-256: two installations of one bundle are one device. The notes begin with the research
    notice; then of each model intended use, limits, what it was trained on and how many failures are known.
    """
    element, part = DEVICE_NAMES[version]
    kind = concept("Software: models in a bundle, and the application that runs them")
    return {
        "resourceType": "Device",
        "identifier": [{"system": BUNDLE_SYSTEM, "value": origin.bundle_sha256}],
        element: [{part: PRODUCT, "type": "user-friendly-name"}],
        "type": [kind] if version == "R5" else kind,
        "version": [
            {"type": {"text": "application"}, "value": origin.app_version},
            {"type": {"text": "bundle of models"}, "value": f"{origin.bundle}, SHA-256 {origin.bundle_sha256}"},
        ],
        "note": annotations([origin.notice, *(said for model in models for said in _said_of(model))]),
    }


def _said_of(model: Model) -> list[str]:
    """What the model card says first of a model."""
    sources = "; ".join(f"{data.name} ({data.nature})" for data in model.training_data)
    failures = len(model.known_failures)
    return [
        *(f"{model.title}. Intended use: {use}" for use in model.intended_use),
        *(f"{model.title}. Limit: {limit}" for limit in model.limits),
        f"{model.title}. Trained on: {sources}. {model.organs_seen}".strip(),
        f"{model.title}. Known failures on the model card: {failures or 'none'}.",
    ]


def device_json(bundle: Bundle, version: FhirVersion) -> str:
    """The whole bundle as a Device, as JSON text."""
    models = bundle.manifest.models
    return resource_json(device_resource(provenance_of(bundle, models[0].id), version, models))


def resource_json(resource: Resource) -> str:
    """A resource as JSON text; ``ValueError`` for numbers that JSON has not."""
    return json.dumps(resource, ensure_ascii=False, allow_nan=False, indent=1) + "\n"
