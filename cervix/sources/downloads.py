"""What comes from elsewhere and goes there: patiently, to one origin; files are checked, and whole or not there.

Ranges, ``Content-Range`` and ``Retry-After``: RFC 9110.
"""

import logging
import os
import re
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from io import RawIOBase
from pathlib import Path
from threading import Event
from types import TracebackType
from typing import Any, Final, Self, TypeVar
from urllib.parse import urljoin, urlsplit

import requests
from requests.auth import AuthBase
from urllib3 import Retry
from urllib3.exceptions import HTTPError as TransportError
from urllib3.exceptions import InvalidHeader, ReadTimeoutError

from cervix.errors import Cancelled, DownloadFailed
from cervix.files import digest_of

logger = logging.getLogger(__name__)

CONNECT_TIMEOUT_S, READ_TIMEOUT_S = 20.0, 60.0
ATTEMPTS = 6
RETRY_WAIT_S, LONGEST_WAIT_S = 2.0, 120.0
# An attempt that brought this much is not counted: a file of 1 GB must survive a line that breaks ten times on the way.
WORTHWHILE_BYTES = 8 << 20
# Below this, over one read time-out, a transfer is as good as dead and a new connection is the better try.
SLOWEST_BYTES_S = 1024
BLOCK_BYTES = 1 << 18
# An answer that is held in memory.
ANSWER_BYTES_AT_MOST: Final = 64 << 20
KEPT_FREE_BYTES: Final = 500_000_000
"""Room that is left besides a download itself: for scores, thumbnails and whatever else the app writes meanwhile."""
LOG_EVERY_S = 5.0
SHORTEST_S = 1e-3
"""Of which a speed is told: the first block may come within no time that the clock can tell."""
PASSING_STATUS = frozenset({408, 425, 429})  # and all from 500
NOT_OPEN = ("it is not open access", "Only what is open to everybody can be had: no password or token is sent.")
REFUSALS = {
    401: NOT_OPEN,
    403: NOT_OPEN,
    404: ("it is not there", "Check the address; what was withdrawn is gone from a new list when the command is run again."),
}
# What is searched for may say whom.
QUERY = re.compile(r"\?\S*")
CONTENT_RANGE = re.compile(r"bytes (\d+)-(\d+)/(\d+|\*)")
USUAL_PORTS = {"http": 80, "https": 443}
Answer = TypeVar("Answer")


@dataclass(frozen=True)
class RemoteFile:
    """A file elsewhere. Its size and digest come from another hand than the one that sends it: a list, or this project.

    Attributes
    ----------
    digest : str
        ``"sha256:…"`` or ``"md5:…"``, in hexadecimal; empty where nobody states one, and then the size alone is checked.
    """

    address: str
    name: str
    size_bytes: int
    digest: str


@dataclass(frozen=True)
class Body:
    """The body of an answer that is on its way.

    Attributes
    ----------
    media_type : str
        As the server states it; empty where it does not.
    length_bytes : int or None
        None where the server does not state it.
    blocks : iterator of bytes
        What comes, as it comes; raises where it ends too early.
    """

    media_type: str
    length_bytes: int | None
    blocks: Iterator[bytes]


@dataclass(frozen=True)
class Arriving:
    """How far a download is.

    Attributes
    ----------
    total_bytes : int
        Where nobody states it, what is expected.
    bytes_s : float
        Since this attempt began; 0 where nothing came yet.
    """

    done_bytes: int
    total_bytes: int
    bytes_s: float

    @property
    def share(self) -> float:
        """0 to 1."""
        return min(self.done_bytes / self.total_bytes, 1.0)

    @property
    def left_s(self) -> float | None:
        """Seconds that are left at this pace; None where there is none yet."""
        return max(self.total_bytes - self.done_bytes, 0) / self.bytes_s if self.bytes_s > 0 else None


