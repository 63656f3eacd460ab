"""What the manifest says of a model of women from elsewhere: its owner's words, and what was fitted and measured here."""

from collections.abc import Mapping
from dataclasses import dataclass

from cervix.bundle.manifest import (
    Abstention,
    Calibration,
    Evaluation,
    EvaluationTable,
    FeatureInput,
    GoldenTable,
    Model,
    Threshold,
    Variant,
)
from cervix.patients.sequences import MOST_VISITS
from training.wrap.entry import NOT_SEEN, held_out, stated, words_of
from training.wrap.listed import TEST, VALIDATION
from training.wrap.women.about import AboutWomen
from training.wrap.women.fitting import BASELINES
from training.wrap.women.graph import WomenFits, women_inputs, women_outputs
from training.wrap.women.rows import LabelledWomen, encoding_of

TOLERANCE = {
    "table": {"risk": 1e-4, "logit": 1e-3, "known_share": 1e-6},
    "sequence": {"probabilities": 1e-4, "results_known": 1e-6},
}
"""Of each output, as of the shipped models; log odds near the floor of probabilities are steep."""


@dataclass(frozen=True)
class WrappedWomen:
    """What was made of a model.

    Attributes
    ----------
    thresholds : question -> score
    """

    women: LabelledWomen
    fits: WomenFits
    thresholds: Mapping[str, float]
    golden_table: GoldenTable


def women_entry(about: AboutWomen, made: WrappedWomen) -> Model:
    """The manifest entry of the wrapped model."""
    model_id = about.model.id
    validation = f"{(made.women.split == VALIDATION).sum():,} validation women"
    return Model(
        **words_of(about.model, made.women),
        kind=about.kind,
        recipe="wrap",
        seed=about.fit.seed,
        variants=[
            Variant(precision="fp32", file=f"{model_id}/fp32.onnx", runs_on="cpu", tolerance=TOLERANCE[about.kind]),
        ],
        inputs=women_inputs(about),
        outputs=women_outputs(about),
        classes=about.classes,
        derived_tasks=about.questions,
        features=_features(about, made.golden_table),
        calibration=_calibration(about, made.fits, validation),
        thresholds=[
            Threshold(task=task, value=value, chosen_by=f"Youden's J on {validation}: sensitive to single cases")
            for task, value in made.thresholds.items()
        ],
        abstention=[_abstention(about)],
        training_data=[*(stated(data) for data in about.trained_on), held_out(about.held_out, made.women, "women")],
        evaluation=_evaluation(model_id) if made.women.has(TEST) else None,
        golden=f"{model_id}/golden.npz",
    )


def _evaluation(model_id: str) -> Evaluation:
    return Evaluation(
        predictions=f"{model_id}/predictions.parquet",
        precision="fp32",
        split=TEST,
        baselines=BASELINES,
        published=[],
        notes=[NOT_SEEN, "Whether the model saw these women in training cannot be told from here."],
        tables=[
            EvaluationTable(
                id="calibration",
                title="Calibration",
                file=f"{model_id}/calibration.csv",
                note="On test women, who fitted nothing; intervals over groups.",
            )
        ],
    )


def _features(about: AboutWomen, golden_table: GoldenTable) -> FeatureInput:
    encoding, steps = encoding_of(about), _steps(about)
    if about.kind == "table":
        return FeatureInput(encoding=encoding, visits=1, gaps="none", golden_table=golden_table, steps_in_graph=steps)
    days = about.input.episode_days
    return FeatureInput(
        encoding=encoding,
        visits=MOST_VISITS,
        gaps="years-since-measured",
        steps="rows" if days is None else "episodes",
        episode_days=days,
        golden_table=golden_table,
        steps_in_graph=steps,
    )


def _steps(about: AboutWomen) -> list[str]:
    said = about.input
    return [
        *([f"one row a woman: {', '.join(said.summaries)}"] if said.summaries else []),
        *([f"not known: {', '.join(f'{name} becomes {value:g}' for name, value in said.fill.items())}"] if said.fill else []),
        "all others that are not known stay so" if said.fill else "what is not known stays so",
    ]


def _calibration(about: AboutWomen, fits: WomenFits, validation: str) -> Calibration:
    if len(about.classes) > 2:
        return Calibration(method="temperature", parameters={"temperature": 1 / fits.slope}, fitted_on=validation)
    parameters = {"slope": fits.slope, "intercept": fits.intercept}
    return Calibration(method="platt", parameters=parameters, fitted_on=validation)


def _abstention(about: AboutWomen) -> Abstention:
    if about.kind == "table":
        share = about.fit.known_share_at_least
        return Abstention(output="known_share", limit=share, chosen_by="said by the model's owner, or a half where nothing was")
    return Abstention(
        output="results_known",
        limit=about.fit.results_at_least,
        chosen_by="said by the model's owner, or one where nothing was: without a result only an age would be known",
    )
