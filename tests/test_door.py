"""The server's door, in front of Streamlit's routes and ours: over real sockets, and rule by rule."""

import base64
import http.client
import re
import secrets
import stat
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

import pytest
import streamlit as st
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from starlette.testclient import TestClient

from cervix.settings import Settings
from cervix.web import door, let_in, shut_out
from cervix.web.headers import content_policy
from cervix.web.hosts import is_own_origin, name_and_port
from tests.browser.server import free_port, running_app

INDEX = Path(st.__file__).parent / "static" / "index.html"
ALWAYS = {
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
}
FOREIGN_ORIGINS = ["http://evil.example", "null", "http://[", "https://", "file://", "http://127.0.0.1:1", "http://a@127.0.0.1"]


API_TOKEN = secrets.token_hex(32)


class Answer(NamedTuple):
    """A status, and headers by their names in small letters."""

    status: int
    headers: dict[str, str]


class Running:
    """A started app, asked over its own sockets with headers that a browser would not let a page choose."""

    def __init__(self, address: str, home: Path) -> None:
        self.port = int(address.rsplit(":", 1)[1])
        self.home = home

    def ask(self, method: str, path: str, body: bytes | None = None, **headers: str) -> Answer:
        """``Host`` is the server's own unless it is given; underscores in names of headers stand for hyphens."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        given = {name.replace("_", "-"): value for name, value in headers.items()}
        connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
        for name, value in ({"Host": f"127.0.0.1:{self.port}"} | given).items():
            connection.putheader(name, value)
        if body is not None:
            connection.putheader("Content-Length", str(len(body)))
        connection.endheaders(body)
        with closing(connection), connection.getresponse() as answer:
            return Answer(answer.status, {name.lower(): value for name, value in answer.getheaders()})

    def upgrade(self, path: str = "/_stcore/stream", **headers: str) -> int:
        """The status that a websocket's handshake is answered with; 101 where it is let in."""
        key = base64.b64encode(secrets.token_bytes(16)).decode()
        wanted = {"Upgrade": "websocket", "Connection": "Upgrade", "Sec_WebSocket_Key": key, "Sec_WebSocket_Version": "13"}
        return self.ask("GET", path, **wanted, **headers).status


