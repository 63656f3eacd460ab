"""Which requests are meant for this server: those under one of its own names, and from its own pages.

A page elsewhere can make its own name point to this machine (DNS rebinding) and then speak to the app as if it were the
app's page; only the ``Host`` header tells. So nothing is answered under a name that is not the server's own, and nothing that
changes anything, a websocket included, comes from another origin (RFC 6454).
"""

import re
from collections.abc import Iterable

from starlette.datastructures import Headers
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "[::1]"})
CHANGES_NOTHING = frozenset({"GET", "HEAD", "OPTIONS"})
DEFAULT_PORTS = {"http": 80, "https": 443}
# RFC 9110, section 7.2: a name or address, and perhaps a port. A name may end in the dot of the DNS root.
HOST = re.compile(r"(\[[0-9a-f:.]+\]|[a-z0-9_-]+(?:\.[a-z0-9_-]+)*)\.?(?::([0-9]{1,5}))?", re.IGNORECASE)
POLICY_VIOLATION = 1008  # RFC 6455, section 7.4.1
NO_SUCH_NAME = "This server does not answer to that name. Whoever runs it can add the name people use to CERVIX_HOSTS.\n"
NOT_FROM_HERE = "This server takes that from its own pages only.\n"


def name_and_port(host: str, default_port: int) -> tuple[str, int] | None:
    """A ``Host`` header in two parts, the name in small letters and without a last dot; None where it is none."""
    found = HOST.fullmatch(host)
    return (found[1].lower(), int(found[2] or default_port)) if found else None


def is_own_origin(origin: str, host: str) -> bool:
    """Whether an ``Origin`` header is that of the pages under this ``Host``. Which scheme a proxy speaks is not known here."""
    scheme, _, place = origin.partition("://")
    port = DEFAULT_PORTS.get(scheme)
    if port is None:  # "null", for one
        return False
    theirs = name_and_port(place, port)
    return theirs is not None and theirs == name_and_port(host, port)


class OwnNamesOnly:
    """Middleware: refuses foreign hosts with 400, and foreign origins of websockets and of what changes anything with 403.

    Parameters
    ----------
    names : iterable of str
        Further names of this server besides the loopback ones, in small letters; an IPv6 address in brackets.
    """

    def __init__(self, app: ASGIApp, names: Iterable[str] = ()) -> None:
        self.app = app
        self.names = LOOPBACK_NAMES | frozenset(names)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket") or (refusal := self._refusal(scope)) is None:
            await self.app(scope, receive, send)
        elif scope["type"] == "websocket":
            # Closed before it is accepted, it is answered with 403.
            await send({"type": "websocket.close", "code": POLICY_VIOLATION})
        else:
            await refusal(scope, receive, send)

    def _refusal(self, scope: Scope) -> PlainTextResponse | None:
        headers = Headers(scope=scope)
        hosts, origins = headers.getlist("host"), headers.getlist("origin")
        place = name_and_port(hosts[0], 0) if len(hosts) == 1 else None
        if place is None or place[0] not in self.names:
            return _refused(NO_SUCH_NAME, 400)
        harmless = scope["type"] == "http" and scope["method"] in CHANGES_NOTHING
        if not harmless and not all(is_own_origin(origin, hosts[0]) for origin in origins):
            return _refused(NOT_FROM_HERE, 403)
        return None


def _refused(sentence: str, status: int) -> PlainTextResponse:
    # Without "close" a browser goes on sending the rest of a gigabyte before it reads the answer.
    return PlainTextResponse(sentence, status, headers={"Connection": "close"})