@dataclass(frozen=True)
class Onlooker:
    """Whoever watches something being fetched, and may stop it.

    Attributes
    ----------
    arriving : callable
        Told of every block, in the thread that fetches.
    cancel : Event
        Once it is set, the fetch ends with ``Cancelled``.
    """

    arriving: Callable[[Arriving], None] = lambda _: None
    cancel: Event = field(default_factory=Event)


def counting(begun_bytes: int, total_bytes: int, arriving: Callable[[Arriving], None]) -> Callable[[int], None]:
    """Tell how far a download is, at once and with each block: what is returned is called with the bytes that came.

    Parameters
    ----------
    begun_bytes : int
        What an earlier attempt left; it does not count for the speed.
    """
    done_bytes, started_s = begun_bytes, time.monotonic()

    def count(block_bytes: int) -> None:
        nonlocal done_bytes
        done_bytes += block_bytes
        arriving(Arriving(done_bytes, total_bytes, (done_bytes - begun_bytes) / max(time.monotonic() - started_s, SHORTEST_S)))

    arriving(Arriving(done_bytes, total_bytes, 0.0))
    return count


class TryAgain(Exception):
    """A fault that another attempt may not meet: what happened, and how long the server asks to wait."""

    def __init__(self, what: str, wait_s: float = 0.0) -> None:
        super().__init__(what)
        self.wait_s = wait_s


class _OneOrigin(requests.Session):
    """Follows redirects within the host that was asked, to the same port or from HTTP to HTTPS; to no other."""

    def get_redirect_target(self, resp: requests.Response) -> str | None:
        if hasattr(resp.request.body, "read"):
            return None  # what was sent as it was read is not sent once more
        target = super().get_redirect_target(resp)
        if target is not None and not _may_lead_to(resp.url, urljoin(resp.url, target)):
            resp.close()
            raise DownloadFailed(
                "The download leads to another server",
                expected=f"the file from {urlsplit(resp.url).hostname}",
                found=f"a redirect to {urlsplit(urljoin(resp.url, target)).hostname}",
                action="Nothing was fetched from there. Check the address.",
            )
        return target


