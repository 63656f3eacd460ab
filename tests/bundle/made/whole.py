"""What is the same in every made bundle: the words of a model's entry, the card, the manifest."""

import hashlib
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cervix.bundle.card_facts import NOT_REPORTED, CardFacts, Citation, Licence, ModelFacts
from cervix.bundle.classes import ClassInfo
from cervix.bundle.manifest import (
    SCHEMA_VERSION,
    Baseline,
    BundleFile,
    Evaluation,
    EvaluationTable,
    Manifest,
    Model,
    Subgroup,
    Threshold,
    TrainingData,
    Variant,
    VariantDifference,
    json_schema,
    manifest_text,
    schema_path,
)
from training.shared.manifest_parts import counts_by_split, groups_by_split, write_bytes, write_predictions

TOLERANCE = 1e-4
NAME, VERSION = "made-for-tests", "0.1.0"


def write_manifest(root: Path, models: Sequence[Model]) -> Path:
    """Write manifest and schema for models whose files stand under ``root`` already; returns ``root``."""
    files = []
    for name in sorted({name for model in models for name in model.files}):
        content = (root / name).read_bytes()
        files.append(BundleFile(path=name, bytes=len(content), sha256=hashlib.sha256(content).hexdigest()))
    manifest = Manifest(
        schema_version=SCHEMA_VERSION, name=NAME, version=VERSION, changelog=[f"{VERSION}: made for tests"],
        created=datetime(2026, 1, 1, tzinfo=UTC), stage="demonstration", git_commit="0" * 40, packages={}, files=files,
        models=list(models), card=_card([model.id for model in models]),
    )  # fmt: skip
    schema_path(root).write_text(json_schema(), encoding="utf-8")
    (root / "manifest.json").write_text(manifest_text(manifest), encoding="utf-8")
    return root


def model_of(
    root: Path, model_id: str, network: bytes, precisions: Mapping[str, str], frame: pd.DataFrame, **told: Any
) -> Model:
    """Write a model's graph and held-out predictions; its entry with every word there must be, and with what is ``told``.

    Parameters
    ----------
    precisions : precision -> device, all of one graph
    frame : the held-out predictions
    told : further fields of ``Model``; ``thresholds`` as question -> value, ``evaluation`` as further fields of ``Evaluation``
    """
    for precision in precisions:
        write_bytes(root / f"{model_id}/{precision}.onnx", network)
    write_predictions(root / f"{model_id}/predictions.parquet", frame)
    thresholds = [Threshold(task=task, value=value, chosen_by="made so") for task, value in told.pop("thresholds").items()]
    evaluation = {"split": "drawn", "published": [], "notes": [], "tables": [], "subgroups": subgroups_in(frame)}
    evaluation |= {"predictions": f"{model_id}/predictions.parquet", "precision": list(precisions)[-1]}
    groups = frame["group"].to_numpy(str)
    splits = np.concatenate([np.full(len(frame), split) for split in ("train", "validation", "test")])
    entry: dict[str, Any] = {
        "id": model_id, "task": "Give the answers that tests expect", "outcome": "What was drawn", "recipe": "made", "seed": 0,
        "architecture": "A few operators", "golden": f"{model_id}/golden.npz", "thresholds": thresholds, "abstention": [],
        "calibration": {"method": "none", "parameters": {}, "fitted_on": "nothing"},
        "variants": [
            Variant.model_validate({
                "precision": precision, "file": f"{model_id}/{precision}.onnx", "runs_on": device,
                "tolerance": {item.name: TOLERANCE for item in told["outputs"]},
                "difference": None if precision == "fp32" else _no_difference(len(frame)),
            })
            for precision, device in precisions.items()
        ],
        "training_data": [
            TrainingData(
                name=f"Drawn for {model_id}", licence="MIT", citation="Nobody 2026", nature="simulated", note="Nobody's data.",
                grouped_by="group", counts=counts_by_split(np.tile(frame["label"].to_numpy(str), 3), splits),
                groups=groups_by_split(np.tile(groups, 3), splits),
            )
        ],
        "intended_use": ["Testing the app."], "limits": ["Made up: knows nothing of medicine."],
        "known_failures": ["Everything that it was not made for."],
    }  # fmt: skip
    evaluation = Evaluation.model_validate(evaluation | told.pop("evaluation"))
    return Model.model_validate(entry | {"evaluation": evaluation} | told)


def _no_difference(cases: int) -> VariantDifference:
    return VariantDifference(
        computed_on="drawn", n=cases, largest_probability=0.0, mean_probability=0.0, agreement=1.0, auroc_difference=0.0
    )


def subgroups_in(frame: pd.DataFrame) -> list[Subgroup]:
    """The columns by which the held-out cases can be divided."""
    return [
        Subgroup(column=name, title=name.removeprefix("by_").capitalize(), values=sorted(frame[name].unique()))
        for name in frame if name.startswith("by_")
    ]  # fmt: skip


def table_of(root: Path, model_id: str, table_id: str, title: str, rows: Sequence[Mapping[str, str]]) -> EvaluationTable:
    """A table beside the predictions, with its file."""
    name = f"{model_id}/{table_id}.csv"
    write_bytes(root / name, pd.DataFrame(rows).to_csv(index=False).encode())
    return EvaluationTable(id=table_id, title=title, file=name, note="Made up.")


def baselines(**titles: str) -> list[Baseline]:
    """Rivals by id; an underscore stands for a hyphen."""
    return [Baseline(id=name.replace("_", "-"), title=title) for name, title in titles.items()]


def drawn_labels(rng: np.random.Generator, classes: Sequence[ClassInfo], shares: NDArray[np.floating]) -> NDArray[np.str_]:
    """A class for each case, as often as its probabilities ``(n, classes)`` say: the model is calibrated."""
    at = (rng.random((len(shares), 1)) > shares.cumsum(axis=1)).sum(axis=1).clip(max=len(classes) - 1)
    return np.array([item.id for item in classes])[at]


def sigmoid(logits: NDArray[np.floating]) -> NDArray[np.floating]:
    """The logistic function."""
    return np.asarray(1 / (1 + np.exp(-logits)))


def _card(models: Sequence[str]) -> CardFacts:
    """Every field there must be, and nothing in it."""
    texts = [name for name, field in CardFacts.model_fields.items() if field.annotation is str and name != "licence_id"]
    of_model = [name for name, field in ModelFacts.model_fields.items() if field.annotation is str]
    return CardFacts(
        **dict.fromkeys(texts, NOT_REPORTED), licence_id="mit", licences=[Licence(part="All", licence="MIT")],
        citations=[
            Citation(
                key="made-2026", kind="misc", author="Nobody", title="Colours", year=2026, published_in="Nowhere",
                used_for="Nothing",
            )
        ],
        models={name: ModelFacts(keywords=["test"], **dict.fromkeys(of_model, NOT_REPORTED)) for name in models},
    )  # fmt: skip
