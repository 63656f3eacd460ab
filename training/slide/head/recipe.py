"""Recipe ``head``: a slide head over the tile model of a bundle, from the features that the bundle carries for retraining.

No tile and no encoder is run: the rehearsal of the slide model holds the embeddings of all its labelled tiles by the shipped
variant, and their splits.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import expit, softmax
from sklearn.metrics import roc_curve

from cervix.bundle import Bundle
from cervix.bundle.head_contract import ATTENTION, EMBEDDINGS, POSITIONS, PROBABILITIES
from cervix.bundle.manifest import Model, Precision, Subgroup, Variant
from cervix.bundle.sessions import Arrays
from cervix.evaluation.comparison import decimal, signed
from cervix.evaluation.metrics import binary_report, ranking_interval
from training.shared.calibrate import fit_opinion_weights
from training.shared.declared import declared_ids, declared_tasks, model_entry, read_recipe
from training.shared.manifest_parts import add_probabilities, write_bytes, write_golden, write_predictions, write_table
from training.shared.stages import Log
from training.slide.graph import SlideGraph
from training.slide.head.bags import Bag, EmbeddedTiles, block_bags, drawn_bags, laboratories_of, usable_tiles
from training.slide.head.graph import CLASSES, head_graph, head_inputs, head_outputs, run_head
from training.slide.head.network import fit_head
from training.slide.head.weights import HeadWeights
from training.slide.novelty import doubt, role_signs
from training.slide.rehearsal import SHIPPED
from training.slide.retrain import slide_parent
from training.slide.slide_level import Calling, ScoredTiles

Floats = NDArray[np.float64]
SPLITS = ("train", "validation", "test")
PRECISION: Precision = "fp32"
TOLERANCE = {PROBABILITIES: 1e-5, ATTENTION: 1e-5}
GOLDEN_TILES = 24
GRID_UM = 112.0
"""Edge of a tile of 224 px at 0.5 µm: golden tiles lie on a square of such cells."""
HEAD, SHARE, MEAN = "Slide head", "Share of tiles called cancerous", "Mean of the tiles' probability of carcinoma"


class Split(NamedTuple):
    """The tiles of one split and the bags put together from them."""

    tiles: EmbeddedTiles
    bags: list[Bag]


@dataclass(frozen=True)
class FittedHead:
    """A head with what was fitted on validation bags."""

    weights: HeadWeights
    inverse_temperature: float
    threshold: float


def train_slide_head(recipe_path: Path, parent: Bundle, out_dir: Path, log: Log) -> Model:
    """Fit a head for the parent's tile model, write its files under ``out_dir``, and return its entry.

    Raises
    ------
    BundleError
        If the parent has no rehearsal, or its graph another structure than the shipped recipe's.
    RuntimeError
        If the exported graph answers otherwise than the fitted head.
    """
    recipe = read_recipe(recipe_path)
    (model_id,) = declared_ids(recipe)
    encoder, calling, embedded, assigned = embedded_tiles(parent, recipe["laboratories"])
    usable = usable_tiles(embedded, calling)
    seed, made = recipe["seed"], {}
    for number, split in enumerate(SPLITS):
        tiles = embedded.of(usable & (assigned == split))
        bags = (
            drawn_bags(tiles, calling, recipe["bags"], seed + number)
            if split == "train"
            else block_bags(tiles, calling, recipe["bags"] | recipe["held_out_bags"], recipe["groups_a_block"], seed + number)
        )
        made[split] = Split(tiles, bags)
        log(f"slide head: {split}, {len(bags)} pseudo-slides, {sum(bag.cancerous for bag in bags)} with carcinoma")
    fitted = fitted_head(made, recipe, log)
    onnx_bytes = head_graph(fitted.weights, fitted.inverse_temperature)
    write_bytes(out_dir / f"{model_id}/{PRECISION}.onnx", onnx_bytes)
    scores = checked_scores(onnx_bytes, fitted, made["test"])
    frame = predictions_of(made["test"], calling, scores)
    write_predictions(out_dir / f"{model_id}/predictions.parquet", frame)
    _write_golden(out_dir / f"{model_id}/golden.npz", onnx_bytes, made["train"])
    against = rule_table(frame, declared_tasks(recipe)[0].positive)
    write_table(out_dir / f"{model_id}/against-the-rule.csv", against)
    log(against.to_string(index=False))
    return _entry(recipe, encoder, made, fitted, frame)


def embedded_tiles(
    parent: Bundle, prefixes: Mapping[str, Sequence[str]]
) -> tuple[Model, Calling, EmbeddedTiles, NDArray[np.str_]]:
    """The parent's tile model, how it calls tiles, all its labelled tiles as it sees them, and the split of each."""
    start = slide_parent(parent)
    model, kept, graph = start.model, start.rehearsal, start.graphs[SHIPPED]
    probabilities = softmax(graph.head.logits(kept.embedding, kept.texture_logits), axis=1)
    calling = Calling(model.classes, model.threshold(model.cancer_task.id), model.abstention_limit("novelty"))
    scored = ScoredTiles(
        probabilities, _novelty(kept.distance, graph, probabilities, model), kept.label, kept.group,
        laboratories_of(kept.group, prefixes),
    )  # fmt: skip
    return model, calling, EmbeddedTiles(scored, kept.embedding), kept.split


