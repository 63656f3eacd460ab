"""Which sessions have signed in, for the routes of Streamlit that do not check it themselves."""

import re
from threading import Lock

from cachetools import TTLCache
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

SESSIONS_KEPT = 10_000
PASSED_FOR_S = 12 * 3600.0
"""A session that nobody has touched for so long has to sign in again."""
# Figures about this server, and a door for programs: neither is for visitors.
CLOSED = re.compile(r"/_stcore/(metrics|agent|script-health-check)(/|$)")
UPLOAD = re.compile(r"/_stcore/upload_file/([^/]*)")

_passed: "TTLCache[str, bool]" = TTLCache(SESSIONS_KEPT, PASSED_FOR_S)
_lock = Lock()


def let_in(session_id: str) -> None:
    """This session has signed in: its pages may take files in."""
    with _lock:
        _passed[session_id] = True


def shut_out(session_id: str) -> None:
    """It has not, or not any more."""
    with _lock:
        _passed.pop(session_id, None)


def has_passed(session_id: str) -> bool:
    with _lock:
        return session_id in _passed


class PassedOnly:
    """Middleware: ``st.file_uploader``'s route takes in memory what it is sent, so only from sessions that signed in."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope.get("path", "") if scope["type"] == "http" else ""
        if CLOSED.search(path):
            await PlainTextResponse("Not Found", 404)(scope, receive, send)
        elif (upload := UPLOAD.search(path)) and not has_passed(upload[1]):
            refusal = PlainTextResponse("Files are taken from sessions that are let in.\n", 403, {"Connection": "close"})
            await refusal(scope, receive, send)
        else:
            await self.app(scope, receive, send)
