"""The scoring API: slides and tables of women scored for programs, as jobs; described by OpenAPI 3.1.

Everything lies under ``/api/v1``. There is no such address until ``CERVIX_API_TOKENS`` is set. One list of operations
(``cervix.api.routes``) makes the routes and their description alike; it is imported when the first call is let in, not when the
server starts.
"""

import re
from functools import lru_cache
from typing import Final

from starlette.concurrency import run_in_threadpool
from starlette.middleware import Middleware
from starlette.routing import BaseRoute, Mount
from starlette.types import ASGIApp, Receive, Scope, Send

from cervix.errors import CallRefused
from cervix.settings import get_settings
from cervix.web.programs import ProgramDoor, ProgramsOnly

PREFIX: Final = "/api/v1"


@lru_cache(maxsize=1)
def _application() -> ASGIApp:
    from cervix.api.routes import application

    return application


async def _when_asked(scope: Scope, receive: Receive, send: Send) -> None:
    application = await run_in_threadpool(_application)
    await application(scope, receive, send)


def _door() -> ProgramDoor:
    settings = get_settings()
    return ProgramDoor(settings.api_tokens, settings.api_open)


# The door is the outermost: without a token nothing tells what there is.
_middleware = [Middleware(ProgramsOnly, door=_door, codes=dict.fromkeys((401, 404), CallRefused.code))]
_mount = Mount(PREFIX, app=_when_asked, middleware=_middleware)
# Of itself a mount does not take an address with a line break in it, and somebody else would answer.
_mount.path_regex = re.compile(f"^{PREFIX}/(?P<path>.*)$", re.DOTALL)
api_routes: Final[list[BaseRoute]] = [_mount]