def _novelty(distance: NDArray[np.float32], graph: SlideGraph, probabilities: NDArray[np.floating], model: Model) -> Floats:
    return np.maximum(distance, graph.doubt_scale * doubt(probabilities, role_signs(model.classes)))


def fitted_head(made: Mapping[str, Split], recipe: Mapping[str, Any], log: Log) -> FittedHead:
    """Fit on training bags; stop, calibrate and choose the threshold (Youden's J) on validation bags."""
    train, validation = made["train"], made["validation"]
    # Both splits' tiles in one array, which the bags name by place.
    embedding = np.concatenate([train.tiles.embedding, validation.tiles.embedding])
    shifted = [replace(bag, tiles=bag.tiles + len(train.tiles.embedding)) for bag in validation.bags]
    weights = fit_head(embedding, train.bags, shifted, recipe["train"], recipe["seed"], log)
    odds = np.array([weights.log_odds(validation.tiles.embedding[bag.tiles])[0] for bag in validation.bags])
    truth = np.array([bag.cancerous for bag in validation.bags])
    warmth = float(fit_opinion_weights(np.stack([np.zeros_like(odds), odds], axis=1)[None], truth.astype(int))[0])
    fpr, tpr, limits = roc_curve(truth, expit(warmth * odds))
    return FittedHead(weights, warmth, float(min(1.0, limits[np.argmax(tpr - fpr)])))


def as_input(tiles: EmbeddedTiles, bag: Bag) -> Arrays:
    """A bag as the graph reads it; its tiles lie row by row on a square."""
    side = int(np.ceil(np.sqrt(len(bag.tiles))))
    row, column = np.divmod(np.arange(len(bag.tiles)), side)
    centres = GRID_UM * (np.stack([column, row], axis=1) + 0.5)
    return {EMBEDDINGS: tiles.embedding[bag.tiles].astype(np.float32), POSITIONS: centres.astype(np.float32)}


def checked_scores(onnx_bytes: bytes, fitted: FittedHead, of: Split) -> Floats:
    """Probability of carcinoma of each bag by the exported graph ``(bags,)``; ``RuntimeError`` where the fit differs."""
    told = run_head(onnx_bytes, [as_input(of.tiles, bag) for bag in of.bags])
    scores = np.array([answer[PROBABILITIES][0, 1] for answer in told], np.float64)
    odds = np.array([fitted.weights.log_odds(of.tiles.embedding[bag.tiles])[0] for bag in of.bags])
    apart = float(np.abs(scores - expit(fitted.inverse_temperature * odds)).max())
    if apart > TOLERANCE[PROBABILITIES]:
        raise RuntimeError(f"the exported head differs from the fitted one by {apart:.1e}")
    return scores


