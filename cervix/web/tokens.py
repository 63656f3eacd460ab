"""Unguessable tokens that open one thing for one session, for a while."""

import secrets
import time
from collections import OrderedDict
from dataclasses import dataclass
from threading import Lock
from typing import Generic, TypeVar

Opened = TypeVar("Opened")
TOKEN_LIFETIME_S = 8 * 3600.0
TOKENS_KEPT = 200


@dataclass
class _Grant(Generic[Opened]):
    opened: Opened
    expires: float


class TokenRegistry(Generic[Opened]):
    """Which token opens what, and until when."""

    def __init__(self) -> None:
        self._grants: OrderedDict[str, _Grant[Opened]] = OrderedDict()
        self._lock = Lock()

    def grant(self, opened: Opened) -> str:
        """A new token. The least recently used beyond ``TOKENS_KEPT`` are forgotten."""
        token = secrets.token_urlsafe(24)
        now = time.monotonic()
        with self._lock:
            for expired in [key for key, grant in self._grants.items() if grant.expires < now]:
                del self._grants[expired]
            self._grants[token] = _Grant(opened, now + TOKEN_LIFETIME_S)
            while len(self._grants) > TOKENS_KEPT:
                self._grants.popitem(last=False)
        return token

    def find(self, token: str) -> Opened | None:
        """What a token opens; None where it is unknown or has expired."""
        with self._lock:
            grant = self._grants.get(token)
            if grant is None or grant.expires < time.monotonic():
                self._grants.pop(token, None)
                return None
            self._grants.move_to_end(token)
            return grant.opened

    def revoke(self, token: str) -> None:
        """Forget a token, if it is one of this registry."""
        with self._lock:
            self._grants.pop(token, None)
