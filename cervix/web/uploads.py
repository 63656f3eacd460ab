"""The streamed upload: a browser puts a file here, block by block, and goes on where a connection broke off.

    HEAD   /slides/upload/{token}/{upload}/{number}   Upload-Offset: how much of the file is here
    PUT    the same, with Upload-Offset, Upload-Length, Upload-Name   the bytes from there on
    POST   /slides/upload/{token}/{upload}            the upload is complete
    DELETE the same                                   it is not wanted any more

The offsets follow the idea of draft-ietf-httpbis-resumable-upload.
"""

import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from functools import lru_cache, wraps
from pathlib import Path
from urllib.parse import unquote, urlsplit

from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from cervix.errors import UploadRefused
from cervix.intake.uploads import UploadStore
from cervix.settings import get_settings
from cervix.web.tokens import TokenRegistry

logger = logging.getLogger(__name__)


@dataclass
class UploadGrant:
    """A session that may upload, and what it has uploaded: upload id -> files that open its slides."""

    finished: dict[str, list[Path]] = field(default_factory=dict)


upload_tokens: TokenRegistry[UploadGrant] = TokenRegistry()


@lru_cache(maxsize=4)
def _store_at(folder: Path, limit_bytes: int, keep_photographs: bool) -> UploadStore:
    return UploadStore(folder, limit_bytes, keep_photographs=keep_photographs)


def upload_store() -> UploadStore:
    """The one store of this server, under the settings' home."""
    settings = get_settings()
    return _store_at(settings.uploads_dir, int(settings.upload_limit_gb * 1e9), settings.keep_label_photographs)


Handler = Callable[[Request, UploadGrant], Awaitable[Response]]


def _granted(handler: Handler) -> Callable[[Request], Awaitable[Response]]:
    """Only a live token of this very origin gets through; a refusal is one sentence."""

    @wraps(handler)
    async def checked(request: Request) -> Response:
        grant = upload_tokens.find(request.path_params["token"])
        if grant is None:
            return _refusal("This page's permission to upload has expired. Reload the page, then go on.", 404)
        origin = request.headers.get("origin")
        if origin and urlsplit(origin).netloc != request.headers.get("host"):
            return _refusal("Uploads are taken from this app's own pages only.", 403)
        try:
            return await handler(request, grant)
        except UploadRefused as error:
            return _refusal(str(error), 409)
        except OSError as error:
            logger.exception("an upload failed")
            return _refusal(f"The server could not keep the upload: {error.strerror}.", 507)

    return checked


def _refusal(sentence: str, status: int) -> Response:
    # Without this a browser goes on sending the rest of a gigabyte before it reads the answer.
    return JSONResponse({"error": sentence}, status_code=status, headers={"Connection": "close"})


@_granted
async def one_file(request: Request, _: UploadGrant) -> Response:
    """``HEAD`` and ``PUT`` of one file of an upload."""
    upload, number = request.path_params["upload"], request.path_params["number"]
    store = upload_store()
    if request.method == "HEAD":
        offset = await run_in_threadpool(store.offset, upload, number)
        return Response(headers={"Upload-Offset": str(offset), "Cache-Control": "no-store"})
    try:
        offset, length = (int(request.headers[name]) for name in ("upload-offset", "upload-length"))
        name = unquote(request.headers["upload-name"])
    except (KeyError, ValueError):
        return _refusal("The request lacks Upload-Offset, Upload-Length or Upload-Name.", 400)
    try:
        here = await store.receive(upload, number, name, offset, length, _blocks(request))
    except ClientDisconnect:
        # Nobody is there to answer; what arrived is kept for the next try.
        return Response(status_code=499)
    return JSONResponse({"offset": here})


async def _blocks(request: Request) -> AsyncIterator[bytes]:
    async for block in request.stream():
        if block:
            yield block


@_granted
async def whole_upload(request: Request, grant: UploadGrant) -> Response:
    """``POST`` ends an upload, ``DELETE`` gives it up."""
    upload = request.path_params["upload"]
    store = upload_store()
    if request.method == "DELETE":
        await run_in_threadpool(store.discard, upload)
        return Response(status_code=204)
    grant.finished[upload] = await run_in_threadpool(store.finish, upload)
    return JSONResponse({"slides": len(grant.finished[upload])})


upload_routes: list[BaseRoute] = [
    Route("/slides/upload/{token}/{upload}/{number:int}", one_file, methods=["HEAD", "PUT"]),
    Route("/slides/upload/{token}/{upload}", whole_upload, methods=["POST", "DELETE"]),
]