class Downloader:
    """One service that files are had from, asked with patience.

    Parameters
    ----------
    service : str
        Whom a sentence names when something cannot be had.
    log : callable
        Gets a line about what happens: begin, progress every few seconds, faults, end.
    attempts : int
        So many in a row may fail, those not counted that brought ``WORTHWHILE_BYTES``.
    retry_wait_s : float
        Wait before the second attempt in seconds; it doubles with each, up to ``LONGEST_WAIT_S``.
    read_timeout_s : float
        Longest silence of the server in seconds.
    arrived : callable
        Gets the number of bytes that came with each block of a file.
    cancel : threading.Event, optional
        Set it from another thread to stop with ``Cancelled`` after the block in hand; what has arrived stays.
    auth : requests.auth.AuthBase, optional
        Signs each request. It goes to the origin that is asked and to no other.
    refusals : mapping of int to (str, str)
        Status of a refusal -> what it means, and what the reader can do.
    past_proxies : bool
        Ask no proxy, whatever the environment says.
    """

    def __init__(
        self,
        service: str,
        *,
        log: Callable[[str], None] = logger.info,
        attempts: int = ATTEMPTS,
        retry_wait_s: float = RETRY_WAIT_S,
        read_timeout_s: float = READ_TIMEOUT_S,
        arrived: Callable[[int], None] = lambda _: None,
        cancel: Event | None = None,
        auth: AuthBase | None = None,
        refusals: Mapping[int, tuple[str, str]] = REFUSALS,
        past_proxies: bool = False,
    ) -> None:
        self._session = _OneOrigin()
        self._session.auth = auth
        self._session.trust_env = not past_proxies
        self._refusals = refusals
        self._service = service
        self._log = log
        self._attempts, self._retry_wait_s, self._read_timeout_s = attempts, retry_wait_s, read_timeout_s
        self._arrived, self._cancel = arrived, cancel

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._session.close()

    def ask(self, address: str, question: dict[str, Any], what: str) -> bytes:
        """The body of the answer to a question in JSON; ``what`` names it in a sentence.

        Raises ``DownloadFailed`` as ``fetch`` does, and for more than ``ANSWER_BYTES_AT_MOST``.
        """
        return self._answer(what, partial(self._in_memory, what, ANSWER_BYTES_AT_MOST), "POST", address, json=question)

    def read(
        self,
        address: str,
        what: str,
        *,
        question: Mapping[str, Any] | None = None,
        accept: str = "*/*",
        at_most_bytes: int = ANSWER_BYTES_AT_MOST,
    ) -> bytes:
        """What stands at an address, small enough for memory; ``what`` names it in a sentence.

        Parameters
        ----------
        question : mapping, optional
            Becomes the query of the address.
        accept : str
            Media types that are wanted.

        Raises ``DownloadFailed`` as ``fetch`` does, and for more than ``at_most_bytes``.
        """
        whole = partial(self._in_memory, what, at_most_bytes)
        return self._answer(what, whole, "GET", address, params=question, headers={"Accept": accept})

    def take(self, address: str, what: str, taker: Callable[[Body], Answer], *, accept: str = "*/*") -> Answer:
        """Hand what stands at an address to a function, block by block; after a fault on the way once more, from the start.

        Raises ``DownloadFailed`` as ``fetch`` does, and what ``taker`` raises.
        """
        return self._answer(what, taker, "GET", address, headers={"Accept": accept})

    def send(
        self, address: str, body: Callable[[], RawIOBase], what: str, *, media_type: str, accept: str, taken: frozenset[int]
    ) -> tuple[int, bytes]:
        """Send a file as it is read, and return the status of the answer and its body. No redirect is followed.

        Parameters
        ----------
        body : callable
            Opens what is sent, for each attempt anew; ``len()`` of it is its size in bytes.
        taken : frozenset of int
            Every status that is an answer and no refusal.

        Raises ``DownloadFailed`` as ``read`` does.
        """

        def attempt() -> tuple[int, bytes]:
            headers = {"Accept": accept, "Content-Type": media_type, "Accept-Encoding": "identity"}
            with (
                body() as stream,
                self._request("POST", address, data=stream, headers=headers, stream=True) as response,
            ):
                if response.status_code not in taken:
                    self._check_status(response, what)
                return response.status_code, self._in_memory(what, ANSWER_BYTES_AT_MOST, self._body_of(response))

        return self._patiently(what, attempt)

    def fetch(self, file: RemoteFile, target: Path, which: str = "") -> None:
        """Fetch a file beside its place, check it, and rename it into place.

        On its way it is ``<name>.part`` beside the target. What has arrived stays there whatever happens, and the next call
        goes on from it.

        Parameters
        ----------
        which : str
            What lines of the log call it, where its name is not enough.

        Raises
        ------
        DownloadFailed
            If it is refused, cannot be had whole, leads to another server, or its digest is wrong twice.
        OSError
            If the disk is full.
        """
        which, part = which or file.name, part_of(target)
        kind, _, digest = file.digest.partition(":")
        target.parent.mkdir(parents=True, exist_ok=True)
        have = size_of(part)
        self._log(f"{which}, {file.size_bytes / 1e6:,.1f} MB" + (f", going on after {have / 1e6:,.1f} MB" if have else ""))
        started = time.monotonic()
        for last_try in (False, True):
            self._patiently(file.name, partial(self._go_on, file, part, which), arrived=partial(size_of, part))
            found = digest_of(part, kind) if kind else ""
            if found == digest:
                break
            part.unlink()
            if last_try:
                raise DownloadFailed(
                    f"{file.name} does not arrive as it was deposited",
                    expected=f"{kind.upper()} {digest}",
                    found=f"{kind.upper()} {found}, twice",
                    action="Nothing else is lost. Try again later; if it stays so, report it to whoever keeps the file.",
                )
            self._log(f"{which}: the {kind.upper()} is wrong, once more from the start")
        rename_for_good(part, target)
        self._log(f"{which} is whole after {_duration(time.monotonic() - started)}")

    def _answer(self, what: str, taker: Callable[[Body], Answer], method: str, address: str, **options: Any) -> Answer:
        # Limits count the bytes that travel: what would unpack to more than it is long is not asked for.
        headers = {"Accept-Encoding": "identity"} | options.pop("headers", {})

        def attempt() -> Answer:
            with self._request(method, address, headers=headers, stream=True, **options) as response:
                self._check_status(response, what)
                return taker(self._body_of(response))

        return self._patiently(what, attempt)

    def _body_of(self, response: requests.Response) -> Body:
        stated = response.headers.get("Content-Length", "")
        length = int(stated) if stated.isascii() and stated.isdecimal() else None
        if response.headers.get("Content-Encoding", "identity") != "identity":
            raise undocumented(self._service, "an answer as it is", "a packed one")
        return Body(response.headers.get("Content-Type", ""), length, self._blocks(response, length))

    def _blocks(self, response: requests.Response, length: int | None) -> Iterator[bytes]:
        """The body as it comes, as long as it moves and is wanted."""
        have, meter = 0, _Meter(0, length or 0, self._read_timeout_s)
        while block := response.raw.read1(BLOCK_BYTES, decode_content=False):
            have += len(block)
            yield block
            self._stop_if_cancelled()
            if meter.is_stalled(have):
                raise TryAgain(f"less than {SLOWEST_BYTES_S:,} bytes a second for {self._read_timeout_s:g} s")
        if length is not None and have < length:
            raise TryAgain(f"the connection ended after {have:,} of {length:,} bytes")

    def _in_memory(self, what: str, at_most_bytes: int, body: Body) -> bytes:
        whole = bytearray()
        for block in body.blocks:
            whole += block
            if len(whole) > at_most_bytes:
                raise undocumented(self._service, f"{what} of {at_most_bytes / 1e6:,.0f} MB at most", "more")
        return bytes(whole)

    def _go_on(self, file: RemoteFile, part: Path, which: str) -> None:
        """One request for what is still missing. What arrives is kept, whatever happens next."""
        have = size_of(part)
        if have > file.size_bytes:
            part.unlink()
            have = 0
        if have == file.size_bytes:
            return
        # Ranges count the bytes that travel, so these must be the file's own.
        headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={have}-"} if have else {})
        with self._request("GET", file.address, headers=headers, stream=True) as response:
            if response.status_code == 416:
                part.unlink(missing_ok=True)
                raise TryAgain(f"the server has nothing after byte {have:,}")
            self._check_status(response, file.name)
            self._store(response, file, part, _first_byte(response, file, have), which)
        size = size_of(part)
        if size < file.size_bytes:
            raise TryAgain(f"the connection ended after {size:,} of {file.size_bytes:,} bytes")

    def _store(self, response: requests.Response, file: RemoteFile, part: Path, have: int, which: str) -> None:
        """Append the body of a reply, as it comes, after the first ``have`` bytes; from the start if that is 0."""
        meter = _Meter(have, file.size_bytes, self._read_timeout_s)
        with part.open("ab" if have else "wb") as stream:
            # read1 gives what has come; read would hold back up to a block and lose it when the connection breaks.
            while block := response.raw.read1(BLOCK_BYTES, decode_content=False):
                stream.write(block)
                have += len(block)
                self._arrived(len(block))
                self._stop_if_cancelled()
                if have > file.size_bytes:
                    part.unlink()
                    raise TryAgain(f"more came than the {file.size_bytes:,} bytes of the file")
                if line := meter.line(have):
                    self._log(f"{which}: {line}")
                if meter.is_stalled(have):
                    raise TryAgain(f"less than {SLOWEST_BYTES_S:,} bytes a second for {self._read_timeout_s:g} s")

    @contextmanager
    def _request(self, method: str, address: str, **options: Any) -> Iterator[requests.Response]:
        """A reply. Faults of the network become ``TryAgain``, addresses that cannot be used ``DownloadFailed``."""
        timeouts_s = (min(CONNECT_TIMEOUT_S, self._read_timeout_s), self._read_timeout_s)
        try:
            with self._session.request(method, address, timeout=timeouts_s, **options) as response:
                yield response
        except (requests.Timeout, ReadTimeoutError) as error:
            raise TryAgain("the server was silent for too long") from error
        except (requests.ConnectionError, requests.exceptions.ChunkedEncodingError, TransportError) as error:
            raise TryAgain(f"the connection failed ({_root_cause(error)})") from error
        except requests.RequestException as error:
            raise DownloadFailed(
                f"{self._service} cannot be asked",
                expected="an address such as https://example.org/folder",
                found=QUERY.sub("?…", str(error)),
                action="Check the address.",
            ) from error

    def _patiently(self, what: str, attempt: Callable[[], Answer], *, arrived: Callable[[], int] = lambda: 0) -> Answer:
        """Try again after faults that pass, waiting longer each time or as long as the server asks.

        Not left to urllib3's ``Retry``: it ends where a body begins, and most of a large file's faults come after that.
        """
        failures, most_bytes = 0, arrived()
        while True:
            try:
                return attempt()
            except TryAgain as error:
                fault = error
            bytes_now = arrived()
            failures = 1 if bytes_now - most_bytes >= WORTHWHILE_BYTES else failures + 1
            most_bytes = max(most_bytes, bytes_now)
            if failures >= self._attempts:
                raise DownloadFailed(
                    f"{self._service} did not deliver {what}",
                    expected=f"success within {self._attempts} attempts",
                    found=str(fault),
                    action="Try again later" + (": it continues where it stopped." if most_bytes else "."),
                ) from fault
            wait_s = min(max(fault.wait_s, self._retry_wait_s * 2 ** (failures - 1)), LONGEST_WAIT_S)
            self._log(f"{what}: {fault}; trying again in {_duration(wait_s)}")
            self._wait(wait_s)

    def _check_status(self, response: requests.Response, what: str) -> None:
        status = response.status_code
        if status in (200, 204, 206):
            return
        if status in PASSING_STATUS or status >= 500:
            raise TryAgain(f"the server answered {status}", _asked_wait_s(response))
        meaning, action = self._refusals.get(status, ("", "Check the address, and whether there is a proxy in between."))
        raise DownloadFailed(
            f"{self._service} refuses {what}",
            expected="status 200",
            found=f"status {status}" + (f": {meaning}" if meaning else ""),
            action=action,
        )

    def _wait(self, wait_s: float) -> None:
        if self._cancel is None:
            time.sleep(wait_s)
            return
        self._cancel.wait(wait_s)
        self._stop_if_cancelled()

    def _stop_if_cancelled(self) -> None:
        if self._cancel is not None and self._cancel.is_set():
            raise Cancelled("The download was stopped")


