"""Where a key is named, nothing reads a bundle that is not signed by it; where none is, it is said and not asked for."""

import hashlib
import re
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from cervix.archive.bundles import keep_bundle as keep_for_a_run
from cervix.archive.bundles import manifest_before
from cervix.bundle import load_bundle
from cervix.bundle.active import active_bundle
from cervix.bundle.loading import read_listed, read_manifest, read_verified, verify_bundle
from cervix.bundle.signature import SIGNATURE_NAME, is_vouched, signature_words
from cervix.bundle.signing import sign_bundle
from cervix.card.hub import export_hub
from cervix.card.packing import pack_bundle
from cervix.errors import BundleError, SignatureRefused
from cervix.interop.triton import export_triton
from cervix.patients.golden import prove_bundle, prove_variants
from cervix.promotion.candidates import keep_bundle
from cervix.promotion.proving import checked_apart, load_candidate, prove, prove_apart
from cervix.sandbox.candidate import sample_candidate
from cervix.settings import PROJECT_ROOT, get_settings
from pages.parts.shared import sandbox
from tests.bundle.altered import bundle_of_risk_models, candidate_of_risk_models, edit_manifest
from tests.bundle.keys import write_keys


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return write_keys(tmp_path_factory.mktemp("keys"))


@pytest.fixture(scope="module")
def signed_once(tmp_path_factory: pytest.TempPathFactory, keys: tuple[Path, Path]) -> Path:
    root = bundle_of_risk_models(tmp_path_factory.mktemp("signed") / "bundle")
    sign_bundle(root, keys[0])
    return root


@pytest.fixture
def signed(signed_once: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(signed_once, tmp_path / "bundle"))


@pytest.fixture
def asked_for(home: Path, keys: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch) -> Path:
    """A server that takes signed bundles only; its home."""
    name_key(monkeypatch, keys[1])
    return home


def name_key(monkeypatch: pytest.MonkeyPatch, key: Path | str) -> None:
    monkeypatch.setenv("CERVIX_BUNDLE_KEY", str(key))
    get_settings.cache_clear()


@pytest.mark.usefixtures("asked_for")
def test_a_signed_bundle_is_used_and_so_is_its_copy_under_another_name(signed: Path, tmp_path: Path) -> None:
    assert load_bundle(signed, device="cpu").sessions
    manifest, sha256 = read_manifest(signed)
    assert signature_words(signed, manifest, sha256) == "signed by the key of this server"
    signed.rename(tmp_path / "renamed")
    assert read_listed(tmp_path / "renamed", "risk-factors/golden.csv")


def unsigned(root: Path, _: Path) -> None:
    (root / SIGNATURE_NAME).unlink()


def of_another_bundle(root: Path, place: Path) -> None:
    other = candidate_of_risk_models(place / "other", "0.2.0")
    sign_bundle(other, place / "key.pem")
    shutil.copy(other / SIGNATURE_NAME, root)


def by_another_key(root: Path, place: Path) -> None:
    sign_bundle(root, write_keys(place / "others")[0])


def by_another_key_that_says_it_is_ours(root: Path, place: Path) -> None:
    ours = re.search(r'"hint": ?"(\w+)"', (root / SIGNATURE_NAME).read_text())
    by_another_key(root, place)
    text = (root / SIGNATURE_NAME).read_text()
    (root / SIGNATURE_NAME).write_text(re.sub(r'("hint": ?")\w+', rf"\g<1>{ours[1]}", text))


def manifest_changed(root: Path, _: Path) -> None:
    edit_manifest(root, lambda manifest: manifest["changelog"].append("better"))


def file_listed_later(root: Path, _: Path) -> None:
    (root / "more.csv").write_bytes(b"one more")
    sha256 = hashlib.sha256(b"one more").hexdigest()
    edit_manifest(root, lambda manifest: manifest["files"].append({"path": "more.csv", "bytes": 8, "sha256": sha256}))


def damaged(root: Path, _: Path) -> None:
    (root / SIGNATURE_NAME).write_bytes(b"\xff{}")


def huge(root: Path, _: Path) -> None:
    (root / SIGNATURE_NAME).write_bytes(bytes(2 << 20))


