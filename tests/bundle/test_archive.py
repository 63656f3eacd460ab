"""A bundle comes as a zip, at the top or in a folder."""

import zipfile
from pathlib import Path

import pytest

from cervix.bundle import load_bundle
from cervix.bundle.archive import unpack_bundle
from cervix.errors import BundleError
from tests.bundle.altered import copy_of_risk_models


def packed(folder: Path, archive: Path, inside: str) -> Path:
    with zipfile.ZipFile(archive, "w") as opened:
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                opened.write(path, f"{inside}{path.relative_to(folder).as_posix()}")
    return archive


@pytest.mark.parametrize("inside", ["", "my-bundle/", "deep/er/"])
def test_a_packed_bundle_proves_itself_wherever_it_lies_in_the_archive(tmp_path: Path, inside: str) -> None:
    archive = packed(copy_of_risk_models(tmp_path / "bundle"), tmp_path / "bundle.zip", inside)
    unpacked = load_bundle(unpack_bundle(archive, tmp_path / "unpacked"), device="cpu")
    assert set(unpacked.sessions) == {"risk-factors", "risk-factors-with-tests"}


def test_an_archive_without_a_manifest_is_no_bundle(tmp_path: Path) -> None:
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes/readme.txt").write_text("nothing")
    archive = packed(tmp_path / "notes", tmp_path / "notes.zip", "")
    with pytest.raises(BundleError, match=r"expected one manifest.json, at the top or in a folder; found 0 in 1 files"):
        unpack_bundle(archive, tmp_path / "unpacked")
