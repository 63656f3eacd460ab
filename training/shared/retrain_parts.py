"""What retraining of all models has in common: files of the parent, and records of the labels."""

import io
import shutil
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cervix.bundle import Bundle
from cervix.bundle.manifest import Lineage, Model, TrainingData
from cervix.errors import BundleError
from cervix.labels.store.cases import KINDS
from cervix.promotion.new_cases import ACTIVE_PREFIX
from training.shared.installation_labels import Folds, Labels
from training.shared.manifest_parts import add_probabilities, write_predictions, write_table

Progress = Callable[[float, str], None]
"""Progress of a model's retraining, 0 to 1, and a description."""


def needed(parent: Bundle, model: Model) -> bytes:
    """The rehearsal of a model; ``BundleError`` if its bundle has none."""
    if model.rehearsal is None:
        raise BundleError(
            f"{model.title} cannot be retrained from this bundle",
            expected="a rehearsal: the part of its training data that retraining needs",
            found=f"none in {parent.label}",
            action="Start from a bundle of version 0.5.0 or later.",
        )
    return (parent.root / model.rehearsal).read_bytes()


def copied(parent: Bundle, files: Iterable[str | None], out_dir: Path) -> None:
    """Copy files of the parent unchanged."""
    for name in files:
        if name is not None:
            (out_dir / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(parent.root / name, out_dir / name)


def golden_inputs(parent: Bundle, model: Model, vectors: str) -> dict[str, NDArray[np.generic]]:
    """The inputs in one of the parent's golden vector files, by name."""
    with np.load(io.BytesIO((parent.root / vectors).read_bytes()), allow_pickle=False) as archive:
        return {spec.name: archive[f"input:{spec.name}"] for spec in model.inputs}


def lineage_of(parent: Bundle, labels: Labels, seed: int, folds_by: str, out_dir: Path, model_id: str) -> Lineage:
    """The lineage of a retrained model. Also writes the keys of the label events that it learned from."""
    events = f"{model_id}/label-events.csv"
    write_table(out_dir / events, labels.events[["key", "label"]].sort_values("key"))
    return Lineage(
        parent=f"{parent.manifest.name} {parent.manifest.version}",
        parent_sha256=parent.sha256,
        seed=seed,
        labels=labels.counts,
        left_out=labels.left_out,
        events=events,
        events_sha256=labels.sha256,
        new_cases=f"{model_id}/new-cases.parquet",
        folds_by=folds_by,
    )


def learned_from(labels: Labels, grouped_by: str) -> TrainingData:
    """The labels as a data source."""
    return TrainingData(
        name="Labels of this installation",
        licence="that of the slides and tables, which remain at the installation",
        citation="label store; the keys of the events are in the bundle",
        nature="real",
        note=(
            f"Labels of readers, {KINDS[labels.kind].words} chosen by a strategy and by chance; no second source confirms them."
        ),
        grouped_by=grouped_by,
        counts={"train": labels.counts},
        groups={"train": int(labels.cases["group_id"].nunique())},
    )


def write_new_cases(
    path: Path, labels: Labels, folds: Folds, label: NDArray[np.str_], classes: list[str],
    candidate: NDArray[np.floating], active: NDArray[np.floating],
) -> None:  # fmt: skip
    """Write the answers of candidate and parent to the labelled cases, as described in ``Lineage.new_cases``.

    Parameters
    ----------
    label : (n,) in the model's classes
    candidate, active : (n, classes) probabilities; the candidate's by models that did not learn from a case's fold
    """
    frame = pd.DataFrame({"case": labels.cases["case_id"], "group": folds.group, "label": label})
    add_probabilities(frame, "p_", classes, candidate)
    add_probabilities(frame, f"{ACTIVE_PREFIX}p_", classes, active)
    write_predictions(path, frame)
