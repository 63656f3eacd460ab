"""Calls about slides: one that is sent, or one that is here already, becomes a job."""

import secrets
from functools import partial
from pathlib import Path
from typing import Final
from urllib.parse import unquote

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from cervix.api.bodies import JSON, blocks_of, json_body, require_media_type
from cervix.api.calls_jobs import SLIDES, job_answer, require_room
from cervix.api.operations import BINARY, Answer, Header, Operation
from cervix.api.places import OPENINGS, UPLOADS
from cervix.api.records import records_of
from cervix.api.refusals import UNPROCESSABLE, Refused, not_found
from cervix.api.told import JobTold, NamedSlide, SlideOptions
from cervix.errors import CallRefused, NameRefused, UploadTooLarge
from cervix.intake.inbox import file_in_inbox
from cervix.outside_names import safe_name
from cervix.settings import get_settings
from cervix.web.programs import caller_of
from cervix.web.uploads import upload_store

FILE: Final = "application/octet-stream"
NAME: Final = "Upload-Name"
LENGTH_DIGITS: Final = 15


async def _slides(request: Request, options: SlideOptions) -> Response:
    holder = caller_of(request)
    kind = require_media_type(request, (FILE, JSON))
    require_room(holder)
    if kind == JSON:
        if request.query_params:
            raise Refused(CallRefused("Options of a slide that is here go into the body"), UNPROCESSABLE)
        named = await json_body(request, NamedSlide)
        path, options = await run_in_threadpool(_place_of, named, holder), named
    else:
        with UPLOADS.taken():
            path = await _received(request)
    with OPENINGS.taken():
        sha256 = await run_in_threadpool(upload_store().sha256_at, path)
        record = await run_in_threadpool(SLIDES.begin, path, sha256, options, holder)
    return await job_answer(record, 202)


async def _received(request: Request) -> Path:
    """The slide that a call brings, kept as an upload of the page is; what did not become one is gone."""
    name = safe_name(unquote(request.headers.get(NAME.lower(), "")))
    length = _length_of(request)
    store = await run_in_threadpool(upload_store)
    # A secret of its own: what one call left unfinished is not counted against the next.
    upload, secret = secrets.token_hex(16), secrets.token_urlsafe(24)
    try:
        await store.receive(upload, 0, str(name), 0, length, blocks_of(request), owners=(secret,))
        found = await run_in_threadpool(partial(store.finish, upload, owners=(secret,)))
    finally:
        await run_in_threadpool(partial(store.discard, upload, owners=(secret,)))
    if len(found) != 1:
        raise Refused(CallRefused("A call is about one slide", found=f"{len(found)} in this file"), UNPROCESSABLE)
    return next(iter(found))


def _length_of(request: Request) -> int:
    """How long the file will be: room for it is made sure of before its first byte."""
    said = request.headers.get("content-length") or request.headers.get("upload-length", "")
    if not said:
        raise Refused(CallRefused("The length of the slide is not said", expected="Content-Length, or Upload-Length"), 411)
    if not (said.isascii() and said.isdecimal()):
        raise Refused(CallRefused("The length of the slide is no number"), UNPROCESSABLE)
    if len(said) > LENGTH_DIGITS:
        raise UploadTooLarge("The slide is too large")
    return int(said)


def _place_of(named: NamedSlide, holder: str) -> Path:
    """Where a slide lies that is here already."""
    settings = get_settings()
    if named.slide_sha256 is not None:
        record = records_of(settings).of_slide(named.slide_sha256, holder)
        if record is None or record.slide is None or not record.slide.path.is_file():
            raise not_found("slide of this token, or not any more")
        return record.slide.path
    try:
        path = file_in_inbox(settings.inbox, str(named.inbox))
    except NameRefused as error:
        raise Refused(error, UNPROCESSABLE) from error
    if path is not None:
        return path
    raise not_found("slide in an inbox folder")


SLIDE_OPERATIONS: Final = (
    Operation(
        method="POST",
        path="/slides",
        name="scoreSlide",
        summary="Have a slide scored: send it, or name one that is here.",
        handler=_slides,
        options=SlideOptions,
        headers=(
            Header(
                NAME,
                "Name of the file, percent-encoded: its ending says what it is; it is not kept. Not needed with JSON.",
                {"type": "string"},
                required=False,
            ),
        ),
        bodies={FILE: BINARY, JSON: NamedSlide},
        answers={202: Answer("The job, which may be done already.", {JSON: JobTold}, ("Location", "Retry-After"))},
        refusals=(400, 409, 411, 413, 415, 422, 429, 503, 507),
    ),
)
