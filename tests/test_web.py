"""Routes beside the pages: tiles only with a live token, and only inside the slide's world."""

import io
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from starlette.applications import Starlette
from starlette.testclient import TestClient

from cervix import web
from cervix.slides.deepzoom import WorldMap, heat_layer
from cervix.slides.phantom import phantom_region, write_pyramid
from cervix.slides.reading import Slide, open_slide
from cervix.web import TokenRegistry, routes, tokens


@pytest.fixture(scope="module")
def slide(tmp_path_factory: pytest.TempPathFactory) -> Slide:
    path = tmp_path_factory.mktemp("web") / "slide.tiff"
    write_pyramid(path, phantom_region(800, 600, seed=4), 0.5)
    return open_slide(path)


@pytest.fixture(scope="module")
def client() -> TestClient:
    return TestClient(Starlette(routes=routes))


def middle(slide: Slide) -> str:
    zoom = WorldMap(slide.width_l0_px, slide.height_l0_px).max_zoom
    return f"{zoom}/{2 ** (zoom - 1)}/{2 ** (zoom - 1)}"


def test_health_answers_with_the_version(client: TestClient) -> None:
    assert client.get("/health").json()["status"] == "ok"


def test_a_token_opens_the_slide_s_tiles(client: TestClient, slide: Slide) -> None:
    answer = client.get(f"/slides/{tokens.grant(slide)}/slide/{middle(slide)}")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "image/jpeg"
    with Image.open(io.BytesIO(answer.content)) as tile:
        assert tile.size == (256, 256)


def test_an_unknown_or_expired_token_opens_nothing(client: TestClient, slide: Slide, monkeypatch: pytest.MonkeyPatch) -> None:
    assert client.get(f"/slides/guessed/slide/{middle(slide)}").status_code == 404
    monkeypatch.setattr(web, "TOKEN_LIFETIME_S", -1.0)
    assert client.get(f"/slides/{tokens.grant(slide)}/slide/{middle(slide)}").status_code == 404


def test_tokens_cannot_be_guessed_and_are_not_shared(slide: Slide) -> None:
    first, second = tokens.grant(slide), tokens.grant(slide)
    assert first != second
    assert len(first) >= 32


def test_the_oldest_tokens_are_forgotten(slide: Slide, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(web, "TOKENS_KEPT", 2)
    registry = TokenRegistry()
    granted = [registry.grant(slide) for _ in range(3)]
    assert [registry.find(token) is None for token in granted] == [True, False, False]


def test_a_score_layer_is_served_beside_the_slide(client: TestClient, slide: Slide) -> None:
    token = tokens.grant(slide)
    assert client.get(f"/slides/{token}/scc/{middle(slide)}").status_code == 404
    tiles = pd.DataFrame({"x_l0_px": [224, 448], "y_l0_px": [224, 224], "size_l0_px": 224})
    tokens.set_layers(token, {"scc": heat_layer(tiles, np.array([1.0, 1.0]), "#D55E00")})
    answer = client.get(f"/slides/{token}/scc/{middle(slide)}")
    assert answer.headers["content-type"] == "image/png"
    with Image.open(io.BytesIO(answer.content)) as tile:
        assert tile.getpixel((100, 20)) == (0xD5, 0x5E, 0x00, 215)


@pytest.mark.parametrize("place", ["99/0/0", "1/5/0", "0/0/9"])
def test_places_outside_the_world_are_not_found(client: TestClient, slide: Slide, place: str) -> None:
    assert client.get(f"/slides/{tokens.grant(slide)}/slide/{place}").status_code == 404


@pytest.mark.parametrize("place", ["a/b/c", "1/-1/0", "1/0"])
def test_places_that_are_no_numbers_are_not_found(client: TestClient, slide: Slide, place: str) -> None:
    assert client.get(f"/slides/{tokens.grant(slide)}/slide/{place}").status_code == 404


def test_glass_beside_the_slide_is_an_empty_answer(client: TestClient, slide: Slide) -> None:
    zoom = WorldMap(slide.width_l0_px, slide.height_l0_px).max_zoom
    assert client.get(f"/slides/{tokens.grant(slide)}/slide/{zoom}/0/0").status_code == 204


def test_a_damaged_slide_answers_with_a_sentence(client: TestClient, data_dir: Path) -> None:
    slide = open_slide(data_dir / "slides/broken/opens_but_unreadable.svs")
    answer = client.get(f"/slides/{tokens.grant(slide)}/slide/{middle(slide)}")
    assert answer.status_code == 422
    assert "opened but cannot be read" in answer.text
