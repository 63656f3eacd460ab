"""What a manifest says of the boosting model."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cervix.bundle.manifest import FeatureEncoding, GoldenTable, Model, Variant
from cervix.patients.sequences import EPISODE_DAYS, MOST_VISITS
from training.boosting.data import CLASSES, BoostingData
from training.boosting.fit import LIBRARY, Trial
from training.shared.declared import model_entry
from training.wrap.women.about import WomenAsked
from training.wrap.women.entry import TOLERANCE
from training.wrap.women.graph import women_inputs, women_outputs

SPLITS = ("train", "calibration", "test")


@dataclass(frozen=True)
class TrainedBoosting:
    """What was made of the model.

    Attributes
    ----------
    weight : one over the temperature
    thresholds : question -> score
    difference : largest of a probability, between graph and LightGBM
    """

    asked: WomenAsked
    chosen: Trial
    weight: float
    thresholds: Mapping[str, float]
    encoding: list[FeatureEncoding]
    golden_table: GoldenTable
    difference: float


def boosting_entry(
    recipe: Mapping[str, Any], model_id: str, data: BoostingData, history: Model, trained: TrainedBoosting
) -> Model:  # fmt: skip
    """The entry: the recipe's words with the figures of this run. ``history`` gives the subgroups of the test women."""
    visits = {split: data.histories.index_visits(data.histories.women(split)) for split in SPLITS}
    said = {
        "library": LIBRARY,
        "rounds": trained.chosen.rounds,
        "leaves": trained.chosen.leaves,
        "summaries": len(trained.asked.input.summaries),
        "train_women": len(visits["train"]),
        "calibration_women": len(data.last_visits("calibration")),
        "difference": trained.difference,
    }
    computed = {
        "kind": "sequence",
        "variants": [
            Variant(precision="fp32", file=f"{model_id}/fp32.onnx", runs_on="cpu", tolerance=TOLERANCE["sequence"])
        ],
        "inputs": women_inputs(trained.asked),
        "outputs": women_outputs(trained.asked),
        "features": {
            "encoding": trained.encoding,
            "visits": MOST_VISITS,
            "gaps": "years-since-measured",
            "steps": "episodes",
            "episode_days": EPISODE_DAYS,
            "golden_table": trained.golden_table,
        },
        "background": f"{model_id}/background.npz",
        "calibration": {"method": "temperature", "parameters": {"temperature": 1 / trained.weight}},
        "thresholds": [
            {
                "task": task,
                "value": value,
                "chosen_by": f"Youden's J on {said['calibration_women']:,} calibration women: sensitive to single cases",
            }
            for task, value in trained.thresholds.items()
        ],
        "abstention": [{"limit": recipe["abstention"]["results_at_least"]}],
        "training_data": [
            {
                "counts": {
                    split: {label: int((data.labels(rows) == label).sum()) for label in CLASSES}
                    for split, rows in visits.items()
                },
                "groups": {split: len(rows) for split, rows in visits.items()},
            }
        ],
        "evaluation": {"precision": "fp32", "subgroups": history.measured.subgroups},
    }  # fmt: skip
    return model_entry(recipe, model_id, CLASSES, said, computed)
