"""DICOM files as parts of one body, of which neither is ever whole in memory (RFC 2387; DICOM PS3.18 8.6.1)."""

import io
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from email.message import Message
from pathlib import Path
from typing import BinaryIO, Final

from cervix.sources.downloads import BLOCK_BYTES, Body, TryAgain, undocumented

DICOM_TYPE: Final = "application/dicom"
RELATED_TYPE: Final = "multipart/related"
PART_HEADERS_BYTES_AT_MOST: Final = 16 << 10
# RFC 2046 allows 70 characters; Orthanc writes 74.
BOUNDARY_LENGTH: Final = 200


class Multipart(io.RawIOBase):
    """DICOM files as one body of media type multipart/related, read from disk while it is sent (RFC 2387)."""

    def __init__(self, paths: Sequence[Path], boundary: str) -> None:
        head = f"--{boundary}\r\nContent-Type: {DICOM_TYPE}\r\n\r\n".encode("ascii")
        self._open = ExitStack()
        self._pieces: list[BinaryIO] = []
        for path in paths:
            self._pieces += [io.BytesIO(head), self._open.enter_context(path.open("rb")), io.BytesIO(b"\r\n")]
        end = f"--{boundary}--\r\n".encode("ascii")
        self._pieces.append(io.BytesIO(end))
        self._length = sum(len(head) + path.stat().st_size + 2 for path in paths) + len(end)

    def __len__(self) -> int:
        return self._length

    def tell(self) -> int:
        """Always the beginning: ``requests`` subtracts it from the length, and nothing is sent twice."""
        return 0

    def readable(self) -> bool:
        return True

    def read(self, size: int | None = -1, /) -> bytes:
        size = BLOCK_BYTES if size is None or size < 0 else size
        while self._pieces:
            if block := self._pieces[0].read(size):
                return block
            self._pieces.pop(0)
        return b""

    def close(self) -> None:
        self._open.close()
        super().close()


def only_part(body: Body, service: str) -> Iterator[bytes]:
    """The content of the one part of a multipart body, as it comes."""
    stated = Message()
    stated["Content-Type"] = body.media_type
    boundary = stated.get_boundary("")
    if stated.get_content_type() != RELATED_TYPE or not 0 < len(boundary) <= BOUNDARY_LENGTH or not boundary.isascii():
        raise undocumented(service, f"{RELATED_TYPE} with a boundary", "another kind of answer")
    opening, closing = f"--{boundary}".encode("ascii"), f"\r\n--{boundary}".encode("ascii")
    here = bytearray()
    blocks = body.blocks
    while (begins := here.find(b"\r\n\r\n", 2)) < 0:
        here += _next(blocks)
        if len(here) > PART_HEADERS_BYTES_AT_MOST + BLOCK_BYTES:
            raise undocumented(service, "headers of a part", "none that end")
    if not bytes(here[:begins]).lstrip(b"\r\n").startswith(opening):
        raise undocumented(service, "the boundary that the answer states", "another beginning")
    del here[: begins + 4]
    while (ends := here.find(closing)) < 0:
        # The boundary may have begun within what is here.
        if surely := bytes(here[: -len(closing)]):
            yield surely
            del here[: len(surely)]
        here += _next(blocks)
    yield bytes(here[:ends])
    while len(here) < ends + len(closing) + 2:
        here += _next(blocks)
    if here[ends + len(closing) :][:2] != b"--":
        raise undocumented(service, "one file", "several")


def _next(blocks: Iterator[bytes]) -> bytes:
    block = next(blocks, b"")
    if not block:
        raise TryAgain("the answer ended within a file")
    return block
