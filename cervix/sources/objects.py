"""An object store that speaks S3: what it lists, and objects fetched whole.

Keys and tokens come from the usual AWS environment and go nowhere else; no sentence repeats them, nor an object's name.
"""

import os
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from cervix.errors import ArchiveRunRefused, CervixError, SourceUnavailable, SourceVanished
from cervix.people import is_loopback
from cervix.settings import Settings

PAGE_OBJECTS: Final = 1000
"""The most that S3 lists at once."""
BLOCK_BYTES: Final = 1 << 20
CONNECT_TIMEOUT_S: Final = 10.0
_EXPIRED: Final = frozenset({"ExpiredToken", "ExpiredTokenException", "TokenRefreshRequired", "RequestExpired", "InvalidToken"})
_REFUSED: Final = frozenset({"AccessDenied", "InvalidAccessKeyId", "SignatureDoesNotMatch", "AllAccessDisabled", "401", "403"})
_GONE: Final = frozenset({"NoSuchKey", "NoSuchBucket", "404"})
_REPLACED: Final = frozenset({"PreconditionFailed", "412"})
# The clock of this machine and the store's are too far apart to sign anything.
_SKEWED: Final = frozenset({"RequestTimeTooSkewed"})


class ObjectReplaced(Exception):
    """An object is not any more the one that was listed: it has another ETag."""


@dataclass(frozen=True)
class StoredObject:
    """An object as it was listed. ``etag`` changes when it does; it is no checksum."""

    key: str
    etag: str
    bytes: int


class ObjectStore:
    """One store. Open it with ``store_of``. All of its methods raise ``SourceUnavailable`` where it cannot be asked now."""

    def __init__(self, files: Any, sync: Any) -> None:
        self._files = files
        self._sync = sync

    def page(self, bucket: str, prefix: str, *, delimiter: str = "/") -> Iterator[tuple[list[StoredObject], list[str]]]:
        """What lies under a prefix, page by page: objects, and the prefixes below it (none without a delimiter).

        Raises
        ------
        SourceVanished
            Where there is no such bucket.
        """
        more: dict[str, str] = {}
        while True:
            asked = {"Bucket": bucket, "Prefix": prefix, "Delimiter": delimiter, "MaxKeys": PAGE_OBJECTS} | more
            answer = self._asked(partial(self._files._call_s3, "list_objects_v2", **asked))
            objects = [StoredObject(item["Key"], item["ETag"], int(item["Size"])) for item in answer.get("Contents", ())]
            yield objects, [item["Prefix"] for item in answer.get("CommonPrefixes", ())]
            token = answer.get("NextContinuationToken", "")
            if not answer.get("IsTruncated") or not token or token == more.get("ContinuationToken"):
                return
            more = {"ContinuationToken": token}

    def fetch(self, bucket: str, stored: StoredObject, target: Path, told: Callable[[int], None] = lambda _: None) -> None:
        """Fetch an object into a file that is not there yet.

        Parameters
        ----------
        told : callable
            Given the bytes of each block; what it raises ends the fetch.

        Raises
        ------
        ObjectReplaced
            Where it is another one by now.
        SourceVanished
            Where it is gone.
        SourceUnavailable
            Also where it arrives cut short.
        OSError
            If the disk is full.
        """
        have = self._asked(partial(self._fetch, bucket, stored, target, told), disk=True)
        if have != stored.bytes:
            raise SourceUnavailable(
                "An object did not arrive whole",
                expected=f"{stored.bytes:,} bytes",
                found=f"{have:,}",
                action="It is tried again.",
            )

    async def _fetch(self, bucket: str, stored: StoredObject, target: Path, told: Callable[[int], None]) -> int:
        answer = await self._files._call_s3("get_object", Bucket=bucket, Key=stored.key, IfMatch=stored.etag)
        have = 0
        body = answer["Body"]
        try:
            with target.open("xb") as file:
                while block := await body.read(BLOCK_BYTES):
                    file.write(block)
                    have += len(block)
                    told(len(block))
        finally:
            body.close()
        return have

    def _asked(self, question: Callable[[], Coroutine[Any, Any, Any]], *, disk: bool = False) -> Any:
        import aiohttp
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            return self._sync(self._files.loop, question)
        except BotoCoreError as error:
            raise _unreachable(error) from error
        except (TimeoutError, aiohttp.ClientError, ConnectionError) as error:
            raise _unreachable(error) from error
        except OSError as error:
            # s3fs puts what the store answered under a name of Python's.
            if isinstance(cause := error.__cause__, ClientError):
                raise _meant(cause) from error
            if disk and error.errno is not None:
                raise
            raise _unreachable(error) from error


