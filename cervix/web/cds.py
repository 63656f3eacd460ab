"""CDS Hooks: a hospital's system asks for a card about the patient it shows.

    GET  /cds-services                     what there is, and what has to be sent along
    POST /cds-services/cervix-screening    the card

Not there (404) until ``CERVIX_CDS_TOKEN`` is set, and then for programs on this computer alone unless ``CERVIX_CDS_OPEN`` is. A
request that a proxy passed on is not from this computer. Of a request nothing is kept, logged or repeated in an error.
"""

import hmac
from collections.abc import Awaitable, Callable
from functools import lru_cache, wraps
from pathlib import Path
from threading import BoundedSemaphore, Lock
from typing import Final

from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from cervix.bundle import Bundle
from cervix.bundle.active import active_bundle
from cervix.errors import BundleError, CervixError, HookRefused, PatientFileError, PrefetchMissing
from cervix.people import is_loopback
from cervix.settings import get_settings
from cervix.sources.json_text import read_json

MOST_BYTES: Final = 2 << 20
MOST_AT_ONCE: Final = 4
FORWARDED: Final = ("forwarded", "via", "x-forwarded-for", "x-real-ip")
_places = BoundedSemaphore(MOST_AT_ONCE)
_proving = Lock()

Handler = Callable[[Request], Awaitable[Response]]


def _guarded(handler: Handler) -> Handler:
    """Only where it is switched on, from this computer unless opened, and with the token."""

    @wraps(handler)
    async def guarded(request: Request) -> Response:
        settings = get_settings()
        expected = settings.cds_token.get_secret_value()
        if not expected or not (settings.cds_open or _is_from_here(request)):
            return JSONResponse({"error": "Not Found"}, 404)
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        # Both are compared in full, whatever the first differing character.
        same = hmac.compare_digest(token.strip().encode(), expected.encode())
        if scheme.lower() != "bearer" or not same:
            return JSONResponse({"error": "The bearer token is missing or wrong."}, 401, {"WWW-Authenticate": "Bearer"})
        return await handler(request)

    return guarded


def _is_from_here(request: Request) -> bool:
    passed_on = any(name in request.headers for name in FORWARDED)
    return request.client is not None and not passed_on and is_loopback(request.client.host)


@_guarded
async def _discovery(_: Request) -> Response:
    from cervix.interop.cds import services  # what scores is imported when somebody asks, not when the server starts

    return JSONResponse(services())


@_guarded
async def _card(request: Request) -> Response:
    from cervix.interop.cds import SERVICE

    if request.path_params["service"] != SERVICE:
        return JSONResponse({"error": "Not Found"}, 404)
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
        return _refused(HookRefused("The call is not JSON", expected="Content-Type: application/json"), 400)
    try:
        body = await _body(request)
    except ClientDisconnect:
        return Response(status_code=400)
    if body is None:
        return _refused(HookRefused("The call is too large", expected=f"at most {MOST_BYTES >> 20} MB", found="more"), 413)
    if not _places.acquire(blocking=False):
        return JSONResponse({"error": "Other calls are being answered. Ask again."}, 503, {"Retry-After": "1"})
    try:
        return await run_in_threadpool(_answered, body)
    finally:
        _places.release()


async def _body(request: Request) -> bytes | None:
    """All that is sent; None where that is more than is taken."""
    parts, size = [], 0
    async for part in request.stream():
        size += len(part)
        if size > MOST_BYTES:
            return None
        parts.append(part)
    return b"".join(parts)


def _answered(body: bytes) -> Response:
    from cervix.interop.cds import cards

    try:
        return JSONResponse(cards(read_json(body, most_bytes=MOST_BYTES), _active()))
    except PrefetchMissing as error:
        return _refused(error, 412)
    except (HookRefused, PatientFileError) as error:
        return _refused(error, 400)
    except BundleError as error:
        return _refused(error, 503)


def _refused(error: CervixError, status: int) -> Response:
    return JSONResponse({"error": str(error), "code": error.code}, status, {"Connection": "close"} if status == 413 else None)


def _active() -> Bundle:
    """The active bundle, proved once."""
    active = active_bundle(get_settings())
    with _proving:
        return _proved(active.root, active.sha256)


@lru_cache(maxsize=1)
def _proved(root: Path, sha256: str) -> Bundle:
    """On the CPU, where a history takes milliseconds."""
    from cervix.patients.golden import GoldenTables

    del root, sha256
    return active_bundle(get_settings()).load("cpu", GoldenTables())


cds_routes: list[BaseRoute] = [
    Route("/cds-services", _discovery),
    Route("/cds-services/{service}", _card, methods=["POST"]),
]
