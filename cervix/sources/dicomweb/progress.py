"""How far a slide is on its way from the archive."""

import time
from collections.abc import Callable, Mapping

from cervix.sources.downloads import SHORTEST_S, Arriving


class Progress:
    """Bytes of a slide that are here, and how many it will be: of files that have not come a guess from those that have.

    Parameters
    ----------
    expected_bytes : mapping of str to float
        Of each file; only how they compare counts once one has come.
    here_bytes : mapping of str to int
        Size of each file that is whole.
    arriving : callable
        Told of every block.
    """

    def __init__(
        self, expected_bytes: Mapping[str, float], here_bytes: Mapping[str, int], arriving: Callable[[Arriving], None]
    ) -> None:
        self._expected_bytes = expected_bytes
        self._stated_bytes = {name: size for name, size in here_bytes.items() if name in expected_bytes}
        self._whole_bytes = self._begun_bytes = sum(self._stated_bytes.values())
        self._file, self._file_bytes = "", 0
        self._arriving = arriving
        self._started_s = time.monotonic()
        self._tell()

    def begin(self, file: str, length_bytes: int | None) -> None:
        """A file comes, perhaps once more from its start."""
        if file != self._file:
            self._whole_bytes, self._file = self._whole_bytes + self._file_bytes, file
        self._file_bytes = 0
        if length_bytes:
            self._stated_bytes[file] = length_bytes
        self._tell()

    def add(self, block_bytes: int) -> int:
        """Count a block; returns the bytes of the slide that are here."""
        self._file_bytes += block_bytes
        self._tell()
        return self._whole_bytes + self._file_bytes

    def _tell(self) -> None:
        stated_bytes = sum(self._stated_bytes.values())
        of_stated = sum(self._expected_bytes[file] for file in self._stated_bytes)
        left = sum(self._expected_bytes.values()) - of_stated
        total_bytes = round(stated_bytes + left * (stated_bytes / of_stated if of_stated else 1.0))
        done_bytes = self._whole_bytes + self._file_bytes
        came_bytes = max(done_bytes - self._begun_bytes, 0)
        bytes_s = came_bytes / max(time.monotonic() - self._started_s, SHORTEST_S)
        self._arriving(Arriving(done_bytes, max(total_bytes, done_bytes, 1), bytes_s))
