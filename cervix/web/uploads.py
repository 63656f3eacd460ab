"""The streamed upload: a browser puts a file here, block by block, and resumes where a connection was lost.

    HEAD   /slides/upload/{token}/{upload}/{number}   Upload-Offset: how much of the file is here
    PUT    the same, with Upload-Offset, Upload-Length, Upload-Name   the bytes from there on
    POST   /slides/upload/{token}/{upload}            the upload is complete; its names again, as JSON
    DELETE the same                                   it is not wanted any more

A refusal is ``{"error": sentence, "code": code}``, the sentence for people and the code, one of ``cervix.errors.ERRORS``, for
programs; an answer to ``HEAD`` has no body, so every refusal says its code in the header ``Error-Code`` too.

The offsets follow the idea of draft-ietf-httpbis-resumable-upload. An upload belongs to the token that began it. A browser
that resumes it under a new token, after a reload or a restart of the server, names the first in ``Upload-Begun-By``.
"""

import json
import logging
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import lru_cache, partial, wraps
from pathlib import Path
from urllib.parse import unquote

from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from cervix.errors import (
    CervixError,
    NameRefused,
    NoRoomForUpload,
    UploadFromElsewhere,
    UploadNotYours,
    UploadPermissionExpired,
    UploadRefused,
    UploadTooLarge,
)
from cervix.intake.uploads import Quotas, UploadStore
from cervix.settings import get_settings
from cervix.web.hosts import is_own_origin
from cervix.web.tokens import TokenRegistry

logger = logging.getLogger(__name__)


# At most so many digits: Python refuses to read thousands of them.
NUMBER = re.compile(r"[0-9]{1,18}")
# Names of twenty thousand files, as JSON.
NAMES_BYTES_AT_MOST = 16 << 20
STATUS = {
    UploadTooLarge: 413,
    NoRoomForUpload: 507,
    UploadNotYours: 403,
    UploadFromElsewhere: 403,
    UploadPermissionExpired: 404,
    NameRefused: 400,
}


@dataclass
class UploadGrant:
    """A session that may upload, and what it has uploaded: upload id -> the files that open its slides, and their names."""

    finished: dict[str, dict[Path, str]] = field(default_factory=dict)


upload_tokens: TokenRegistry[UploadGrant] = TokenRegistry()


# The server's own is used all the time; sandboxes ask for theirs.
@lru_cache(maxsize=64)
def _store_at(folder: Path, limit_bytes: int, quotas: Quotas, keep_photographs: bool) -> UploadStore:
    return UploadStore(folder, limit_bytes, quotas, keep_photographs=keep_photographs)


def upload_store() -> UploadStore:
    """The one store of this server, under the settings' home."""
    settings = get_settings()
    quotas = Quotas(
        session_uploads=settings.unfinished_uploads_a_session,
        session_bytes=int(settings.unfinished_gb_a_session * 1e9),
        all_uploads=settings.unfinished_uploads,
        all_bytes=int(settings.unfinished_gb * 1e9),
        keep_s=settings.uploads_keep_hours * 3600,
    )
    return _store_at(settings.uploads_dir, int(settings.upload_limit_gb * 1e9), quotas, settings.keep_label_photographs)


@asynccontextmanager
async def swept_at_the_start(_: object) -> AsyncIterator[None]:
    """A lifespan that deletes unfinished uploads whose time is over before the first request."""
    await run_in_threadpool(upload_store)
    yield


Handler = Callable[[Request, UploadGrant], Awaitable[Response]]


def _granted(handler: Handler) -> Callable[[Request], Awaitable[Response]]:
    """Only a live token of this very origin gets through; a refusal is one sentence."""

    @wraps(handler)
    async def checked(request: Request) -> Response:
        grant = upload_tokens.find(request.path_params["token"])
        if grant is None:
            expired = UploadPermissionExpired(
                "This page's permission to upload has expired",
                action="Reload the page and choose the same file: the upload continues.",
            )
            return _refusal(expired)
        origin = request.headers.get("origin")
        if origin and not is_own_origin(origin, request.headers.get("host", "")):
            return _refusal(UploadFromElsewhere("Uploads are taken from this app's own pages only"))
        try:
            return await handler(request, grant)
        except CervixError as error:
            return _refusal(error)
        except OSError as error:
            # Without the traceback: the system's own words name files.
            logger.error("an upload failed: %s (%s)", error.strerror, type(error).__name__)
            return _refusal(NoRoomForUpload("The server could not keep the upload", found=error.strerror or ""))

    return checked


