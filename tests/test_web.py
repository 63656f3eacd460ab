"""Routes beside the pages: tiles only with a live token, and only inside the slide's world."""

import asyncio
import io
import socket
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from starlette.applications import Starlette
from starlette.testclient import TestClient

from cervix.slides.deepzoom import WorldMap, heat_layer
from cervix.slides.phantom import phantom_region, write_pyramid
from cervix.slides.reading import Slide, open_slide
from cervix.web import ViewedSlide, routes, slide_tokens
from cervix.web import tokens as token_module
from cervix.web.sockets import answering_at_once
from cervix.web.tokens import TokenRegistry


@pytest.fixture(scope="module")
def slide(tmp_path_factory: pytest.TempPathFactory) -> Slide:
    path = tmp_path_factory.mktemp("web") / "slide.tiff"
    write_pyramid(path, phantom_region(800, 600, seed=4), 0.5)
    return open_slide(path)


@pytest.fixture(scope="module")
def client() -> TestClient:
    return TestClient(Starlette(routes=routes))


def middle(slide: Slide) -> str:
    world = WorldMap(slide.width_l0_px, slide.height_l0_px)
    left, top = world.origin_px
    return f"{world.max_zoom}/{(left + slide.width_l0_px // 2) // 256}/{(top + slide.height_l0_px // 2) // 256}"


def test_health_answers_with_the_version(client: TestClient) -> None:
    assert client.get("/health").json()["status"] == "ok"


def test_a_token_opens_the_slide_s_tiles(client: TestClient, slide: Slide) -> None:
    answer = client.get(f"/slides/{slide_tokens.grant(ViewedSlide(slide))}/slide/{middle(slide)}")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "image/jpeg"
    with Image.open(io.BytesIO(answer.content)) as tile:
        assert tile.size == (256, 256)


def test_an_unknown_or_expired_token_opens_nothing(client: TestClient, slide: Slide, monkeypatch: pytest.MonkeyPatch) -> None:
    assert client.get(f"/slides/guessed/slide/{middle(slide)}").status_code == 404
    monkeypatch.setattr(token_module, "TOKEN_LIFETIME_S", -1.0)
    assert client.get(f"/slides/{slide_tokens.grant(ViewedSlide(slide))}/slide/{middle(slide)}").status_code == 404


def test_a_token_that_is_taken_back_opens_nothing_and_others_stay(client: TestClient, slide: Slide) -> None:
    gone, left = slide_tokens.grant(ViewedSlide(slide)), slide_tokens.grant(ViewedSlide(slide))
    slide_tokens.revoke(gone)
    slide_tokens.revoke("never granted")
    assert client.get(f"/slides/{gone}/slide/{middle(slide)}").status_code == 404
    assert client.get(f"/slides/{left}/slide/{middle(slide)}").status_code == 200


def test_tokens_cannot_be_guessed_and_are_not_shared(slide: Slide) -> None:
    first, second = slide_tokens.grant(ViewedSlide(slide)), slide_tokens.grant(ViewedSlide(slide))
    assert first != second
    assert len(first) >= 32


def test_the_oldest_tokens_are_forgotten(slide: Slide, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(token_module, "TOKENS_KEPT", 2)
    registry: TokenRegistry[Slide] = TokenRegistry()
    granted = [registry.grant(slide) for _ in range(3)]
    assert [registry.find(token) is None for token in granted] == [True, False, False]


def test_a_score_layer_is_served_beside_the_slide(client: TestClient, slide: Slide) -> None:
    viewed = ViewedSlide(slide)
    token = slide_tokens.grant(viewed)
    assert client.get(f"/slides/{token}/scc/{middle(slide)}").status_code == 404
    tiles = pd.DataFrame({"x_l0_px": [224, 448], "y_l0_px": [224, 224], "size_l0_px": 224})
    viewed.layers = {"scc": heat_layer(tiles, np.array([1.0, 1.0]), "#D55E00")}
    world = WorldMap(slide.width_l0_px, slide.height_l0_px)
    x, y = (origin + 300 for origin in world.origin_px)
    answer = client.get(f"/slides/{token}/scc/{world.max_zoom}/{x // 256}/{y // 256}")
    assert answer.headers["content-type"] == "image/png"
    with Image.open(io.BytesIO(answer.content)) as tile:
        assert tile.getpixel((x % 256, y % 256)) == (0xD5, 0x5E, 0x00, 215)


@pytest.mark.parametrize("place", ["99/0/0", "1/5/0", "0/0/9"])
def test_places_outside_the_world_are_not_found(client: TestClient, slide: Slide, place: str) -> None:
    assert client.get(f"/slides/{slide_tokens.grant(ViewedSlide(slide))}/slide/{place}").status_code == 404


@pytest.mark.parametrize("place", ["a/b/c", "1/-1/0", "1/0"])
def test_places_that_are_no_numbers_are_not_found(client: TestClient, slide: Slide, place: str) -> None:
    assert client.get(f"/slides/{slide_tokens.grant(ViewedSlide(slide))}/slide/{place}").status_code == 404


def test_glass_beside_the_slide_is_an_empty_answer(client: TestClient, slide: Slide) -> None:
    zoom = WorldMap(slide.width_l0_px, slide.height_l0_px).max_zoom
    assert client.get(f"/slides/{slide_tokens.grant(ViewedSlide(slide))}/slide/{zoom}/0/0").status_code == 204


def test_a_damaged_slide_answers_with_a_sentence(client: TestClient, data_dir: Path) -> None:
    slide = open_slide(data_dir / "slides/broken/opens_but_unreadable.svs")
    answer = client.get(f"/slides/{slide_tokens.grant(ViewedSlide(slide))}/slide/{middle(slide)}")
    assert answer.status_code == 422
    assert "opened but cannot be read" in answer.text


def test_a_tile_is_not_sent_again_to_a_browser_that_has_it(client: TestClient, slide: Slide) -> None:
    address = f"/slides/{slide_tokens.grant(ViewedSlide(slide))}/slide/{middle(slide)}"
    first = client.get(address)
    assert first.headers["cache-control"].startswith("private, max-age")
    again = client.get(address, headers={"If-None-Match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")


def test_a_sharper_score_layer_has_another_etag(client: TestClient, slide: Slide) -> None:
    viewed = ViewedSlide(slide)
    address = f"/slides/{slide_tokens.grant(viewed)}/scc/{middle(slide)}"
    tiles = pd.DataFrame({"x_l0_px": [224], "y_l0_px": [224], "size_l0_px": 224})
    tags = set()
    for version in ("8", "16"):
        viewed.layers = {"scc": heat_layer(tiles, np.array([1.0]), "#D55E00", version)}
        tags.add(client.get(address).headers["etag"])
    assert len(tags) == 2


def test_a_drawn_tile_is_kept_for_every_session(client: TestClient, slide: Slide, monkeypatch: pytest.MonkeyPatch) -> None:
    first = client.get(f"/slides/{slide_tokens.grant(ViewedSlide(slide))}/slide/{middle(slide)}").content
    monkeypatch.setattr("cervix.web.tiles.render_slide_tile", lambda *_: pytest.fail("drawn twice"))
    assert client.get(f"/slides/{slide_tokens.grant(ViewedSlide(slide))}/slide/{middle(slide)}").content == first


def test_connections_accepted_after_the_start_answer_at_once() -> None:
    async def start() -> None:
        async with answering_at_once(None):
            pass

    with socket.create_server(("127.0.0.1", 0)) as listener:
        asyncio.run(start())
        with socket.create_connection(listener.getsockname()), listener.accept()[0] as accepted:
            assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) == 1
