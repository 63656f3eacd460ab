"""CDS Hooks: a hospital's system asks for a card about the patient it shows.

    GET  /cds-services                     what there is, and what has to be sent along
    POST /cds-services/cervix-screening    the card

Not there (404) until ``CERVIX_CDS_TOKEN`` is set, and then for programs on this computer alone unless ``CERVIX_CDS_OPEN`` is
(``cervix.web.programs``). Of a request nothing is kept, logged or repeated in an error.
"""

from threading import BoundedSemaphore
from typing import Final

from starlette.concurrency import run_in_threadpool
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from cervix.errors import BundleError, CervixError, HookRefused, PatientFileError, PrefetchMissing
from cervix.settings import get_settings
from cervix.sources.json_text import read_json
from cervix.web.bodies import body_within, media_type_of
from cervix.web.bundles import active_proved
from cervix.web.programs import ProgramDoor, ProgramsOnly

MOST_BYTES: Final = 2 << 20
MOST_AT_ONCE: Final = 4
_places = BoundedSemaphore(MOST_AT_ONCE)


def _door() -> ProgramDoor:
    settings = get_settings()
    return ProgramDoor((settings.cds_token,) if settings.cds_token.get_secret_value() else (), settings.cds_open)


async def _discovery(_: Request) -> Response:
    from cervix.interop.cds import services  # what scores is imported when somebody asks, not when the server starts

    return JSONResponse(services())


async def _card(request: Request) -> Response:
    from cervix.interop.cds import SERVICE

    if request.path_params["service"] != SERVICE:
        return JSONResponse({"error": "Not Found"}, 404)
    if media_type_of(request) != "application/json":
        return _refused(HookRefused("The call is not JSON", expected="Content-Type: application/json"), 400)
    try:
        body = await body_within(request, MOST_BYTES)
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


def _answered(body: bytes) -> Response:
    from cervix.interop.cds import cards

    try:
        # On the CPU, where a history takes milliseconds.
        return JSONResponse(cards(read_json(body, most_bytes=MOST_BYTES), active_proved("cpu")))
    except PrefetchMissing as error:
        return _refused(error, 412)
    except (HookRefused, PatientFileError) as error:
        return _refused(error, 400)
    except BundleError as error:
        return _refused(error, 503)


def _refused(error: CervixError, status: int) -> Response:
    return JSONResponse({"error": str(error), "code": error.code}, status, {"Connection": "close"} if status == 413 else None)


_for_programs = [Middleware(ProgramsOnly, door=_door)]

cds_routes: list[BaseRoute] = [
    Route("/cds-services", _discovery, middleware=_for_programs),
    Route("/cds-services/{service}", _card, methods=["POST"], middleware=_for_programs),
]
