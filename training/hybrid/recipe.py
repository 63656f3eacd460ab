"""Recipe ``hybrid``: a slide's embedding and the LSTM's state, joined by a dense part that is trained on made-up pairs."""

import tomllib
from collections.abc import Callable, Mapping
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

from cervix.bundle.manifest import (
    Baseline,
    Calibration,
    DerivedTask,
    Evaluation,
    EvaluationTable,
    FeatureInput,
    Model,
    TensorSpec,
    Threshold,
    TrainingData,
    Variant,
)
from cervix.evaluation.comparison import decimal, signed
from cervix.evaluation.metrics import binary_report, ranking_interval
from cervix.patients.encoding import encoding_named
from cervix.patients.sequences import MOST_VISITS
from training.history.data import SPLITS
from training.history.entry import RANKINGS
from training.history.export import history_inputs, run_graph
from training.history.fit import FittedHistory
from training.history.golden_table import golden_visits_csv
from training.history.recipe import cohort_data, fit_ensemble
from training.hybrid.network import dense_part
from training.hybrid.pairs import CLASSES, Pairs, embedded_tiles, make_pairs
from training.shared.calibrate import fit_opinion_weights
from training.shared.manifest_parts import (
    add_probabilities,
    declared_classes,
    write_bytes,
    write_golden,
    write_golden_table,
    write_predictions,
    write_table,
)
from training.shared.stages import Log, Stages
from training.shared.to_onnx import to_onnx

Floats = NDArray[np.float64]
MODEL_ID = "hybrid"
JOINT, HISTORY, SLIDE = "joint", "history", "slide"
HALVES = (HISTORY, SLIDE)
PREDICT_BATCH = 2048
GOLDEN_PAIRS = 16
TOLERANCE = {"probabilities": 1e-5, "history_probabilities": 1e-5, "slide_probabilities": 1e-5}
MADE_UP = (
    "The pairs are made up: real lung tiles stand beside simulated women by what her simulated biopsy shows. Nothing about how "
    "slides and histories go together in life can be learnt from it."
)
TASKS = (
    DerivedTask(id="cin2-at-biopsy", title="CIN2+ at the biopsy", positive=["squamous", "glandular"], negative=["benign"]),
    DerivedTask(id="glandular-lesion", title="Glandular or squamous, of CIN2+", positive=["glandular"], negative=["squamous"]),
)


@dataclass(frozen=True)
class Fitted:
    """Dense parts by what they read, and the temperature of each."""

    parts: dict[str, keras.Model]
    temperature: dict[str, float]