@pytest.fixture(scope="module")
def app(bundle_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    home = tmp_path_factory.mktemp("door") / "home"
    told = {"CERVIX_CDS_TOKEN": "ward", "CERVIX_API_TOKENS": API_TOKEN, "CERVIX_BUNDLE_DIR": str(bundle_root)}
    with running_app(home, free_port(), CERVIX_HOSTS="Ward.example, fe80::1", **told) as address:
        yield Running(address, home)


@pytest.mark.parametrize("host", ["evil.example", "evil.example:{port}", "", "127.0.0.1.evil.example", "a@127.0.0.1", "[::1"])
def test_nothing_is_answered_under_a_foreign_name(app: Running, host: str) -> None:
    host = host.format(port=app.port)
    for path in ("/", "/slides", "/health", "/_stcore/health", "/static/nothing.js", "/media/nothing"):
        assert app.ask("GET", path, Host=host).status == 400
    assert app.ask("PUT", "/slides/upload/t/u/0", b"x", Host=host).status == 400
    assert app.ask("POST", "/slides/upload/t/u", b"", Host=host).status == 400
    assert app.upgrade(Host=host) == 403


def test_a_name_that_was_made_to_point_here_gets_no_websocket_and_no_upload(app: Running) -> None:
    """DNS rebinding: to the browser, page and app are of one origin."""
    rebound = {"Host": f"evil.example:{app.port}", "Origin": f"http://evil.example:{app.port}"}
    assert app.upgrade(**rebound) == 403
    assert app.ask("PUT", "/slides/upload/t/u/0", b"x", **rebound).status == 400
    assert app.ask("PUT", "/_stcore/upload_file/s/f", b"x", **rebound).status == 400


@pytest.mark.parametrize("host", ["127.0.0.1:{port}", "localhost:{port}", "LOCALHOST.:{port}", "[::1]:{port}", "ward.example",
                                  "WARD.example:8443", "[fe80::1]"])  # fmt: skip
def test_own_names_are_answered_and_may_open_a_websocket(app: Running, host: str) -> None:
    host = host.format(port=app.port)
    assert app.ask("GET", "/health", Host=host).status == 200
    assert app.upgrade(Host=host, Origin=f"http://{host}") == 101
    assert app.upgrade(Host=host) == 101


def test_behind_a_proxy_that_speaks_tls_the_origin_is_that_of_the_proxy(app: Running) -> None:
    assert app.upgrade(Host="ward.example", Origin="https://ward.example") == 101


@pytest.mark.parametrize("origin", FOREIGN_ORIGINS)
def test_a_foreign_origin_changes_nothing_and_opens_no_websocket(app: Running, origin: str) -> None:
    assert app.upgrade(Origin=origin) == 403
    for method, path in (
        ("PUT", "/slides/upload/t/u/0"), ("POST", "/slides/upload/t/u"), ("DELETE", "/slides/upload/t/u"),
        ("PUT", "/_stcore/upload_file/s/f"), ("PATCH", "/"),
    ):  # fmt: skip
        assert app.ask(method, path, b"x", Origin=origin).status == 403


def test_the_scoring_api_is_answered_beside_the_pages_to_programs_here_that_have_the_token(app: Running) -> None:
    token = {"Authorization": f"Bearer {API_TOKEN}"}
    assert app.ask("GET", "/api/v1/bundle", **token).status == 200
    assert app.ask("GET", "/api/v1/bundle").status == 401
    assert app.ask("GET", "/api/v1/bundle", Authorization="Bearer ward").status == 401
    assert app.ask("GET", "/api/v1/other", **token).status == 404
    assert app.ask("GET", "/api/v1/bundle", X_Forwarded_For="192.0.2.7", **token).status == 404
    assert app.ask("POST", "/api/v1/patients", b"x", Origin="http://evil.example", **token).status == 403


def test_cds_hooks_are_answered_to_programs_here_that_have_the_token(app: Running) -> None:
    token = {"Authorization": "Bearer ward"}
    assert app.ask("GET", "/cds-services", **token).status == 200
    assert app.ask("GET", "/cds-services").status == 401
    assert app.ask("GET", "/cds-services", Host="evil.example", **token).status == 400
    assert app.ask("GET", "/cds-services", X_Forwarded_For="192.0.2.7", **token).status == 404
    assert app.ask("POST", "/cds-services/cervix-screening", b"{}", Origin="http://evil.example", **token).status == 403
    assert app.ask("POST", "/cds-services/cervix-screening", b"{}", Content_Type="application/json", **token).status == 400


def test_every_answer_has_the_headers(app: Running) -> None:
    script = re.search(r"static/js/index\.[\w-]+\.js", INDEX.read_text(encoding="utf-8"))
    assert script
    for method, path, host in (
        ("GET", "/", ""), ("GET", "/patients", ""), ("GET", f"/{script[0]}", ""), ("GET", "/_stcore/health", ""),
        ("GET", "/_stcore/host-config", ""), ("GET", "/media/none", ""), ("GET", "/health", ""),
        ("GET", "/slides/t/slide/0/0/0", ""),
        ("GET", "/", "evil.example"), ("GET", "//evil.example", ""), ("HEAD", "/slides/upload/t/u/0", ""),
        ("OPTIONS", "/_stcore/upload_file/s/f", ""), ("GET", "/_stcore/metrics", ""),
    ):  # fmt: skip
        answer = app.ask(method, path, **({"Host": host} if host else {}))
        assert ALWAYS.items() <= answer.headers.items(), path
        policy = answer.headers["content-security-policy"]
        assert "frame-ancestors 'none'" in policy, path
        assert "default-src 'self'" in policy
        assert not re.search(r"'unsafe-eval'|https?:|\*|script-src[^;]*'unsafe-inline'", policy)


@pytest.mark.parametrize("path", ["/_stcore/metrics", "/_stcore/metrics/", "/_stcore/agent/openapi.json", "/_stcore/agent/mcp",
                                  "/_stcore/agent/interact", "/_stcore/script-health-check"])  # fmt: skip
def test_what_is_not_for_visitors_is_closed(app: Running, path: str) -> None:
    assert app.ask("GET", path).status == 404
    assert app.ask("POST", path, b"{}").status == 404


def test_a_session_that_has_not_passed_the_gate_gives_no_file(app: Running) -> None:
    assert app.ask("PUT", "/_stcore/upload_file/some-session/some-file", b"x" * 1000).status == 403
    assert app.ask("DELETE", "/_stcore/upload_file/some-session/some-file").status == 403


def test_what_the_server_makes_is_its_user_s_alone(app: Running) -> None:
    assert app.ask("GET", "/health").status == 200
    assert stat.S_IMODE(app.home.stat().st_mode) == 0o700
    for path in app.home.rglob("*"):
        assert not path.stat().st_mode & 0o077, path


def broken(_: Request) -> PlainTextResponse:
    raise RuntimeError("meant to happen")


def answer(_: Request) -> PlainTextResponse:
    return PlainTextResponse("here")


@pytest.fixture
def client(home: Path) -> TestClient:  # noqa: ARG001 - settings of its own
    routes = [
        Route("/broken", broken),
        Route("/_stcore/upload_file/{session}/{file}", answer, methods=["PUT"]),
        Route("/base/_stcore/upload_file/{session}/{file}", answer, methods=["PUT"]),
    ]
    app = Starlette(routes=routes, middleware=door(INDEX))
    return TestClient(app, base_url="http://localhost", raise_server_exceptions=False)


def test_a_failure_is_answered_with_the_headers_too(client: TestClient) -> None:
    failed = client.get("/broken")
    assert failed.status_code == 500
    assert failed.text == "Internal Server Error"
    assert ALWAYS.items() <= dict(failed.headers).items()


@pytest.mark.parametrize("base", ["", "/base"])
def test_a_session_that_passed_the_gate_gives_files_until_it_is_shut_out(client: TestClient, base: str) -> None:
    put = f"{base}/_stcore/upload_file/one/file"
    shut_out("one")
    assert client.put(put).status_code == 403
    let_in("one")
    assert client.put(put).text == "here"
    assert client.put(f"{base}/_stcore/upload_file/another/file").status_code == 403
    shut_out("one")
    assert client.put(put).status_code == 403


def test_two_hosts_in_one_request_are_one_too_many(client: TestClient) -> None:
    assert client.get("/", headers=[("host", "localhost"), ("host", "evil.example")]).status_code == 400


@pytest.mark.parametrize(
    ("host", "parts"),
    [
        ("localhost", ("localhost", 80)), ("Localhost.:8501", ("localhost", 8501)), ("[::1]:1", ("[::1]", 1)),
        ("a b", None), ("localhost:", None), ("localhost:x", None), ("localhost/..", None), ("::1", None), ("", None),
        (".", None), ("localhost\n", None),
    ],
)  # fmt: skip
def test_a_host_is_a_name_and_perhaps_a_port(host: str, parts: tuple[str, int] | None) -> None:
    assert name_and_port(host, 80) == parts


@pytest.mark.parametrize(
    ("origin", "host", "own"),
    [
        ("http://localhost:8501", "localhost:8501", True), ("https://ward.example", "ward.example:443", True),
        ("https://ward.example", "ward.example", True), ("http://ward.example", "ward.example:443", False),
        ("http://localhost:8502", "localhost:8501", False), ("http://localhost", "127.0.0.1", False),
        ("ws://localhost", "localhost", False), ("", "localhost", False), ("localhost", "localhost", False),
    ],
)  # fmt: skip
def test_an_origin_is_ours_where_name_and_port_are(origin: str, host: str, own: bool) -> None:
    assert is_own_origin(origin, host) is own


@pytest.mark.parametrize("names", ["https://ward.example", "ward.example:8443", "*", "*.ward.example", "ward.example/x", "a b"])
def test_a_name_of_this_server_that_is_none_stops_it(names: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CERVIX_HOSTS", f"good.example,{names}")
    with pytest.raises(ValueError, match="entry 2 of CERVIX_HOSTS is no plain name"):
        Settings()


def test_names_of_this_server_are_compared_in_small_letters_and_ipv6_in_brackets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CERVIX_HOSTS", "Ward.Example., 10.0.0.5, FE80::1, [::2],")
    assert Settings().hosts == ("ward.example", "10.0.0.5", "[fe80::1]", "[::2]")


def test_an_inline_script_of_the_index_is_allowed_by_its_hash_and_only_that(tmp_path: Path) -> None:
    index = tmp_path / "index.html"
    index.write_bytes(b'<script>\r\n  a = 1\r\n</script><script type="module" src="./b.js"></script>')
    # printf '\n  a = 1\n' | openssl dgst -sha256 -binary | base64
    assert "'sha256-nHiJsB1GRX6Ku2XBkWKVt2F3CJiowPuMwhcJv+CWmC0='" in content_policy(index)
    assert content_policy(index).count("sha256-") == 1
