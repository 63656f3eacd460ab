"""Who may call the routes for programs: whoever shows a token, from this computer alone unless the routes are opened.

Without a token in the settings there are no such routes: everything under them is 404, for a caller from elsewhere too. A
request that a proxy passed on is not from this computer, for a proxy here speaks for anybody.
"""

import hashlib
import hmac
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from pydantic import SecretStr
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from cervix.people import is_loopback

FORWARDED: Final = ("forwarded", "via", "x-forwarded-for", "x-real-ip")
CALLER: Final = "cervix.caller"


@dataclass(frozen=True)
class ProgramDoor:
    """What opens some routes: the tokens, any of which does, and whether other computers may come too."""

    tokens: tuple[SecretStr, ...]
    opened: bool

    def caller(self, authorization: str) -> str | None:
        """Which token an ``Authorization`` header shows, as its SHA-256; None where it shows none of these."""
        scheme, _, shown = authorization.partition(" ")
        token = shown.strip().encode()
        # Every one is compared in full, whichever is the first that fits and whatever the first character that differs.
        fits = [hmac.compare_digest(token, one.get_secret_value().encode()) for one in self.tokens]
        return hashlib.sha256(token).hexdigest() if any(fits) and scheme.lower() == "bearer" else None


class ProgramsOnly:
    """Middleware: lets in whoever the door lets in, and marks every answer as one that nobody else may keep."""

    def __init__(self, app: ASGIApp, door: Callable[[], ProgramDoor], codes: dict[int, str] | None = None) -> None:
        self.app = app
        self.door = door
        self.codes = codes or {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        async def send_unkept(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], (b"cache-control", b"no-store")]
            await send(message)

        request, door = Request(scope), self.door()
        if not door.tokens or not (door.opened or is_from_here(request)):
            refusal = self._refused("Not Found", 404)
        elif (caller := door.caller(request.headers.get("authorization", ""))) is None:
            refusal = self._refused("The bearer token is missing or wrong.", 401)
            refusal.headers["WWW-Authenticate"] = "Bearer"
        else:
            await self.app({**scope, CALLER: caller}, receive, send_unkept)
            return
        await refusal(scope, receive, send_unkept)

    def _refused(self, sentence: str, status: int) -> JSONResponse:
        code = {"code": self.codes[status]} if status in self.codes else {}
        # Without "close" whoever sends a gigabyte goes on sending it before the answer is read.
        return JSONResponse({"error": sentence, **code}, status, {"Connection": "close"})


def is_from_here(request: Request) -> bool:
    """Whether a request comes from this computer, and straight."""
    passed_on = any(name in request.headers for name in FORWARDED)
    return request.client is not None and not passed_on and is_loopback(request.client.host)


def caller_of(request: Request) -> str:
    """The SHA-256 of the token that let a request in."""
    return str(request.scope[CALLER])
