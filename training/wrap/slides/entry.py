"""What the manifest says of a slide head from elsewhere: its owner's words, and what was fitted and measured here."""

from collections.abc import Mapping
from dataclasses import dataclass

from cervix.bundle.head_contract import ATTENTION, PROBABILITIES
from cervix.bundle.manifest import (
    Baseline,
    Calibration,
    Evaluation,
    Model,
    Threshold,
    Variant,
)
from training.wrap.entry import NOT_SEEN, held_out, stated, words_of
from training.wrap.listed import TEST, VALIDATION
from training.wrap.slides.about import AboutHead
from training.wrap.slides.graph import head_inputs, head_outputs
from training.wrap.slides.labelled import LabelledSlides

TOLERANCE = {PROBABILITIES: 1e-4, ATTENTION: 1e-4}
SHARE, RULE = "majority", "rule"
BASELINES = [
    Baseline(id=SHARE, title="Share of each class in validation"),
    Baseline(id=RULE, title="Share of accepted tiles called cancerous, by the tile model"),
]


@dataclass(frozen=True)
class WrappedHead:
    """What was made of a head.

    Attributes
    ----------
    size : numbers of a tile that it reads
    weight : one over the temperature
    thresholds : question -> score
    """

    slides: LabelledSlides
    size: int
    weight: float
    thresholds: Mapping[str, float]


def head_entry(about: AboutHead, made: WrappedHead) -> Model:
    """The manifest entry of the wrapped head."""
    model_id, slides = about.model.id, made.slides
    validation, measured = f"{(slides.split == VALIDATION).sum():,} validation slides", bool((slides.split == TEST).any())
    return Model(
        **words_of(about.model, slides),
        kind=about.kind,
        reads=about.reads,
        recipe="wrap",
        seed=about.fit.seed,
        variants=[Variant(precision="fp32", file=f"{model_id}/fp32.onnx", runs_on="cpu", tolerance=TOLERANCE)],
        inputs=head_inputs(made.size),
        outputs=head_outputs(len(about.classes)),
        classes=about.classes,
        derived_tasks=about.tasks,
        calibration=Calibration(method="temperature", parameters={"temperature": 1 / made.weight}, fitted_on=validation),
        thresholds=[
            Threshold(task=task, value=value, chosen_by=f"Youden's J on {validation}: sensitive to single cases")
            for task, value in made.thresholds.items()
        ],
        abstention=[],
        training_data=[
            *(stated(data) for data in about.trained_on),
            held_out(about.held_out, slides, "slides", learner="head"),
        ],
        evaluation=_evaluation(model_id) if measured else None,
        golden=f"{model_id}/golden.npz",
    )


def _evaluation(model_id: str) -> Evaluation:
    return Evaluation(
        predictions=f"{model_id}/predictions.parquet",
        precision="fp32",
        split=TEST,
        baselines=BASELINES,
        published=[],
        notes=[
            NOT_SEEN,
            "Whether the head saw these slides in training cannot be told from here.",
            "Slides without an answer by the rule are not among them: no head is asked about these.",
        ],
    )
