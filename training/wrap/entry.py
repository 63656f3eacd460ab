"""What the manifest says of a model from elsewhere: its owner's words, and what was fitted and measured here."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from cervix.bundle.manifest import (
    UNEVALUATED,
    Abstention,
    Calibration,
    Evaluation,
    EvaluationTable,
    Model,
    Precision,
    SlideRule,
    Subgroup,
    TensorSpec,
    Threshold,
    TileInput,
    TrainingData,
    Variant,
)
from training.shared.manifest_parts import counts_by_split, groups_by_split
from training.wrap.about import AboutModel, DataStatement, ModelWords
from training.wrap.fitting import BASELINES
from training.wrap.graph import Fits, tile_input
from training.wrap.listed import TEST, VALIDATION
from training.wrap.tiles import HeldOutTiles

TABLES = {
    "novelty": (
        "Novelty: held-out tissue and strange pictures",
        "Share beyond the novelty limit, with 95 % intervals over groups. The limit was fitted on validation tiles.",
    ),
    "slide-level": (
        "Slides put together from held-out tiles",
        "Pseudo-slides of whole groups of test tiles, and how often each rule answers them rightly. No whole slide with a "
        "known diagnosis was at hand.",
    ),
}
"""Table -> its title and its note."""
NOT_SEEN = "What the model learned from, and how, was stated by its owner and was not checked here."


@dataclass(frozen=True)
class Wrapped:
    """What was made of a model.

    Attributes
    ----------
    limit : of the novelty
    thresholds : question -> score
    precision : the variant that made the predictions
    """

    tiles: HeldOutTiles
    outputs: list[TensorSpec]
    fits: Fits
    limit: float
    thresholds: Mapping[str, float]
    variants: list[Variant]
    precision: Precision
    rule: SlideRule


def wrapped_entry(about: AboutModel, made: Wrapped) -> Model:
    """The manifest entry of the wrapped model."""
    model_id, tiles = about.model.id, made.tiles
    validation = f"{(tiles.split == VALIDATION).sum()} validation tiles"
    kept = f"{about.fit.accepted_share:.0%} of {validation} are within it, each measured without the groups of its fold"
    return Model(
        **words_of(about.model, tiles),
        kind=about.kind,
        recipe="wrap",
        seed=about.fit.seed,
        variants=made.variants,
        inputs=[tile_input(about.input.size_px)],
        outputs=made.outputs,
        classes=about.classes,
        derived_tasks=about.tasks,
        tiles=TileInput(
            size_px=about.input.size_px,
            spacing_um_px=about.input.spacing_um_px,
            spacing_source=about.input.spacing_source,
            steps_in_graph=_steps(about),
        ),
        calibration=Calibration(method="temperature", parameters={"temperature": 1 / made.fits.weight}, fitted_on=validation),
        thresholds=[
            Threshold(task=task, value=value, chosen_by=f"Youden's J on {validation}: sensitive to single cases")
            for task, value in made.thresholds.items()
        ],
        abstention=[
            Abstention(
                output="novelty",
                limit=made.limit,
                chosen_by=kept,
            )
        ],
        slide_rule=made.rule,
        training_data=[*(stated(data) for data in about.trained_on), held_out(about.held_out, tiles, "tiles")],
        evaluation=_evaluation(model_id, made) if tiles.has(TEST) else None,
        golden=f"{model_id}/golden.npz",
    )


def _evaluation(model_id: str, made: Wrapped) -> Evaluation:
    return Evaluation(
        predictions=f"{model_id}/predictions.parquet",
        precision=made.precision,
        split=TEST,
        baselines=BASELINES,
        published=[],
        notes=[NOT_SEEN, "Whether the model saw these tiles in training cannot be told from here."],
        tables=[
            EvaluationTable(id=name, title=title, file=f"{model_id}/{name}.csv", note=note)
            for name, (title, note) in TABLES.items()
        ],
        subgroups=_subgroups(made.tiles.of(TEST)),
    )


def _steps(about: AboutModel) -> list[str]:
    pixels = about.input
    return [
        *(["reverse the channels to BGR"] if pixels.channels == "BGR" else []),
        *([f"resize to {pixels.resized_to_px} px, bilinear"] if pixels.resized_to_px else []),
        *(step.sentence for step in pixels.transforms),
        *(["put channels first"] if pixels.layout == "NCHW" else []),
    ] or ["none: the network takes 8-bit pixels"]


def stated(data: DataStatement) -> TrainingData:
    """A source that the model learned from, as its owner describes it."""
    return TrainingData(**{**data.model_dump(), "note": f"{data.note} {NOT_SEEN}"}, counts={}, groups={})


class Brought(Protocol):
    """Labelled cases that are brought with a model."""

    @property
    def labels(self) -> NDArray[np.str_]: ...
    @property
    def groups(self) -> NDArray[np.str_]: ...
    @property
    def split(self) -> NDArray[np.str_]: ...


def words_of(model: ModelWords, cases: Brought) -> dict[str, Any]:
    """What the owner says of a model; its first limit begins with its being unevaluated where it has no test cases."""
    words = model.model_dump()
    if TEST not in cases.split:
        words["limits"][0] = f"{UNEVALUATED} {words['limits'][0]}"
    return words


def held_out(data: DataStatement, cases: Brought, what: str, *, learner: str = "model") -> TrainingData:
    """The source of the cases that are brought with a model; ``what`` they are, as ``tiles``."""
    said = data.model_dump() | {"organs": [], "tissue_types": [], "laboratory": ""}
    organs = f" Organs: {', '.join(data.organs)}." if data.organs else ""
    what_for = "calibrate and measure" if TEST in cases.split else "calibrate"
    note = f"{data.note}{organs} The {learner} learned nothing from these {what} here: they {what_for} it."
    counts, groups = counts_by_split(cases.labels, cases.split), groups_by_split(cases.groups, cases.split)
    return TrainingData(**{**said, "note": note}, counts=counts, groups=groups)


def _subgroups(test: HeldOutTiles) -> list[Subgroup]:
    laboratories: Sequence[str] = sorted(set(np.unique(test.laboratory).tolist()))
    return [Subgroup(column="by_laboratory", title="Laboratory", values=list(laboratories))] if len(laboratories) > 1 else []
