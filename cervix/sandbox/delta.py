"""A retrained bundle as what it has besides its parent, in one small archive.

Most bytes of a retrained bundle are its parent's. The archive holds

- ``manifest.json``, the bundle's;
- ``whole/PATH``, files that the parent lacks or has in another length;
- ``change/PATH``, the exclusive or of a file with the parent's, nearly all of it zeros;
- ``arrays.npz``, weights that stand in several files, turned over and in other precisions, once; ``places.json`` says where;
- whatever else its maker puts in.

Every file that is put together again is checked by the size and the hash that the manifest holds of it.
"""

import hashlib
import io
import json
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cervix.bundle.loading import read_manifest
from cervix.bundle.manifest import MANIFEST_NAME, BundleFile, Manifest
from cervix.errors import BundleError

ARRAYS, PLACES = "arrays.npz", "places.json"
WHOLE, CHANGE = "whole/", "change/"
PRECISIONS = ("<f4", "<f2")
BEGINNING = (1980, 1, 1, 0, 0, 0)
"""Members carry no time of their own, so that equal content gives equal bytes."""

Places = list[tuple[str, str, bool, int]]
"""Where arrays stand in a file: name, precision, whether turned over, first byte."""


def pack(
    parent_root: Path, root: Path, archive: Path, arrays: Mapping[str, NDArray[np.float32]], extra: Mapping[str, bytes]
) -> None:
    """Write the archive of a bundle.

    Parameters
    ----------
    arrays : name -> (rows, columns)
        Large weights of the bundle, looked for in its files.
    extra : name -> content of further members
    """
    manifest, _ = read_manifest(root)
    parent = {file.path: file for file in read_manifest(parent_root)[0].files}
    members = {MANIFEST_NAME: (root / MANIFEST_NAME).read_bytes(), ARRAYS: npz_of(arrays), **extra}
    places: dict[str, Places] = {}
    for file in manifest.files:
        before = parent.get(file.path)
        if before is not None and before.sha256 == file.sha256:
            continue
        content = (root / file.path).read_bytes()
        if before is None or before.bytes != file.bytes:
            members[WHOLE + file.path] = content
            continue
        change = _xor(content, (parent_root / file.path).read_bytes())
        places[file.path] = _places(content, arrays)
        for name, precision, turned, first in places[file.path]:
            change[first : first + len(_bytes_of(arrays[name], precision, turned))] = 0
        members[CHANGE + file.path] = change.tobytes()
    members[PLACES] = json.dumps(places, indent=1).encode()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_LZMA) as opened:
        for name, content in members.items():
            opened.writestr(zipfile.ZipInfo(name, BEGINNING), content, zipfile.ZIP_LZMA)


def unpack(archive: Path, parent_root: Path, folder: Path) -> None:
    """Put the bundle of an archive together in a new folder.

    Parameters
    ----------
    parent_root : Path
        Folder of the bundle that the archive was made beside.

    Raises
    ------
    BundleError
        If a file does not become what the manifest says: the parent is another one, or the archive is damaged.
    OSError
        If it cannot be written.
    """
    with zipfile.ZipFile(archive) as opened:
        text = opened.read(MANIFEST_NAME)
        names = set(opened.namelist())
        places: dict[str, Places] = json.loads(opened.read(PLACES))
        arrays = arrays_in(opened.read(ARRAYS))
        for file in Manifest.model_validate_json(text).files:
            if WHOLE + file.path in names:
                content = opened.read(WHOLE + file.path)
            else:
                content = (parent_root / file.path).read_bytes()
                if CHANGE + file.path in names:
                    content = _changed(content, opened.read(CHANGE + file.path), places[file.path], arrays)
            _require(file, content)
            (folder / file.path).parent.mkdir(parents=True, exist_ok=True)
            (folder / file.path).write_bytes(content)
        (folder / MANIFEST_NAME).write_bytes(text)


def npz_of(arrays: Mapping[str, NDArray[Any]]) -> bytes:
    """Arrays as a file, not compressed: the archive does that."""
    stream = io.BytesIO()
    np.savez(stream, allow_pickle=False, **arrays)
    return stream.getvalue()


def arrays_in(content: bytes) -> dict[str, NDArray[Any]]:
    """The arrays of such a file."""
    with np.load(io.BytesIO(content), allow_pickle=False) as stored:
        return {name: stored[name] for name in stored.files}


def _changed(before: bytes, change: bytes, places: Places, arrays: Mapping[str, NDArray[np.float32]]) -> bytes:
    content = _xor(before, change)
    for name, precision, turned, first in places:
        written = np.frombuffer(_bytes_of(arrays[name], precision, turned), np.uint8)
        content[first : first + len(written)] = written
    return content.tobytes()


def _require(file: BundleFile, content: bytes) -> None:
    found = hashlib.sha256(content).hexdigest()
    if found != file.sha256:
        raise BundleError(
            f"{file.path} of the bundle cannot be put together again",
            expected=f"SHA-256 {file.sha256}",
            found=found,
            action="Start from the bundle that it was made beside.",
        )


def _xor(here: bytes, there: bytes) -> NDArray[np.uint8]:
    if len(here) != len(there):
        raise BundleError("A change is of another file", expected=f"{len(there):,} bytes", found=f"{len(here):,}")
    return np.frombuffer(here, np.uint8) ^ np.frombuffer(there, np.uint8)


def _places(content: bytes, arrays: Mapping[str, NDArray[np.float32]]) -> Places:
    """Wherever an array stands in a file, in any precision, turned over or not."""
    found: Places = []
    for name, array in arrays.items():
        for precision in PRECISIONS:
            for turned in (False, True):
                wanted, first = _bytes_of(array, precision, turned), -1
                while (first := content.find(wanted, first + 1)) >= 0:
                    found.append((name, precision, turned, first))
    return found


def _bytes_of(array: NDArray[np.float32], precision: str, turned: bool) -> bytes:
    return (array.T if turned else array).astype(precision).tobytes()
