"""Where the pages of earlier releases are now: links and bookmarks to them go on working."""

from starlette.requests import Request
from starlette.responses import RedirectResponse
from starlette.routing import Route

OLD_ADDRESSES = {
    "overview": "/",
    "slides": "/slide",
    "patients": "/patient",
    "performance": "/evidence",
    "model_card": "/evidence?evidence_view=card",
    "label_desk": "/improve?improve_view=label",
    "readers": "/improve?improve_view=agree",
    "retrain": "/improve?improve_view=retrain",
    "compare": "/improve?improve_view=compare",
    "audit": "/improve?improve_view=audit",
}
"""Path of a page of release 0.1.0 -> where it is now."""


async def _redirected(request: Request) -> RedirectResponse:
    return RedirectResponse(OLD_ADDRESSES[request.url.path.strip("/")], status_code=308)


old_address_routes = [Route(f"/{path}", _redirected) for path in OLD_ADDRESSES]
