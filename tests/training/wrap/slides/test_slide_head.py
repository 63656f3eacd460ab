"""A slide head from elsewhere is put beside the tile model that it reads, or it is said why not."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from cervix.bundle import Bundle
from cervix.bundle.manifest import Manifest
from cervix.patients.golden import prove_bundle
from cervix.slides.scoring import score_slide
from cervix.sources.opening import open_slide
from tests.bundle.made import MODEL_ID
from tests.bundle.made.graph import Node, answers
from tests.bundle.made.heads import tensor
from tests.training.wrap.made import write_about
from tests.training.wrap.slides.made import NODES, SIZE, drawn_slide, said, write_head, write_slides
from training.cli import main
from training.wrap.about import described
from training.wrap.listed import list_of
from training.wrap.refusal import WrapRefused
from training.wrap.slides import slide_head
from training.wrap.slides.about import AboutHead
from training.wrap.slides.graph import raw_head_graph, read_head_network, run_graph, wrapped_head_graph
from training.wrap.slides.labelled import read_slides

LOGITS_ALONE = [node for node in NODES if node[2] != "answer"]


def about(**changed: object) -> AboutHead:
    return described(AboutHead, said(**changed))


def test_the_graph_answers_as_the_head_does_and_its_scores_become_shares(tmp_path: Path) -> None:
    path, slide = write_head(tmp_path / "head.onnx"), drawn_slide()
    theirs = answers(path.read_bytes(), {"bag": slide["embeddings"][None]})
    network = read_head_network(path, about(), SIZE)
    graph = wrapped_head_graph(network, about(), 2, 1.0).SerializeToString()
    (ours,) = run_graph(graph, [slide], ["probabilities", "attention"])
    assert ours["probabilities"] == pytest.approx(theirs["answer"], abs=1e-6)
    assert ours["attention"] == pytest.approx(np.exp(theirs["looked"]) / np.exp(theirs["looked"]).sum(), abs=1e-6)


def test_the_temperature_weighs_the_logits_and_not_the_probabilities(tmp_path: Path) -> None:
    path, slide = write_head(tmp_path / "head.onnx"), drawn_slide()
    network = read_head_network(path, about(), SIZE)
    (raw,) = run_graph(raw_head_graph(network, about()).SerializeToString(), [slide], ["raw/logits"])
    (half,) = run_graph(wrapped_head_graph(network, about(), 2, 0.5).SerializeToString(), [slide], ["probabilities"])
    odds = float(np.diff(raw["raw/logits"])[0, 0])
    assert half["probabilities"][0, 1] == pytest.approx(1 / (1 + np.exp(-odds / 2)), abs=1e-6)


def test_positions_reach_the_head_in_its_own_unit(tmp_path: Path) -> None:
    nodes: list[Node] = [
        *LOGITS_ALONE[:-1],
        ("MatMul", ["row", "places"], "where", {}), ("MatMul", ["where", "across"], "far", {}),
        ("Add", ["slide_odds", "far"], "odds_there", {}), ("MatMul", ["odds_there", "sides"], "answer", {}),
    ]  # fmt: skip
    from tests.bundle.made import heads

    weights = {**heads.constants(), "across": np.array([[1.0], [0.0]])}
    inputs, outputs = [tensor("bag", 1, "n", SIZE), tensor("places", "n", 2)], [tensor("answer", 1, 2), tensor("looked", "n")]
    (tmp_path / "head.onnx").write_bytes(heads.graph(nodes, weights, inputs, outputs))
    given = {"input": {"positions": "places", "um_per_unit": 1000.0}, "output": {"activation": "none (logits)"}}
    network, slide = read_head_network(tmp_path / "head.onnx", about(**given), SIZE), drawn_slide()
    (ours,) = run_graph(raw_head_graph(network, about(**given)).SerializeToString(), [slide], ["raw/logits"])
    read = {"bag": slide["embeddings"][None], "places": slide["positions"] / 1000}
    theirs = answers((tmp_path / "head.onnx").read_bytes(), read)
    assert ours["raw/logits"] == pytest.approx(theirs["answer"], abs=1e-4)


@pytest.mark.parametrize(
    ("changed", "inputs", "says"),
    [
        ({"input": {"embeddings": "tiles"}}, None, "inputs bag; said are tiles"),
        ({}, [tensor("bag", 1, "n", SIZE), tensor("age", 1)], "inputs bag, age; said are bag"),
        ({}, [tensor("bag", 1, "n", SIZE // 2)], "found 1 × any × 256"),
        ({}, [tensor("bag", 1, 7, SIZE)], "found 1 × 7 × 512"),
        ({"output": {"name": "said"}}, None, "output.name, one of answer, looked"),
        ({"output": {"activation": "none (logits)"}}, None, "Softmax as its last operator"),
        ({"output": {"attention": {"name": "seen", "gives": "shares"}}}, None, "output.attention.name, one of answer, looked"),
    ],
)
def test_a_head_that_is_not_as_it_is_said_to_be_is_refused(
    tmp_path: Path, changed: dict[str, object], inputs: list[object] | None, says: str
) -> None:
    halves: list[Node] = [("Concat", ["bag", "bag"], "both", {"axis": 2}), ("Squeeze", ["both", "zero"], "tiles", {})]
    nodes = [*halves, *NODES[1:]] if inputs and inputs[0] == tensor("bag", 1, "n", SIZE // 2) else NODES
    write_head(tmp_path / "head.onnx", nodes=nodes, inputs=inputs)
    with pytest.raises(WrapRefused) as refused:
        read_head_network(tmp_path / "head.onnx", about(**changed), SIZE)
    assert says in str(refused.value)


def test_a_head_of_another_tile_model_and_a_file_of_another_kind_are_refused(tmp_path: Path, four_class_root: Path) -> None:
    write_head(tmp_path / "head.onnx")
    words = write_about(tmp_path / "about.toml", said() | {"reads": "another"})
    arguments = tmp_path / "head.onnx", words, tmp_path / "slides.csv", four_class_root
    with pytest.raises(WrapRefused, match=f"expected reads, one of {MODEL_ID}; found another"):
        slide_head.wrap_slide_head(*arguments, tmp_path / "out", print)
    with pytest.raises(WrapRefused, match=r"expected a file \.onnx; found \.pt"):
        read_head_network(tmp_path / "head.pt", about(), SIZE)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("cells", "says"),
    [
        ({"label": "other"}, "has another label: expected clear or carcinoma; found another in row 2"),
        ({"split": "train"}, "has another split"),
        ({"path": "../away.tiff"}, "One of the slides lies elsewhere"),
        ({"group": ""}, "a group in each row"),
        ({"spacing_um_px": "wide"}, "A spacing is none"),
        ({}, "The slide of row 2 cannot be scored"),
    ],
)
def test_a_list_of_slides_with_a_fault_is_refused_by_row_and_never_by_path(
    tmp_path: Path, four_class_bundle: Bundle, cells: dict[str, str], says: str
) -> None:
    (tmp_path / "secret.tiff").write_bytes(b"no slide")
    row = {"path": "secret.tiff", "label": "clear", "group": "Jane Doe", "split": "validation", **cells}
    pd.DataFrame([row]).to_csv(tmp_path / "slides.csv", index=False)
    with pytest.raises(WrapRefused) as refused:
        read_slides(tmp_path / "slides.csv", ["clear", "carcinoma"], four_class_bundle, 1, print)
    assert says in str(refused.value)
    assert "secret" not in str(refused.value) + str(refused.value.__cause__)
    assert "Jane" not in str(refused.value)


def test_without_a_list_it_is_said_what_one_is(tmp_path: Path) -> None:
    with pytest.raises(WrapRefused, match="There is no list of slides: expected CSV with the columns path, label"):
        list_of(tmp_path / "slides.csv", ["path", "label"], "slides")


@pytest.mark.slow
def test_a_head_is_wrapped_proved_and_asked_about_a_slide(
    tmp_path: Path, four_class_root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe = slide_head.RECIPE.read_text()
    assert "[slides]\nfewest_groups = 5" in recipe
    (tmp_path / "wrap.toml").write_text(recipe.replace("[slides]\nfewest_groups = 5", "[slides]\nfewest_groups = 2"))
    monkeypatch.setattr(slide_head, "RECIPE", tmp_path / "wrap.toml")
    head, words = write_head(tmp_path / "head.onnx"), write_about(tmp_path / "about.toml", said())
    table = write_slides(tmp_path / "slides", 2)
    arguments = ["wrap", str(head), "--about", str(words), "--beside", str(four_class_root)]
    listed = ["--slides", str(tmp_path / "slides/slides.csv")]
    assert main([*arguments, *listed, "--out", str(tmp_path / "bundle")]) == 0
    bundle = prove_bundle(tmp_path / "bundle", device="cpu")
    model = bundle.manifest.slide_head
    assert model is not None
    assert (model.id, model.reads, model.is_evaluated) == ("their-head", MODEL_ID, True)
    assert "Their head" in [licence.part for licence in bundle.manifest.card.licences]
    frame = pd.read_parquet(tmp_path / "bundle" / model.measured.predictions)
    assert frame["label"].tolist() == table.loc[table["split"] == "test", "label"].tolist()
    told, has = frame.set_index("case")["p_carcinoma"], (frame["label"] == "carcinoma").to_numpy()
    assert told[has].min() > told[~has].max()
    score = score_slide(open_slide(tmp_path / "slides/test-carcinoma-0.tiff"), bundle)
    assert score.summary.head is not None
    assert score.summary.head.called
    assert score.summary.head.probabilities["carcinoma"] == pytest.approx(told["row 8"], abs=1e-3)

    # Without test slides the head is unevaluated; the same slide twice is refused.
    table[table["split"] == "validation"].to_csv(tmp_path / "slides/slides.csv", index=False)
    assert main([*arguments, *listed, "--out", str(tmp_path / "unmeasured")]) == 0
    manifest = Manifest.model_validate_json((tmp_path / "unmeasured/manifest.json").read_bytes())
    assert manifest.slide_head is not None
    assert not manifest.slide_head.is_evaluated
    table.assign(path=[table["path"][0], *table["path"][1:-1], table["path"][0]]).to_csv(
        tmp_path / "slides/slides.csv", index=False
    )
    capsys.readouterr()
    assert main([*arguments, *listed, "--out", str(tmp_path / "twice")]) == 1
    assert "A slide stands twice in the list" in capsys.readouterr().err
