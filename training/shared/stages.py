"""Finished stages of a training run, kept on disk so that an interrupted run can continue."""

import hashlib
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cervix.files import replacing

Arrays = dict[str, NDArray[Any]]
Log = Callable[[str], None]
KEY_DIGITS = 16
READ_BACK = "finished before, read back"


class Stages:
    """A folder of results, each named after its stage and the digest of everything it depends on.

    A stage with changed inputs has another name, so an outdated result is never used. Files are written completely or not
    at all. The folder can be deleted; the results are then computed again.
    """

    def __init__(self, folder: Path, log: Log) -> None:
        self._folder = folder
        self._log = log

    def arrays(self, name: str, depends_on: Mapping[str, Any], make: Callable[[], Arrays]) -> Arrays:
        """The arrays of a stage: read back if it was finished before, otherwise computed and stored.

        Parameters
        ----------
        depends_on : JSON-like
            Settings and digests that determine the result.
        """
        path = self._folder / f"{name}-{digest_of(depends_on)}.npz"
        if path.is_file():
            self._log(f"{name}: {READ_BACK}")
            with np.load(path, allow_pickle=False) as stored:
                return {key: stored[key] for key in stored.files}
        made = make()
        with replacing(path) as temporary:
            np.savez(temporary, allow_pickle=False, **made)
        return made

    def value(self, name: str, depends_on: Mapping[str, Any], make: Callable[[], Any]) -> Any:
        """The same for a JSON-like value."""
        path = self._folder / f"{name}-{digest_of(depends_on)}.json"
        if path.is_file():
            self._log(f"{name}: {READ_BACK}")
            return json.loads(path.read_text(encoding="utf-8"))
        made = make()
        with replacing(path) as temporary:
            temporary.write_text(json.dumps(made, indent=1), encoding="utf-8")
        return made


def digest_of(depends_on: Mapping[str, Any]) -> str:
    """Short SHA-256 of a JSON-like mapping, whatever the order of its keys."""
    text = json.dumps(depends_on, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:KEY_DIGITS]


def array_digest(*arrays: NDArray[Any]) -> str:
    """SHA-256 of the contents, types and shapes of arrays."""
    digest = hashlib.sha256()
    for array in arrays:
        digest.update(f"{array.dtype}{array.shape}".encode())
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()
