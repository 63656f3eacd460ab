"""An OpenID Connect provider on this machine: authorization code flow with PKCE, RS256, and no questions asked."""

import base64
import hashlib
import json
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

from joserfc import jwt
from joserfc.jwk import RSAKey

CLIENT_ID, CLIENT_SECRET = "cervix-workbench", "the client's own secret"
DISCOVERY = "/.well-known/openid-configuration"


@dataclass
class Provider:
    """Who comes back signed in, and what has been asked for.

    Attributes
    ----------
    claims : of whoever signs in next, besides those that every ID token has
    refuses : answer a sign-in with an error, as if the person had said no
    fails : answer everything as a server does that is out of order
    waiting : code -> what it was given for; a code is good once
    """

    address: str
    claims: dict[str, Any] = field(default_factory=dict)
    refuses: bool = False
    fails: bool = False
    waiting: dict[str, dict[str, str]] = field(default_factory=dict)
    key: RSAKey = field(default_factory=lambda: RSAKey.generate_key(2048, {"kid": "first"}))

    def secrets_file(self, folder: Path, app: str) -> Path:
        """What a Streamlit app at an address needs to let people sign in here."""
        path = folder / "secrets.toml"
        path.write_text(
            f'[auth]\nredirect_uri = "{app}/oauth2callback"\ncookie_secret = "{secrets.token_urlsafe(32)}"\n'
            f'client_id = "{CLIENT_ID}"\nclient_secret = "{CLIENT_SECRET}"\n'
            f'server_metadata_url = "{self.address}{DISCOVERY}"\n',
            encoding="utf-8",
        )
        return path

    def id_token(self, asked: dict[str, str]) -> str:
        """Signed, with the nonce that was asked for."""
        now = int(time.time())
        always = {"iss": self.address, "aud": CLIENT_ID, "sub": "7f3a", "iat": now, "exp": now + 300, "nonce": asked["nonce"]}
        return jwt.encode({"alg": "RS256", "kid": "first"}, always | self.claims, self.key)


@contextmanager
def running_provider() -> Iterator[Provider]:
    """A provider on a free port."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler)
    provider = Provider(f"http://127.0.0.1:{server.server_port}")
    server.RequestHandlerClass = _handler_of(provider)
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield provider
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _handler_of(provider: Provider) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def log_message(self, format: str, *args: object) -> None:
            """Tests print nothing."""

        def do_GET(self) -> None:
            place, query = urlsplit(self.path).path, _flat(urlsplit(self.path).query)
            if provider.fails:
                self._answer(503, {})
            elif place == DISCOVERY:
                self._answer(200, _description(provider.address))
            elif place == "/keys":
                self._answer(200, {"keys": [provider.key.as_dict(private=False)]})
            elif place == "/authorize" and query["client_id"] == CLIENT_ID and query["response_type"] == "code":
                code = secrets.token_urlsafe(16)
                provider.waiting[code] = query
                outcome = {"error": "access_denied"} if provider.refuses else {"code": code}
                self._redirect(query["redirect_uri"], outcome | {"state": query["state"]})
            elif place == "/end":
                self._redirect(query["post_logout_redirect_uri"], {})
            else:
                self._answer(404, {})

        def do_POST(self) -> None:
            form = _flat(self.rfile.read(int(self.headers["Content-Length"])).decode())
            asked = provider.waiting.pop(form.get("code", ""), None)
            proof = base64.urlsafe_b64encode(hashlib.sha256(form.get("code_verifier", "").encode()).digest()).rstrip(b"=")
            caller = base64.b64decode(self.headers.get("Authorization", "").removeprefix("Basic "))
            if asked is None or asked["code_challenge"] != proof.decode() or asked["redirect_uri"] != form["redirect_uri"]:
                self._answer(400, {"error": "invalid_grant"})
            elif caller.decode() != f"{CLIENT_ID}:{CLIENT_SECRET}":
                self._answer(401, {"error": "invalid_client"})
            else:
                token = {"access_token": secrets.token_urlsafe(16), "token_type": "Bearer", "expires_in": 300}
                self._answer(200, token | {"id_token": provider.id_token(asked)})

        def _answer(self, status: int, content: object) -> None:
            body = json.dumps(content).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def _redirect(self, address: str, query: dict[str, str]) -> None:
            self.send_response(302)
            self.send_header("Location", f"{address}?{urlencode(query)}" if query else address)
            self.send_header("Content-Length", "0")
            self.end_headers()

    return Handler


def _description(address: str) -> dict[str, Any]:
    return {
        "issuer": address,
        "authorization_endpoint": f"{address}/authorize",
        "token_endpoint": f"{address}/token",
        "jwks_uri": f"{address}/keys",
        "end_session_endpoint": f"{address}/end",
        "response_types_supported": ["code"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["RS256"],
        "code_challenge_methods_supported": ["S256"],
    }


def _flat(query: str) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs(query).items()}
