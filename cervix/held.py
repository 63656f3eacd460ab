"""Files made lately, held up to so many bytes for every session together."""

from collections.abc import Hashable
from threading import Lock

from cachetools import LRUCache


class HeldFiles:
    """What was used longest ago is dropped first. Thread-safe."""

    def __init__(self, limit_bytes: int) -> None:
        self._files: LRUCache[Hashable, bytes] = LRUCache(limit_bytes, getsizeof=len)
        self._lock = Lock()

    def find(self, key: Hashable) -> bytes | None:
        """The file of a key; None where it is not held."""
        with self._lock:
            return self._files.get(key)

    def keep(self, key: Hashable, content: bytes) -> bytes:
        """Hold a file, where it is not larger than the limit, and return it."""
        with self._lock:
            if len(content) <= self._files.maxsize:
                self._files[key] = content
        return content