def store_of(settings: Settings) -> ObjectStore:
    """The object store that the settings name; Amazon's where they name none.

    Raises
    ------
    ArchiveRunRefused
        Where what is needed is not installed, the network may not be used, or the address would let others read what is sent.
    """
    address = settings.s3_endpoint.strip()
    parts = urlsplit(address) if address else None
    if settings.offline:
        raise ArchiveRunRefused("An object store is a thing of the network", expected="a run without CERVIX_OFFLINE")
    if parts is not None and (
        parts.scheme not in ("http", "https") or not parts.hostname or parts.username is not None or parts.query
        or (parts.scheme == "http" and not is_loopback(parts.hostname))
    ):  # fmt: skip
        raise ArchiveRunRefused(
            "CERVIX_S3_ENDPOINT cannot be used",
            expected="an address with https, or one of this computer",
            found="another one",
            action="Correct it, then start the run again.",
        )
    return _opened(address, settings.s3_timeout_s, os.getpid())


@lru_cache(maxsize=4)
def _opened(address: str, timeout_s: float, process: int) -> ObjectStore:
    del process  # a fork has no thread that runs the loop
    try:
        from fsspec.asyn import sync
        from s3fs import S3FileSystem
    except ImportError as error:
        raise ArchiveRunRefused(
            "Slides of an object store need a library that is not installed",
            expected="s3fs",
            action="pip install -r requirements-archive.txt",
        ) from error
    files = S3FileSystem(
        endpoint_url=address or None,
        skip_instance_cache=True,
        use_listings_cache=False,
        # A run tries again itself, later and with patience.
        config_kwargs={
            "connect_timeout": min(CONNECT_TIMEOUT_S, timeout_s),
            "read_timeout": timeout_s,
            "retries": {"total_max_attempts": 1},
        },
    )
    files.retries = 1
    return ObjectStore(files, sync)


def _meant(error: Any) -> CervixError | ObjectReplaced:
    """The error for what a store answered, by its code."""
    code = str(error.response.get("Error", {}).get("Code", ""))
    if code in _REPLACED:
        return ObjectReplaced(code)
    if code in _GONE:
        return SourceVanished("An object is not any more where it was listed", action="List the archive again.")
    if code in _EXPIRED:
        return SourceUnavailable(
            "The object store does not let this server in",
            expected="credentials that are valid now",
            found="credentials that have expired",
            action="Renew them in the environment of the run, and start it again: it goes on where it was.",
        )
    if code in _REFUSED or code in _SKEWED:
        found = "another time on its clock than on this one" if code in _SKEWED else "credentials that it does not accept"
        return SourceUnavailable(
            "The object store does not let this server in",
            expected="credentials that may list and read",
            found=found,
            action="Correct that, and start the run again: it goes on where it was.",
        )
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", "")
    return SourceUnavailable(
        "The object store cannot answer now", expected="an answer", found=f"status {status}", action="It is tried again."
    )


def _unreachable(error: BaseException) -> SourceUnavailable:
    from botocore.exceptions import NoCredentialsError, PartialCredentialsError

    if isinstance(error, NoCredentialsError | PartialCredentialsError):
        return SourceUnavailable(
            "The object store is asked without credentials",
            expected="those of the usual AWS environment",
            found="none",
            action="Set them where the run is started, and start it again.",
        )
    return SourceUnavailable(
        "The object store cannot be reached, or does not go on",
        expected="an answer in time, whole",
        found=type(error).__name__,
        action="It is tried again.",
    )
