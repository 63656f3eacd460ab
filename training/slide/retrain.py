"""Recipe ``retrain``, slide model: continues to fit the parent's head on its tiles and on labelled tiles."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import softmax

from cervix.bundle import Bundle
from cervix.bundle.manifest import Calibration, Model, TrainingData, Variant, VariantDifference
from cervix.bundle.sessions import Arrays
from cervix.labels import LabelStore
from cervix.labels.store.cases import case_pixels
from training.shared.calibrate import fit_opinion_weights
from training.shared.installation_labels import Labels, folds_of, without_leaking
from training.shared.manifest_parts import add_probabilities, write_bytes, write_golden, write_predictions, write_table
from training.shared.onnx_graphs import run_onnx
from training.shared.retrain_parts import Progress, copied, golden_inputs, learned_from, lineage_of, needed, write_new_cases
from training.shared.stages import Log
from training.slide.entry import slide_outputs
from training.slide.export import reach_table
from training.slide.fit import standardisation
from training.slide.graph import BATCH, SlideGraph, SlideHead, TileFeatures
from training.slide.novelty import doubt, role_signs
from training.slide.rehearsal import REFERENCE, SHIPPED, SlideRehearsal, pixels_sha256, read_slide_rehearsal
from training.slide.slide_level import Calling, ScoredTiles, with_new_head
from training.slide.variants import compare, refuse_if_different

Floats = NDArray[np.float32]
NEARLY_THE_SAME = 0.95
"""Cosine of standardised block 4 means from which two tiles count as the same picture. Training tiles are below it to all test
tiles, but for two of 2,254 (0.96, oral cavity). In LC25000 a tile saved again as JPEG (quality 75) reached 0.9999, scaled by a
tenth 0.97."""
CHANGED_TABLES = ("reach",)
STILL_TRUE_TABLES = ("reproduction",)
"""Tables that labels do not change. Those of refusal, robustness, Grad-CAM and search are about the parent's head."""


@dataclass(frozen=True)
class _Learnable:
    """Pooled features with targets: rehearsed tiles first, then labelled ones."""

    embedding: Floats
    target: NDArray[np.int64]
    weight: Floats


@dataclass(frozen=True)
class SlideParent:
    """The slide model that a candidate's comes from.

    Attributes
    ----------
    graphs : precision -> graph, of the shipped variant and of the one in place of fp32
    """

    bundle: Bundle
    model: Model
    rehearsal: SlideRehearsal
    graphs: dict[str, SlideGraph]


@dataclass(frozen=True)
class LabelledTiles:
    """Labelled tiles as the shipped variant of the parent sees them.

    Attributes
    ----------
    labels : their classes and groups, one row a tile
    read : TileFeatures
        Pooled features, in the same order.
    sha256 : of the pixels
    weight : (n,)
        How much each counts beside a rehearsed tile.
    """

    labels: Labels
    read: TileFeatures
    sha256: list[str]
    weight: Floats


def slide_parent(bundle: Bundle) -> SlideParent:
    """The slide model of a bundle, ready to be continued.

    Raises
    ------
    BundleError
        If the bundle has no rehearsal, or the graph has another structure.
    """
    model = bundle.manifest.first_of("tile")
    rehearsal = read_slide_rehearsal(needed(bundle, model))
    graphs: dict[str, SlideGraph] = {
        variant.precision: SlideGraph((bundle.root / variant.file).read_bytes())
        for variant in model.variants
        if variant.precision in (SHIPPED, REFERENCE)
    }
    return SlideParent(bundle, model, rehearsal, graphs)


