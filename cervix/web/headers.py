"""What every answer tells the browser: load and send nothing anywhere else, guess no types, allow no foreign frame."""

import base64
import hashlib
import re
from pathlib import Path

from starlette.datastructures import MutableHeaders
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

INLINE_SCRIPT = re.compile(r"<script(?![^>]*\bsrc\b)[^>]*>(.*?)</script>", re.DOTALL)


def content_policy(index: Path) -> str:
    """The Content-Security-Policy (W3C, CSP level 3) for Streamlit's pages.

    Parameters
    ----------
    index : Path
        Streamlit's ``index.html``. Scripts that stand in it are allowed by their hash, and no other inline script is.
    """
    # A parser turns CRLF into LF before it hashes.
    scripts = INLINE_SCRIPT.findall(index.read_text(encoding="utf-8"))
    hashes = (base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() for script in scripts)
    allowed = {
        "default-src": "'self'",
        # Streamlit imports the scripts of our own controls from a blob that it made itself. WebAssembly, which its protobuf
        # library uses for whole numbers of 64 bits, runs nothing that a script could not; eval stays forbidden.
        "script-src": " ".join(["'self'", "blob:", "'wasm-unsafe-eval'", *(f"'sha256-{digest}'" for digest in hashes)]),
        # Emotion, which styles Streamlit's pages, and Plotly write style elements.
        "style-src": "'self' 'unsafe-inline'",
        "img-src": "'self' data: blob:",
        "font-src": "'self' data:",
        # The map's.
        "worker-src": "'self' blob:",
        "object-src": "'none'",
        "base-uri": "'none'",
        "form-action": "'self'",
        "frame-src": "'none'",
        "frame-ancestors": "'none'",
    }
    return "; ".join(f"{what} {sources}" for what, sources in allowed.items())


NO_PAGES = "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
"""The policy of a server that has no pages: whatever it answers loads nothing and stands in no frame."""


class SafeHeaders:
    """Middleware: the same headers on every answer, Streamlit's and refusals and failures included.

    Parameters
    ----------
    index : Path or None
        Streamlit's ``index.html``; None where no page is served.
    """

    def __init__(self, app: ASGIApp, index: Path | None) -> None:
        self.app = app
        self.headers = {
            "Content-Security-Policy": content_policy(index) if index is not None else NO_PAGES,
            "X-Content-Type-Options": "nosniff",
            "X-Frame-Options": "DENY",
            "Referrer-Policy": "no-referrer",
            "Cross-Origin-Opener-Policy": "same-origin",
            "Cross-Origin-Resource-Policy": "same-origin",
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        started = False

        async def send_with_headers(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                MutableHeaders(scope=message).update(self.headers)
            await send(message)

        try:
            await self.app(scope, receive, send_with_headers)
        except Exception:
            # Starlette's own answer to a failure is written outside of all middleware. It is logged there all the same.
            if not started:
                await PlainTextResponse("Internal Server Error", 500)(scope, receive, send_with_headers)
            raise
