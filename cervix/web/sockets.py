"""Answers that leave at once.

Streamlit binds its socket without naming TCP, and asyncio then leaves Nagle's algorithm on: the body of an answer waits for
the reader's delayed acknowledgement of its head, 40 ms on Linux, for every map tile. Accepted connections inherit the
option from the listening socket, so it is set there once, before the first connection.
"""

import os
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

DESCRIPTORS = Path("/proc/self/fd")


@asynccontextmanager
async def answering_at_once(_: object) -> AsyncIterator[None]:
    """A lifespan that switches Nagle's algorithm off on the sockets this process listens on; on Linux, elsewhere nothing."""
    for descriptor in sorted(int(entry.name) for entry in DESCRIPTORS.iterdir()) if DESCRIPTORS.is_dir() else ():
        try:
            with socket.socket(fileno=os.dup(descriptor)) as bound:
                if bound.family in (socket.AF_INET, socket.AF_INET6) and bound.type == socket.SOCK_STREAM:
                    bound.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        except OSError:
            continue  # a file, a pipe, or closed since it was listed
    yield
