"""What a recipe declares is what the manifest says: nothing unknown, nothing missing, no sentence half filled."""

import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("tensorflow", reason="training needs TensorFlow, which the app's environment has not")

from cervix.bundle.manifest import Model, SlideRule, Variant
from training.cli import RECIPES_DIR
from training.data.tissue.sources import SourceTiles, read_sources
from training.data.tissue.tiles import TileSet
from training.shared.declared import RecipeNotAsDeclared, declared_classes, declared_ids, declared_tasks, read_recipe
from training.shared.manifest_parts import malignant
from training.slide.entry import SlideFigures, slide_entry
from training.slide.export import GOLDEN_TOLERANCE

MODELS = ["shipped", "history", "hybrid", "risk-factors"]


def recipe(name: str) -> dict[str, Any]:
    return tomllib.loads((RECIPES_DIR / f"{name}.toml").read_text(encoding="utf-8"))


def entry(declared: dict[str, Any]) -> Model:
    """The slide model's entry as this recipe declares it, of 30 made-up tiles of one source."""
    tiles = TileSet(
        pixels=np.zeros((30, 1, 1, 3), np.uint8),
        labels=np.resize(["benign", "scc", "ac", "other"], 30),
        groups=np.arange(30).astype(str),
        paths=np.arange(30).astype(str),
        skipped=[],
    )
    source = read_sources(RECIPES_DIR / declared["data"]["sources"])[0]
    of_source = {name: np.full(30, name) for name in ("laboratory", "tissue", "organ")}
    known = SourceTiles(tiles, source=np.full(30, source.id), spacing_um_px=np.full(30, 0.5), sources=[source], **of_source)
    figures = SlideFigures(
        recipe=declared,
        classes=["benign", "scc", "ac", "other"],
        known=known,
        assigned=np.repeat(["train", "validation", "test"], 10),
        network_weight=0.7,
        texture_weight=0.4,
        novelty_limit=31.0,
        accepted=0.951,
        flagged=0.973,
        variants=[Variant(precision="int8", file="slide/int8.onnx", runs_on="cpu", tolerance=GOLDEN_TOLERANCE["int8"])],
        slide_rule=SlideRule(minimum_tiles=8, false_positive_share=0.1, novel_share_limit=0.5, chosen_by="judgement"),
        opset=18,
    )
    return slide_entry(figures)


def rewritten(folder: Path, name: str, old: str, new: str) -> Path:
    """A copy of a recipe with one text changed."""
    text = (RECIPES_DIR / f"{name}.toml").read_text(encoding="utf-8")
    assert old in text
    path = folder / f"{name}.toml"
    path.write_text(text.replace(old, new, 1), encoding="utf-8")
    return path


def test_the_slide_recipe_declares_which_classes_are_malignant() -> None:
    shipped = recipe("shipped")
    assert malignant(declared_classes(shipped, list(shipped["data"]["classes"]))) == ["scc", "ac"]


def test_a_recipe_makes_the_models_that_it_names_or_one_of_its_own_name() -> None:
    assert {name: declared_ids(recipe(name)) for name in MODELS} == {
        "shipped": ["slide"],
        "history": ["history"],
        "hybrid": ["hybrid"],
        "risk-factors": ["risk-factors", "risk-factors-with-tests"],
    }


def test_classes_in_another_order_than_the_network_answers_are_refused() -> None:
    with pytest.raises(ValueError, match="recipe risk-factors declares classes"):
        declared_classes(recipe("risk-factors"), ["yes", "no"])


@pytest.mark.parametrize("name", MODELS)
def test_a_shipped_recipe_declares_nothing_that_the_manifest_does_not_hold(name: str) -> None:
    read = read_recipe(RECIPES_DIR / f"{name}.toml")
    ids = {item["id"] for item in read["classes"]}
    assert all(set(task.positive + task.negative) <= ids for task in declared_tasks(read))


