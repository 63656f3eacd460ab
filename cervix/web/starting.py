"""What the server does before its first request, and beside all of them."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from threading import Event
from typing import Final

from starlette.concurrency import run_in_threadpool

from cervix.files import private_from_now_on
from cervix.settings import get_settings
from cervix.web.desk import resume_in_the_background, sweep_uploads
from cervix.web.sockets import answering_at_once
from cervix.web.uploads import swept_at_the_start

logger = logging.getLogger(__name__)

SWEEP_EVERY_S: Final = 600.0
_serving = Event()


def is_serving() -> bool:
    """Whether this process is a server: pages may then make ahead what its visitors are likely to ask for."""
    return _serving.is_set()


@asynccontextmanager
async def serving(app: object) -> AsyncIterator[None]:
    """The server's lifespan: what it keeps is its own user's alone, old parts of uploads go, and its answers leave at once.

    Where programs may call it, unfinished scores are gone on with and old uploads go without anybody opening a page.
    """
    settings = get_settings()
    private_from_now_on(settings.home)
    async with swept_at_the_start(app), answering_at_once(app):
        _serving.set()
        sweeping = asyncio.create_task(_sweeping()) if settings.api_tokens else None
        if settings.api_tokens:
            resume_in_the_background()
        yield
        _serving.clear()
        if sweeping is not None:
            sweeping.cancel()
            with suppress(asyncio.CancelledError):
                await sweeping


async def _sweeping() -> None:
    while True:
        await asyncio.sleep(SWEEP_EVERY_S)
        try:
            await run_in_threadpool(sweep_uploads)
        except OSError as error:
            logger.warning("old uploads could not be deleted: %s", error.strerror)
