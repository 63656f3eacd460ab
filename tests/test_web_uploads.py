"""The upload route: resumable, for holders of a live token from this very origin."""

import errno
import zipfile
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest
from starlette.applications import Starlette
from starlette.testclient import TestClient

from cervix.files import sha256_of
from cervix.intake.uploads import UploadStore
from cervix.settings import get_settings
from cervix.web import UploadGrant, routes, upload_tokens
from cervix.web import tokens as token_module
from cervix.web import uploads as web_uploads

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
    ("change", "status", "code", "sentence"),
    [
        ({"Upload-Name": "notes.exe"}, 409, "upload-refused", "not a slide"),
        ({"Upload-Offset": "7"}, 409, "upload-busy", "already running elsewhere"),
        ({"Upload-Length": str(10**15)}, 413, "upload-too-large", "too large"),
        ({"Upload-Length": "many"}, 400, "upload-refused", "lacks"),
        ({"Upload-Length": "-1"}, 400, "upload-refused", "lacks"),
        ({"Upload-Offset": "9" * 5000}, 400, "upload-refused", "lacks"),
        ({"Upload-Name": ""}, 400, "name-refused", "no plain name"),
        ({"Upload-Name": quote("d/J/../../../X")}, 400, "name-refused", "no plain name"),
        ({"Upload-Name": "x" * 300 + ".svs"}, 400, "name-refused", "no plain name"),
        ({"Upload-Name": "%ED%A0%80.svs%00"}, 400, "name-refused", "no plain name"),
        ({"Origin": "https://elsewhere.example"}, 403, "upload-from-elsewhere", "own pages"),
    ],
)
def test_a_refusal_is_one_sentence_and_a_code(
    client: TestClient, token: str, change: dict[str, str], status: int, code: str, sentence: str
) -> None:
    answer = client.put(f"/slides/upload/{token}/{UPLOAD}/0", content=b"x", headers={**headers(b"x"), **change})
    assert answer.status_code == status
    assert sentence in answer.json()["error"]
    assert (answer.json()["code"], answer.headers["Error-Code"]) == (code, code)


def test_a_cancelled_upload_is_gone(client: TestClient, token: str) -> None:
    address = f"/slides/upload/{token}/{UPLOAD}"
    client.put(f"{address}/0", content=b"half", headers={**headers(b"x"), "Upload-Length": "100"})
    assert client.head(f"{address}/0").headers["upload-offset"] == "4"
    assert client.delete(address).status_code == 204
    assert client.head(f"{address}/0").headers["upload-offset"] == "0"
    assert client.post(address).status_code == 409


@pytest.mark.parametrize("origin", ["http://[", "http://]", "http://[::1", "null", "//", "http://testserver:x@"])
def test_an_origin_that_is_none_is_not_ours(client: TestClient, token: str, origin: str) -> None:
    answer = client.put(f"/slides/upload/{token}/{UPLOAD}/0", content=b"x", headers=headers(b"x", Origin=origin))
    assert (answer.status_code, "own pages" in answer.json()["error"]) == (403, True)


@pytest.mark.parametrize("number", ["9" * 5000, "-1", "1.5", "x", "٣"])
def test_a_number_that_is_none_is_not_found(client: TestClient, token: str, number: str) -> None:
    address = f"/slides/upload/{token}/{UPLOAD}/{number}"
    assert client.head(address).status_code == 404
    assert client.put(address, content=b"x", headers=headers(b"x")).status_code == 404


def test_a_path_through_a_mirax_folder_overwrites_nothing(client: TestClient, token: str, home: Path) -> None:
    address = f"/slides/upload/{token}/{UPLOAD}"
    home.mkdir(parents=True)
    (home / "labels.sqlite").write_bytes(b"564 labels")
    assert client.put(f"{address}/0", content=b"x", headers=headers(b"x", name="d/J.mrxs")).status_code == 200
    for name in ("d/J/../../../../labels.sqlite", "d/J/..\\..\\..\\..\\labels.sqlite", "/" + str(home / "labels.sqlite")):
        answer = client.put(f"{address}/1", content=b"harm", headers=headers(b"harm", name=name))
        assert (answer.status_code, "labels" in answer.text) == (400, False)
        told = client.post(address, json=["d/J.mrxs", name])
        assert told.status_code == 400
    assert client.post(address).status_code == 409
    assert [path for path in home.rglob("*") if path.is_file()] == [home / "labels.sqlite"]
    assert (home / "labels.sqlite").read_bytes() == b"564 labels"