def retrain_slide(
    parent: Bundle, labels: Labels, store: LabelStore, recipe: Mapping[str, Any], out_dir: Path, log: Log, progress: Progress
) -> Model:  # fmt: skip
    """Write the slide model of a candidate under ``out_dir``, continued on labels of an installation; return its entry.

    Raises
    ------
    LabelsTooFew
        If too few labels remain after labels near test tiles are refused.
    LabelRefused
        If a labelled tile has another size than the model reads.
    BundleError
        If the parent has no rehearsal, or its graph has another structure.
    VariantRefused
        If the new head's answers in int8 and in half precision differ too much.
    """
    start = slide_parent(parent)
    labels.require_enough(recipe["labels"])
    read, sha256 = _features(start.graphs[SHIPPED], start.model, labels, store, progress)
    tiles = LabelledTiles(labels, read, sha256, np.full(len(labels), recipe["slide"]["label_weight"], np.float32))

    def of_labels(kept: Labels) -> TrainingData:
        return learned_from(kept, "slide")

    return continue_slide(start, tiles, "slide", of_labels, recipe, out_dir, log, progress)


def continue_slide(
    parent: SlideParent, tiles: LabelledTiles, thing: str, of_labels: Callable[[Labels], TrainingData],
    recipe: Mapping[str, Any], out_dir: Path, log: Log, progress: Progress,
) -> Model:  # fmt: skip
    """Write a slide model under ``out_dir`` whose head learned from labelled tiles too; return its entry.

    Parameters
    ----------
    thing : str
        What a group of labels is, in words.
    of_labels : what the manifest says of the labels that were learned from

    Raises
    ------
    LabelsTooFew, VariantRefused
        As ``retrain_slide``.
    """
    model, rehearsal = parent.model, parent.rehearsal
    labels, kept = without_leaking(tiles.labels, near_test_tiles(tiles.read.texture, tiles.sha256, rehearsal), log)
    labels.require_enough(recipe["labels"])
    read = tiles.read.of(kept)
    weight = tiles.weight[kept]

    start, settings, seed = parent.graphs[SHIPPED].head, recipe["slide"], recipe["seed"]
    rehearsed = drawn(rehearsal, settings["train_tiles"], seed)
    folds = folds_of(labels, settings["folds"], seed, thing)
    unseen = np.empty((len(labels), len(model.class_ids)), np.float32)
    for number in np.unique(folds.fold):
        progress(0.3 + 0.4 * number / settings["folds"], f"slide: fold {number + 1}")
        taught = folds.fold != number
        head = _fitted(start, rehearsal, rehearsed, read, labels, weight, taught, model.class_ids, settings, seed)
        unseen[~taught] = head.logits(read.embedding[~taught], read.texture_logits[~taught])
    progress(0.7, "slide: the head of the candidate")
    taught = np.ones(len(labels), bool)
    head = _fitted(start, rehearsal, rehearsed, read, labels, weight, taught, model.class_ids, settings, seed)
    log(f"slide: head fitted on {len(rehearsed)} rehearsed and {len(labels)} labelled tiles")
    before = softmax(start.logits(read.embedding, read.texture_logits), axis=1)
    lineage = lineage_of(parent.bundle, labels, seed, folds.kept_whole, out_dir, model.id)
    label = labels.cases["label"].to_numpy(str)
    write_new_cases(out_dir / lineage.new_cases, labels, folds, label, model.class_ids, softmax(unseen, axis=1), before)
    progress(0.8, "slide: export and evaluation")
    return _exported(parent, head, of_labels(labels), out_dir, recipe, log).model_copy(
        update={"lineage": lineage, "recipe": recipe["name"], "seed": seed}
    )


def near_test_tiles(texture: Floats, sha256: list[str], rehearsal: SlideRehearsal) -> NDArray[np.bool_]:
    """Whether each tile is a test tile or nearly one, ``(n,)``.

    Equal pixels are found by their hash; copies that were saved again, mirrored, rotated by quarter turns or slightly scaled,
    by the mean of block 4. A tile cropped differently or rotated by another angle may not be detected, but one detected tile
    excludes its whole slide.

    Parameters
    ----------
    texture : (n, 512)
    sha256 : of the pixels
    """
    here, there = (texture - rehearsal.texture_mean) / rehearsal.texture_spread, rehearsal.test_texture
    here, there = (values / np.maximum(np.linalg.norm(values, axis=1, keepdims=True), 1e-6) for values in (here, there))
    near = (here @ there.T).max(axis=1, initial=-1.0) >= NEARLY_THE_SAME
    return np.asarray(near | np.isin(sha256, rehearsal.test_sha256))