def test_figures_stand_in_the_sentences_and_repeated_words_wherever_they_are_named() -> None:
    model = entry(recipe("shipped"))
    assert "dense 256 → 4" in model.architecture
    assert model.measured.notes[0].startswith("The novelty limit accepts 95.1% of the 10 test tiles (int8) and flags 97.3% of")
    assert len({figure.source for figure in model.measured.published}) == 1
    assert model.measured.published[0].source.startswith("Published VGG16")
    assert "{" not in " ".join([*model.measured.notes, *(item.chosen_by for item in (*model.thresholds, *model.abstention))])


def test_a_word_changed_in_the_recipe_is_changed_in_the_manifest() -> None:
    declared = recipe("shipped")
    declared["manifest"]["derived_tasks"][0]["title"] = "Cancer or not"
    declared["manifest"]["limits"].append("A limit of ours.")
    model = entry(declared)
    assert (model.derived_tasks[0].title, model.limits[-1]) == ("Cancer or not", "A limit of ours.")


@pytest.mark.parametrize("name", MODELS)
def test_an_unknown_key_is_refused_before_anything_is_trained(name: str, tmp_path: Path) -> None:
    path = rewritten(tmp_path, name, "known_failures =", "known_faliures =")
    with pytest.raises(RecipeNotAsDeclared, match=rf"Recipe {name} does not say .* at manifest\.known_faliures"):
        read_recipe(path)


def test_a_value_of_another_kind_is_refused_before_anything_is_trained(tmp_path: Path) -> None:
    path = rewritten(tmp_path, "shipped", "value = 0.9826", 'value = "high"')
    with pytest.raises(RecipeNotAsDeclared, match=r"manifest\.evaluation\.published\.0\.value: expected Input should be"):
        read_recipe(path)


@pytest.mark.parametrize(
    ("name", "line", "where"),
    [
        ("shipped", 'short = "Slide"', "short"),
        ("history", 'nature = "simulated"', "training_data.0.nature"),
        ("shipped", 'title = "Search"', r"evaluation.tables.\d+.title"),
        ("shipped", 'id = "reach"', r"evaluation.tables.\d+.id"),
        ("history", 'title = "CIN3+ within 3 years"', "derived_tasks.1.title"),
        ("hybrid", "published = []", "evaluation.published"),
        ("risk-factors", 'short = "With other tests"', "short"),
    ],
)
def test_a_missing_key_is_named_before_anything_is_trained(name: str, line: str, where: str, tmp_path: Path) -> None:
    path = rewritten(tmp_path, name, f"\n{line}\n", "\n")
    with pytest.raises(RecipeNotAsDeclared, match=rf"at manifest\.{where}: expected Field required"):
        read_recipe(path)


def test_a_number_that_only_the_whole_entry_misses_is_named_then(tmp_path: Path) -> None:
    declared = read_recipe(rewritten(tmp_path, "shipped", "value = 0.9826, ", ""))
    with pytest.raises(RecipeNotAsDeclared, match=r"at manifest\.evaluation\.published\.0\.value: expected Field required"):
        entry(declared)


@pytest.mark.parametrize("sentence", ["{opsett}", "{}", "{opset", "{opset:q}", "{opset.n}", "{opset[0]}"])
def test_a_sentence_that_cannot_be_filled_in_is_refused_with_the_fields_there_are(sentence: str) -> None:
    declared = recipe("shipped")
    declared["manifest"]["outcome"] = sentence
    with pytest.raises(RecipeNotAsDeclared, match=r"cannot be filled in: expected of fields only .*\{opset\}"):
        entry(declared)


def test_what_is_computed_cannot_be_declared() -> None:
    declared = recipe("shipped")
    declared["manifest"]["calibration"]["method"] = "none"
    with pytest.raises(RecipeNotAsDeclared, match=r"declares manifest\.calibration\.method, which is computed"):
        entry(declared)
