"""Routes beside the pages: tiles only with a live token, and only inside the slide's world."""

import asyncio
import dataclasses
import gc
import io
import socket
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from starlette.applications import Starlette
from starlette.testclient import TestClient

from cervix.held import HeldFiles
from cervix.slides.deepzoom import WorldMap, heat_layer, render_slide_tile, tile_work_px, view_from_afar
from cervix.slides.phantom import phantom_region
from cervix.slides.pyramid import write_pyramid
from cervix.sources.opening import open_slide
from cervix.sources.slide import Slide
from cervix.web import ViewedSlide, routes, slide_tokens
from cervix.web import tokens as token_module
from cervix.web.addresses import OLD_ADDRESSES
from cervix.web.sockets import answering_at_once
from cervix.web.tokens import Session, TokenRegistry


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


@pytest.mark.parametrize(("old", "new"), OLD_ADDRESSES.items())
def test_an_old_address_leads_to_where_the_page_is_now(client: TestClient, old: str, new: str) -> None:
    answer = client.get(f"/{old}", follow_redirects=False)
    assert (answer.status_code, answer.headers["location"]) == (308, new)


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


def test_a_session_s_own_least_used_tokens_are_forgotten_and_nobody_else_s(
    slide: Slide, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(token_module, "TOKENS_A_SESSION", 2)
    registry: TokenRegistry[Slide] = TokenRegistry()
    mine, theirs = Session(), Session()
    first, second = registry.grant(slide, mine), registry.grant(slide, mine)
    others = [registry.grant(slide, theirs), registry.grant(slide)]
    assert registry.find(first) is slide
    third = registry.grant(slide, mine)
    assert [registry.find(token) is None for token in (first, second, third, *others)] == [False, True, False, False, False]


def test_other_people_s_visits_do_not_end_a_token(slide: Slide) -> None:
    registry: TokenRegistry[Slide] = TokenRegistry()
    mine = registry.grant(slide, session := Session())
    visits = [Session() for _ in range(1000)]
    for visit in visits:
        registry.grant(slide, visit)
    assert registry.find(mine) is slide
    del session


def test_tokens_end_with_their_session_and_hold_no_memory(slide: Slide) -> None:
    registry: TokenRegistry[Slide] = TokenRegistry()
    gone, kept = Session(), Session()
    token, other = registry.grant(slide, gone), registry.grant(slide, kept)
    del gone
    gc.collect()
    assert (registry.find(token), registry.find(other)) == (None, slide)
    for _ in range(1000):
        registry.grant(slide, Session())
    assert registry.find(other) is slide
    assert len(registry._grants) == 1


def test_a_token_lives_as_long_as_it_is_used(slide: Slide, monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    monkeypatch.setattr(token_module.time, "monotonic", lambda: now)
    registry: TokenRegistry[Slide] = TokenRegistry()
    used, idle = registry.grant(slide), registry.grant(slide)
    for hour in range(1, 13):
        now = hour * 3600.0
        assert registry.find(used) is slide
    assert registry.find(idle) is None


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


@pytest.mark.parametrize("place", ["a/b/c", "1/-1/0", "1/0", "9" * 5000 + "/0/0", "0/0/" + "9" * 5000])
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


def test_a_tile_that_needs_the_whole_of_a_flat_slide_is_drawn_from_one_view_of_it(
    client: TestClient, slide: Slide, monkeypatch: pytest.MonkeyPatch
) -> None:
    flat = dataclasses.replace(slide, sha256="flat")
    address = f"/slides/{slide_tokens.grant(ViewedSlide(flat))}/slide/0/0/0"
    near = render_slide_tile(flat, 0, 0, 0)
    read = []
    monkeypatch.setattr("cervix.web.tiles.TILE_WORK_PX_AT_MOST", 0)
    monkeypatch.setattr("cervix.web.tiles.drawn", HeldFiles(1 << 20))
    monkeypatch.setattr("cervix.web.tiles.view_from_afar", lambda slide: read.append(slide) or view_from_afar(slide))
    answers = [client.get(address.replace("/0/0/0", f"/{z}/{x}/{x}")) for z, x in ((0, 0), (1, 0), (2, 1))]
    assert [answer.status_code for answer in answers] == [200] * 3
    assert read == [flat]
    far, close = (np.asarray(Image.open(io.BytesIO(jpeg)), np.float32) for jpeg in (answers[0].content, near))
    assert np.abs(far - close).mean() < 2


def test_a_view_that_cannot_be_made_is_one_sentence(
    client: TestClient, data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cervix.web.tiles.TILE_WORK_PX_AT_MOST", 0)
    broken = open_slide(data_dir / "slides/broken/opens_but_unreadable.svs")
    answer = client.get(f"/slides/{slide_tokens.grant(ViewedSlide(broken))}/slide/0/0/0")
    assert answer.status_code == 422
    assert "cannot be read" in answer.text


def test_no_tile_of_a_flat_slide_of_ten_gigapixels_is_much_work(slide: Slide) -> None:
    huge = dataclasses.replace(slide, width_l0_px=100_000, height_l0_px=100_000, level_downsamples=(1.0,))
    work = [tile_work_px(huge, z) for z in range(WorldMap(100_000, 100_000).max_zoom + 1)]
    assert work[0] == 100_000**2
    assert work[-1] == 256**2
    assert sorted(work, reverse=True) == work


def test_connections_accepted_after_the_start_answer_at_once() -> None:
    async def start() -> None:
        async with answering_at_once(None):
            pass

    with socket.create_server(("127.0.0.1", 0)) as listener:
        asyncio.run(start())
        with socket.create_connection(listener.getsockname()), listener.accept()[0] as accepted:
            assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) == 1