def _features(
    graph: SlideGraph, model: Model, labels: Labels, store: LabelStore, progress: Progress
) -> tuple[TileFeatures, list[str]]:
    """Pooled features and pixel hashes of the labelled tiles, a batch of pictures in memory at a time."""
    sha256: list[str] = []

    def pictures() -> Iterator[NDArray[np.uint8]]:
        ids = labels.cases["case_id"].tolist()
        for at in range(0, len(ids), BATCH):
            progress(0.3 * at / len(ids), f"slide: features of labelled tiles, {at} of {len(ids)}")
            batch = case_pixels(map(store.case, ids[at : at + BATCH]), model)
            sha256.extend(map(pixels_sha256, batch))
            yield batch

    return graph.features(pictures()), sha256


def drawn(rehearsal: SlideRehearsal, count: int, seed: int) -> NDArray[np.int64]:
    """Training tiles to rehearse; 0: all."""
    train = rehearsal.of("train")
    return np.random.default_rng(seed).choice(train, count, replace=False) if 0 < count < len(train) else train


def _fitted(
    start: SlideHead, rehearsal: SlideRehearsal, rehearsed: NDArray[np.int64], read: TileFeatures, labels: Labels,
    label_weight: Floats, taught: NDArray[np.bool_], classes: list[str], settings: Mapping[str, Any], seed: int,
) -> SlideHead:  # fmt: skip
    """A head that learned from these labelled tiles, with its weight beside block 4's path fitted on validation tiles."""
    label = np.concatenate([rehearsal.label[rehearsed], labels.cases["label"].to_numpy(str)[taught]])
    weight = np.concatenate([np.ones(len(rehearsed), np.float32), label_weight[taught]])
    data = _Learnable(
        np.concatenate([rehearsal.embedding[rehearsed], read.embedding[taught]]),
        np.array([classes.index(name) for name in label]),
        weight,
    )
    head = fit_on(start, data, settings, seed)
    validation = rehearsal.of("validation")
    target = np.array([classes.index(name) for name in rehearsal.label[validation]])
    paths = np.stack([head.network_logits(rehearsal.embedding[validation]), rehearsal.texture_logits[validation]])
    network, texture = fit_opinion_weights(paths, target)
    return replace(head, network_weight=float(network), texture_weight=float(texture))


def fit_on(start: SlideHead, data: _Learnable, settings: Mapping[str, Any], seed: int) -> SlideHead:
    """Continue to fit a head from its own weights, by Adam on cross-entropy for a fixed number of epochs.

    Inputs are standardised for the fit; the standardisation is folded into the weights afterwards.

    Parameters
    ----------
    settings : ``epochs``, ``learning_rate``, ``batch_size``
    """
    keras.utils.set_random_seed(seed)
    centre, spread = standardisation(data.embedding)
    entry = keras.Input((data.embedding.shape[1],))
    hidden = keras.layers.Dense(len(start.hidden_bias), activation="relu")
    logits = keras.layers.Dense(len(start.logit_bias))
    model = keras.Model(entry, logits(hidden(entry)))
    hidden.set_weights([start.hidden_kernel * spread[:, None], start.hidden_bias + centre @ start.hidden_kernel])
    logits.set_weights([start.logit_kernel, start.logit_bias])
    model.compile(
        keras.optimizers.Adam(settings["learning_rate"]), keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    )
    model.fit(
        (data.embedding - centre) / spread, data.target, sample_weight=data.weight,
        batch_size=settings["batch_size"], epochs=settings["epochs"], verbose=0,
    )  # fmt: skip
    kernel, bias = hidden.get_weights()
    return replace(
        start,
        hidden_kernel=(kernel / spread[:, None]).astype(np.float32),
        hidden_bias=(bias - (centre / spread) @ kernel).astype(np.float32),
        logit_kernel=logits.get_weights()[0],
        logit_bias=logits.get_weights()[1],
    )