def part_of(target: Path) -> Path:
    """Where a file lies that is on its way to ``target``."""
    return target.with_name(f"{target.name}.part")


def size_of(path: Path) -> int:
    """Bytes of a file; 0 of one that is not there."""
    return path.stat().st_size if path.exists() else 0


def require_room(what: str, folder: Path, missing_bytes: int) -> None:
    """``DownloadFailed`` where the disk of a folder has no room for so many bytes more; ``what`` names what they are of."""
    needed, free = max(missing_bytes, 0) + KEPT_FREE_BYTES, shutil.disk_usage(folder).free
    if free < needed:
        raise DownloadFailed(
            f"No room for {what}",
            expected=f"{needed / 1e6:,.0f} MB free, {KEPT_FREE_BYTES / 1e6:,.0f} MB of them for the app's own work",
            found=f"{free / 1e6:,.0f} MB",
            action="Make room and try again.",
        )


def undocumented(service: str, expected: str, found: str) -> DownloadFailed:
    """The error for an archive whose answer is not as its interface says."""
    return DownloadFailed(
        f"{service} answers in another way than documented",
        expected=expected,
        found=found,
        action="Check the address, and whether there is a proxy or sign-in page in between.",
    )


class _Meter:
    """How fast one transfer is: a line for the log now and then, and whether it still moves."""

    def __init__(self, have: int, size: int, window_s: float) -> None:
        self._first, self._size, self._window_s = have, size, window_s
        self._started_s = self._told_s = self._marked_s = time.monotonic()
        self._marked = have

    def line(self, have: int) -> str:
        """MB, MB/s and time left, at most once in ``LOG_EVERY_S``; else empty."""
        now_s = time.monotonic()
        if now_s - self._told_s < LOG_EVERY_S:
            return ""
        self._told_s = now_s
        bytes_s = max((have - self._first) / max(now_s - self._started_s, 1e-3), 1.0)
        left = _duration((self._size - have) / bytes_s)
        return f"{have / 1e6:,.1f} of {self._size / 1e6:,.1f} MB, {bytes_s / 1e6:.1f} MB/s, {left} left"

    def is_stalled(self, have: int) -> bool:
        """Whether less than ``SLOWEST_BYTES_S`` came, on average over one window."""
        now_s = time.monotonic()
        if now_s - self._marked_s < self._window_s:
            return False
        stalled = have - self._marked < SLOWEST_BYTES_S * (now_s - self._marked_s)
        self._marked_s, self._marked = now_s, have
        return stalled


