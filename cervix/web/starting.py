"""What the server does before its first request."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from threading import Event

from cervix.files import private_from_now_on
from cervix.settings import get_settings
from cervix.web.sockets import answering_at_once
from cervix.web.uploads import swept_at_the_start

_serving = Event()


def is_serving() -> bool:
    """Whether this process is a server: pages may then make ahead what its visitors are likely to ask for."""
    return _serving.is_set()


@asynccontextmanager
async def serving(app: object) -> AsyncIterator[None]:
    """The server's lifespan: what it keeps is its own user's alone, old parts of uploads go, and its answers leave at once."""
    private_from_now_on(get_settings().home)
    async with swept_at_the_start(app), answering_at_once(app):
        _serving.set()
        yield
        _serving.clear()
