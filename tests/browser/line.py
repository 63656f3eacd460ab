"""A line to the app that can be slow, and that breaks once in the middle of a large upload."""

import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from threading import Thread

BLOCK_BYTES = 1 << 18
# More than any request of a page but an upload sends over one connection.
ORDINARY_BYTES = 5_000_000


@dataclass
class Line:
    """A TCP forwarder: its own address, how fast uploads go, and after how many bytes one connection is cut."""

    port: int
    bytes_per_s: float | None = None
    cut_after: int | None = None
    cuts: int = 0


@contextmanager
def line_to(port: int) -> Iterator[Line]:
    """Listen on a free port and forward every connection to ``port``."""
    listener = socket.create_server(("127.0.0.1", 0))
    line = Line(int(listener.getsockname()[1]))

    def accept() -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            server = socket.create_connection(("127.0.0.1", port))
            Thread(target=_forward, args=(client, server, line), daemon=True).start()
            Thread(target=_forward, args=(server, client, None), daemon=True).start()

    Thread(target=accept, daemon=True).start()
    yield line
    listener.close()


def _forward(source: socket.socket, target: socket.socket, line: Line | None) -> None:
    """Copy until either end closes; a line throttles and cuts."""
    sent = 0
    try:
        while block := source.recv(BLOCK_BYTES):
            target.sendall(block)
            sent += len(block)
            if line is not None and sent > ORDINARY_BYTES:
                if line.bytes_per_s:
                    time.sleep(len(block) / line.bytes_per_s)
                if line.cut_after is not None and sent > line.cut_after:
                    line.cut_after, line.cuts = None, line.cuts + 1
                    break
    except OSError:
        pass  # the other direction has closed both ends already
    for end in (source, target):
        with suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)
        end.close()
