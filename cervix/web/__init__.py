"""The routes beside the pages: deep-zoom tiles, streamed uploads and a health check.

They lie outside the pages' own session, so every address carries a token that cannot be guessed, belongs to one
session and expires.
"""

from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import BaseRoute, Route

from cervix import __version__
from cervix.web.sockets import answering_at_once
from cervix.web.tiles import ViewedSlide, open_view, slide_tokens, tile_routes
from cervix.web.uploads import UploadGrant, upload_routes, upload_store, upload_tokens

__all__ = [
    "UploadGrant",
    "ViewedSlide",
    "answering_at_once",
    "open_view",
    "routes",
    "slide_tokens",
    "upload_store",
    "upload_tokens",
]


async def health(_: Request) -> JSONResponse:
    """``GET /health``: the server answers, and which version it is."""
    return JSONResponse({"status": "ok", "version": __version__})


routes: list[BaseRoute] = [*upload_routes, *tile_routes, Route("/health", health)]
