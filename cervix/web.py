"""The routes beside the pages: deep-zoom tiles and a health check.

They lie outside the pages' own session, so every address carries a token that cannot be guessed, belongs to one
viewer and expires.
"""

import secrets
import time
from collections import OrderedDict
from dataclasses import dataclass, field
from threading import BoundedSemaphore, Lock

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from cervix import __version__
from cervix.errors import CervixError
from cervix.slides.deepzoom import OVERZOOM, HeatLayer, WorldMap, render_slide_tile
from cervix.slides.reading import Slide

TOKEN_LIFETIME_S = 8 * 3600.0
TOKENS_KEPT = 200
SLIDE_LAYER = "slide"


@dataclass
class ViewedSlide:
    """A slide somebody is looking at, with its score layers by name."""

    slide: Slide
    layers: dict[str, HeatLayer] = field(default_factory=dict)
    expires: float = 0.0


class TokenRegistry:
    """Which unguessable token opens which slide, and until when."""

    def __init__(self) -> None:
        self._viewed: OrderedDict[str, ViewedSlide] = OrderedDict()
        self._lock = Lock()

    def grant(self, slide: Slide) -> str:
        """A new token for a slide. The oldest beyond ``TOKENS_KEPT`` are forgotten."""
        token = secrets.token_urlsafe(24)
        now = time.monotonic()
        with self._lock:
            for expired in [key for key, viewed in self._viewed.items() if viewed.expires < now]:
                del self._viewed[expired]
            self._viewed[token] = ViewedSlide(slide, expires=now + TOKEN_LIFETIME_S)
            while len(self._viewed) > TOKENS_KEPT:
                self._viewed.popitem(last=False)
        return token

    def set_layers(self, token: str, layers: dict[str, HeatLayer]) -> None:
        """Replace the score layers behind a token (a running score sharpens); unknown tokens are ignored."""
        viewed = self.find(token)
        if viewed is not None:
            viewed.layers = layers

    def find(self, token: str) -> ViewedSlide | None:
        """What a token opens; None where it is unknown or has expired."""
        with self._lock:
            viewed = self._viewed.get(token)
            if viewed is None or viewed.expires < time.monotonic():
                self._viewed.pop(token, None)
                return None
            return viewed


tokens = TokenRegistry()
# A slide without a pyramid costs up to 100 MB a tile at low zoom; a browser asks for many at once.
rendering = BoundedSemaphore(4)


async def map_tile(request: Request) -> Response:
    """``GET /slides/{token}/{layer}/{z}/{x}/{y}``: JPEG of the slide or PNG of a score layer."""
    place = request.path_params
    viewed = tokens.find(place["token"])
    if viewed is None:
        return Response(status_code=404)
    return await run_in_threadpool(_render, viewed, place["layer"], place["z"], place["x"], place["y"])


def _render(viewed: ViewedSlide, layer: str, z: int, x: int, y: int) -> Response:
    world = WorldMap(viewed.slide.width_l0_px, viewed.slide.height_l0_px)
    if not (0 <= z <= world.max_zoom + OVERZOOM and x < 2**z and y < 2**z):
        return Response(status_code=404)
    if layer == SLIDE_LAYER:
        try:
            with rendering:
                jpeg = render_slide_tile(viewed.slide, z, x, y)
        except CervixError as error:
            return Response(str(error), status_code=422, media_type="text/plain")
        if jpeg is None:
            return Response(status_code=204)
        return Response(jpeg, media_type="image/jpeg", headers={"Cache-Control": "private, max-age=3600"})
    heat = viewed.layers.get(layer)
    if heat is None:
        return Response(status_code=404)
    return Response(
        heat.render_tile(world, z, x, y),
        media_type="image/png",
        headers={"Cache-Control": "private, no-store"},
    )


async def health(_: Request) -> JSONResponse:
    """``GET /health``: the server answers, and which version it is."""
    return JSONResponse({"status": "ok", "version": __version__})


routes: list[BaseRoute] = [
    Route("/slides/{token}/{layer}/{z:int}/{x:int}/{y:int}", map_tile),
    Route("/health", health),
]
