"""The server over standard input and output, which belong to the protocol as long as it runs."""

import io
import logging
import os
import signal
from typing import IO, BinaryIO, Final, cast

import anyio
from mcp.server.stdio import stdio_server

from cervix.mcp_server.asked import TABLE_BYTES_AT_MOST
from cervix.mcp_server.server import tool_server

LINE_BYTES_AT_MOST: Final = 6 * TABLE_BYTES_AT_MOST + (1 << 20)
"""Of one message: JSON may write each byte of a table with six."""

logger = logging.getLogger(__name__)


class Lines(io.TextIOBase):
    """Messages from a stream, one a line; it ends where the stream does, or at a line that is too long to be held."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream

    def readline(self, size: int | None = -1, /) -> str:  # type: ignore[override]  # typeshed's bases disagree here
        del size
        line = self._stream.readline(LINE_BYTES_AT_MOST + 1)
        if len(line) > LINE_BYTES_AT_MOST:
            logger.error("a message of more than %s bytes ends this server", f"{LINE_BYTES_AT_MOST:,}")
            return ""
        return line.decode(errors="replace")


def serve() -> None:
    """Serve one client until it closes standard input."""
    # The library's own reports may repeat what a client sent.
    logging.getLogger("mcp").setLevel(logging.CRITICAL)
    # Nothing is written that could be left half done, and a thread that waits for a line would hold up a tidy end.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    anyio.run(_serve)


async def _serve() -> None:
    # Children would find the client's messages on descriptor 0.
    wire, nothing = os.dup(0), os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    with os.fdopen(wire, "rb") as stream:
        lines = anyio.wrap_file(cast("IO[str]", Lines(stream)))
        async with stdio_server(stdin=lines) as (incoming, outgoing):
            server = tool_server()
            await server.run(incoming, outgoing, server.create_initialization_options())
