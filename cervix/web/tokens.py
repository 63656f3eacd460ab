"""Unguessable tokens that open one thing for one session, for a while."""

import secrets
import time
import weakref
from collections import OrderedDict, deque
from dataclasses import dataclass
from threading import Lock
from typing import Generic, TypeVar

Opened = TypeVar("Opened")
# A token that is not used for so long has expired.
TOKEN_LIFETIME_S = 8 * 3600.0
TOKENS_A_SESSION = 24
# No visits reach this: each is a session with a page open, which costs the server far more. It bounds the memory all the same.
TOKENS_KEPT = 20_000


class Session:
    """Whom tokens belong to. When nobody holds it any more, as after the end of a visit, they are forgotten."""


@dataclass
class _Grant(Generic[Opened]):
    opened: Opened
    session: int
    used: float


class TokenRegistry(Generic[Opened]):
    """Which token opens what, until when, and for which session.

    What others do never ends a token: each session has a number of its own, and what is beyond it goes, the least recently
    used first.
    """

    def __init__(self) -> None:
        self._grants: OrderedDict[str, _Grant[Opened]] = OrderedDict()
        # Sessions end whenever the collector of garbage comes by, even in the midst of what is below: it only notes them.
        self._ended: deque[int] = deque()
        self._lock = Lock()

    def grant(self, opened: Opened, session: Session | None = None) -> str:
        """A new token for a session; for one of its own, which ends by time alone, where none is named."""
        token = secrets.token_urlsafe(24)
        now = time.monotonic()
        owner = id(session) if session is not None else 0
        with self._lock:
            self._forget_ended()
            for stale in [key for key, grant in self._grants.items() if now - grant.used > TOKEN_LIFETIME_S]:
                del self._grants[stale]
            mine = [key for key, grant in self._grants.items() if owner and grant.session == owner]
            if session is not None and not mine:
                weakref.finalize(session, self._ended.append, owner).atexit = False
            for least in mine[: max(0, len(mine) + 1 - TOKENS_A_SESSION)]:
                del self._grants[least]
            self._grants[token] = _Grant(opened, owner, now)
            while len(self._grants) > TOKENS_KEPT:
                self._grants.popitem(last=False)
        return token

    def find(self, token: str) -> Opened | None:
        """What a token opens; None where it is unknown or was not used for too long."""
        now = time.monotonic()
        with self._lock:
            self._forget_ended()
            grant = self._grants.get(token)
            if grant is None or now - grant.used > TOKEN_LIFETIME_S:
                self._grants.pop(token, None)
                return None
            grant.used = now
            self._grants.move_to_end(token)
            return grant.opened

    def granted(self, token: str) -> bool:
        """Whether a token is one of this registry and has not expired; asking is a use of it."""
        self.find(token)
        with self._lock:
            return token in self._grants

    def revoke(self, token: str) -> None:
        """Forget a token, if it is one of this registry."""
        with self._lock:
            self._grants.pop(token, None)

    def _forget_ended(self) -> None:
        while self._ended:
            owner = self._ended.popleft()
            for token in [key for key, grant in self._grants.items() if grant.session == owner]:
                del self._grants[token]
