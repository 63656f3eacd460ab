"""Recipe ``hybrid``: a slide's embedding and the LSTM's state, joined by dense layers trained on made-up pairs."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pandas as pd
import tensorflow as tf
from numpy.typing import NDArray
from scipy.special import softmax
from sklearn.metrics import roc_curve

from cervix.bundle.manifest import DerivedTask, Model, TensorSpec, Variant
from cervix.evaluation.comparison import decimal, signed
from cervix.evaluation.metrics import binary_report, ranking_interval
from cervix.patients.encoding import encoding_named
from cervix.patients.sequences import EPISODE_DAYS, MOST_VISITS
from training.history.data import SPLITS
from training.history.entry import RANKINGS
from training.history.export import history_inputs, run_graph
from training.history.golden_table import golden_visits_csv
from training.history.graph import HistoryGraph
from training.history.reach import with_reach
from training.history.recipe import cohort_data, network_as_exported
from training.hybrid.network import dense_part
from training.hybrid.pairs import CLASSES, Pairs, embedded_tiles, make_pairs
from training.shared.calibrate import fit_opinion_weights
from training.shared.declared import declared_ids, declared_tasks, model_entry, read_recipe
from training.shared.manifest_parts import (
    add_probabilities,
    write_bytes,
    write_golden,
    write_golden_table,
    write_predictions,
    write_table,
)
from training.shared.stages import Log, Stages
from training.shared.to_onnx import to_onnx

Floats = NDArray[np.float64]
JOINT, HISTORY, SLIDE = "joint", "history", "slide"
HALVES = (HISTORY, SLIDE)
PREDICT_BATCH = 2048
GOLDEN_PAIRS = 16
CHECKED_PAIRS = 64
LARGEST_STATE_DIFFERENCE = 1e-3
TOLERANCE = {"probabilities": 1e-5, "history_probabilities": 1e-5, "slide_probabilities": 1e-5}


@dataclass(frozen=True)
class Fitted:
    """The dense layers by their input, and the temperature of each."""

    parts: dict[str, keras.Model]
    temperature: dict[str, float]


def train_hybrid(recipes: Mapping[str, Path], tiles_dir: Path, women: int, seed: int, out_dir: Path, log: Log) -> list[Model]:
    """Run the recipe on what ``slide`` and ``history`` left under ``out_dir``, and write the model there.

    Parameters
    ----------
    recipes : ``hybrid``, ``history``, ``cohort`` and ``shipped``
    women, seed : of the cohort

    Raises
    ------
    FileNotFoundError
        If the slide model or the history model has not been trained.
    RuntimeError
        If the history model was trained on another cohort, or the exported graph differs from Keras.
    """
    recipe, history, slide = (read_recipe(recipes[name]) for name in ("hybrid", "history", "shipped"))
    tasks, (model_id,) = declared_tasks(recipe), declared_ids(recipe)
    folder = out_dir / model_id
    stages = Stages(out_dir / "stages", log)
    data = cohort_data(history, recipes["cohort"], women, seed, out_dir, log)
    names = history["data"]["features"]
    history_bytes = _exported(out_dir, declared_ids(history)[0], "fp32")
    members = [network_as_exported(network, data, names) for network in HistoryGraph(history_bytes).networks]
    tiles = embedded_tiles(
        tiles_dir, recipes["shipped"], slide, _exported(out_dir, declared_ids(slide)[0], "int8"),
        recipe["pairs"]["tiles_per_group"], stages, log,
    )  # fmt: skip
    pairs = make_pairs(data, names, tiles, recipe["pairs"]["histology"], recipe["seed"])
    counts = {split: np.bincount(pairs.truth[pairs.split == split], minlength=len(CLASSES)).tolist() for split in SPLITS}
    log(f"pairs by split, {CLASSES}: {counts}")
    states = ensemble_states(members, pairs)
    refuse_other_history(states, history_bytes, pairs)
    inputs = {HISTORY: states, SLIDE: pairs.embedding, JOINT: np.concatenate([states, pairs.embedding], axis=1)}
    fitted = _fit(inputs, pairs, recipe)
    onnx_bytes = to_onnx(hybrid_function(members, fitted), _inputs(len(names)), _outputs()).SerializeToString()
    write_bytes(folder / "fp32.onnx", onnx_bytes)
    test = np.flatnonzero(pairs.split == "test")
    answers = run_hybrid(onnx_bytes, pairs, test)
    expected = softmax(_logits(fitted.parts[JOINT], inputs[JOINT][test]) * fitted.temperature[JOINT], axis=1)
    difference = float(np.abs(answers["probabilities"] - expected).max())
    log(f"largest difference to Keras {difference:.1e}")
    if difference > TOLERANCE["probabilities"]:
        raise RuntimeError(f"the exported graph differs from Keras by {difference:.1e}")
    chosen = np.random.default_rng(recipe["seed"]).choice(np.flatnonzero(pairs.split == "train"), GOLDEN_PAIRS)
    golden = {**pairs.histories.padded(chosen), "embedding": pairs.embedding[chosen]}
    write_golden(folder / "golden.npz", golden, {"fp32": run_hybrid(onnx_bytes, pairs, chosen)})
    encoding = with_reach(encoding_named(names), data.histories, data.women("train"))
    golden_table = write_golden_table(
        out_dir, model_id, golden_visits_csv(), encoding, lambda arrays: run_graph(onnx_bytes, arrays),
        one_row=False, episode_days=EPISODE_DAYS, others=lambda women: {"embedding": pairs.embedding[np.resize(chosen, women)]},
    )  # fmt: skip
    _evaluate(pairs, test, answers, tasks[0], folder, log)
    calibration = np.flatnonzero(pairs.split == "calibration")
    scores = run_hybrid(onnx_bytes, pairs, calibration)["probabilities"]
    features = {
        "encoding": encoding, "visits": MOST_VISITS, "gaps": "years-since-measured", "steps": "episodes",
        "episode_days": EPISODE_DAYS, "golden_table": golden_table,
    }  # fmt: skip
    thresholds = _thresholds(pairs.truth[calibration], scores, tasks)
    return [_entry(recipe, features, pairs, counts, fitted, thresholds, difference)]


def _exported(out_dir: Path, model_id: str, precision: str) -> bytes:
    """The graph of a model that was trained before."""
    model = Model.model_validate_json((out_dir / model_id / "model.json").read_bytes())
    return (out_dir / next(v.file for v in model.variants if v.precision == precision)).read_bytes()


def refuse_other_history(states: NDArray[np.float32], history_bytes: bytes, pairs: Pairs) -> None:
    """Raise ``RuntimeError`` unless the states are those of the exported history model, which prepares visits itself."""
    some = np.arange(min(CHECKED_PAIRS, len(states)))
    difference = float(np.abs(np.subtract(run_graph(history_bytes, pairs.histories.padded(some))["state"], states[some])).max())
    if difference > LARGEST_STATE_DIFFERENCE:
        raise RuntimeError(f"states differ from those of the exported history model by {difference:.1e}: another cohort?")


def ensemble_states(members: Sequence[keras.Model], pairs: Pairs) -> NDArray[np.float32]:
    """States of all members after each woman's last visit, ``(n, members * units)``."""
    networks = [keras.Model(member.inputs, member.get_layer("lstm").output) for member in members]
    everyone = np.arange(len(pairs.histories))
    states = np.empty((len(everyone), sum(network.output.shape[-1] for network in networks)), np.float32)
    for batch in pairs.histories.batches(PREDICT_BATCH, everyone):
        arrays = pairs.histories.padded(batch)
        last = np.arange(len(batch)), arrays["lengths"] - 1
        read = (arrays["features"], arrays["gap_years"])
        states[batch] = np.concatenate([np.asarray(network(read, training=False))[last] for network in networks], axis=1)
    return states