def a_link_out(root: Path, place: Path) -> None:
    shutil.move(root / SIGNATURE_NAME, place / "elsewhere.sig")
    (root / SIGNATURE_NAME).symlink_to(place / "elsewhere.sig")


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (unsigned, "The bundle is not signed: expected model.sig beside its manifest"),
        (of_another_bundle, "found one of other files"),
        (by_another_key, "found one by another key"),
        (by_another_key_that_says_it_is_ours, "found one by another key"),
        (manifest_changed, "found one of other files"),
        (file_listed_later, "found one of other files"),
        (damaged, "found a damaged one"),
        (huge, "expected at most 1,048,576 bytes; found more"),
        (a_link_out, "found a link that leads elsewhere"),
    ],
)
def test_a_bundle_without_a_valid_signature_is_refused_and_told_of(
    change: Callable[[Path, Path], None],
    sentence: str,
    signed: Path,
    keys: tuple[Path, Path],
    tmp_path: Path,
    home: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    shutil.copy(keys[0], tmp_path / "key.pem")
    change(signed, tmp_path)
    found = read_manifest(signed)
    said = signature_words(signed, *found)
    assert re.match("not signed|signed, not checked: no key|refused", said), "no key: nothing is asked"
    name_key(monkeypatch, keys[1])
    with pytest.raises(SignatureRefused, match=re.escape(sentence)):
        read_manifest(signed)
    assert "signed by the key" not in signature_words(signed, *found)
    assert not home.exists()


@pytest.mark.usefixtures("asked_for")
def test_a_file_that_changed_after_signing_is_refused_by_its_hash(signed: Path) -> None:
    path = signed / "risk-factors/golden.csv"
    path.write_bytes(path.read_bytes().replace(b"1", b"2", 1))
    with pytest.raises(BundleError, match=r"risk-factors/golden\.csv has changed since it was exported"):
        read_verified(signed)


@pytest.mark.parametrize("key", ["", "nowhere.pub", "private", "text", "rsa"])
def test_a_key_that_cannot_be_used_lets_no_bundle_in(
    key: str, signed: Path, keys: tuple[Path, Path], tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    del home
    (tmp_path / "text").write_text("no key")
    rsa_key = rsa.generate_private_key(public_exponent=65537, key_size=2048).public_key()
    (tmp_path / "rsa").write_bytes(rsa_key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    name_key(monkeypatch, keys[0] if key == "private" else key and tmp_path / key)
    with pytest.raises(SignatureRefused, match="cannot be used, so no bundle is: expected CERVIX_BUNDLE_KEY"):
        read_manifest(signed)


def test_what_checks_signatures_may_be_missing_and_then_no_bundle_is_read(
    signed: Path, asked_for: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    del asked_for
    for name in [name for name in sys.modules if name.split(".")[0] == "model_signing"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "model_signing", None)
    manifest_changed(signed, signed)  # what was found valid before is remembered
    with pytest.raises(SignatureRefused, match=r"pip install -r requirements-signing\.txt"):
        read_manifest(signed)


def as_zip(root: Path) -> Path:
    return Path(shutil.make_archive(str(root.parent / "packed"), "zip", root))


WAYS: dict[str, Callable[[Path, Path], object]] = {
    "load": lambda root, _: load_bundle(root, device="cpu"),
    "prove": lambda root, _: prove_bundle(root, device="cpu"),
    "verify": lambda root, _: verify_bundle(root, device="cpu"),
    "variants": lambda root, _: prove_variants(root, device="cpu"),
    "files": lambda root, _: read_verified(root),
    "one file": lambda root, _: read_listed(root, "risk-factors/golden.csv"),
    "apart": lambda root, _: prove_apart(root),
    "candidate": lambda root, _: load_candidate(root, device="cpu"),
    "upload": lambda root, place: keep_bundle(as_zip(root), place / "bundles"),
    "run": lambda root, place: keep_for_a_run(place, root, "0" * 64),
    "triton": lambda root, place: export_triton(root, place / "triton", device="cpu"),
    "hub": lambda root, place: export_hub(root, place / "hub", device="cpu"),
    "pack": lambda root, place: pack_bundle(root, place / "out.zip"),
    "active": lambda root, _: active_bundle(get_settings().model_copy(update={"bundle_dir": root})),
}


@pytest.mark.usefixtures("asked_for")
@pytest.mark.parametrize("way", WAYS)
def test_no_way_leads_round_the_signature(way: str, tmp_path: Path) -> None:
    root = bundle_of_risk_models(tmp_path / "bundle")
    with pytest.raises(SignatureRefused, match="The bundle is not signed"):
        WAYS[way](root, tmp_path)
    assert not list(tmp_path.glob("**/*.onnx")) or {path.parents[1] for path in tmp_path.glob("**/*.onnx")} == {root}


def test_only_what_makes_signs_or_describes_a_bundle_may_read_an_unsigned_one() -> None:
    assert users_of("unsigned_allowed") == {
        "cervix/bundle/signature.py", "cervix/bundle/signing.py", "cervix/card/bundle_info.py", "training/bundle/build.py",
    }  # fmt: skip
    assert users_of("vouched_by") == {
        "cervix/bundle/signature.py", "cervix/promotion/proving.py", "pages/parts/shared/sandbox.py",
    }  # fmt: skip


def users_of(name: str) -> set[str]:
    rooms = (path for room in ("cervix", "pages", "training") for path in (PROJECT_ROOT / room).rglob("*.py"))
    return {path.relative_to(PROJECT_ROOT).as_posix() for path in rooms if name in path.read_text("utf-8")}


@pytest.mark.usefixtures("asked_for")
def test_what_is_part_of_the_app_needs_no_signature_by_its_hash_alone_and_no_longer_than_it_is_vouched_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = bundle_of_risk_models(tmp_path / "bundle")
    sha256 = hashlib.sha256((root / "manifest.json").read_bytes()).hexdigest()
    prove(str(root), sha256, vouched=True)
    with pytest.raises(SignatureRefused, match="The bundle is not signed"):
        prove(str(root), sha256)
    monkeypatch.setattr("cervix.bundle.signature._vouching", lambda found: found == sha256)
    assert signature_words(root, *read_manifest(root)) == "not signed, and part of this app"
    edit_manifest(root, lambda manifest: manifest["changelog"].append("better"))
    with pytest.raises(SignatureRefused, match="The bundle is not signed"):
        read_manifest(root)
    with pytest.raises(SignatureRefused, match="The bundle is not signed"):
        prove(str(root), sha256, vouched=True)


def test_the_sample_candidate_is_part_of_the_app_where_somebody_plays_and_nowhere_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sample = sample_candidate().sha256
    assert not is_vouched(sample), "outside of a sandbox it is a bundle like others"
    monkeypatch.setattr(sandbox, "_home_of_session", lambda: tmp_path)
    assert is_vouched(sample)
    assert not is_vouched("0" * 64)


@pytest.mark.slow
@pytest.mark.usefixtures("asked_for")
def test_the_process_apart_asks_for_the_signature_too(signed: Path, tmp_path: Path) -> None:
    folder = keep_bundle(as_zip(signed), tmp_path / "bundles")
    assert read_manifest(folder) == read_manifest(signed)
    assert {row["verdict"] for row in checked_apart(folder)} == {"ok"}


@pytest.mark.usefixtures("asked_for")
def test_the_copy_that_a_run_keeps_is_signed_as_well(signed: Path, keys: tuple[Path, Path], tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    sha256 = read_manifest(signed)[1]
    keep_for_a_run(tmp_path / "run", signed, sha256)
    assert read_manifest(tmp_path / "run/bundle")[1] == sha256
    other = candidate_of_risk_models(tmp_path / "other", "0.2.0")
    sign_bundle(other, keys[0])
    keep_for_a_run(tmp_path / "run", other, read_manifest(other)[1])
    assert manifest_before(tmp_path / "run", sha256) == read_manifest(signed)[0]


def test_the_tools_of_openssf_verify_what_was_signed_here(signed: Path, keys: tuple[Path, Path]) -> None:
    from model_signing import verifying

    (signed / "MODEL_CARD.md").write_text("for people")
    verifying.Config().use_elliptic_key_verifier(public_key=keys[1]).verify(signed, signed / SIGNATURE_NAME)
    (signed / "risk-factors/golden.csv").write_text("other")
    with pytest.raises(ValueError, match="Signature mismatch"):
        verifying.Config().use_elliptic_key_verifier(public_key=keys[1]).verify(signed, signed / SIGNATURE_NAME)


def test_a_bundle_that_is_not_what_its_manifest_says_is_not_signed(signed: Path, keys: tuple[Path, Path]) -> None:
    before = (signed / SIGNATURE_NAME).read_bytes()
    (signed / "risk-factors/golden.csv").write_text("other")
    with pytest.raises(BundleError, match="has the wrong size"):
        sign_bundle(signed, keys[0])
    assert (signed / SIGNATURE_NAME).read_bytes() == before


def test_a_private_key_that_cannot_be_used_is_one_sentence(signed: Path, keys: tuple[Path, Path], tmp_path: Path) -> None:
    for key in (tmp_path / "nowhere.pem", keys[1]):
        with pytest.raises(SignatureRefused, match="The private key cannot be used") as refused:
            sign_bundle(signed, key)
        assert str(tmp_path) not in str(refused.value)
