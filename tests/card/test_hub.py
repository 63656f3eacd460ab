"""A bundle as a folder for the Hugging Face hub: read by the hub's own library, loaded back, without code."""

import pickletools
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest
from huggingface_hub import ModelCard
from huggingface_hub.repocard_data import ModelCardData

from cervix import RESEARCH_NOTICE
from cervix.bundle import Bundle
from cervix.card import hub
from cervix.card.hub import DATA_ALONE, export_hub, licence_text
from cervix.cli import main
from cervix.errors import BundleError, NameRefused
from cervix.interop.proved_files import ProvedFiles, proved_files
from cervix.interop.triton import export_triton
from cervix.patients.golden import prove_bundle

BESIDE = {"README.md", "DATA.md", "LICENSE", ".gitattributes", "export.json", "manifest.json", "manifest.schema.json"}


@pytest.fixture(scope="module")
def exported(bundle_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("hub") / "export"
    assert main(["bundle", "export", str(bundle_root), "--huggingface", str(folder), "--device", "cpu"]) == 0
    return folder


@pytest.fixture(scope="module")
def files(bundle_root: Path) -> ProvedFiles:
    return proved_files(bundle_root)


def test_the_hub_s_own_library_reads_the_card_and_every_figure_in_it(exported: Path, bundle: Bundle) -> None:
    card = ModelCard.load(exported / "README.md")
    assert isinstance(card.data, ModelCardData)
    assert card.data.license == bundle.manifest.card.licence_id
    assert card.data.library_name == "onnx"
    assert card.data.eval_results
    assert all(result.metric_args["n"] > 0 for result in card.data.eval_results)
    assert RESEARCH_NOTICE in card.text
    assert bundle.sha256 in card.text
    assert "not uploaded anywhere" in card.text


def test_what_was_exported_loads_back_as_the_same_bundle(exported: Path, bundle: Bundle) -> None:
    again = prove_bundle(exported, device="cpu")
    assert again.sha256 == bundle.sha256


def test_there_is_no_code_and_no_pickle(exported: Path, bundle: Bundle) -> None:
    files = {path.relative_to(exported).as_posix(): path for path in exported.rglob("*") if path.is_file()}
    assert set(files) == BESIDE | {file.path for file in bundle.manifest.files}
    assert {path.suffix for name, path in files.items() if name not in BESIDE} <= DATA_ALONE
    for path in files.values():
        assert not path.stat().st_mode & 0o111, "nothing can be run"
        if path.suffix == ".npz":
            with zipfile.ZipFile(path) as archive:
                heads = [archive.read(name)[:128] for name in archive.namelist()]
            assert all(head.startswith(b"\x93NUMPY") and b"|O" not in head for head in heads)
        with pytest.raises(Exception, match=r".+"):
            list(pickletools.genops(path.read_bytes()))


def test_the_data_statement_names_every_source_with_n_and_licence(exported: Path, bundle: Bundle) -> None:
    text = (exported / "DATA.md").read_text(encoding="utf-8")
    assert RESEARCH_NOTICE in text
    for model in bundle.manifest.models:
        for data in model.training_data:
            assert data.name in text
            for counts in data.counts.values():
                assert f"n = {sum(counts.values()):,}" in text
    licences = (exported / "LICENSE").read_text(encoding="utf-8")
    assert all(f"{one.part}: {one.licence}" in licences for one in bundle.manifest.card.licences)


def test_the_licence_of_the_shipped_bundle_comes_with_its_text(files: ProvedFiles) -> None:
    card = files.manifest.card.model_copy(update={"licence_id": "apache-2.0"})
    text = licence_text(replace(files, manifest=files.manifest.model_copy(update={"card": card})))
    assert "TERMS AND CONDITIONS FOR USE, REPRODUCTION, AND DISTRIBUTION" in text


def test_an_export_of_another_kind_is_not_replaced(exported: Path, bundle_root: Path) -> None:
    with pytest.raises(NameRefused):
        export_triton(bundle_root, exported)
    assert (exported / "README.md").is_file()


def test_a_file_of_another_kind_is_not_published(
    files: ProvedFiles, bundle_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    odd = replace(files, contents=files.contents | {"slide/run.py": b"x"})
    monkeypatch.setattr(hub, "proved_files", lambda *_, **__: odd)
    with pytest.raises(BundleError, match="not published"):
        export_hub(bundle_root, tmp_path / "export")
    assert not list(tmp_path.iterdir())
