"""The server over standard input and output, which belong to the protocol as long as it runs."""

import asyncio
import logging
import os
import signal
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, BinaryIO, Final, cast

from mcp.server.stdio import stdio_server

from cervix.mcp_server.call import TABLE_BYTES_AT_MOST
from cervix.mcp_server.server import tool_server

LINE_BYTES_AT_MOST: Final = 6 * TABLE_BYTES_AT_MOST + (1 << 20)
"""Of one message: JSON may write each byte of a table with six."""

logger = logging.getLogger(__name__)


async def lines(stream: BinaryIO) -> AsyncIterator[str]:
    """Messages from a stream, one a line. It ends where the stream does, or at a line that is too long to be held."""
    # Not a thread of asyncio's: those are waited for at the end, and this one may wait for a line that nobody writes.
    reader, loop = ThreadPoolExecutor(1, "lines"), asyncio.get_running_loop()
    while line := await loop.run_in_executor(reader, stream.readline, LINE_BYTES_AT_MOST + 1):
        if len(line) > LINE_BYTES_AT_MOST:
            logger.error("a message of more than %s bytes ends this server", f"{LINE_BYTES_AT_MOST:,}")
            return
        yield line.decode(errors="replace")


def serve() -> None:
    """Serve one client until it closes standard input or goes away, and end the process."""
    # The library's own reports may repeat what a client sent.
    logging.getLogger("mcp").setLevel(logging.CRITICAL)
    # Nothing is written that could be left half done, and a thread that waits for a line would hold up a tidy end.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    try:
        asyncio.run(_serve())
    except* (BrokenPipeError, ConnectionResetError):
        logger.warning("the client went away in the middle of an answer")
    # Threads that prove a bundle or score a slide for nobody are not waited for.
    os._exit(0)


async def _serve() -> None:
    # Children would find the client's messages on descriptor 0.
    wire, nothing = os.dup(0), os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    # Never closed: that would wait for the thread that reads from it.
    stream = os.fdopen(wire, "rb")
    # The library asks for a file and only iterates over it.
    async with stdio_server(stdin=cast("Any", lines(stream))) as (incoming, outgoing):
        server = tool_server()
        await server.run(incoming, outgoing, server.create_initialization_options())
