"""A bundle that somebody brought proves itself where it can do no harm, and only then here."""

import io
import zipfile
from pathlib import Path

import numpy as np
import onnx
import pytest

import cervix.promotion.proving
from cervix.bundle import load_bundle
from cervix.bundle.loading import GOLDEN_BYTES_AT_MOST, replay_golden, require_passed
from cervix.errors import BundleError, LostApart
from cervix.promotion.candidates import keep_bundle
from cervix.promotion.proving import load_candidate
from cervix.sources.apart import Limits
from tests.bundle.altered import bundle_of_risk_models, candidate_of_risk_models, edit_manifest, replace_file

GOLDEN, RISK = "risk-factors/golden.npz", "risk-factors/fp32.onnx"


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    return bundle_of_risk_models(tmp_path / "bundle")


def packed(root: Path, archive: Path) -> Path:
    with zipfile.ZipFile(archive, "w") as out:
        for path in root.rglob("*"):
            out.write(path, path.relative_to(root))
    return archive


def npz(**arrays: bytes) -> bytes:
    """An ``.npz`` of any bytes."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as out:
        for name, content in arrays.items():
            out.writestr(f"{name}.npy", content)
    return buffer.getvalue()


def header(shape: tuple[int, ...], content: bytes = b"") -> bytes:
    """An ``.npy`` whose header says any shape."""
    buffer = io.BytesIO()
    np.lib.format.write_array_header_2_0(buffer, {"descr": "<f4", "fortran_order": False, "shape": shape})
    return buffer.getvalue() + content


def test_a_whole_candidate_is_loaded_and_the_same_one_is_not_examined_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = candidate_of_risk_models(tmp_path / "bundle", "9.1.0")
    first = load_candidate(root, device="cpu")
    monkeypatch.setattr(cervix.promotion.proving, "run_apart", None)
    assert load_candidate(root, device="cpu").sha256 == first.sha256


def test_damaged_golden_vectors_are_refused_in_one_sentence(cases_dir: Path, copy: Path) -> None:
    replace_file(copy, GOLDEN, (cases_dir / "hostile/damaged_golden.npz").read_bytes())
    for load in (load_candidate, load_bundle):
        with pytest.raises(BundleError, match="does not hold golden vectors for fp32"):
            load(copy, device="cpu")


@pytest.mark.parametrize(
    "content",
    [
        npz(a=header((1 << 40,))),
        npz(a=header((GOLDEN_BYTES_AT_MOST,), bytes(4 * GOLDEN_BYTES_AT_MOST))),
        npz(a=header((-1,))),
        npz(a=b"\x93NUMPY\x01\x00\x10\x00" + b"{" * 16),
        npz(a=b""),
        npz(),
        b"",
    ],
    ids=["header", "bomb", "negative", "syntax", "empty array", "no array", "no archive"],
)
def test_golden_vectors_that_say_more_than_they_hold_are_refused(copy: Path, content: bytes) -> None:
    replace_file(copy, GOLDEN, content)
    with pytest.raises(BundleError, match="does not hold golden vectors for fp32") as refusal:
        load_bundle(copy, device="cpu")
    assert "\n" not in str(refusal.value)


def test_damaged_golden_files_are_sentences_or_give_the_same_answers(copy: Path) -> None:
    whole = (copy / GOLDEN).read_bytes()
    random = np.random.default_rng(0)
    refused = 0
    session = load_bundle(copy, device="cpu").session("risk-factors")
    for _ in range(200):
        content = bytearray(whole)
        for place in random.integers(0, len(content), random.integers(1, 4)):
            content[place] ^= 1 << int(random.integers(0, 8))
        try:
            require_passed(replay_golden(session, bytes(content)))
        except BundleError:
            refused += 1
    assert refused > 150


def test_golden_inputs_that_do_not_fit_the_graph_are_refused(copy: Path) -> None:
    with np.load(copy / GOLDEN) as golden:
        arrays = dict(golden)
    buffer = io.BytesIO()
    np.savez(buffer, **(arrays | {"input:features": np.zeros((2, 2))}))
    replace_file(copy, GOLDEN, buffer.getvalue())
    with pytest.raises(BundleError, match="does not run on its golden vectors"):
        load_bundle(copy, device="cpu")


def test_a_candidate_that_outlasts_its_process_is_refused_and_not_kept(
    tmp_path: Path, copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cervix.promotion.proving, "BUNDLE_LIMITS", Limits(seconds=0.05))
    edit_manifest(copy, lambda manifest: manifest.update(version="9.2.0"))
    with pytest.raises(LostApart, match="The bundle could not be examined safely"):
        keep_bundle(packed(copy, tmp_path / "bundle.zip"), tmp_path / "kept")
    assert not list((tmp_path / "kept").iterdir())


def test_a_bundle_that_does_not_prove_itself_is_not_kept(tmp_path: Path, copy: Path) -> None:
    model = onnx.load(copy / RISK)
    model.graph.node[0].op_type = "Loop"
    replace_file(copy, RISK, model.SerializeToString())
    with pytest.raises(BundleError, match="not allowed in a bundle"):
        keep_bundle(packed(copy, tmp_path / "bundle.zip"), tmp_path / "kept")
    assert not list((tmp_path / "kept").iterdir())