def _refusal(error: CervixError, status: int | None = None) -> Response:
    """A refusal with its HTTP status, which its class has where none is given."""
    return JSONResponse(
        {"error": str(error), "code": error.code},
        status_code=status or next((of for kind, of in STATUS.items() if isinstance(error, kind)), 409),
        # Without "close" a browser goes on sending the rest of a gigabyte before it reads the answer.
        headers={"Connection": "close", "Error-Code": error.code},
    )


def _owners(request: Request) -> tuple[str, ...]:
    """The tokens that the sender holds: that of this page, and the one with which the upload was begun."""
    begun_by = request.headers.get("upload-begun-by")
    return (request.path_params["token"], *([begun_by] if begun_by else ()))


@_granted
async def one_file(request: Request, _: UploadGrant) -> Response:
    """``HEAD`` and ``PUT`` of one file of an upload."""
    upload, number = request.path_params["upload"], _number(request.path_params["number"])
    if number is None:
        return _refusal(UploadRefused("There is no file of this number in an upload"), 404)
    store = await run_in_threadpool(upload_store)
    if request.method == "HEAD":
        offset = await run_in_threadpool(partial(store.offset, upload, number, owners=_owners(request)))
        return Response(headers={"Upload-Offset": str(offset), "Cache-Control": "no-store"})
    start, length = (_number(request.headers.get(header, "")) for header in ("upload-offset", "upload-length"))
    name = request.headers.get("upload-name")
    if start is None or length is None or name is None:
        return _refusal(UploadRefused("The request lacks Upload-Offset, Upload-Length or Upload-Name"), 400)
    try:
        here = await store.receive(upload, number, unquote(name), start, length, _blocks(request), owners=_owners(request))
    except ClientDisconnect:
        # Nobody is there to answer; what arrived is kept for the next try.
        return Response(status_code=499)
    return JSONResponse({"offset": here})


def _number(text: str) -> int | None:
    return int(text) if NUMBER.fullmatch(text) else None


async def _blocks(request: Request) -> AsyncIterator[bytes]:
    async for block in request.stream():
        if block:
            yield block


@_granted
async def whole_upload(request: Request, grant: UploadGrant) -> Response:
    """``POST`` ends an upload, ``DELETE`` gives it up."""
    upload = request.path_params["upload"]
    store = await run_in_threadpool(upload_store)
    if request.method == "DELETE":
        await run_in_threadpool(partial(store.discard, upload, owners=_owners(request)))
        return Response(status_code=204)
    names = await _names(request)
    grant.finished[upload] = await run_in_threadpool(partial(store.finish, upload, names, owners=_owners(request)))
    return JSONResponse({"slides": len(grant.finished[upload])})


async def _names(request: Request) -> dict[int, str]:
    """The names of an upload's files by their number, where they are told again: a JSON list in the body."""
    body = bytearray()
    async for block in request.stream():
        body += block
        if len(body) > NAMES_BYTES_AT_MOST:
            raise UploadTooLarge("The list of names is too long", expected=f"at most {NAMES_BYTES_AT_MOST >> 20} MB")
    try:
        told = json.loads(body) if body else []
    except (ValueError, RecursionError):
        told = None
    if not isinstance(told, list) or not all(isinstance(name, str) for name in told):
        raise UploadRefused("The names of the files cannot be read", expected="a JSON list of texts", found="something else")
    return dict(enumerate(told))


upload_routes: list[BaseRoute] = [
    Route("/slides/upload/{token}/{upload}/{number}", one_file, methods=["HEAD", "PUT"]),
    Route("/slides/upload/{token}/{upload}", whole_upload, methods=["POST", "DELETE"]),
]
