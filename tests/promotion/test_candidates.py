"""A bundle comes as a zip, at the top or in a folder."""

import zipfile
from pathlib import Path

import pytest

from cervix.bundle import load_bundle
from cervix.errors import BundleError, NoRoomForUpload
from cervix.promotion.candidates import candidate_folders, keep_bundle, unpack_bundle
from tests.bundle.altered import bundle_of_risk_models, edit_manifest
from tests.bundle.made.whole import NAME


def packed(folder: Path, archive: Path, inside: str) -> Path:
    with zipfile.ZipFile(archive, "w") as opened:
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                opened.write(path, f"{inside}{path.relative_to(folder).as_posix()}")
    return archive


@pytest.mark.parametrize("inside", ["", "my-bundle/", "deep/er/"])
def test_a_packed_bundle_proves_itself_wherever_it_lies_in_the_archive(tmp_path: Path, inside: str) -> None:
    archive = packed(bundle_of_risk_models(tmp_path / "bundle"), tmp_path / "bundle.zip", inside)
    unpacked = load_bundle(unpack_bundle(archive, tmp_path / "unpacked"), device="cpu")
    assert set(unpacked.sessions) == {"risk-factors", "risk-factors-with-tests"}


def test_an_archive_without_a_manifest_is_no_bundle(tmp_path: Path) -> None:
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes/readme.txt").write_text("nothing")
    archive = packed(tmp_path / "notes", tmp_path / "notes.zip", "")
    with pytest.raises(BundleError, match=r"expected one manifest.json, at the top or in a folder; found 0 in 1 files"):
        unpack_bundle(archive, tmp_path / "unpacked")


def test_a_kept_bundle_is_named_after_itself_and_kept_once(tmp_path: Path) -> None:
    source = bundle_of_risk_models(tmp_path / "bundle")
    archive = packed(source, tmp_path / "bundle.zip", "any-name/")
    bundles = tmp_path / "home/bundles"
    folder = keep_bundle(archive, bundles)
    kept = load_bundle(folder, device="cpu")
    assert folder == bundles / f"{NAME}-{kept.manifest.version}-{kept.short_hash}"
    assert keep_bundle(archive, bundles) == folder
    assert candidate_folders(bundles) == {folder.name: folder}
    assert list(bundles.iterdir()) == [folder], "nothing is left of the way there"
    edit_manifest(folder, lambda manifest: manifest["changelog"].append("another"))
    with pytest.raises(BundleError, match="holds another bundle"):
        keep_bundle(archive, bundles)


def test_a_bundle_that_is_not_what_its_manifest_says_is_not_kept(tmp_path: Path) -> None:
    source = bundle_of_risk_models(tmp_path / "bundle")
    (source / "risk-factors/fp32.onnx").write_bytes(b"damaged")
    with pytest.raises(BundleError, match=r"risk-factors/fp32\.onnx has the wrong size"):
        keep_bundle(packed(source, tmp_path / "bundle.zip", ""), tmp_path / "bundles")
    assert candidate_folders(tmp_path / "bundles") == {}
    assert not list((tmp_path / "bundles").iterdir())


def test_a_name_that_is_no_folder_name_is_made_one_and_a_half_written_folder_is_no_candidate(tmp_path: Path) -> None:
    source = bundle_of_risk_models(tmp_path / "bundle")
    edit_manifest(source, lambda manifest: manifest.update(name="../../my bundle/ä"))
    folder = keep_bundle(packed(source, tmp_path / "bundle.zip", ""), tmp_path / "bundles")
    assert folder.parent == tmp_path / "bundles"
    assert folder.name.startswith("-..-my-bundle-ä-")
    edit_manifest(source, lambda manifest: manifest.update(name="\U00020000" * 60))
    long = keep_bundle(packed(source, tmp_path / "long.zip", ""), tmp_path / "bundles")
    assert long.name.startswith("\U00020000" * 30 + "-0"), "a folder's name may have 255 bytes"
    (tmp_path / "bundles/.keeping-x").mkdir()
    (tmp_path / "bundles/.keeping-x/manifest.json").write_text("{}")
    assert list(candidate_folders(tmp_path / "bundles")) == [folder.name, long.name]


@pytest.mark.parametrize("place", ["disk", "file"])
def test_a_bundle_that_cannot_be_kept_is_one_sentence(tmp_path: Path, place: str, request: pytest.FixtureRequest) -> None:
    archive = packed(bundle_of_risk_models(tmp_path / "bundle"), tmp_path / "bundle.zip", "")
    if place == "disk":
        bundles = request.getfixturevalue("small_disk") / "bundles"
        sentence = "no room for what is in the archive"
    else:
        (tmp_path / "home").touch()
        bundles, sentence = tmp_path / "home/bundles", "cannot be kept on this server: found Not a directory"
    with pytest.raises((BundleError, NoRoomForUpload), match=sentence):
        keep_bundle(archive, bundles)
