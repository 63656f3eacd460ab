"""What a manifest says of the molecular model."""

from typing import Any

import numpy as np

from cervix.bundle.manifest import GoldenTable, Model, Variant
from cervix.bundle.markers import MarkerEncoding
from cervix.evaluation.comparison import decimal, percent
from cervix.evaluation.metrics import ranking_interval
from training.molecular.data import Cohort
from training.molecular.export import CLASSES, inputs, outputs
from training.molecular.fit import Answer
from training.molecular.held_out import HPV_GROUPS, ModelHeldOut, hpv_groups, share_called
from training.molecular.novelty import Gate
from training.shared.declared import model_entry

SAMPLE_NAME = "sample.csv"
TOLERANCE = {
    "probabilities": 1e-4, "logit": 1e-3, "contributions": 1e-3, "novelty": 1e-3, "reference_known": 1e-6, "key_known": 1e-6,
}  # fmt: skip


def molecular_entry(
    recipe: dict[str, Any], model_id: str, cohort: Cohort, held: ModelHeldOut, answer: Answer, gate: Gate,
    encoding: list[MarkerEncoding], golden_table: GoldenTable, file: str,
) -> Model:  # fmt: skip
    """The entry: the recipe's words with the figures of this run."""
    truth = cohort.glandular
    wrong = held.model.called[0] != truth
    a7 = hpv_groups(cohort.hpv) == HPV_GROUPS[1]
    over = wrong & ~truth
    said = {
        "tumours": len(truth),
        "glandular": int(truth.sum()),
        "hospitals": len(set(cohort.hospitals)),
        "trained": len(held.train),
        "repeats": recipe["evaluation"]["repeats"],
        "auroc": decimal(ranking_interval("auroc", truth, held.model.probability, cohort.cases)),
        "sensitivity": percent(share_called(held.model.called[:, truth])),
        "specificity": percent(share_called(~held.model.called[:, ~truth])),
        "errors": int(wrong.sum()),
        "over": int(over.sum()),
        "over_a7": int((over & a7).sum()),
        "markers": ", ".join(marker.name for marker in encoding if marker.use == "answer"),
        "references": sum(marker.use == "gate" for marker in encoding),
        "kept_share": recipe["novelty"]["kept_share"],
    }
    split = np.full(len(truth), "train", dtype="<U5")
    split[held.test] = "test"
    labels = np.where(truth, CLASSES[1], CLASSES[0])
    counts = {
        name: {label: int(((split == name) & (labels == label)).sum()) for label in CLASSES} for name in ("train", "test")
    }
    computed = {
        "kind": "molecular",
        "variants": [Variant(precision="fp32", file=file, runs_on="cpu", tolerance=TOLERANCE)],
        "inputs": inputs(len(encoding)),
        "outputs": outputs(len(encoding)),
        "markers": {"encoding": encoding, "golden_table": golden_table, "sample": f"{model_id}/{SAMPLE_NAME}"},
        "calibration": {"method": "none", "parameters": {}},
        "thresholds": [{"value": answer.threshold}],
        "abstention": [
            {"limit": gate.limit},
            {"limit": recipe["abstention"]["reference_known_at_least"]},
            {"limit": recipe["abstention"]["key_known_at_least"]},
        ],
        "training_data": [
            {"counts": counts, "groups": {name: int((split == name).sum()) for name in ("train", "test")}}
        ],
        "evaluation": {
            "precision": "fp32",
            "subgroups": [{"column": "by_hpv", "title": "HPV type", "values": list(HPV_GROUPS)}],
        },
    }  # fmt: skip
    return model_entry(recipe, model_id, CLASSES, said, computed)
