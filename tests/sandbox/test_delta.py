"""A bundle kept beside its parent comes back byte for byte, or not at all."""

import json
import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest

from cervix.bundle.loading import read_manifest, read_verified
from cervix.errors import BundleError
from cervix.files import sha256_of
from cervix.sandbox.candidate import REMAKE, sample_candidate
from cervix.sandbox.delta import pack, unpack

WEIGHTS = np.arange(12, dtype=np.float32).reshape(3, 4) / 7


@pytest.fixture
def retrained(bundle_root: Path, tmp_path: Path) -> Path:
    """A copy of a bundle with weights in three forms within one of its files, another of another length, and a new one."""
    folder = tmp_path / "retrained"
    shutil.copytree(bundle_root, folder)
    manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    same_length, longer = sorted(manifest["files"], key=lambda file: -file["bytes"])[:2]
    content = bytearray((folder / same_length["path"]).read_bytes())
    for first, weights in ((200, WEIGHTS), (400, WEIGHTS.T), (600, WEIGHTS.astype(np.float16))):
        content[first : first + weights.nbytes] = weights.tobytes()
    (folder / same_length["path"]).write_bytes(content)
    (folder / longer["path"]).write_bytes((folder / longer["path"]).read_bytes() + b"more")
    (folder / "new.csv").write_bytes(b"new")
    manifest["files"].append({"path": "new.csv"})
    for file in manifest["files"]:
        path = folder / file["path"]
        file |= {"bytes": path.stat().st_size, "sha256": sha256_of(path)}
    (folder / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
    return folder


def test_every_file_comes_back_and_weights_are_kept_once(bundle_root: Path, retrained: Path, tmp_path: Path) -> None:
    archive = tmp_path / "delta.zip"
    pack(bundle_root, retrained, archive, {"weights": WEIGHTS}, {"note.txt": b"kept"})
    unpack(archive, bundle_root, tmp_path / "again")
    assert read_verified(tmp_path / "again") == read_verified(retrained)
    with zipfile.ZipFile(archive) as opened:
        (places,) = json.loads(opened.read("places.json")).values()
        assert opened.read("note.txt") == b"kept"
        assert sum(name.startswith("whole/") for name in opened.namelist()) == 2
    assert sorted(place[1:] for place in places) == [["<f2", False, 600], ["<f4", False, 200], ["<f4", True, 400]]
    before = archive.read_bytes()
    pack(bundle_root, retrained, archive, {"weights": WEIGHTS}, {"note.txt": b"kept"})
    assert archive.read_bytes() == before, "equal content, equal bytes"


def test_beside_another_parent_nothing_comes_back(bundle_root: Path, retrained: Path, tmp_path: Path) -> None:
    archive, other = tmp_path / "delta.zip", tmp_path / "other"
    pack(bundle_root, retrained, archive, {"weights": WEIGHTS}, {})
    shutil.copytree(bundle_root, other)
    largest = other / max(read_manifest(other)[0].files, key=lambda file: file.bytes).path
    content = largest.read_bytes()
    largest.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    with pytest.raises(BundleError, match="cannot be put together again"):
        unpack(archive, other, tmp_path / "again")
    largest.write_bytes(b"short")
    with pytest.raises(BundleError, match="A change is of another file"):
        unpack(archive, other, tmp_path / "again")
    assert not (tmp_path / "again/manifest.json").exists()


@pytest.mark.parametrize("content", [None, b"no archive"])
def test_an_archive_that_cannot_be_read_says_how_to_make_it_again(tmp_path: Path, content: bytes | None) -> None:
    archive = tmp_path / "candidate.zip"
    if content is not None:
        archive.write_bytes(content)
    with pytest.raises(BundleError, match=f"cannot be read: .* Make it again: {REMAKE}"):
        sample_candidate(archive)
