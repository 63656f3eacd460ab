"""The operations of the API, and the application that answers them."""

from typing import Final

from starlette.concurrency import run_in_threadpool
from starlette.middleware.exceptions import ExceptionMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Router
from starlette.types import ASGIApp, Receive, Scope, Send

from cervix.api.bodies import JSON
from cervix.api.brief import bundle_told
from cervix.api.calls_jobs import JOB_OPERATIONS
from cervix.api.calls_patients import PATIENT_OPERATIONS
from cervix.api.calls_slides import SLIDE_OPERATIONS
from cervix.api.description import described
from cervix.api.operations import OBJECT, Answer, Operation, routes_of
from cervix.api.refusals import HANDLERS, not_found
from cervix.api.told import BundleTold, NoOptions
from cervix.web.bundles import active_proved


async def _bundle(_: Request, __: NoOptions) -> Response:
    bundle = await run_in_threadpool(active_proved)
    return Response(bundle_told(bundle).model_dump_json(), 200, media_type=JSON)


async def _description(_: Request, __: NoOptions) -> Response:
    return JSONResponse(described(OPERATIONS))


OPERATIONS: Final[tuple[Operation, ...]] = (
    *SLIDE_OPERATIONS,
    *PATIENT_OPERATIONS,
    *JOB_OPERATIONS,
    Operation(
        method="GET",
        path="/bundle",
        name="getBundle",
        summary="Which models score now, and what they are not for.",
        handler=_bundle,
        answers={200: Answer("The active bundle in brief.", {JSON: BundleTold})},
        refusals=(422, 503),
    ),
    Operation(
        method="GET",
        path="/openapi.json",
        name="getDescription",
        summary="This description.",
        handler=_description,
        answers={200: Answer("OpenAPI 3.1.", {JSON: OBJECT})},
        refusals=(422,),
    ),
)
"""All that can be asked: routes, checks and description come from here."""


async def _nothing(*_: Scope | Receive | Send) -> None:
    raise not_found("address")


application: Final[ASGIApp] = ExceptionMiddleware(
    Router(routes_of(OPERATIONS), redirect_slashes=False, default=_nothing), handlers=HANDLERS
)
"""What lies under the prefix; the door before it is ``cervix.api``'s."""