def test_another_session_cannot_add_to_finish_or_delete_an_upload(client: TestClient, token: str) -> None:
    mine = f"/slides/upload/{token}/{UPLOAD}"
    theirs = f"/slides/upload/{upload_tokens.grant(UploadGrant())}/{UPLOAD}"
    assert client.put(f"{mine}/0", content=b"a", headers={**headers(b"ab")}).status_code == 200
    for answer in (
        client.head(f"{theirs}/0"),
        client.put(f"{theirs}/0", content=b"b", headers=headers(b"ab", 1)),
        client.put(f"{theirs}/1", content=b"b", headers=headers(b"b", name="other.svs")),
        client.put(f"{theirs}/0", content=b"b", headers=headers(b"ab", 1, **{"Upload-Begun-By": "guessed"})),
        client.post(theirs),
        client.delete(theirs),
    ):
        assert (answer.status_code, answer.headers["Error-Code"]) == (403, "upload-not-yours")
    assert client.head(f"{mine}/0").headers["upload-offset"] == "1"


def test_an_upload_goes_on_after_a_restart_under_a_new_token(
    client: TestClient, token: str, phantom_slide: Path, home: Path
) -> None:
    content = phantom_slide.read_bytes()
    first = f"/slides/upload/{token}/{UPLOAD}"
    client.put(f"{first}/0", content=content, headers=headers(content, name="f/Jane Doe.tiff"))
    client.put(f"{first}/1", content=b"ab", headers={**headers(b"abcd", name="f/notes.txt")})
    web_uploads._store_at.cache_clear()  # what the memory of a server held is gone
    upload_tokens.revoke(token)
    gone = client.head(f"{first}/1")
    assert (gone.status_code, gone.headers["Error-Code"]) == (404, "upload-permission-expired")
    grant = UploadGrant()
    address = f"/slides/upload/{upload_tokens.grant(grant)}/{UPLOAD}"
    known = {"Upload-Begun-By": token}
    assert client.head(f"{address}/0", headers=known).headers["upload-offset"] == str(len(content))
    assert client.put(f"{address}/1", content=b"cd", headers=headers(b"abcd", 2, "f/notes.txt", **known)).status_code == 200
    assert client.post(address, headers=known).status_code == 409
    assert client.post(address, headers=known, json=["f/Jane Doe.tiff", "f/notes.txt"]).json() == {"slides": 1}
    assert [*grant.finished[UPLOAD].values()] == ["f/Jane Doe.tiff"]
    assert not any("Jane" in str(path) for path in home.rglob("*"))


@pytest.mark.parametrize("body", [b"{", b'{"0": "a"}', b"[1]", b"[" * 100_000, b"\xff"])
def test_names_that_cannot_be_read_are_one_sentence(client: TestClient, token: str, body: bytes) -> None:
    address = f"/slides/upload/{token}/{UPLOAD}"
    client.put(f"{address}/0", content=b"x", headers=headers(b"x"))
    answer = client.post(address, content=body)
    assert answer.status_code == 409
    assert "names of the files" in answer.json()["error"]
    assert client.head(f"{address}/0").headers["upload-offset"] == "1"


@pytest.mark.parametrize("member", [".", "", "x" * 300, "../x.svs"])
def test_a_zip_with_a_name_that_is_none_is_a_refusal(client: TestClient, token: str, tmp_path: Path, member: str) -> None:
    with zipfile.ZipFile(tmp_path / "z.zip", "w") as archive:
        archive.writestr(zipfile.ZipInfo(member), b"x")
    content = (tmp_path / "z.zip").read_bytes()
    address = f"/slides/upload/{token}/{UPLOAD}"
    client.put(f"{address}/0", content=content, headers=headers(content, name="z.zip"))
    assert client.post(address).status_code == 409


def test_the_disk_s_own_words_are_logged_without_a_name(
    client: TestClient, token: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise OSError(errno.EIO, "Input/output error", "/somewhere/DOE^JANE.svs")

    monkeypatch.setattr(UploadStore, "finish", broken)
    answer = client.post(f"/slides/upload/{token}/{UPLOAD}")
    assert (answer.status_code, "Input/output error" in answer.text) == (507, True)
    assert "Input/output error" in caplog.text
    assert "DOE" not in caplog.text + answer.text


def test_an_announcement_beyond_what_a_session_may_have_is_refused(
    client: TestClient, token: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CERVIX_UNFINISHED_UPLOADS_A_SESSION", "2")
    get_settings.cache_clear()
    statuses = [
        client.put(f"/slides/upload/{token}/{number:032x}/0", content=b"x", headers=headers(b"xy")).status_code
        for number in range(3)
    ]
    assert statuses == [200, 200, 409]
    other = upload_tokens.grant(UploadGrant())
    assert client.put(f"/slides/upload/{other}/{9:032x}/0", content=b"x", headers=headers(b"xy")).status_code == 200
