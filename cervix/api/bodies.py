"""What a call brings: its options and its body, read within bounds and checked by their models."""

from collections.abc import AsyncIterator
from typing import Final, TypeVar

from pydantic import BaseModel, ValidationError
from starlette.requests import Request

from cervix.api.refusals import UNPROCESSABLE, Refused
from cervix.errors import CallRefused, PatientFileError, UploadTooLarge
from cervix.sources.json_text import read_json
from cervix.web.bodies import body_within, media_type_of

JSON: Final = "application/json"
MOST_JSON_BYTES: Final = 64 << 10
"""Of a body that only names something."""
Model = TypeVar("Model", bound=BaseModel)


def options_of(request: Request, model: type[Model]) -> Model:
    """The options in the query of a call.

    Raises ``Refused`` where one is unknown, given twice or not what it should be.
    """
    given = request.query_params.multi_items()
    if len({name for name, _ in given}) < len(given):
        raise Refused(CallRefused("An option is given twice", expected="each option once"), UNPROCESSABLE)
    return checked(model, dict(given), "option")


def checked(model: type[Model], value: object, what: str) -> Model:
    """A value as its model; ``Refused`` says what is wrong, and repeats nothing of the value."""
    try:
        return model.model_validate(value)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        known = [str(part) for part in first["loc"] if part in model.model_fields]
        where = f" {known[0]}" if known else ""
        expected = "one of " + ", ".join(model.model_fields) if first["type"] == "extra_forbidden" else first["msg"]
        problem = f"The {what}{where} is not one that can be taken"
        raise Refused(CallRefused(problem, expected=expected or "no option"), UNPROCESSABLE) from error


def require_media_type(request: Request, taken: tuple[str, ...]) -> str:
    """The media type of a body, if it is one of these; ``Refused`` where not."""
    found = media_type_of(request)
    if found not in taken:
        raise Refused(CallRefused("The body is of another kind", expected=f"Content-Type: {' or '.join(taken)}"), 415)
    return found


async def whole_body(request: Request, most_bytes: int, what: str) -> bytes:
    """All of a body; ``UploadTooLarge`` as soon as it is, or says that it will be, larger than ``most_bytes``."""
    announced = request.headers.get("content-length", "")
    too_large = UploadTooLarge(f"The {what} is too large", expected=f"at most {most_bytes / 1e6:.1f} MB", found="more")
    if announced.isdecimal() and (len(announced) > len(str(most_bytes)) or int(announced) > most_bytes):
        raise too_large
    body = await body_within(request, most_bytes)
    if body is None:
        raise too_large
    return body


async def json_body(request: Request, model: type[Model]) -> Model:
    """A small JSON body as its model."""
    content = await whole_body(request, MOST_JSON_BYTES, "body")
    try:
        value = read_json(content, most_bytes=MOST_JSON_BYTES)
    except PatientFileError as error:
        raise Refused(CallRefused(error.problem, expected=error.expected, found=error.found), 400) from error
    return checked(model, value, "body's field")


async def blocks_of(request: Request) -> AsyncIterator[bytes]:
    """A body as it comes, block by block."""
    async for block in request.stream():
        if block:
            yield block
