"""Map tiles of slides and of their score layers."""

import asyncio
from concurrent.futures import Future
from dataclasses import dataclass, field
from threading import BoundedSemaphore, Lock, Thread

from cachetools import LRUCache
from PIL import Image
from starlette.concurrency import run_in_threadpool
from starlette.convertors import Convertor, register_url_convertor
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from cervix.errors import CervixError
from cervix.held import HeldFiles
from cervix.slides.deepzoom import (
    MAP_TILE_PX,
    OVERZOOM,
    HeatLayer,
    WorldMap,
    render_slide_tile,
    tile_work_px,
    view_from_afar,
)
from cervix.sources.slide import Slide
from cervix.web.tokens import Session, TokenRegistry

SLIDE_LAYER = "slide"
DIGITS_AT_MOST, BEYOND = 9, 1 << 40
TILE_CACHE_BYTES = 128 << 20
DRAWN_AHEAD_AT_MOST = 64
# About a second. What would take longer is drawn from a view of the whole slide, which is read once.
TILE_WORK_PX_AT_MOST = 64_000_000
# 17 MB each.
FAR_VIEWS_KEPT = 8
FarView = tuple[Image.Image, float]
# The address of a tile names everything its pixels depend on: a slide by its token, a layer by its version.
KEPT_BY_THE_BROWSER = "private, max-age=3600"


@dataclass
class ViewedSlide:
    """A slide somebody is looking at, with its score layers by name."""

    slide: Slide
    layers: dict[str, HeatLayer] = field(default_factory=dict)


class FarViews:
    """Slides without a pyramid seen from afar: each is read once, one at a time, in a thread that nobody's tile waits in."""

    def __init__(self) -> None:
        self._views: LRUCache[str, Future[FarView]] = LRUCache(FAR_VIEWS_KEPT)
        self._lock, self._turn = Lock(), Lock()

    def ask(self, slide: Slide) -> "Future[FarView]":
        """The view, now or in some minutes; a view that failed is made again when it is asked for again."""
        with self._lock:
            view = self._views.get(slide.sha256)
            if view is None or (view.done() and view.exception() is not None):
                view = self._views[slide.sha256] = Future()
                Thread(target=self._make, args=(slide, view), name="far-view", daemon=True).start()
            return view

    def _make(self, slide: Slide, view: "Future[FarView]") -> None:
        with self._turn:
            try:
                view.set_result(view_from_afar(slide))
            except Exception as error:  # noqa: BLE001 - whoever waits for it is told
                view.set_exception(error)


slide_tokens: TokenRegistry[ViewedSlide] = TokenRegistry()
drawn = HeldFiles(TILE_CACHE_BYTES)
far_views = FarViews()
# A tile costs up to 100 MB while it is drawn; a browser asks for many at once.
rendering = BoundedSemaphore(4)


def open_view(slide: Slide, session: Session | None = None) -> str:
    """A token for a slide that a session turns to; those of the whole slide from afar are drawn ahead."""
    Thread(target=_draw_ahead, args=(slide,), name="draw-ahead", daemon=True).start()
    return slide_tokens.grant(ViewedSlide(slide), session)


def _draw_ahead(slide: Slide) -> None:
    """Draw what is dearest and asked for first: zooms coarser than the slide's own coarsest level."""
    world = WorldMap(slide.width_l0_px, slide.height_l0_px)
    left, top = world.origin_px
    places = []
    for z in range(world.max_zoom + 1):
        edge = MAP_TILE_PX * 2 ** (world.max_zoom - z)
        if edge / MAP_TILE_PX <= 2 * slide.level_downsamples[-1]:
            break
        columns = range(left // edge, (left + slide.width_l0_px - 1) // edge + 1)
        rows = range(top // edge, (top + slide.height_l0_px - 1) // edge + 1)
        places += [(z, x, y) for x in columns for y in rows]
    for z, x, y in places[:DRAWN_AHEAD_AT_MOST]:
        if drawn.find((slide.sha256, z, x, y)) is None:
            try:
                far = tile_work_px(slide, z) > TILE_WORK_PX_AT_MOST
                _draw(slide, z, x, y, far_views.ask(slide).result() if far else None)
            except CervixError:
                return  # whoever asks for the tile is told


class Place(Convertor[int]):
    """A number in an address. Python refuses to read thousands of digits: so many stand for a place beyond all slides."""

    regex = "[0-9]+"

    def convert(self, value: str) -> int:
        return int(value) if len(value) <= DIGITS_AT_MOST else BEYOND

    def to_string(self, value: int) -> str:
        return str(value)


register_url_convertor("place", Place())


async def map_tile(request: Request) -> Response:
    """``GET /slides/{token}/{layer}/{z}/{x}/{y}``: JPEG of the slide or PNG of a score layer, with an ETag."""
    place = request.path_params
    viewed = slide_tokens.find(place["token"])
    if viewed is None:
        return Response(status_code=404)
    z, x, y = place["z"], place["x"], place["y"]
    world = WorldMap(viewed.slide.width_l0_px, viewed.slide.height_l0_px)
    if not (0 <= z <= world.max_zoom + OVERZOOM and x < 2**z and y < 2**z):
        return Response(status_code=404)
    heat = None
    if place["layer"] != SLIDE_LAYER:
        heat = viewed.layers.get(place["layer"])
        if heat is None:
            return Response(status_code=404)
    version = heat.version if heat else viewed.slide.sha256[:16]
    etag = f'"{place["layer"]}-{version}-{z}-{x}-{y}"'
    headers = {"Cache-Control": KEPT_BY_THE_BROWSER, "ETag": etag}
    if request.headers.get("if-none-match") == etag:
        return Response(status_code=304, headers=headers)
    if heat:
        png = await run_in_threadpool(heat.render_tile, world, z, x, y)
        return Response(png, media_type="image/png", headers=headers)
    jpeg = drawn.find((viewed.slide.sha256, z, x, y))
    if jpeg is None:
        try:
            view: FarView | None = None
            if tile_work_px(viewed.slide, z) > TILE_WORK_PX_AT_MOST:
                # Waited for here, it takes neither a thread nor a turn from anybody's tile.
                view = await asyncio.shield(asyncio.wrap_future(far_views.ask(viewed.slide)))
            jpeg = await run_in_threadpool(_draw, viewed.slide, z, x, y, view)
        except CervixError as error:
            return Response(str(error), status_code=422, media_type="text/plain")
    if jpeg is None:
        return Response(status_code=204)
    return Response(jpeg, media_type="image/jpeg", headers=headers)


def _draw(slide: Slide, z: int, x: int, y: int, view: FarView | None) -> bytes | None:
    with rendering:
        jpeg = render_slide_tile(slide, z, x, y, view)
    if jpeg is not None:
        drawn.keep((slide.sha256, z, x, y), jpeg)
    return jpeg


tile_routes: list[BaseRoute] = [Route("/slides/{token}/{layer}/{z:place}/{x:place}/{y:place}", map_tile)]
