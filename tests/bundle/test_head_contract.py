"""A slide head that breaks its contract is refused before it answers for any slide."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cervix.bundle import Bundle, load_bundle
from cervix.bundle.differences import manifest_differences
from cervix.bundle.manifest import Manifest, Model
from cervix.errors import BundleError
from tests.bundle.made import HEAD_ID, MODEL_ID
from tests.bundle.made.graph import Node, answers, graph
from tests.bundle.made.heads import NODES, constants, golden_slide, head_inputs, head_outputs, tensor, write_head_model
from tests.bundle.made.tiles import FOUR, write_tile_model
from tests.bundle.made.whole import write_manifest

Entry = dict[str, Any]
WITHOUT_ATTENTION: Entry = {
    "precision": "fp32", "file": f"{HEAD_ID}/fp32.onnx", "runs_on": "cpu", "tolerance": {"probabilities": 1e-4, "focus": 1e-4},
}  # fmt: skip


def entry_of(bundle: Bundle) -> Entry:
    return bundle.manifest.model(HEAD_ID).model_dump(mode="json")


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"reads": None}, "names the tile model"),
        ({"inputs": [tensor("embeddings", "T", 512).model_dump()]}, "reads embeddings and positions"),
        ({"inputs": [tensor("embeddings", 40, 512), tensor("positions", "T", 2)]}, "have the shape"),
        ({"inputs": [tensor("embeddings", "T", 512), tensor("positions", "T", 3)]}, "positions of a slide head"),
        ({"outputs": [tensor("probabilities", 1, 2), tensor("focus", 1, 2)], "variants": [WITHOUT_ATTENTION]}, "missing are"),
        ({"outputs": [tensor("probabilities", "T", 2), tensor("attention", "T"), tensor("focus", 1, 2)]}, "probabilities of"),
        ({"outputs": [tensor("probabilities", 1, 2), tensor("attention", 1), tensor("focus", 1, 2)]}, "attention of"),
        ({"inputs": [head_inputs()[0].model_copy(update={"dtype": "int32"}), head_inputs()[1]]}, "are float32"),
        ({"derived_tasks": [{"id": "carcinoma-on-slide", "title": "T", "positive": ["clear"], "negative": ["carcinoma"]}]},
         "malignant classes against all others"),
    ],
)  # fmt: skip
def test_an_entry_that_is_not_of_its_kind_is_refused(head_bundle: Bundle, changes: Entry, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        Model.model_validate(entry_of(head_bundle) | changes)


def test_no_other_model_names_one_that_it_reads(head_bundle: Bundle) -> None:
    entry = head_bundle.manifest.model(MODEL_ID).model_dump(mode="json")
    with pytest.raises(ValueError, match="no other does"):
        Model.model_validate(entry | {"reads": MODEL_ID})


@pytest.mark.parametrize(
    ("reads", "size", "complaint"),
    [("nobody", 512, "no tile model of the bundle"), (HEAD_ID, 512, "no tile model"), (MODEL_ID, 1536, "of 1536 numbers")],
)
def test_a_bundle_holds_the_tile_model_that_its_head_reads(
    head_bundle: Bundle, reads: str, size: int, complaint: str
) -> None:  # fmt: skip
    whole = head_bundle.manifest.model_dump(mode="json")
    head = next(model for model in whole["models"] if model["id"] == HEAD_ID)
    head |= {"reads": reads, "inputs": [spec.model_dump() for spec in head_inputs(size)]}
    with pytest.raises(ValueError, match=complaint):
        Manifest.model_validate(whole)


@pytest.fixture(scope="module")
def beside(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Model]:
    """A folder with the files of a tile model, and its entry: each test puts a head of its own beside it."""
    root = tmp_path_factory.mktemp("beside") / "bundle"
    return root, write_tile_model(root, MODEL_ID, FOUR)


def nodes_with(**others: list[Node]) -> list[Node]:
    """Those of the made head, with others in place of the one that makes an output."""
    return [node for made in NODES for node in others.get(made[2], [made])]


BREACHES: dict[str, tuple[list[Node], str]] = {
    "attention that does not sum to 1": (
        nodes_with(attention=[("Sigmoid", ["tile_odds"], "attention", {})]), "attention that is no share",
    ),
    "negative attention": (
        nodes_with(attention=[
            ("Softmax", ["tile_odds"], "shares", {"axis": 0}), ("ReduceMean", ["tile_odds"], "mean", {}),
            ("Sub", ["tile_odds", "mean"], "away", {}), ("Reshape", ["away", "flat"], "aside", {}),
            ("Add", ["aside", "shares"], "attention", {}),
        ]), "attention that is no share",
    ),
    "probabilities that are logits": (
        nodes_with(probabilities=[("Identity", ["logits"], "probabilities", {})]), "probabilities that is no share",
    ),
    "an answer that depends on the order": (
        nodes_with(attention=[
            ("Slice", ["tile_odds", "one", "end"], "later", {}), ("Slice", ["tile_odds", "zero", "one"], "first", {}),
            ("Concat", ["later", "first"], "moved", {"axis": 0}), ("Softmax", ["moved"], "attention", {"axis": 0}),
        ]), "in another order",
    ),
    "no answer for one tile": (
        nodes_with(slide_odds=[("Gather", ["odds", "one"], "slide_odds", {"axis": 0})]), "part of its golden|another order",
    ),
}  # fmt: skip


@pytest.mark.parametrize("breach", BREACHES)
def test_a_graph_that_answers_otherwise_than_a_head_does_is_refused(
    beside: tuple[Path, Model], monkeypatch: pytest.MonkeyPatch, breach: str
) -> None:
    nodes, complaint = BREACHES[breach]
    more = dict(constants()) | {"end": np.int64([1 << 20]), "flat": np.int64([-1])}
    monkeypatch.setattr("tests.bundle.made.heads.constants", lambda: more)
    root, encoder = beside
    write_manifest(root, [encoder, write_head_model(root, MODEL_ID, nodes=nodes)])
    with pytest.raises(BundleError, match=complaint):
        load_bundle(root, device="cpu", kind="slide-head")


def test_one_golden_tile_proves_nothing(beside: tuple[Path, Model], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.bundle.made.heads.golden_slide", lambda: golden_slide(1))
    root, encoder = beside
    write_manifest(root, [encoder, write_head_model(root, MODEL_ID)])
    with pytest.raises(BundleError, match="too few golden tiles"):
        load_bundle(root, device="cpu", kind="slide-head")


def test_a_sound_head_is_opened_and_its_encoder_is_among_the_differences(head_bundle: Bundle) -> None:
    assert head_bundle.manifest.slide_head == head_bundle.manifest.model(HEAD_ID)
    assert head_bundle.session(HEAD_ID).run(golden_slide())["attention"].shape == (12,)
    without = head_bundle.manifest.model_copy(update={"models": head_bundle.manifest.models[:1]})
    assert without.slide_head is None
    told = manifest_differences(without, head_bundle.manifest)
    assert told.loc[told["what"] == "Reads the embeddings of", "candidate"].tolist() == [MODEL_ID]


def test_the_made_head_looks_at_what_is_most_like_carcinoma() -> None:
    network = graph(NODES, constants(), head_inputs(), head_outputs())
    told = answers(network, golden_slide())
    assert told["attention"].reshape(-1, 4).sum(axis=0).argmax() == 2
    assert told["attention"].sum() == pytest.approx(1, abs=1e-5)
