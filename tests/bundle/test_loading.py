"""A bundle proves itself, or nothing is scored with it."""

import io
import os
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from cervix.bundle import Bundle, load_bundle, verify_bundle
from cervix.bundle.sessions import CPU_PROVIDER
from cervix.errors import BundleError
from tests.bundle.altered import bundle_of_risk_models, edit_manifest, replace_file

RISK = "risk-factors/fp32.onnx"


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A bundle of the risk-factor models, to damage."""
    return bundle_of_risk_models(tmp_path / "bundle")


def test_a_whole_copy_loads(copy: Path) -> None:
    assert set(load_bundle(copy, device="cpu").sessions) == {"risk-factors", "risk-factors-with-tests"}


@pytest.mark.skipif(os.name == "nt", reason="symbolic links need rights on Windows")
def test_a_file_that_leads_out_of_the_bundle_is_refused(copy: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside.onnx"
    (copy / RISK).rename(outside)
    (copy / RISK).symlink_to(outside)
    with pytest.raises(BundleError, match="lies outside the bundle"):
        load_bundle(copy, device="cpu")


def test_a_flipped_byte_is_refused_with_the_file_named(copy: Path) -> None:
    content = bytearray((copy / RISK).read_bytes())
    content[len(content) // 2] ^= 1
    (copy / RISK).write_bytes(content)
    with pytest.raises(BundleError, match=r"risk-factors/fp32\.onnx has changed since it was exported: expected SHA-256"):
        load_bundle(copy, device="cpu")


def test_a_truncated_file_is_refused_with_both_sizes(copy: Path) -> None:
    content = (copy / RISK).read_bytes()
    (copy / RISK).write_bytes(content[:-10])
    with pytest.raises(BundleError, match=f"expected {len(content):,} bytes; found {len(content) - 10:,} bytes"):
        load_bundle(copy, device="cpu")


def test_a_missing_file_is_refused(copy: Path) -> None:
    (copy / RISK).unlink()
    with pytest.raises(BundleError, match=r"risk-factors/fp32\.onnx is missing"):
        load_bundle(copy, device="cpu")


def test_a_missing_manifest_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="no readable manifest"):
        load_bundle(tmp_path, device="cpu")


def test_a_manifest_that_is_not_json_is_refused(copy: Path) -> None:
    (copy / "manifest.json").write_text("{")
    with pytest.raises(BundleError, match="does not follow the schema"):
        load_bundle(copy, device="cpu")


@pytest.mark.parametrize("place", ["manifest", "model", "variant"])
def test_an_extra_key_is_refused_and_named(copy: Path, place: str) -> None:
    def add(manifest: dict[str, Any]) -> None:
        model = manifest["models"][0]
        {"manifest": manifest, "model": model, "variant": model["variants"][0]}[place]["surprise"] = 1

    edit_manifest(copy, add)
    with pytest.raises(BundleError, match="surprise"):
        load_bundle(copy, device="cpu")


@pytest.mark.parametrize("version", [1, 3])
def test_a_bundle_of_another_contract_is_refused_in_one_sentence(copy: Path, version: int) -> None:
    edit_manifest(copy, lambda manifest: manifest.update(schema_version=version))
    with pytest.raises(BundleError, match=f"made to another contract: version {version} of the manifest") as refused:
        load_bundle(copy, device="cpu")
    assert "expected version 2" in str(refused.value)


def test_a_bundle_of_the_first_contract_is_refused_as_that_and_not_by_what_it_lacks(copy: Path) -> None:
    def as_of_0_1_0(manifest: dict[str, Any]) -> None:
        manifest["schema_version"] = 1
        for model in manifest["models"]:
            model["classes"] = [item["id"] for item in model["classes"]]
            del model["kind"], model["short"]

    edit_manifest(copy, as_of_0_1_0)
    with pytest.raises(BundleError, match="another contract: version 1"):
        load_bundle(copy, device="cpu")


@pytest.mark.parametrize("path", ["../outside.onnx", "/etc/passwd", "a//b"])
def test_a_path_that_is_no_plain_path_inside_the_bundle_is_refused(copy: Path, path: str) -> None:
    edit_manifest(copy, lambda manifest: manifest["files"][0].update(path=path))
    with pytest.raises(BundleError, match="does not follow the schema at files"):
        load_bundle(copy, device="cpu")


def test_a_wrong_shape_in_the_manifest_is_refused_with_both_shapes(copy: Path) -> None:
    edit_manifest(copy, lambda manifest: manifest["models"][0]["inputs"][0].update(shape=["N", 1, 7]))
    with pytest.raises(BundleError, match=r"expected features float32 \('N', 1, 7\); found features float32 \('N', 1, 32\)"):
        load_bundle(copy, device="cpu")


def test_a_wrong_dtype_is_refused(copy: Path) -> None:
    edit_manifest(copy, lambda manifest: manifest["models"][0]["inputs"][0].update(dtype="uint8"))
    with pytest.raises(BundleError, match="expected features uint8"):
        load_bundle(copy, device="cpu")


def test_an_undeclared_output_is_refused(copy: Path) -> None:
    def drop(manifest: dict[str, Any]) -> None:
        model = manifest["models"][0]
        model["outputs"] = [spec for spec in model["outputs"] if spec["name"] != "logit"]
        del model["variants"][0]["tolerance"]["logit"]

    edit_manifest(copy, drop)
    with pytest.raises(BundleError, match="does not declare"):
        load_bundle(copy, device="cpu")


def test_other_weights_of_the_right_shape_are_caught_by_the_golden_vectors(copy: Path) -> None:
    model = onnx.load(copy / RISK)
    largest = max(model.graph.initializer, key=lambda tensor: len(tensor.raw_data))
    weights = onnx.numpy_helper.to_array(largest) * np.float32(1.5)
    largest.CopyFrom(onnx.numpy_helper.from_array(weights, largest.name))
    replace_file(copy, RISK, model.SerializeToString())
    with pytest.raises(BundleError, match="does not reproduce its golden vectors on CPUExecutionProvider"):
        load_bundle(copy, device="cpu")
    failed = [check for check in verify_bundle(copy, device="cpu") if not check.passed]
    assert [check.variant.file for check in failed] == [RISK]


def test_weights_in_another_file_are_refused(copy: Path) -> None:
    model = onnx.load(copy / RISK)
    tensor = model.graph.initializer[0]
    onnx.external_data_helper.set_external_data(tensor, "/etc/passwd")
    tensor.ClearField("raw_data")
    tensor.data_location = onnx.TensorProto.EXTERNAL
    replace_file(copy, RISK, model.SerializeToString())
    with pytest.raises(BundleError, match="keeps its weights in another file"):
        load_bundle(copy, device="cpu")


def test_a_file_that_is_no_onnx_model_is_refused(copy: Path) -> None:
    replace_file(copy, RISK, b"not a model")
    with pytest.raises(BundleError, match="is not an ONNX model|does not load"):
        load_bundle(copy, device="cpu")


def test_golden_vectors_with_a_pickle_inside_are_refused(copy: Path) -> None:
    buffer = io.BytesIO()
    np.savez(buffer, **{"input:features": np.array([{"a": 1}], dtype=object)}, allow_pickle=True)
    replace_file(copy, "risk-factors/golden.npz", buffer.getvalue())
    with pytest.raises(BundleError, match="does not hold golden vectors"):
        load_bundle(copy, device="cpu")


def test_asking_for_a_gpu_where_there_is_none_says_cpu(bundle_root: Path) -> None:
    if Path("/dev/nvidiactl").exists():
        pytest.skip("this machine has an NVIDIA device")
    assert load_bundle(bundle_root, device="cuda").session_of("tile").provider == CPU_PROVIDER


def test_a_model_that_the_bundle_does_not_have_is_named(bundle: Bundle) -> None:
    with pytest.raises(BundleError, match="'genomics'"):
        bundle.session("genomics")
