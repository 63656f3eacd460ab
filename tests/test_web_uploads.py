"""The upload route: resumable, for holders of a live token from this very origin."""

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest
from starlette.applications import Starlette
from starlette.testclient import TestClient

from cervix.files import sha256_of
from cervix.web import UploadGrant, routes, upload_tokens
from cervix.web import tokens as token_module

UPLOAD = "0123456789abcdef" * 2


@pytest.fixture
def client(home: Path) -> Iterator[TestClient]:  # noqa: ARG001 - uploads go to a home of their own
    return TestClient(Starlette(routes=routes))


@pytest.fixture
def grant() -> UploadGrant:
    return UploadGrant()


@pytest.fixture
def token(grant: UploadGrant) -> str:
    return upload_tokens.grant(grant)


def headers(content: bytes, offset: int = 0, name: str = "slide.tiff", **more: str) -> dict[str, str]:
    return {"Upload-Offset": str(offset), "Upload-Length": str(len(content)), "Upload-Name": quote(name), **more}


def test_a_slide_goes_in_two_pieces_and_belongs_to_the_session_that_sent_it(
    client: TestClient, grant: UploadGrant, token: str, phantom_slide: Path
) -> None:
    content = phantom_slide.read_bytes()
    address = f"/slides/upload/{token}/{UPLOAD}"
    assert client.head(f"{address}/0").headers["upload-offset"] == "0"
    half = len(content) // 2
    first = client.put(f"{address}/0", content=content[:half], headers=headers(content))
    assert first.json() == {"offset": half}
    assert client.head(f"{address}/0").headers["upload-offset"] == str(half)
    assert client.put(f"{address}/0", content=content[half:], headers=headers(content, half)).json() == {"offset": len(content)}
    assert client.post(address).json() == {"slides": 1}
    (path,) = grant.finished[UPLOAD]
    assert path.parent.name == sha256_of(phantom_slide)


def test_without_a_live_token_nothing_is_taken(
    client: TestClient, grant: UploadGrant, monkeypatch: pytest.MonkeyPatch, home: Path
) -> None:
    assert client.put(f"/slides/upload/guessed/{UPLOAD}/0", content=b"x", headers=headers(b"x")).status_code == 404
    monkeypatch.setattr(token_module, "TOKEN_LIFETIME_S", -1.0)
    expired = upload_tokens.grant(grant)
    answer = client.put(f"/slides/upload/{expired}/{UPLOAD}/0", content=b"x", headers=headers(b"x"))
    assert answer.status_code == 404
    assert "expired" in answer.json()["error"]
    assert not (home / "uploads").exists()


def test_another_site_s_page_cannot_upload_here(client: TestClient, token: str) -> None:
    address = f"/slides/upload/{token}/{UPLOAD}/0"
    foreign = client.put(address, content=b"x", headers=headers(b"x", Origin="https://elsewhere.example"))
    assert foreign.status_code == 403
    own = client.put(address, content=b"x", headers=headers(b"x", Origin="http://testserver"))
    assert own.status_code == 200


def test_a_session_does_not_see_what_another_uploaded(client: TestClient, token: str, phantom_slide: Path) -> None:
    content = phantom_slide.read_bytes()
    client.put(f"/slides/upload/{token}/{UPLOAD}/0", content=content, headers=headers(content))
    client.post(f"/slides/upload/{token}/{UPLOAD}")
    other = UploadGrant()
    upload_tokens.grant(other)
    assert other.finished == {}


@pytest.mark.parametrize(
    ("change", "status", "sentence"),
    [
        ({"Upload-Name": "notes.exe"}, 409, "not a slide"),
        ({"Upload-Offset": "7"}, 409, "goes on elsewhere"),
        ({"Upload-Length": str(10**15)}, 409, "too large"),
        ({"Upload-Length": "many"}, 400, "lacks"),
    ],
)
def test_a_refusal_is_one_sentence(client: TestClient, token: str, change: dict[str, str], status: int, sentence: str) -> None:
    answer = client.put(f"/slides/upload/{token}/{UPLOAD}/0", content=b"x", headers={**headers(b"x"), **change})
    assert answer.status_code == status
    assert sentence in answer.json()["error"]


def test_a_cancelled_upload_is_gone(client: TestClient, token: str) -> None:
    address = f"/slides/upload/{token}/{UPLOAD}"
    client.put(f"{address}/0", content=b"half", headers={**headers(b"x"), "Upload-Length": "100"})
    assert client.head(f"{address}/0").headers["upload-offset"] == "4"
    assert client.delete(address).status_code == 204
    assert client.head(f"{address}/0").headers["upload-offset"] == "0"
    assert client.post(address).status_code == 409
