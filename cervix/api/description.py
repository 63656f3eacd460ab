"""OpenAPI 3.1 of the API, from its operations and models: nothing is described by hand a second time."""

import re
from typing import Any, Literal

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from cervix import RESEARCH_NOTICE, __version__
from cervix.api import PREFIX
from cervix.api.operations import Answer, Content, Operation
from cervix.api.refusals import RETRY_AFTER_S
from cervix.api.told import Described, Refusal
from cervix.interop.fhir.resources import PRODUCT

Mode = tuple[type[BaseModel], Literal["validation", "serialization"]]
REF = "#/components/schemas/{model}"
REASONS = {
    400: "The body is not JSON.", 401: "The bearer token is missing or wrong.", 404: "There is none, or not this token's.",
    409: "It is not there yet.", 410: "It is not kept any more.", 411: "The length of the body is not said.",
    413: "Too large.", 415: "A kind of body that is not taken.", 422: "What was sent cannot be scored, and why.",
    429: "As many jobs of this token wait or run as may.", 503: "Busy: ask again.", 507: "The server's disk is full.",
}  # fmt: skip


def described(operations: tuple[Operation, ...]) -> Described:
    """The whole description."""
    asked = dict.fromkeys(model for operation in operations for model in _models(operation.bodies))
    answers = [answer.content for operation in operations for answer in operation.answers.values()]
    told: dict[type[BaseModel], None] = dict.fromkeys([Refusal, *(model for content in answers for model in _models(content))])
    modes: list[Mode] = [(model, "validation") for model in asked]
    modes += [(model, "serialization") for model in told]
    _, schemas = models_json_schema(modes, ref_template=REF)
    paths: dict[str, dict[str, Any]] = {}
    for operation in operations:
        paths.setdefault(PREFIX + operation.path, {})[operation.method.lower()] = _operation(operation)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": f"{PRODUCT}: scoring API",
            "version": __version__,
            "description": f"{RESEARCH_NOTICE} Slides and tables of women are scored as jobs. A job belongs to the token that "
            "made it. Names of files, which can name a woman, go into a header and never into an address.",
        },
        "servers": [{"url": "/"}],
        "security": [{"token": []}],
        "paths": paths,
        "components": {
            "schemas": schemas.get("$defs", {}),
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
    }


def _models(content: Content) -> list[type[BaseModel]]:
    return [model for held in content.values() for model in _models_in(held)]


def _models_in(held: object) -> tuple[type[BaseModel], ...]:
    """The models that one media type holds; none where it is a file."""
    if isinstance(held, tuple):
        return held
    return (held,) if isinstance(held, type) and issubclass(held, BaseModel) else ()


def _operation(operation: Operation) -> Described:
    refusals = sorted({401, 404, *operation.refusals} - set(operation.answers))
    told: Described = {
        "operationId": operation.name,
        "summary": operation.summary,
        "parameters": [*_path(operation), *_query(operation), *_headers(operation)],
        "responses": {
            **{str(status): _answer(answer) for status, answer in operation.answers.items()},
            **{str(status): _refused(status) for status in refusals},
        },
    }
    if operation.bodies:
        told["requestBody"] = {"required": True, "content": _content(operation.bodies)}
    return told


def _path(operation: Operation) -> list[Described]:
    schema = {"type": "string", "pattern": "^[0-9a-f]{32}$"}
    return [{"name": name, "in": "path", "required": True, "schema": schema} for name in re.findall(r"{(\w+)}", operation.path)]


def _query(operation: Operation) -> list[Described]:
    schema = operation.options.model_json_schema()
    return [
        {
            "name": name,
            "in": "query",
            "required": False,
            "description": of.get("description", ""),
            "schema": _without_null({key: value for key, value in of.items() if key not in ("description", "title")}),
        }
        for name, of in schema.get("properties", {}).items()
    ]


def _without_null(schema: Described) -> Described:
    """An option that is not given is left out: there is no null in an address."""
    kinds = [kind for kind in schema.get("anyOf", []) if kind.get("type") != "null"]
    rest = {key: value for key, value in schema.items() if key not in ("anyOf", "default")}
    return {**kinds[0], **rest} if len(kinds) == 1 else schema


def _headers(operation: Operation) -> list[Described]:
    return [
        {"name": one.name, "in": "header", "required": one.required, "description": one.description, "schema": one.schema}
        for one in operation.headers
    ]


def _answer(answer: Answer) -> Described:
    text = {"schema": {"type": "string"}}
    told: Described = {"description": answer.description}
    if answer.content:
        told["content"] = _content(answer.content)
    if answer.headers:
        told["headers"] = dict.fromkeys(answer.headers, text)
    return told


def _refused(status: int) -> Described:
    told = _answer(Answer(REASONS[status], {"application/json": Refusal}))
    if status in RETRY_AFTER_S:
        told["headers"] = {"Retry-After": {"schema": {"type": "string"}}}
    return told


def _content(content: Content) -> Described:
    return {media: {"schema": _schema(held)} for media, held in content.items()}


def _schema(held: object) -> Described:
    models = [{"$ref": REF.format(model=model.__name__)} for model in _models_in(held)]
    if isinstance(held, dict):
        return dict(held)
    return models[0] if len(models) == 1 else {"oneOf": models}