def _exported(
    start: SlideParent, head: SlideHead, labelled: TrainingData, out_dir: Path, recipe: Mapping[str, Any], log: Log
) -> Model:  # fmt: skip
    """Graphs, golden vectors, predictions and tables of the new head, and its entry."""
    parent, model, graphs, rehearsal = start.bundle, start.model, start.graphs, start.rehearsal
    if model.slide_rule is None:
        raise ValueError("the slide model has no slide rule")
    test, classes = rehearsal.of("test"), model.class_ids
    shipped = softmax(head.logits(rehearsal.embedding[test], rehearsal.texture_logits[test]), axis=1)
    reference = softmax(head.logits(rehearsal.test_embedding, rehearsal.test_texture_logits), axis=1)
    difference = compare(reference, shipped, rehearsal.label[test], rehearsal.group[test], classes, model.derived_tasks)
    difference = difference.model_copy(update={"computed_on": f"test split, beside {REFERENCE}: a bundle carries no fp32"})
    refuse_if_different(SHIPPED, difference, recipe["quantise"])
    golden = golden_inputs(parent, model, model.golden)
    outputs = [spec.name for spec in slide_outputs(classes)]
    answers: dict[str, Arrays] = {}
    variants = []
    for variant in model.variants:
        onnx_bytes = graphs[variant.precision].with_head(head)
        write_bytes(out_dir / variant.file, onnx_bytes)
        answers[variant.precision] = dict(run_onnx(onnx_bytes, golden["tiles"].astype(np.uint8), outputs))
        variants.append(_with_difference(variant, difference))
    write_golden(out_dir / model.golden, golden, answers)
    predictions = pd.read_parquet(parent.root / model.measured.predictions)
    add_probabilities(predictions, "p_", classes, shipped)

    def novelty(here: NDArray[np.int64], probabilities: NDArray[np.floating]) -> NDArray[np.float64]:
        doubts = doubt(probabilities, role_signs(model.classes))
        return np.maximum(rehearsal.distance[here], graphs[SHIPPED].doubt_scale * doubts)

    predictions["novelty"] = novelty(test, shipped)
    write_predictions(out_dir / model.measured.predictions, predictions)
    thresholds = {item.task: item.value for item in model.thresholds}
    accepted = float(model.is_recognised(predictions["novelty"].to_numpy(), shipped).mean())
    reach = reach_table(predictions, None, accepted, model.derived_tasks, thresholds)
    write_table(out_dir / f"{model.id}/reach.csv", reach)
    log(f"slide: reach\n{reach.to_string(index=False)}")
    validation = rehearsal.of("validation")
    probabilities = softmax(head.logits(rehearsal.embedding[validation], rehearsal.texture_logits[validation]), axis=1)
    tiles = ScoredTiles(
        probabilities, novelty(validation, probabilities),
        rehearsal.label[validation], rehearsal.group[validation], np.full(len(validation), "validation"),
    )  # fmt: skip
    calling = Calling(model.classes, thresholds[model.cancer_task.id], model.abstention_limit("novelty"))
    tables = [table for table in model.measured.tables if table.id in (*CHANGED_TABLES, *STILL_TRUE_TABLES)]
    copied(parent, [model.rehearsal, *(table.file for table in tables if table.id in STILL_TRUE_TABLES)], out_dir)
    return model.model_copy(
        update={
            "variants": variants,
            "slide_rule": with_new_head(model.slide_rule, tiles, calling),
            "calibration": Calibration(
                method="opinion-pool",
                parameters={"block 5": head.network_weight, "block 4": head.texture_weight},
                fitted_on=f"validation split, {len(validation)} tiles, after the head had learned from labels",
            ),
            "training_data": [*model.training_data, labelled],
            "evaluation": model.measured.model_copy(
                update={
                    "tables": tables,
                    "notes": [
                        *model.measured.notes,
                        f"The parent's head was trained further ({labelled.name}). Refusal, laboratories, robustness, "
                        "Grad-CAM and search were measured on the parent and are left out here.",
                    ],
                }
            ),
        }
    )


def _with_difference(variant: Variant, difference: VariantDifference) -> Variant:
    """The difference of int8 from its reference; the reference has none."""
    return variant.model_copy(update={"difference": difference if variant.precision == SHIPPED else None})
