"""A bundle is assembled from proven parts, or the old one stays."""

import hashlib
import io
import shutil
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pytest

from cervix.bundle import load_bundle, verify_bundle
from cervix.bundle.manifest import CARD_NAME, MANIFEST_NAME, SCHEMA_NAME, Manifest, Model
from cervix.card.markdown import model_card
from cervix.errors import BundleError
from cervix.settings import PROJECT_ROOT

pytestmark = pytest.mark.training
pytest.importorskip("tensorflow", reason="a bundle records the version of TensorFlow, which the app's environment has not")

from training.bundle.build import SIZE_LIMIT_BYTES, about_build, assemble_bundle, git_commit  # noqa: E402

RISK_MODELS = ("risk-factors", "risk-factors-with-tests")


@pytest.fixture(scope="module")
def models() -> list[Model]:
    """The two small models of the committed bundle."""
    manifest = Manifest.model_validate_json((PROJECT_ROOT / "bundle" / MANIFEST_NAME).read_bytes())
    return [manifest.model(model_id) for model_id in RISK_MODELS]


@pytest.fixture
def parts(tmp_path: Path) -> Path:
    """Their files, as the recipes would leave them."""
    for name in RISK_MODELS:
        shutil.copytree(PROJECT_ROOT / "bundle" / name, tmp_path / "parts" / name)
    return tmp_path / "parts"


def alter_golden(parts: Path) -> None:
    """Golden answers that the graph does not give."""
    path = parts / "risk-factors/golden.npz"
    with np.load(path, allow_pickle=False) as archive:
        arrays = dict(archive.items())
    arrays["fp32:risk"] = arrays["fp32:risk"] + np.float32(0.01)
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    path.write_bytes(buffer.getvalue())


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_the_assembled_bundle_proves_itself(parts: Path, models: list[Model], tmp_path: Path) -> None:
    manifest = assemble_bundle(parts, tmp_path / "bundle", models, about_build(models))
    loaded = load_bundle(tmp_path / "bundle", device="cpu")
    assert loaded.manifest == manifest
    assert list(loaded.sessions) == list(RISK_MODELS)
    assert all(check.passed for check in verify_bundle(tmp_path / "bundle", device="cpu"))


def test_the_bundle_holds_what_the_manifest_lists_and_its_own_description(
    parts: Path, models: list[Model], tmp_path: Path
) -> None:
    manifest = assemble_bundle(parts, tmp_path / "bundle", models, about_build(models))
    found = contents(tmp_path / "bundle")
    listed = {file.path for file in manifest.files}
    assert set(found) == listed | {MANIFEST_NAME, SCHEMA_NAME, CARD_NAME}
    assert len(listed) == 14
    for file in manifest.files:
        assert (file.bytes, file.sha256) == (len(found[file.path]), hashlib.sha256(found[file.path]).hexdigest())


def test_the_card_is_that_of_the_assembled_bundle(parts: Path, models: list[Model], tmp_path: Path) -> None:
    assemble_bundle(parts, tmp_path / "bundle", models, about_build(models))
    card = (tmp_path / "bundle" / CARD_NAME).read_text(encoding="utf-8")
    assert card == model_card(load_bundle(tmp_path / "bundle", device="cpu"))


def test_the_manifest_says_with_what_and_from_which_commit_it_was_made(
    parts: Path, models: list[Model], tmp_path: Path
) -> None:
    manifest = assemble_bundle(parts, tmp_path / "bundle", models, about_build(models))
    assert manifest.packages["tensorflow"] == version("tensorflow")
    assert manifest.git_commit == git_commit()
    assert manifest.stage == "demonstration"
    assert manifest.created.tzinfo is not None


def test_parts_whose_graph_does_not_give_its_golden_answers_are_refused(
    parts: Path, models: list[Model], tmp_path: Path
) -> None:
    alter_golden(parts)
    with pytest.raises(BundleError, match="does not reproduce its own golden vectors"):
        assemble_bundle(parts, tmp_path / "bundle", models, about_build(models))


def test_a_graph_that_is_no_graph_is_refused(parts: Path, models: list[Model], tmp_path: Path) -> None:
    (parts / "risk-factors/fp32.onnx").write_bytes(b"not a graph")
    with pytest.raises(BundleError, match=r"fp32\.onnx is not an ONNX model"):
        assemble_bundle(parts, tmp_path / "bundle", models, about_build(models))


def test_a_graph_of_the_other_model_is_refused(parts: Path, models: list[Model], tmp_path: Path) -> None:
    shutil.copyfile(parts / "risk-factors-with-tests/fp32.onnx", parts / "risk-factors/fp32.onnx")
    with pytest.raises(BundleError, match="another input than the manifest declares"):
        assemble_bundle(parts, tmp_path / "bundle", models, about_build(models))


def test_a_bundle_over_the_limit_is_refused_with_both_sizes(parts: Path, models: list[Model], tmp_path: Path) -> None:
    total = sum(len(content) for content in contents(parts).values())
    about = about_build(models)
    with pytest.raises(BundleError, match=f"expected {total - 1:,} bytes; found {total:,} bytes"):
        assemble_bundle(parts, tmp_path / "bundle", models, replace(about, size_limit_bytes=total - 1))
    assemble_bundle(parts, tmp_path / "bundle", models, replace(about, size_limit_bytes=total))


def test_a_refused_part_leaves_the_old_bundle_as_it_was(parts: Path, models: list[Model], tmp_path: Path) -> None:
    assemble_bundle(parts, tmp_path / "bundle", models, about_build(models))
    before = contents(tmp_path / "bundle")
    alter_golden(parts)
    with pytest.raises(BundleError):
        assemble_bundle(parts, tmp_path / "bundle", models, about_build(models))
    assert contents(tmp_path / "bundle") == before


def test_the_committed_bundle_is_within_the_limit() -> None:
    manifest = Manifest.model_validate_json((PROJECT_ROOT / "bundle" / MANIFEST_NAME).read_bytes())
    assert sum(file.bytes for file in manifest.files) <= SIZE_LIMIT_BYTES
