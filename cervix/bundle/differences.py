"""What changed between two manifests, in words."""

from collections.abc import Iterator

import pandas as pd

from cervix.bundle.manifest import (
    UNEVALUATED,
    Calibration,
    DerivedTask,
    Evaluation,
    FeatureEncoding,
    Manifest,
    Model,
    TensorSpec,
)

COLUMNS = ["model", "what", "active", "candidate"]
WHOLE_BUNDLE = "The bundle"
ABSENT = "–"
SHORT_HASH = 10


def manifest_differences(active: Manifest, candidate: Manifest) -> pd.DataFrame:
    """One row a fact that differs: ``model, what, active, candidate``; a dash where a side does not have it."""
    models = list(dict.fromkeys(model.id for manifest in (active, candidate) for model in manifest.models))
    rows = list(_differing(WHOLE_BUNDLE, _bundle_facts(active), _bundle_facts(candidate)))
    for name in models:
        before, after = ({model.id: model for model in manifest.models}.get(name) for manifest in (active, candidate))
        title = (after or before).title  # type: ignore[union-attr] # one of the two has it
        rows.extend(
            _differing(title, _model_facts(active, before) if before else {}, _model_facts(candidate, after) if after else {})
        )
    return pd.DataFrame(rows, columns=COLUMNS)


def same_model(active: tuple[Manifest, Model], candidate: tuple[Manifest, Model]) -> bool:
    """Whether every file that the model uses, and everything the manifest says of it, is the same."""
    sides = [(model.model_dump(), [_hash(manifest, name) for name in model.files]) for manifest, model in (active, candidate)]
    return sides[0] == sides[1]


def other_question(
    one: Model, other: Model, asked: tuple[DerivedTask, DerivedTask] | None = None, *, of_one_bundle: bool = False
) -> str:
    """Why a question of two models is not the same one, as a sentence; empty where it is.

    Risks of other outcomes, or over other times, look alike and are not: only one id and one outcome count as the same.

    Parameters
    ----------
    asked : of each; their first where none are given
    of_one_bundle : a bundle's maker names its questions once: there one id and one title are the same question, whatever
        further outcomes one of the models speaks of
    """
    first, second = asked or (one.derived_tasks[0], other.derived_tasks[0])
    if first.id != second.id or (of_one_bundle and first.title != second.title):
        return f"It answers another question: “{second.title}”, not “{first.title}”."
    if not of_one_bundle and one.outcome != other.outcome:
        return f"Its outcome is another: “{other.outcome}”, not “{one.outcome}”."
    return ""


def _differing(title: str, before: dict[str, str], after: dict[str, str]) -> Iterator[tuple[str, str, str, str]]:
    for what in dict.fromkeys([*before, *after]):
        old, new = before.get(what, ABSENT), after.get(what, ABSENT)
        if old != new:
            yield title, what, old, new


def _bundle_facts(manifest: Manifest) -> dict[str, str]:
    return {
        "Name": manifest.name,
        "Version": manifest.version,
        "Stage": manifest.stage,
        "Created": f"{manifest.created:%Y-%m-%d %H:%M} UTC",
        "Made by commit": manifest.git_commit[:SHORT_HASH] + ("-dirty" if manifest.git_commit.endswith("-dirty") else ""),
        "Latest change": manifest.changelog[0],
        **{f"Package {name}": version for name, version in manifest.packages.items()},
    }


def _model_facts(manifest: Manifest, model: Model) -> dict[str, str]:
    """What a reader would compare, each as a sentence or a figure. Files count by their content."""
    return {
        "Task": model.task,
        "Outcome": model.outcome,
        "Architecture": model.architecture,
        "Recipe": model.recipe,
        "Seed": str(model.seed),
        **{f"Network, {item.precision}": _hash(manifest, item.file) for item in model.variants},
        "Classes": ", ".join(f"{item.id} ({item.title}, {item.role}, {item.colour})" for item in model.classes),
        "Inputs": _tensors(model.inputs),
        "Outputs": _tensors(model.outputs),
        "Reads the embeddings of": model.reads or ABSENT,
        "Features": ", ".join(model.features.names) if model.features else ABSENT,
        **{f"Input: {feature.label}": _encoding(feature) for feature in (model.features.encoding if model.features else [])},
        **{
            f"Question: {task.title}": f"{' or '.join(task.positive)}, against {' or '.join(task.negative)}"
            for task in model.derived_tasks
        },
        "Calibration": _calibration(model.calibration),
        **{f"Threshold: {item.task}": f"{item.value:.4g}, {item.chosen_by}" for item in model.thresholds},
        **{f"Abstains on {item.output}": f"{item.limit:.4g}, {item.chosen_by}" for item in model.abstention},
        "Slide rule": str(model.slide_rule) if model.slide_rule else ABSENT,
        **{
            f"Training data: {data.name}": "; ".join(
                f"{split} {sum(counts.values()):,} cases in {data.groups[split]:,} groups"
                for split, counts in data.counts.items()
            )
            for data in model.training_data
        },
        "Organs": ", ".join(model.organs) or ABSENT,
        "Laboratories": ", ".join(model.laboratories) or ABSENT,
        **_held_out_facts(manifest, model.evaluation),
        "Intended use": " ".join(model.intended_use),
        "Limits": " ".join(model.limits),
        "Known failures": " ".join(model.known_failures) or "none recorded",
    }


def _held_out_facts(manifest: Manifest, evaluation: Evaluation | None) -> dict[str, str]:
    if evaluation is None:
        return {"Held-out cases": UNEVALUATED}
    return {
        "Held-out cases": evaluation.split,
        "Held-out predictions": _hash(manifest, evaluation.predictions),
        "Published risks": _hash(manifest, evaluation.published_risks) if evaluation.published_risks else ABSENT,
    }


def _encoding(feature: FeatureEncoding) -> str:
    if feature.limits is not None:
        return f"{feature.column}, {feature.kind}, {feature.limits[0]:g} to {feature.limits[1]:g}"
    grades = (f"{code} {'nothing' if grade is None else f'{grade:g}'}" for code, grade in feature.grades.items())
    return f"{feature.column}: {', '.join(grades)}"


def _tensors(specs: list[TensorSpec]) -> str:
    return "; ".join(f"{spec.name} {spec.dtype} ({', '.join(map(str, spec.shape))})" for spec in specs)


def _calibration(calibration: Calibration) -> str:
    values = ", ".join(f"{name} {value:.4g}" for name, value in calibration.parameters.items())
    return f"{calibration.method}{f' ({values})' if values else ''}, fitted on {calibration.fitted_on}"


def _hash(manifest: Manifest, name: str) -> str:
    """The beginning of a file's SHA-256."""
    return next(file.sha256[:SHORT_HASH] for file in manifest.files if file.path == name)
