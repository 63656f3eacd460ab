"""What a recipe says of its classes is what the network answers."""

import tomllib

import pytest

pytest.importorskip("tensorflow", reason="training needs TensorFlow, which the app's environment has not")

from training.cli import RECIPES_DIR
from training.shared.manifest_parts import declared_classes, malignant


def recipe(name: str) -> dict[str, object]:
    return tomllib.loads((RECIPES_DIR / f"{name}.toml").read_text(encoding="utf-8"))


def test_the_slide_recipe_declares_which_classes_are_malignant() -> None:
    shipped = recipe("shipped")
    assert malignant(declared_classes(shipped, list(shipped["data"]["classes"]))) == ["scc", "ac"]  # type: ignore[index]


def test_classes_in_another_order_than_the_network_answers_are_refused() -> None:
    with pytest.raises(ValueError, match="recipe risk-factors declares classes"):
        declared_classes(recipe("risk-factors"), ["yes", "no"])
