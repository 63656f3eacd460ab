"""What a recipe declares for the manifest: its words and numbers, under the manifest's own keys.

``[manifest]`` holds what nothing computes. ``[models.<id>]`` names a model and holds what is added for it alone; without such
a table the recipe makes one model of its own name. ``[repeated]`` holds sentences that are used in several places. A
``{field}`` in a sentence is one of these, or a figure of the run.
"""

import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from cervix.bundle.classes import ClassInfo
from cervix.bundle.manifest import Baseline, DerivedTask, Model, ModelId, Threshold
from cervix.errors import CervixError

COMPUTED = (
    "kind", "recipe", "seed", "variants", "inputs", "outputs", "classes", "golden", "thresholds", "abstention", "value",
    "limit", "counts", "groups", "method", "parameters", "precision", "predictions", "file", "size_px", "spacing_um_px",
    "spacing_source", "encoding", "visits", "gaps", "golden_table",
)  # fmt: skip
"""Keys that a recipe may leave to the code, wherever they stand; ``id`` too, of the model alone."""


class RecipeNotAsDeclared(CervixError, ValueError, code="recipe-not-as-declared"):
    """Raised when what a recipe declares is not what the manifest holds of a model."""


def read_recipe(path: Path) -> dict[str, Any]:
    """The recipe of a model, refused before anything is trained where it says too little, too much or another kind of thing.

    Raises
    ------
    RecipeNotAsDeclared
    """
    recipe = tomllib.loads(path.read_text(encoding="utf-8"))
    for model_id in declared_ids(recipe):
        try:
            Model.model_validate(_declared(recipe, model_id))
        except ValidationError as error:
            found = error.errors(include_url=False)
            _refuse_first(recipe, [item for item in found if item["type"] != "missing" or not _is_computed(item["loc"])])
    return recipe


def declared_ids(recipe: Mapping[str, Any]) -> list[ModelId]:
    """The ids of the models that a recipe makes: those under ``[models]``, else its own name."""
    return list(recipe.get("models", [recipe["name"]]))


def declared_tasks(recipe: Mapping[str, Any]) -> list[DerivedTask]:
    """The questions that a recipe declares, the main one first."""
    return [DerivedTask.model_validate(item) for item in recipe["manifest"]["derived_tasks"]]


def declared_thresholds(recipe: Mapping[str, Any]) -> dict[str, float]:
    """Question -> the threshold that a recipe declares for it."""
    return {item.task: item.value for item in map(Threshold.model_validate, recipe["manifest"]["thresholds"])}


def declared_baselines(recipe: Mapping[str, Any]) -> list[Baseline]:
    """The rivals that a recipe declares, in the order of its tables."""
    return [Baseline.model_validate(item) for item in recipe["manifest"]["evaluation"]["baselines"]]


def declared_classes(recipe: Mapping[str, Any], ids: Sequence[str]) -> list[ClassInfo]:
    """The classes that a recipe declares; ``ValueError`` where they are not those that the network answers, in its order."""
    classes = [ClassInfo.model_validate(declared) for declared in recipe["classes"]]
    if [item.id for item in classes] != list(ids):
        raise ValueError(f"recipe {recipe['name']} declares classes {[item.id for item in classes]}, not {list(ids)}")
    return classes


def model_entry(
    recipe: Mapping[str, Any], model_id: ModelId, classes: Sequence[str], figures: Mapping[str, object],
    computed: Mapping[str, Any],
) -> Model:  # fmt: skip
    """The manifest entry of a model: what its recipe declares, joined with what was computed.

    Parameters
    ----------
    classes : ids, in the order that the network answers
    figures : field of a sentence -> its value
    computed : part of the entry, by the manifest's keys

    Raises
    ------
    RecipeNotAsDeclared
        If a key is unknown, missing or both declared and computed, or a sentence has a field that is no figure.
    ValueError
        If the recipe declares other classes.
    """
    sentences = _filled(_declared(recipe, model_id), {**recipe.get("repeated", {}), **figures}, recipe)
    named = {
        "id": model_id,
        "recipe": recipe["name"],
        "seed": recipe["seed"],
        "classes": declared_classes(recipe, classes),
        "golden": f"{model_id}/golden.npz",
        "evaluation": {
            "predictions": f"{model_id}/predictions.parquet",
            "tables": [{"file": f"{model_id}/{table['id']}.csv"} for table in sentences["evaluation"]["tables"]],
        },
    }
    try:
        return Model.model_validate(_joined(_joined(sentences, named, recipe), computed, recipe))
    except ValidationError as error:
        _refuse_first(recipe, error.errors(include_url=False))
        raise


def _is_computed(where: Sequence[int | str]) -> bool:
    return where == ("id",) or where[-1] in COMPUTED


def _declared(recipe: Mapping[str, Any], model_id: str) -> Any:
    return _joined(recipe.get("manifest", {}), recipe.get("models", {}).get(model_id, {}), recipe)


def _joined(first: Any, second: Any, recipe: Mapping[str, Any], where: str = "manifest") -> Any:
    """Two parts of one entry: tables key by key, lists of tables one by one, lists of sentences one after the other."""
    if isinstance(first, Mapping) and isinstance(second, Mapping):
        both = {key: _joined(first[key], second[key], recipe, f"{where}.{key}") for key in first if key in second}
        return {**first, **second, **both}
    if isinstance(first, list) and isinstance(second, list):
        if all(isinstance(item, str) for item in (*first, *second)):
            return first + second
        if len(first) == len(second):
            pairs = zip(first, second, strict=True)
            return [_joined(one, other, recipe, f"{where}.{at}") for at, (one, other) in enumerate(pairs)]
    raise RecipeNotAsDeclared(
        f"Recipe {recipe['name']} declares {where}, which is computed", expected="words and numbers that nothing computes"
    )


def _filled(value: Any, figures: Mapping[str, object], recipe: Mapping[str, Any]) -> Any:
    """The same with every ``{field}`` of its sentences in its place."""
    if isinstance(value, Mapping):
        return {key: _filled(item, figures, recipe) for key, item in value.items()}
    if isinstance(value, list):
        return [_filled(item, figures, recipe) for item in value]
    if not isinstance(value, str):
        return value
    try:
        return value.format_map(figures)
    except (LookupError, ValueError, TypeError, AttributeError) as error:
        known = ", ".join(f"{{{name}}}" for name in figures)
        raise RecipeNotAsDeclared(
            f"A sentence of recipe {recipe['name']} cannot be filled in", expected=f"of fields only {known}", found=repr(value)
        ) from error


def _refuse_first(recipe: Mapping[str, Any], errors: Sequence[Any]) -> None:
    """Raise for the first error; for a misspelt key before the one that is missing for it."""
    for error in sorted(errors, key=lambda item: item["type"] == "missing"):
        where = ".".join(("manifest", *(str(part) for part in error["loc"])))
        raise RecipeNotAsDeclared(
            f"Recipe {recipe['name']} does not say what the manifest holds at {where}", expected=error["msg"]
        )