def train_hybrid(recipes: Mapping[str, Path], tiles_dir: Path, women: int, seed: int, out_dir: Path, log: Log) -> list[Model]:
    """Run the recipe on what ``slide`` and ``history`` left under ``out_dir``, and write ``hybrid/`` there.

    Parameters
    ----------
    recipes : ``hybrid``, ``history``, ``cohort`` and ``shipped``
    women, seed : of the cohort

    Raises
    ------
    FileNotFoundError
        If the slide model has not been trained.
    """
    recipe, history, slide = (
        tomllib.loads(recipes[name].read_text(encoding="utf-8")) for name in ("hybrid", "history", "shipped")
    )
    stages = Stages(out_dir / "stages", log)
    data = cohort_data(history, recipes["cohort"], women, seed, out_dir, log)
    ensemble = fit_ensemble(data, history, out_dir, log)
    slide_model = Model.model_validate_json((out_dir / "slide/model.json").read_bytes())
    onnx_bytes = (out_dir / next(v.file for v in slide_model.variants if v.precision == "int8")).read_bytes()
    tiles = embedded_tiles(tiles_dir, slide, onnx_bytes, recipe["pairs"]["tiles_per_group"], stages, log)
    names = history["data"]["features"]
    pairs = make_pairs(data, names, tiles, recipe["pairs"]["histology"], recipe["seed"])
    counts = {split: np.bincount(pairs.truth[pairs.split == split], minlength=len(CLASSES)).tolist() for split in SPLITS}
    log(f"pairs by split, {CLASSES}: {counts}")
    states = ensemble_states(ensemble, pairs)
    inputs = {HISTORY: states, SLIDE: pairs.embedding, JOINT: np.concatenate([states, pairs.embedding], axis=1)}
    fitted = _fit(inputs, pairs, recipe)
    onnx_bytes = to_onnx(hybrid_function(ensemble, fitted), _inputs(len(names)), _outputs()).SerializeToString()
    write_bytes(out_dir / f"{MODEL_ID}/fp32.onnx", onnx_bytes)
    test = np.flatnonzero(pairs.split == "test")
    answers = run_hybrid(onnx_bytes, pairs, test)
    expected = softmax(_logits(fitted.parts[JOINT], inputs[JOINT][test]) * fitted.temperature[JOINT], axis=1)
    difference = float(np.abs(answers["probabilities"] - expected).max())
    log(f"largest difference to Keras {difference:.1e}")
    if difference > TOLERANCE["probabilities"]:
        raise RuntimeError(f"the exported graph differs from Keras by {difference:.1e}")
    chosen = np.random.default_rng(recipe["seed"]).choice(np.flatnonzero(pairs.split == "train"), GOLDEN_PAIRS)
    golden = {**pairs.histories.padded(chosen), "embedding": pairs.embedding[chosen]}
    write_golden(out_dir / f"{MODEL_ID}/golden.npz", golden, {"fp32": run_hybrid(onnx_bytes, pairs, chosen)})
    golden_table = write_golden_table(
        out_dir, MODEL_ID, golden_visits_csv(), encoding_named(names), lambda arrays: run_graph(onnx_bytes, arrays),
        one_row=False, others=lambda women: {"embedding": pairs.embedding[np.resize(chosen, women)]},
    )  # fmt: skip
    tables = _evaluate(pairs, test, answers, out_dir, log)
    calibration = np.flatnonzero(pairs.split == "calibration")
    scores = run_hybrid(onnx_bytes, pairs, calibration)["probabilities"]
    features = FeatureInput(
        encoding=encoding_named(names), visits=MOST_VISITS, gaps="years-since-measured", golden_table=golden_table,
        steps_in_graph=["as the history model", "embedding standardised"],
    )  # fmt: skip
    return [_entry(recipe, features, pairs, counts, fitted, _thresholds(pairs.truth[calibration], scores), tables, difference)]


def ensemble_states(ensemble: FittedHistory, pairs: Pairs) -> NDArray[np.float32]:
    """States of all members after each woman's last visit, ``(n, members * units)``."""
    networks = [keras.Model(member.inputs, member.get_layer("lstm").output) for member in ensemble.members]
    everyone = np.arange(len(pairs.histories))
    states = np.empty((len(everyone), sum(network.output.shape[-1] for network in networks)), np.float32)
    for batch in pairs.histories.batches(PREDICT_BATCH, everyone):
        arrays = pairs.histories.padded(batch)
        last = np.arange(len(batch)), arrays["lengths"] - 1
        read = (arrays["features"], arrays["gap_years"])
        states[batch] = np.concatenate([np.asarray(network(read, training=False))[last] for network in networks], axis=1)
    return states


def _fit(inputs: Mapping[str, NDArray[np.float32]], pairs: Pairs, recipe: Mapping[str, Any]) -> Fitted:
    """The joint dense part, and one for each half alone, on the same pairs."""
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


def hybrid_function(ensemble: FittedHistory, fitted: Fitted) -> Callable[..., dict[str, tf.Tensor]]:
    """Visits and one embedding to the joint answer and that of each half alone."""
    networks = [keras.Model(member.inputs, member.get_layer("lstm").output) for member in ensemble.members]

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
    pairs: Pairs, test: NDArray[np.int64], answers: Mapping[str, NDArray[np.float32]], out_dir: Path, log: Log
) -> list[EvaluationTable]:
    labels = np.array(CLASSES)[pairs.truth[test]]
    groups = pairs.tile_group[test]
    frame = pd.DataFrame({"case": pairs.histories.patient_ids[test].astype(str), "group": groups, "label": labels})
    add_probabilities(frame, "p_", list(CLASSES), answers["probabilities"])
    for half in HALVES:
        add_probabilities(frame, f"{half}__p_", list(CLASSES), answers[f"{half}_probabilities"])
    shares = np.bincount(pairs.truth[pairs.split == "train"], minlength=len(CLASSES)) / (pairs.split == "train").sum()
    add_probabilities(frame, "always-no__p_", list(CLASSES), np.tile(shares, (len(test), 1)))
    write_predictions(out_dir / f"{MODEL_ID}/predictions.parquet", frame)
    task = TASKS[0]
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
    kept = EvaluationTable(
        id="halves", title="Both, and each half alone", file=f"{MODEL_ID}/halves.csv",
        note=MADE_UP + " Intervals over source images of the tiles.",
    )  # fmt: skip
    write_table(out_dir / kept.file, table)
    return [kept]


