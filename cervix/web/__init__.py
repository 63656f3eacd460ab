"""The routes beside the pages: deep-zoom tiles, streamed uploads and a health check.

They lie outside the pages' own session, so every address carries a token that cannot be guessed, belongs to one
session and expires.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import BaseRoute, Route

from cervix import __version__
from cervix.web.sockets import answering_at_once
from cervix.web.tiles import ViewedSlide, open_view, slide_tokens, tile_routes
from cervix.web.tokens import Session
from cervix.web.uploads import UploadGrant, swept_at_the_start, upload_routes, upload_store, upload_tokens

__all__ = [
    "Session",
    "UploadGrant",
    "ViewedSlide",
    "answering_at_once",
    "open_view",
    "routes",
    "serving",
    "slide_tokens",
    "upload_store",
    "upload_tokens",
]


async def health(_: Request) -> JSONResponse:
    """``GET /health``: the server answers, and which version it is."""
    return JSONResponse({"status": "ok", "version": __version__})


@asynccontextmanager
async def serving(app: object) -> AsyncIterator[None]:
    """The lifespan of the server: what has to be done before the first request."""
    async with swept_at_the_start(app), answering_at_once(app):
        yield


routes: list[BaseRoute] = [*upload_routes, *tile_routes, Route("/health", health)]
