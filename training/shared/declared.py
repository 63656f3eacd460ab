"""The words and numbers that a recipe declares for the manifest, under the manifest's own keys.

``[manifest]`` holds what is not computed. ``[models.<id>]`` names a model and adds what applies to it alone; without such a
table the recipe makes one model with the recipe's name. ``[repeated]`` holds sentences that are used in several places. A
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
    "spacing_source", "training_data", "encoding", "visits", "gaps", "golden_table", "reads",
)  # fmt: skip
"""Keys that a recipe may leave to the code, at any level; also ``id``, but only that of the model."""


class RecipeNotAsDeclared(CervixError, ValueError, code="recipe-not-as-declared"):
    """Raised when a recipe does not declare what the manifest needs of a model."""


def read_recipe(path: Path) -> dict[str, Any]:
    """Read the recipe of a model. It is refused before any training if a key is missing, unknown or of the wrong type.

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
    """The ids of the models that a recipe makes: those under ``[models]``, or else the recipe's name."""
    return list(recipe.get("models", [recipe["name"]]))


def declared_tasks(recipe: Mapping[str, Any]) -> list[DerivedTask]:
    """The questions that a recipe declares, main question first."""
    return [DerivedTask.model_validate(item) for item in recipe["manifest"]["derived_tasks"]]


def declared_thresholds(recipe: Mapping[str, Any]) -> dict[str, float]:
    """Question -> the threshold that a recipe declares for it."""
    return {item.task: item.value for item in map(Threshold.model_validate, recipe["manifest"]["thresholds"])}


def declared_baselines(recipe: Mapping[str, Any]) -> list[Baseline]:
    """The rivals that a recipe declares, in the order of its tables."""
    return [Baseline.model_validate(item) for item in recipe["manifest"]["evaluation"]["baselines"]]


def declared_classes(recipe: Mapping[str, Any], ids: Sequence[str]) -> list[ClassInfo]:
    """The classes that a recipe declares; ``ValueError`` if they differ from the network's, or in order."""
    classes = [ClassInfo.model_validate(declared) for declared in recipe["classes"]]
    if [item.id for item in classes] != list(ids):
        raise ValueError(f"recipe {recipe['name']} declares classes {[item.id for item in classes]}, not {list(ids)}")
    return classes


def model_entry(
    recipe: Mapping[str, Any], model_id: ModelId, classes: Sequence[str], figures: Mapping[str, object],
    computed: Mapping[str, Any],
) -> Model:  # fmt: skip
    """The manifest entry of a model: the recipe's declarations joined with computed values.

    Parameters
    ----------
    classes : ids, in the order of the network's outputs
    figures : field of a sentence -> its value
    computed : part of the entry, by the manifest's keys

    Raises
    ------
    RecipeNotAsDeclared
        If a key is unknown, missing, or both declared and computed; or if a sentence has an unknown field.
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
    """Join two parts of an entry: tables by key, lists of tables item by item, lists of sentences end to end."""
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
        f"Recipe {recipe['name']} declares {where}, which is computed", expected="words and numbers that are not computed"
    )


def _filled(value: Any, figures: Mapping[str, object], recipe: Mapping[str, Any]) -> Any:
    """The same with every ``{field}`` in its sentences filled in."""
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
    """Raise for the first error. A misspelt key comes before the key that is missing because of it."""
    for error in sorted(errors, key=lambda item: item["type"] == "missing"):
        where = ".".join(("manifest", *(str(part) for part in error["loc"])))
        raise RecipeNotAsDeclared(
            f"Recipe {recipe['name']} does not say what the manifest holds at {where}", expected=error["msg"]
        )
