"""A bundle is packed into the same zip every time, described without being run, and verified from the zip."""

import shutil
import zipfile
from pathlib import Path

import pytest

from cervix.bundle.signature import SIGNATURE_NAME
from cervix.bundle.signing import sign_bundle
from cervix.card.bundle_info import info_lines
from cervix.card.packing import opened, pack_bundle
from cervix.cli import main
from cervix.errors import BundleError, UploadRefused
from cervix.files import sha256_of
from cervix.settings import get_settings
from tests.bundle.altered import bundle_of_risk_models, edit_manifest
from tests.bundle.keys import write_keys


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return bundle_of_risk_models(tmp_path / "bundle")


def test_the_same_bundle_is_packed_into_the_same_bytes_and_nothing_else_goes_along(root: Path, tmp_path: Path) -> None:
    first = pack_bundle(root, tmp_path / "one.zip")
    (root / "notes of mine.txt").write_text("not listed")
    (root / "MODEL_CARD.md").write_text("not the card of this bundle")
    later = Path(shutil.copytree(root, tmp_path / "elsewhere"))
    assert pack_bundle(later, tmp_path / "two.zip") == first == sha256_of(tmp_path / "one.zip")
    with zipfile.ZipFile(tmp_path / "two.zip") as archive:
        names = archive.namelist()
        assert archive.read("manifest.json") == (root / "manifest.json").read_bytes()
        card = archive.read("MODEL_CARD.md").decode()
    assert "not the card" not in card
    assert "CPUExecutionProvider" not in card, "where it was packed is none of its bytes"
    assert names[:3] == ["manifest.json", "manifest.schema.json", "MODEL_CARD.md"]
    assert names[3:] == sorted(names[3:])
    assert "notes of mine.txt" not in names


def test_a_bundle_that_does_not_prove_itself_is_not_packed(root: Path, tmp_path: Path) -> None:
    edit_manifest(root, lambda manifest: manifest["models"][0]["variants"][0]["tolerance"].update(risk=1e-30))
    (root / "risk-factors/golden.csv").write_text("other")
    with pytest.raises(BundleError, match="has the wrong size"):
        pack_bundle(root, tmp_path / "out.zip")
    assert not (tmp_path / "out.zip").exists()


@pytest.mark.slow
def test_a_zip_is_described_in_a_process_of_its_own_with_its_figures(
    root: Path, tmp_path: Path, home: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    archive = str(tmp_path / "packed.zip")
    assert main(["bundle", "pack", "--path", str(root), "--out", archive]) == 0
    assert f"SHA-256 {sha256_of(Path(archive))}" in capsys.readouterr().out
    monkeypatch.setattr("cervix.card.bundle_info.read_verified", None)
    assert main(["bundle", "info", archive]) == 0
    said = capsys.readouterr().out
    assert "signature: not signed" in said
    assert "risk-factors: Risk of a positive biopsy from risk factors alone (table)" in said
    assert "n = 166 in 166 independent groups, 12 positive" in said
    assert "AUROC 0.789 (0.659–0.890)" in said
    assert "first limit: Made up: knows nothing of medicine." in said
    assert not home.exists(), "nothing of it is unpacked for good"


def test_what_is_said_of_a_bundle_tells_of_its_signature_and_holds_nothing_that_a_terminal_obeys(
    root: Path, tmp_path: Path, home: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    private, public = write_keys(tmp_path / "keys")
    edit_manifest(root, lambda manifest: manifest["models"][0]["limits"].insert(0, "\x1b[2J"))
    sign_bundle(root, private)
    assert "signature: signed, not checked: no key (CERVIX_BUNDLE_KEY)" in info_lines(root)
    monkeypatch.setenv("CERVIX_BUNDLE_KEY", str(public))
    get_settings.cache_clear()
    assert "signature: signed by the key of this server" in info_lines(root)
    (root / SIGNATURE_NAME).unlink()
    said = info_lines(root)
    assert "signature: not signed" in said, "what is not signed is described all the same"
    assert all(line.isprintable() for line in said)
    assert main(["bundle", "verify", str(root)]) == 1, "describing it has let nothing in"
    assert "The bundle is not signed" in capsys.readouterr().err
    assert not home.exists()


@pytest.mark.slow
def test_a_zip_is_verified_in_a_process_of_its_own(
    root: Path, tmp_path: Path, home: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    archive = tmp_path / "packed.zip"
    pack_bundle(root, archive)
    monkeypatch.setattr("cervix.cli_bundle.prove_variants", None)
    assert main(["bundle", "verify", str(archive)]) == 0
    assert "ok" in capsys.readouterr().out
    assert not home.exists()


def test_a_hostile_zip_is_refused_and_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "tmp"))
    (tmp_path / "tmp").mkdir()
    with zipfile.ZipFile(tmp_path / "out.zip", "w") as archive:
        archive.writestr("manifest.json", "{}")
        archive.writestr("../outside.txt", "x")
    with zipfile.ZipFile(tmp_path / "bomb.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("manifest.json", bytes(80 << 20))
    for name in ("out.zip", "bomb.zip"):
        with pytest.raises(UploadRefused), opened(tmp_path / name):
            pass
    assert not list((tmp_path / "tmp").iterdir())
    assert not (tmp_path / "outside.txt").exists()