def _may_lead_to(here: str, there: str) -> bool:
    (scheme, host, port), (next_scheme, next_host, next_port) = _origin(here), _origin(there)
    if host != next_host:
        return False
    upgraded = (scheme, port, next_scheme, next_port) == ("http", 80, "https", 443)
    return upgraded or (scheme, port) == (next_scheme, next_port)


def _origin(address: str) -> tuple[str, str | None, int | None]:
    parts = urlsplit(address)
    return parts.scheme, parts.hostname, parts.port or USUAL_PORTS.get(parts.scheme)


def _root_cause(error: BaseException) -> str:
    while (deeper := error.__cause__ or error.__context__) is not None:
        error = deeper
    return QUERY.sub("?…", str(error)) or type(error).__name__


def _asked_wait_s(response: requests.Response) -> float:
    """Seconds that a ``Retry-After`` header asks for: a number or a date. What is neither asks for nothing."""
    try:
        return Retry().parse_retry_after(response.headers.get("Retry-After", "0"))
    except InvalidHeader:
        return 0.0


def _first_byte(response: requests.Response, file: RemoteFile, have: int) -> int:
    """Where in the file the body of a reply begins: ``have`` for the rest that was asked for, 0 for the whole file."""
    if response.status_code == 206:
        stated = response.headers.get("Content-Range", "")
        match = CONTENT_RANGE.fullmatch(stated)
        if match is None or int(match[1]) != have or match[3] not in (str(file.size_bytes), "*"):
            raise TryAgain(f"asked for bytes {have}- of {file.size_bytes}, the server sent {stated or 'unnamed ones'}")
        return have
    length = response.headers.get("Content-Length", str(file.size_bytes))
    if length != str(file.size_bytes):
        raise TryAgain(f"the server announced {length} bytes instead of {file.size_bytes}")
    return 0


def rename_for_good(part: Path, target: Path) -> None:
    """The bytes first, then the name, also when the power fails: later runs trust the name and the size."""
    with part.open("rb+") as stream:
        os.fsync(stream.fileno())
    part.replace(target)


def _duration(seconds: float) -> str:
    if seconds >= 90:
        return f"{seconds / 60:.0f} min"
    return f"{seconds:.0f} s"