def _fit(inputs: Mapping[str, NDArray[np.float32]], pairs: Pairs, recipe: Mapping[str, Any]) -> Fitted:
    """Fit the joint dense layers, and those of each half alone, on the same pairs."""
    settings = recipe["train"]
    train, validation, calibration = (pairs.split == name for name in ("train", "validation", "calibration"))
    parts, temperature = {}, {}
    for name, rows in inputs.items():
        keras.utils.set_random_seed(recipe["seed"])
        part = dense_part(rows[train], len(CLASSES), settings["hidden"], settings["dropout"], settings["weight_decay"])
        part.compile(
            keras.optimizers.Adam(settings["learning_rate"]), keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        )
        part.fit(
            rows[train],
            pairs.truth[train],
            validation_data=(rows[validation], pairs.truth[validation]),
            batch_size=settings["batch_size"],
            epochs=settings["epochs"],
            callbacks=[keras.callbacks.EarlyStopping(patience=settings["patience"], restore_best_weights=True)],
            verbose=0,
        )
        logits = _logits(part, rows[calibration])
        parts[name] = part
        temperature[name] = float(fit_opinion_weights(logits[None], pairs.truth[calibration])[0])
    return Fitted(parts, temperature)


def hybrid_function(members: Sequence[keras.Model], fitted: Fitted) -> Callable[..., dict[str, tf.Tensor]]:
    """One function from visits and an embedding to the joint answer and that of each half."""
    networks = [keras.Model(member.inputs, member.get_layer("lstm").output) for member in members]

    def serve(features: tf.Tensor, gap_years: tf.Tensor, lengths: tf.Tensor, embedding: tf.Tensor) -> dict[str, tf.Tensor]:
        read = (features, gap_years)
        states = [tf.gather(network(read, training=False), lengths - 1, batch_dims=1) for network in networks]
        state = tf.concat(states, axis=1)
        inputs = {HISTORY: state, SLIDE: embedding, JOINT: tf.concat([state, embedding], axis=1)}
        shares = {
            name: tf.nn.softmax(np.float32(fitted.temperature[name]) * fitted.parts[name](rows, training=False))
            for name, rows in inputs.items()
        }
        return {
            "probabilities": shares[JOINT],
            "history_probabilities": shares[HISTORY],
            "slide_probabilities": shares[SLIDE],
        }

    return serve


