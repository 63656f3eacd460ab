"""What comes before the pages and beside them: the server's door, map tiles, uploads, CDS Hooks, old addresses, health.

The routes lie outside the pages' own session, so every address carries a token that cannot be guessed, belongs to one
session and expires; CDS Hooks and the scoring API (``cervix.api``), which programs call, are off until they have a token.
"""

from pathlib import Path

from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import BaseRoute, Route

from cervix import __version__
from cervix.settings import get_settings
from cervix.web.addresses import old_address_routes
from cervix.web.bundles import proved
from cervix.web.cds import cds_routes
from cervix.web.desk import scoring_desk, sweep_uploads
from cervix.web.headers import SafeHeaders
from cervix.web.hosts import OwnNamesOnly
from cervix.web.passed import PassedOnly, let_in, shut_out
from cervix.web.starting import is_serving, serving
from cervix.web.tiles import ViewedSlide, open_view, slide_tokens, tile_routes
from cervix.web.tokens import Session
from cervix.web.uploads import UploadGrant, upload_routes, upload_store, upload_tokens

__all__ = [
    "Session",
    "UploadGrant",
    "ViewedSlide",
    "door",
    "is_serving",
    "let_in",
    "open_view",
    "program_routes",
    "proved",
    "routes",
    "scoring_desk",
    "serving",
    "shut_out",
    "slide_tokens",
    "sweep_uploads",
    "upload_store",
    "upload_tokens",
]


async def health(_: Request) -> JSONResponse:
    """``GET /health``: the server answers, and which version it is."""
    return JSONResponse({"status": "ok", "version": __version__})


program_routes: list[BaseRoute] = [*cds_routes, Route("/health", health)]
"""Those that need no page: a server without Streamlit has them too."""
routes: list[BaseRoute] = [*upload_routes, *tile_routes, *old_address_routes, *program_routes]


def door(index: Path | None) -> list[Middleware]:
    """What every request passes, Streamlit's own included, the outermost first.

    Parameters
    ----------
    index : Path or None
        Streamlit's ``index.html``, whose inline script is allowed by its hash; None for a server without pages.
    """
    return [
        Middleware(SafeHeaders, index=index),
        Middleware(OwnNamesOnly, names=get_settings().hosts),
        Middleware(PassedOnly),
    ]