def predictions_of(of: Split, calling: Calling, scores: Floats) -> pd.DataFrame:
    """The held-out predictions: one row a bag, with those of two simple ways on the same bags."""
    mass = calling.mass(of.tiles.scored)
    frame = pd.DataFrame(
        {
            "case": [f"pseudo-slide-{number:04d}" for number in range(len(of.bags))],
            "group": [bag.block for bag in of.bags],
            "label": [CLASSES[int(bag.cancerous)] for bag in of.bags],
        }
    )
    rivals = {
        "p_": scores, "share__p_": np.array([bag.share for bag in of.bags]),
        "mean__p_": np.array([mass[bag.tiles].mean() for bag in of.bags]),
    }  # fmt: skip
    for prefix, values in rivals.items():
        add_probabilities(frame, prefix, list(CLASSES), np.stack([1 - values, values], axis=1).astype(np.float32))
    return frame.assign(by_laboratory=[bag.block.rsplit(" ", 1)[0] for bag in of.bags])


def rule_table(frame: pd.DataFrame, positive: Sequence[str]) -> pd.DataFrame:
    """The head beside what the rule goes by, on the same bags; intervals over blocks of source groups."""
    truth, groups = frame["label"].isin(positive).to_numpy(bool), frame["group"].to_numpy(str)
    own = frame["p_carcinoma"].to_numpy(np.float64)
    rows = []
    for title, prefix in ((HEAD, ""), (SHARE, "share__"), (MEAN, "mean__")):
        score = frame[f"{prefix}p_carcinoma"].to_numpy(np.float64)
        auroc = binary_report(truth, score, groups, 0.5).bootstrap["auroc"]
        gain = "–" if not prefix else signed(ranking_interval("auroc", truth, own, groups, rival=score))
        n = f"{len(frame):,} pseudo-slides, {int(truth.sum()):,} with carcinoma, {len(np.unique(groups))} blocks"
        rows.append({"score of a slide": title, "AUROC": decimal(auroc), "the head gains": gain, "n": n})
    return pd.DataFrame(rows)


def _write_golden(path: Path, onnx_bytes: bytes, of: Split) -> None:
    """A slide of training tiles, half of a bag with carcinoma and half of one without."""
    halves = [next(bag for bag in of.bags if bag.cancerous == cancerous) for cancerous in (False, True)]
    tiles = np.concatenate([np.resize(bag.tiles, GOLDEN_TILES // 2) for bag in halves])
    golden = as_input(of.tiles, Bag(tiles, True, 0.0, ""))
    write_golden(path, golden, {PRECISION: run_head(onnx_bytes, [golden])[0]})


def _entry(
    recipe: Mapping[str, Any], encoder: Model, made: Mapping[str, Split], fitted: FittedHead, frame: pd.DataFrame
) -> Model:  # fmt: skip
    (model_id,) = declared_ids(recipe)
    size = made["train"].tiles.embedding.shape[1]
    said = {
        "size": size,
        "hidden": recipe["train"]["hidden"],
        "encoder": encoder.id,
        "validation_bags": len(made["validation"].bags),
        "fewest": recipe["bags"]["sizes"][0],
        "most": recipe["bags"]["sizes"][1],
        "laboratories": ", ".join(sorted(frame["by_laboratory"].unique())),
        "test_blocks": frame["group"].nunique(),
    }
    computed = {
        "kind": "slide-head",
        "reads": encoder.id,
        "variants": [Variant(precision=PRECISION, file=f"{model_id}/{PRECISION}.onnx", runs_on="cpu", tolerance=TOLERANCE)],
        "inputs": head_inputs(size),
        "outputs": head_outputs(),
        "calibration": {"method": "temperature", "parameters": {"inverse temperature": fitted.inverse_temperature}},
        "thresholds": [{"value": fitted.threshold}],
        "abstention": [],
        "training_data": [
            {
                "counts": {
                    split: {name: sum(bag.cancerous == bool(at) for bag in part.bags) for at, name in enumerate(CLASSES)}
                    for split, part in made.items()
                },
                "groups": {split: len(np.unique(part.tiles.scored.groups)) for split, part in made.items()},
            }
        ],
        "evaluation": {
            "precision": PRECISION,
            "subgroups": [Subgroup(column="by_laboratory", title="Laboratory", values=sorted(frame["by_laboratory"].unique()))],
        },
    }
    return model_entry(recipe, model_id, list(CLASSES), said, computed)