def run_hybrid(onnx_bytes: bytes, pairs: Pairs, rows: NDArray[np.int64]) -> dict[str, NDArray[np.float32]]:
    """All outputs of the exported graph for these pairs."""
    arrays = {**pairs.histories.padded(rows), "embedding": pairs.embedding[rows]}
    return {name: np.asarray(values, np.float32) for name, values in run_graph(onnx_bytes, arrays).items()}


def _evaluate(
    pairs: Pairs, test: NDArray[np.int64], answers: Mapping[str, NDArray[np.float32]], task: DerivedTask, folder: Path,
    log: Log,
) -> None:  # fmt: skip
    """Write the predictions, and the table that compares both halves on the main question."""
    labels = np.array(CLASSES)[pairs.truth[test]]
    groups = pairs.tile_group[test]
    frame = pd.DataFrame({"case": pairs.histories.patient_ids[test].astype(str), "group": groups, "label": labels})
    add_probabilities(frame, "p_", list(CLASSES), answers["probabilities"])
    for half in HALVES:
        add_probabilities(frame, f"{half}__p_", list(CLASSES), answers[f"{half}_probabilities"])
    shares = np.bincount(pairs.truth[pairs.split == "train"], minlength=len(CLASSES)) / (pairs.split == "train").sum()
    add_probabilities(frame, "always-no__p_", list(CLASSES), np.tile(shares, (len(test), 1)))
    write_predictions(folder / "predictions.parquet", frame)
    positive = np.isin(labels, task.positive)
    own = 1 - answers["probabilities"][:, 0]
    rows = []
    for title, score in (
        ("History and slide", own),
        ("History alone", 1 - answers["history_probabilities"][:, 0]),
        ("Slide alone", 1 - answers["slide_probabilities"][:, 0]),
    ):
        report = binary_report(positive, score, groups, 0.5).bootstrap
        gains = ["–", "–"]
        if score is not own:
            gains = [signed(ranking_interval(name, positive, own, groups, rival=score)) for name in RANKINGS]
        rows.append(
            {
                task.title: title,
                "AUROC": decimal(report["auroc"]),
                "joint gains": gains[0],
                "average precision": decimal(report["average_precision"]),
                "joint gains ": gains[1],
                "ECE": decimal(report["ece"]),
                "n": f"{len(test):,} made-up pairs, {int(positive.sum()):,} with CIN2+, {len(np.unique(groups))} source images",
            }
        )
    table = pd.DataFrame(rows)
    log(f"hybrid\n{table.to_string(index=False)}")
    write_table(folder / "halves.csv", table)


