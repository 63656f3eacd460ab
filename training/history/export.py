"""The history ensemble as one ONNX graph with its golden vectors and background set."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from cervix.bundle.manifest import DerivedTask, FeatureEncoding, GoldenTable, TensorSpec
from cervix.bundle.sessions import CPU_PROVIDER, Arrays, open_session
from cervix.patients.encoding import RESULT_FEATURES, encoding_named
from cervix.patients.sequences import EPISODE_DAYS, encode
from cervix.patients.visit_sample import sample_visits_csv
from cervix.patients.visits import read_visits
from training.history.data import CLASSES, HistoryData
from training.history.golden_table import golden_visits_csv
from training.history.reach import with_reach
from training.history.rehearsal import chosen_women, write_history_rehearsal
from training.shared.calibrate import CoursePlatt
from training.shared.declared import declared_ids
from training.shared.manifest_parts import write_arrays, write_bytes, write_golden, write_golden_table
from training.shared.stages import Log
from training.shared.to_onnx import to_onnx

GOLDEN_WOMEN = 16
LARGEST_DIFFERENCE_TO_KERAS = 1e-5
TOLERANCE = {"probabilities": 1e-5, "trajectory": 1e-5, "member_risk": 1e-5, "state": 1e-4, "results_known": 1e-6}
ONNX_BATCH = 4096


@dataclass(frozen=True)
class HistoryParameters:
    """The contents of the exported graph. The risk of the question ``main`` is given after every visit and for every member."""

    members: list[keras.Model]
    platt: CoursePlatt
    names: list[str]
    main: DerivedTask


@dataclass(frozen=True)
class ExportedHistory:
    """The graph and what was measured on it.

    Attributes
    ----------
    largest_difference : float
        Largest difference of a probability between ONNX Runtime and Keras, over the test women.
    """

    onnx_bytes: bytes
    inputs: list[TensorSpec]
    outputs: list[TensorSpec]
    file: str
    golden: str
    background: str
    rehearsal: str
    golden_table: GoldenTable
    encoding: list[FeatureEncoding]
    largest_difference: float


class ExportDiffers(RuntimeError):
    """Raised when the exported graph does not compute what Keras computes."""


def history_function(parameters: HistoryParameters) -> Callable[..., dict[str, tf.Tensor]]:
    """One function from raw visits to calibrated probabilities of the courses after the last visit.

    The members' mean probability is calibrated on the logarithmic scale. Each member alone gets the same calibration.
    """
    networks = [
        keras.Model(member.inputs, (member.get_layer("lstm").output, member.get_layer("logits").output))
        for member in parameters.members
    ]
    main = [CLASSES.index(name) for name in parameters.main.positive]
    results = [parameters.names.index(name) for name in RESULT_FEATURES if name in parameters.names]

    def calibrated(log_shares: tf.Tensor) -> tf.Tensor:
        shifts = tf.constant(parameters.platt.shifts(CLASSES), tf.float32)
        return tf.nn.softmax(np.float32(parameters.platt.slope) * log_shares + shifts)

    def risk(probabilities: tf.Tensor) -> tf.Tensor:
        return tf.reduce_sum(tf.gather(probabilities, main, axis=-1), axis=-1)

    def last(values: tf.Tensor, lengths: tf.Tensor) -> tf.Tensor:
        return tf.gather(values, lengths - 1, batch_dims=1)

    def serve(features: tf.Tensor, gap_years: tf.Tensor, lengths: tf.Tensor) -> dict[str, tf.Tensor]:
        outputs = [network((features, gap_years), training=False) for network in networks]
        log_shares = [tf.nn.log_softmax(logits) for _, logits in outputs]
        mean = tf.reduce_logsumexp(tf.stack(log_shares), axis=0) - np.float32(np.log(len(networks)))
        every_visit = calibrated(mean)
        known = tf.reduce_any(~tf.math.is_nan(tf.gather(features, results, axis=-1)), axis=-1)
        return {
            "probabilities": last(every_visit, lengths),
            "trajectory": risk(every_visit),
            "member_risk": tf.stack([risk(calibrated(last(share, lengths))) for share in log_shares], axis=1),
            "state": tf.concat([last(states, lengths) for states, _ in outputs], axis=1),
            "results_known": tf.reduce_sum(tf.cast(known, tf.float32), axis=1),
        }

    return serve


def export_history(
    parameters: HistoryParameters, data: HistoryData, recipe: Mapping[str, Any], out_dir: Path, log: Log
) -> ExportedHistory:
    """Write graph, golden vectors, background set and rehearsal under ``out_dir/<model id>``.

    Raises
    ------
    ExportDiffers
        If a probability of a test woman differs from Keras by more than 1e-5.
    """
    (model_id,) = declared_ids(recipe)
    state = sum(member.get_layer("lstm").units for member in parameters.members)
    inputs, outputs = history_inputs(len(parameters.names)), _outputs(len(parameters.members), state, parameters.main.title)
    function = history_function(parameters)
    onnx_bytes = to_onnx(function, inputs, outputs).SerializeToString()
    file, golden, background, rehearsal = (
        f"{model_id}/{name}" for name in ("fp32.onnx", "golden.npz", "background.npz", "rehearsal.npz")
    )
    write_bytes(out_dir / file, onnx_bytes)
    women = data.women("test")[:ONNX_BATCH]
    arrays = data.histories.padded(women)
    keras_answer = function(**{name: tf.constant(values) for name, values in arrays.items()})["probabilities"].numpy()
    difference = float(np.abs(run_graph(onnx_bytes, arrays)["probabilities"] - keras_answer).max())
    log(f"history: {len(onnx_bytes) / 1e3:.0f} kB, largest difference to Keras {difference:.1e}")
    if difference > LARGEST_DIFFERENCE_TO_KERAS:
        raise ExportDiffers(f"largest difference to Keras {difference:.2e}, allowed {LARGEST_DIFFERENCE_TO_KERAS:.0e}")
    encoding = with_reach(encoding_named(parameters.names), data.histories, data.women("train"))
    sample = encode(read_visits(sample_visits_csv(GOLDEN_WOMEN).encode()).frame, encoding, EPISODE_DAYS)
    vectors = sample.padded(np.arange(len(sample)))
    write_golden(out_dir / golden, vectors, {"fp32": run_graph(onnx_bytes, vectors)})
    golden_table = write_golden_table(
        out_dir,
        model_id,
        golden_visits_csv(),
        encoding,
        lambda arrays: run_graph(onnx_bytes, arrays),
        one_row=False,
        episode_days=EPISODE_DAYS,
    )
    chosen = np.random.default_rng(recipe["seed"]).choice(data.own_women("train"), recipe["background"]["women"], replace=False)
    write_arrays(out_dir / background, data.histories.padded(chosen))
    women = chosen_women(data, recipe["rehearsal"]["train_women"], recipe["seed"])
    write_history_rehearsal(out_dir / rehearsal, data, women)
    return ExportedHistory(onnx_bytes, inputs, outputs, file, golden, background, rehearsal, golden_table, encoding, difference)


def run_graph(onnx_bytes: bytes, arrays: Arrays) -> Arrays:
    """All outputs of an exported graph, by name."""
    session = open_session(onnx_bytes, CPU_PROVIDER)
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(names, arrays), strict=True))


def test_probabilities(onnx_bytes: bytes, data: HistoryData, women: NDArray[np.int64]) -> NDArray[np.float64]:
    """Calibrated probabilities of the courses ``(n, classes)`` by an exported graph."""
    session = open_session(onnx_bytes, CPU_PROVIDER)
    out = np.empty((len(women), len(CLASSES)))
    for batch in data.histories.batches(ONNX_BATCH, women):
        out[batch] = session.run(["probabilities"], data.histories.padded(women[batch]))[0]
    return out


def history_inputs(features: int) -> list[TensorSpec]:
    """The inputs of a graph that reads visits."""
    return [
        TensorSpec(
            name="features", dtype="float32", shape=["N", "V", features], unit="as in the table, codes by grade",
            meaning="Raw values of every visit, oldest first, NaN where not measured and beyond the last visit",
        ),
        TensorSpec(
            name="gap_years", dtype="float32", shape=["N", "V", features], unit="years",
            meaning="Years since the feature was last measured before the visit, NaN where never",
        ),
        TensorSpec(name="lengths", dtype="int32", shape=["N"], unit="count", meaning="Number of visits"),
    ]  # fmt: skip


def _outputs(members: int, state: int, title: str) -> list[TensorSpec]:
    return [
        TensorSpec(name="probabilities", dtype="float32", shape=["N", len(CLASSES)], unit="probability",
                   activation="softmax", meaning="Calibrated probability of each course after the last visit"),
        TensorSpec(name="trajectory", dtype="float32", shape=["N", "V"], unit="probability",
                   meaning=f"{title}, as it stood after each visit; without meaning beyond the last visit"),
        TensorSpec(name="member_risk", dtype="float32", shape=["N", members], unit="probability",
                   meaning=f"{title}, by each network of the ensemble alone"),
        TensorSpec(name="state", dtype="float32", shape=["N", state], unit="none",
                   meaning="State of the networks after the last visit"),
        TensorSpec(name="results_known", dtype="float32", shape=["N"], unit="visits",
                   meaning="Visits with a cytology, HPV, dual-stain, colposcopy or histology result"),
    ]  # fmt: skip
