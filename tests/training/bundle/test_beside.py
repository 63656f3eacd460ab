"""New models stand beside a parent's, which stay as they are, byte by byte."""

import shutil
from pathlib import Path

import pytest

pytestmark = pytest.mark.training
pytest.importorskip("tensorflow", reason="a bundle records the version of TensorFlow, which the app's environment has not")

from cervix.bundle import Bundle  # noqa: E402
from cervix.bundle.card_facts import ModelFacts  # noqa: E402
from cervix.bundle.manifest import MANIFEST_NAME, Manifest, Model  # noqa: E402
from cervix.errors import BundleError  # noqa: E402
from cervix.patients.golden import prove_bundle  # noqa: E402
from tests.bundle.made.tumours import write_molecular_bundle  # noqa: E402
from training.bundle.beside import add_models, assemble_beside, next_version  # noqa: E402
from training.bundle.build import card_facts, in_order  # noqa: E402
from training.bundle.candidate import CandidateRefused  # noqa: E402


@pytest.fixture(scope="module")
def parts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A molecular model as its recipe would leave it."""
    root = write_molecular_bundle(tmp_path_factory.mktemp("tumours") / "bundle")
    manifest = Manifest.model_validate_json((root / MANIFEST_NAME).read_bytes())
    (root / "molecular/model.json").write_text(manifest.model("molecular").model_dump_json(), encoding="utf-8")
    return root


@pytest.fixture(scope="module")
def parent(bundle_root: Path) -> Bundle:
    """The made bundle; here the fixture ``bundle`` is the one that ships."""
    return prove_bundle(bundle_root, device="cpu")


@pytest.fixture(scope="module")
def grown(bundle_root: Path, parts: Path, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """The made bundle and the molecular model."""
    out = tmp_path_factory.mktemp("grown") / "bundle"
    add_models(bundle_root, [parts / "molecular/model.json"], parts, out, lambda _: None)
    return prove_bundle(out, device="cpu")


@pytest.mark.slow
def test_the_parents_models_are_copied_and_the_new_one_answers(parent: Bundle, grown: Bundle) -> None:
    for model in parent.manifest.models:
        assert grown.manifest.model(model.id) == model
        for name in model.files:
            assert (grown.root / name).read_bytes() == (parent.root / name).read_bytes()
    assert {model.id for model in grown.manifest.models} == {model.id for model in parent.manifest.models} | {"molecular"}
    assert grown.manifest.card.models["molecular"] == card_facts().models["molecular"]
    assert grown.manifest.changelog[1:] == parent.manifest.changelog
    assert parent.label in grown.manifest.changelog[0]


@pytest.mark.slow
def test_whoever_is_asked_where_nobody_chooses_stays_the_same(parent: Bundle, grown: Bundle) -> None:
    for kind in {model.kind for model in parent.manifest.models}:
        assert grown.manifest.first_of(kind).id == parent.manifest.first_of(kind).id


def test_a_new_model_is_a_minor_step_and_a_replaced_one_a_patch(parent: Bundle) -> None:
    (history,) = parent.manifest.of_kind("sequence")
    assert next_version(parent.manifest, [history]) == "0.1.1"
    assert next_version(parent.manifest, [history.model_copy(update={"id": "another"})]) == "0.2.0"


def test_kinds_stand_together_tiles_first_and_the_parents_model_before_its_rival(parent: Bundle) -> None:
    (history,) = parent.manifest.of_kind("sequence")
    rival = history.model_copy(update={"id": "a-rival"})
    listed = [model.id for model in in_order([*parent.manifest.models, rival])]
    assert listed[0] == parent.manifest.first_of("tile").id
    assert listed.index("a-rival") == listed.index("history") + 1


@pytest.mark.slow
def test_a_model_of_the_same_id_is_replaced(grown: Bundle, parts: Path, tmp_path: Path) -> None:
    entry = Model.model_validate_json((parts / "molecular/model.json").read_bytes()).model_copy(update={"title": "Another"})
    shutil.copytree(parts / "molecular", tmp_path / "parts/molecular")
    facts: dict[str, ModelFacts] = {"molecular": grown.manifest.card.models["molecular"]}
    label = assemble_beside(grown, [entry], facts, tmp_path / "parts", tmp_path / "whole")
    again = Manifest.model_validate_json((tmp_path / "whole" / MANIFEST_NAME).read_bytes())
    assert "0.2.1" in label
    assert again.model("molecular").title == "Another"
    assert len(again.models) == len(grown.manifest.models)


def test_a_model_that_was_not_trained_or_has_no_card_and_a_folder_that_is_there_are_refused(
    bundle_root: Path, parts: Path, tmp_path: Path
) -> None:
    with pytest.raises(BundleError, match="none of molecular"):
        add_models(bundle_root, [tmp_path / "molecular/model.json"], tmp_path, tmp_path / "out", lambda _: None)
    (tmp_path / "made-up").mkdir()
    made_up = Model.model_validate_json((parts / "molecular/model.json").read_bytes()).model_copy(update={"id": "made-up"})
    (tmp_path / "made-up/model.json").write_text(made_up.model_dump_json(), encoding="utf-8")
    with pytest.raises(BundleError, match=r"no words for a model: expected \[models.made-up\]"):
        add_models(bundle_root, [tmp_path / "made-up/model.json"], tmp_path, tmp_path / "out", lambda _: None)
    assert not (tmp_path / "out").exists()
    with pytest.raises(CandidateRefused, match="there already"):
        add_models(bundle_root, [], tmp_path, tmp_path, lambda _: None)