def _thresholds(truth: NDArray[np.int64], scores: NDArray[np.float32], tasks: Sequence[DerivedTask]) -> list[float]:
    """The threshold with the highest Youden's J, by question."""
    found = []
    for task in tasks:
        sides = [[CLASSES.index(name) for name in side] for side in (task.positive, task.negative)]
        rows = np.isin(truth, sides[0] + sides[1])
        mass = [scores[rows][:, side].sum(axis=1) for side in sides]
        fpr, tpr, limits = roc_curve(np.isin(truth[rows], sides[0]), mass[0] / (mass[0] + mass[1]))
        found.append(float(limits[np.argmax(tpr - fpr)]))
    return found


def _logits(part: keras.Model, rows: NDArray[np.float32]) -> Floats:
    return np.asarray(part.predict(rows, batch_size=PREDICT_BATCH, verbose=0), np.float64)


def _inputs(features: int) -> list[TensorSpec]:
    return [
        *history_inputs(features),
        TensorSpec(
            name="embedding", dtype="float32", shape=["N", 512], unit="activation",
            meaning="Embedding of a tile by the slide model, of the biopsy at the last visit",
        ),
    ]  # fmt: skip


def _outputs() -> list[TensorSpec]:
    return [
        TensorSpec(
            name=name, dtype="float32", shape=["N", len(CLASSES)], unit="probability", activation="softmax", meaning=text
        )
        for name, text in (
            ("probabilities", "Calibrated probability of each class, from history and slide"),
            ("history_probabilities", "The same from the history alone"),
            ("slide_probabilities", "The same from the slide alone"),
        )
    ]


def _entry(
    recipe: Mapping[str, Any], features: Mapping[str, Any], pairs: Pairs, counts: Mapping[str, list[int]], fitted: Fitted,
    thresholds: list[float], difference: float,
) -> Model:  # fmt: skip
    (model_id,) = declared_ids(recipe)
    said = {
        "hidden": recipe["train"]["hidden"],
        "classes": len(CLASSES),
        "calibration_pairs": int((pairs.split == "calibration").sum()),
        "difference": difference,
    }
    computed = {
        "kind": "joint",
        "variants": [Variant(precision="fp32", file=f"{model_id}/fp32.onnx", runs_on="cpu", tolerance=TOLERANCE)],
        "inputs": _inputs(len(features["encoding"])),
        "outputs": _outputs(),
        "features": features,
        "calibration": {
            "method": "temperature",
            "parameters": {f"inverse temperature, {name}": value for name, value in fitted.temperature.items()},
        },
        "thresholds": [{"value": value} for value in thresholds],
        "abstention": [],
        "training_data": [
            {
                "counts": {split: dict(zip(CLASSES, values, strict=True)) for split, values in counts.items()},
                "groups": {split: len(np.unique(pairs.tile_group[pairs.split == split])) for split in SPLITS},
            }
        ],
        "evaluation": {"precision": "fp32"},
    }
    return model_entry(recipe, model_id, CLASSES, said, computed)