def _thresholds(truth: NDArray[np.int64], scores: NDArray[np.float32]) -> list[Threshold]:
    found = []
    for task in TASKS:
        sides = [[CLASSES.index(name) for name in side] for side in (task.positive, task.negative)]
        rows = np.isin(truth, sides[0] + sides[1])
        mass = [scores[rows][:, side].sum(axis=1) for side in sides]
        fpr, tpr, limits = roc_curve(np.isin(truth[rows], sides[0]), mass[0] / (mass[0] + mass[1]))
        chosen_by = "Youden's J on the calibration pairs"
        found.append(Threshold(task=task.id, value=float(limits[np.argmax(tpr - fpr)]), chosen_by=chosen_by))
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
    recipe: Mapping[str, Any], features: FeatureInput, pairs: Pairs, counts: Mapping[str, list[int]], fitted: Fitted,
    thresholds: list[Threshold], tables: list[EvaluationTable], difference: float,
) -> Model:  # fmt: skip
    return Model(
        id="hybrid",
        kind="joint",
        title="History and slide together (made-up pairs)",
        short="History and slide",
        task="Estimate whether CIN2+ is there at a biopsy, squamous or glandular, from the history and the biopsy's slide",
        outcome="Simulated truth at the biopsy, found by it or missed. " + MADE_UP,
        architecture=(
            f"LSTM states and a 512-number tile embedding → dense {recipe['train']['hidden']} → dropout → {len(CLASSES)}; "
            "only the dense part is trained here"
        ),
        recipe=recipe["name"],
        seed=recipe["seed"],
        variants=[Variant(precision="fp32", file=f"{MODEL_ID}/fp32.onnx", runs_on="cpu", tolerance=TOLERANCE)],
        inputs=_inputs(len(features.encoding)),
        outputs=_outputs(),
        classes=declared_classes(recipe, CLASSES),
        derived_tasks=list(TASKS),
        features=features,
        calibration=Calibration(
            method="temperature",
            parameters={f"inverse temperature, {name}": value for name, value in fitted.temperature.items()},
            fitted_on=f"calibration pairs, {int((pairs.split == 'calibration').sum()):,}",
        ),
        thresholds=thresholds,
        abstention=[],
        training_data=[
            TrainingData(
                name="Simulated women with a biopsy, paired with LC25000 lung tiles",
                licence="MIT and CC BY 4.0",
                citation="HPVsim: Stuart et al. 2024; LC25000: Borkowski et al. 2019, arXiv:1912.12142",
                nature="simulated",
                note=MADE_UP,
                grouped_by="woman, and source image of the tile",
                counts={split: dict(zip(CLASSES, values, strict=True)) for split, values in counts.items()},
                groups={split: len(np.unique(pairs.tile_group[pairs.split == split])) for split in SPLITS},
            )
        ],
        evaluation=Evaluation(
            predictions=f"{MODEL_ID}/predictions.parquet",
            precision="fp32",
            split="test pairs: women and source images never seen in training",
            baselines=[
                Baseline(id="always-no", title="Class shares only"),
                Baseline(id=HISTORY, title="History alone, same dense part"),
                Baseline(id=SLIDE, title="Slide alone, same dense part"),
            ],
            published=[],
            notes=[MADE_UP, f"Largest difference between graph and Keras on test pairs: {difference:.1e}."],
            tables=tables,
        ),
        golden=f"{MODEL_ID}/golden.npz",
        intended_use=["Demonstrating how the published joint workflow is put together and checked."],
        limits=[MADE_UP, "Tiles of lung tissue; three classes; nothing between benign and carcinoma on the slide's side."],
        known_failures=["A tile is one look at one source image; a biopsy has many fields."],
    )
