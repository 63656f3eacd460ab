"""Recipe ``retrain``, history model: continues to fit the parent's networks on its women and on labelled women."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import log_softmax, logsumexp, softmax

from cervix.bundle import Bundle
from cervix.bundle.manifest import Calibration, DerivedTask, GoldenTable, Model
from cervix.labels import LabelStore
from cervix.labels.gathering.women import histories_of
from cervix.patients.sequences import Histories
from training.history.checks.yardstick import Yardstick
from training.history.data import CLASSES, HistoryData
from training.history.entry import calibration_tests, comparison_figures, tests_table, threshold_of
from training.history.export import run_graph, test_probabilities
from training.history.fit import possible_loss
from training.history.graph import HistoryGraph, HistoryNetwork
from training.history.rehearsal import read_history_rehearsal
from training.shared.calibrate import CoursePlatt, fit_course_platt
from training.shared.installation_labels import Labels, folds_of, without_leaking
from training.shared.manifest_parts import add_probabilities, write_bytes, write_golden, write_predictions, write_table
from training.shared.retrain_parts import Progress, copied, golden_inputs, learned_from, lineage_of, needed, write_new_cases
from training.shared.stages import Log

Floats = NDArray[np.float32]
BATCH = 2048
VISITS_THAT_IDENTIFY = 3
"""Shorter histories are equal by chance: many women have one normal smear at 30."""
CHANGED_TABLES, STILL_TRUE_TABLES = ("comparison", "calibration"), ("labels-saved", "learning-curves")


def retrain_history(
    parent: Bundle, labels: Labels, store: LabelStore, recipe: Mapping[str, Any], out_dir: Path, log: Log, progress: Progress
) -> Model:  # fmt: skip
    """Write the history model of a candidate under ``out_dir``; return its manifest entry.

    A label says whether the outcome of the main question occurred after the last visit of a woman's history as it was kept, by
    what her file says of the time after it (docs/adr/0033); that part of the file is not read here. It does not say which of
    the courses it was, as for a woman lost to follow-up (``possible_loss``).

    Raises
    ------
    LabelsTooFew
        If too few labels remain after labels of test women are refused.
    BundleError
        If the parent has no rehearsal, or its graph has another structure.
    """
    model = parent.manifest.first_of("sequence")
    if model.features is None:
        raise ValueError("the history model declares no features")
    data = read_history_rehearsal(needed(parent, model))
    graph = HistoryGraph((parent.root / model.variants[0].file).read_bytes())
    labels.require_enough(recipe["labels"])
    progress(0.05, "history: reading the labelled women")
    contents = [store.case(case).content for case in labels.cases["case_id"]]
    read = histories_of(contents, model.features.encoding, model.features.episode_days)
    labels, kept = without_leaking(labels, known_test_women(read, data), log)
    women = np.flatnonzero(kept)
    labels.require_enough(recipe["labels"])
    positive = (labels.cases["label"] == "yes").to_numpy(bool)

    settings, seed = recipe["history"], recipe["seed"]
    fit = _Refit(graph, data, model.main_task, settings, seed)
    folds = folds_of(labels, settings["folds"], seed, "woman")
    before = CoursePlatt(**model.calibration.parameters)
    unseen = np.empty((len(labels), len(CLASSES)))
    for number in np.unique(folds.fold):
        progress(0.1 + 0.5 * number / settings["folds"], f"history: fold {number + 1}")
        taught = folds.fold != number
        networks = fit.networks(read, women[taught], positive[taught])
        unseen[~taught] = _calibrated(fit.log_shares(networks, read, women[~taught]), before)
    progress(0.6, "history: the networks of the candidate")
    networks = fit.networks(read, women, positive)
    calibration = data.women("calibration")
    platt = fit_course_platt(
        fit.log_shares(networks, data.histories, calibration),
        data.outcomes.possible[data.index_visits(calibration)], CLASSES,
    )  # fmt: skip
    log(f"history: networks fitted on {settings['train_women']:,} rehearsed and {len(labels)} labelled women; {platt}")
    own = _calibrated(fit.log_shares(graph.networks, read, women), before)
    lineage = lineage_of(parent, labels, seed, folds.kept_whole, out_dir, model.id)
    course = np.where(positive, model.main_task.positive[-1], model.main_task.negative[0])
    write_new_cases(out_dir / lineage.new_cases, labels, folds, course, list(CLASSES), unseen, own)
    progress(0.8, "history: export and evaluation")
    onnx_bytes = graph.with_networks(networks, platt, list(CLASSES))
    return _exported(
        parent, model, model.features.golden_table, onnx_bytes, platt, data, labels, out_dir, recipe, log
    ).model_copy(update={"lineage": lineage, "recipe": recipe["name"], "seed": seed})


def known_test_women(read: Histories, data: HistoryData) -> NDArray[np.bool_]:
    """Which of these histories ``(n,)`` are a test woman's or its beginning, visit by visit; only with three visits or more.

    A labelled history ends at the visit that was asked about, which is mostly not the last in the woman's file.
    """
    lengths = {int(length) for length in read.lengths if length >= VISITS_THAT_IDENTIFY}
    tested = {
        _written(data.histories, woman, length)
        for woman in data.women("test")
        for length in lengths
        if length <= data.histories.lengths[woman]
    }
    return np.array(
        [
            read.lengths[woman] >= VISITS_THAT_IDENTIFY and _written(read, woman, int(read.lengths[woman])) in tested
            for woman in range(len(read))
        ],
        bool,
    )


def _written(histories: Histories, woman: int, length: int) -> bytes:
    """The first of a woman's results without her age, which a pseudonymised table may round, and the time between visits in
    months."""
    rows = slice(int(histories.first[woman]), int(histories.first[woman]) + length)
    parts = (histories.features[rows, 1:], np.round(12 * histories.gap_years[rows]))
    return b"".join(np.nan_to_num(part, nan=-1.0).tobytes() for part in parts)


class _Refit:
    """Continues to fit the networks of a graph from their own weights; the rehearsed women are prepared once."""

    def __init__(
        self, graph: HistoryGraph, data: HistoryData, main: DerivedTask, settings: Mapping[str, Any], seed: int
    ) -> None:
        self._start, self._main = graph.networks, main
        self._prepare = graph.preparer()
        self._settings, self._seed = settings, seed
        train = data.women("train")
        drawn = np.random.default_rng(seed).permutation(train)[: settings["train_women"]]
        weight = data.usable.astype(np.float32)
        self._rehearsed = [
            self._batch(data.histories, drawn[part], data.outcomes.possible, weight)
            for part in data.histories.batches(settings["batch_size"], drawn)
        ]

    def networks(self, read: Histories, women: NDArray[np.int64], positive: NDArray[np.bool_]) -> list[HistoryNetwork]:
        """The ensemble after learning from these labelled women as well."""
        possible = np.zeros((len(read.features), len(CLASSES)), bool)
        possible[read.last[women[positive]]] = np.isin(CLASSES, self._main.positive)
        possible[read.last[women[~positive]]] = np.isin(CLASSES, self._main.negative)
        weight = np.where(possible.any(axis=1), np.float32(self._settings["label_weight"]), np.float32(0))
        labelled = [
            self._batch(read, women[part], possible, weight) for part in read.batches(self._settings["batch_size"], women)
        ]
        batches = _Batches([*self._rehearsed, *labelled], self._seed)
        return [self._fitted(network, batches, self._seed + number) for number, network in enumerate(self._start)]

    def log_shares(
        self, networks: list[HistoryNetwork], histories: Histories, women: NDArray[np.int64]
    ) -> NDArray[np.float64]:  # fmt: skip
        """Logarithm of the networks' mean probability of each course after the last visit ``(n, classes)``, not calibrated."""
        models = [_as_keras(network) for network in networks]
        out = np.empty((len(women), len(CLASSES)))
        for part in histories.batches(BATCH, women):
            prepared, last = self._prepare(histories, women[part]), histories.lengths[women[part]] - 1
            logits = [np.asarray(model(prepared, training=False), np.float64)[np.arange(len(part)), last] for model in models]
            out[part] = logsumexp([log_softmax(one, axis=1) for one in logits], axis=0) - np.log(len(models))
        return out

    def _fitted(self, network: HistoryNetwork, batches: "_Batches", seed: int) -> HistoryNetwork:
        keras.utils.set_random_seed(seed)
        model = _as_keras(network)
        model.compile(keras.optimizers.Adam(self._settings["learning_rate"], clipnorm=1.0), possible_loss)
        model.fit(batches, epochs=self._settings["epochs"], verbose=0)
        return HistoryNetwork(*model.get_weights())

    def _batch(
        self, histories: Histories, women: NDArray[np.int64], possible: NDArray[np.bool_], weight: Floats
    ) -> tuple[Floats, Floats, Floats]:  # fmt: skip
        rows, inside = histories.grid(women)
        # A visit without known outcome has weight 0; at least one course must be possible for the loss to be a number.
        known = possible[rows] | ~possible[rows].any(axis=2, keepdims=True)
        return (
            self._prepare(histories, women),
            known.astype(np.float32),
            np.where(inside, weight[rows], np.float32(0)).astype(np.float32),
        )


class _Batches(keras.utils.PyDataset):  # type: ignore[misc]  # untyped base class
    """Batches in a new order every epoch."""

    def __init__(self, batches: list[tuple[Floats, Floats, Floats]], seed: int) -> None:
        super().__init__()
        self._batches: list[tuple[Floats, Floats, Floats]] = batches
        self._rng = np.random.default_rng(seed)
        self.on_epoch_end()

    def __len__(self) -> int:
        return len(self._batches)

    def __getitem__(self, index: int) -> tuple[Floats, Floats, Floats]:
        return self._batches[int(self._order[index])]

    def on_epoch_end(self) -> None:
        self._order = self._rng.permutation(len(self._batches))


def _as_keras(network: HistoryNetwork) -> keras.Model:
    entry = keras.Input((None, len(network.kernel)))
    states = keras.layers.LSTM(len(network.recurrent_kernel), return_sequences=True)(entry)
    model = keras.Model(entry, keras.layers.Dense(len(network.logit_bias))(states))
    model.set_weights(network.weights)
    return model


def _calibrated(log_shares: NDArray[np.float64], platt: CoursePlatt) -> NDArray[np.float64]:
    return np.asarray(softmax(platt.slope * log_shares + platt.shifts(CLASSES), axis=1))


def _exported(
    parent: Bundle, model: Model, golden_table: GoldenTable, onnx_bytes: bytes, platt: CoursePlatt, data: HistoryData,
    labels: Labels, out_dir: Path, recipe: Mapping[str, Any], log: Log,
) -> Model:  # fmt: skip
    """Graph, golden vectors, predictions and tables of the new networks, and their entry."""
    write_bytes(out_dir / model.variants[0].file, onnx_bytes)
    for vectors in (model.golden, golden_table.vectors):
        golden = golden_inputs(parent, model, vectors)
        write_golden(out_dir / vectors, golden, {"fp32": run_graph(onnx_bytes, golden)})
    predictions = pd.read_parquet(parent.root / model.measured.predictions)
    test = data.evaluated("test")
    if not np.array_equal(predictions["label"].to_numpy(str), np.array(CLASSES)[data.outcomes.label[data.index_visits(test)]]):
        raise ValueError("the rehearsal holds other test women than the predictions")
    add_probabilities(predictions, "p_", list(CLASSES), test_probabilities(onnx_bytes, data, test).astype(np.float32))
    write_predictions(out_dir / model.measured.predictions, predictions)
    groups = predictions["group"].to_numpy(str)
    tests = calibration_tests(predictions, groups, model.derived_tasks, recipe["calibration"])
    comparison = comparison_figures(predictions, groups, model.main_task, model.measured.baselines)
    made = {"comparison": comparison, "calibration": tests_table(tests, model.derived_tasks)}
    for name, table in made.items():
        write_table(out_dir / f"{model.id}/{name}.csv", table)
        log(f"history: {name}\n{table.to_string(index=False)}")
    tables = [table for table in model.measured.tables if table.id in (*CHANGED_TABLES, *STILL_TRUE_TABLES)]
    unchanged = [table.file for table in tables if table.id in STILL_TRUE_TABLES]
    copied(parent, [golden_table.file, model.rehearsal, model.background, *unchanged], out_dir)
    published = _published_risks(parent, model, onnx_bytes, out_dir)
    calibration = data.evaluated("calibration")
    calibrated = test_probabilities(onnx_bytes, data, calibration)
    label = data.outcomes.label[data.index_visits(calibration)]
    return model.model_copy(
        update={
            "calibration": Calibration(
                method="platt",
                parameters={"slope": platt.slope, "cin2": platt.cin2, "cin3": platt.cin3},
                fitted_on=f"calibration split, {len(data.women('calibration')):,} women, after learning from labels",
                tests=tests,
            ),
            "thresholds": [threshold_of(task, label, calibrated) for task in model.derived_tasks],
            "training_data": [*model.training_data, learned_from(labels, "woman")],
            "evaluation": model.measured.model_copy(
                update={
                    "tables": tables,
                    "published_risks": published,
                    "notes": [
                        *model.measured.notes,
                        "The parent's networks were trained further on labels of an installation. The test women are "
                        "simulated: they say whether something was lost, not whether the labels helped.",
                    ],
                }
            ),
        }
    )


def _published_risks(parent: Bundle, model: Model, onnx_bytes: bytes, out_dir: Path) -> str | None:
    """The parent's table of published risks with what the new networks say; the rivals' columns are still true."""
    name = model.measured.published_risks
    if name is None or model.features is None:
        return None
    table = pd.read_csv(parent.root / name)
    yardstick = Yardstick.of(table, model.features.encoding, model.features.episode_days)
    write_table(out_dir / name, yardstick.measured(onnx_bytes, model.derived_tasks, {}))
    return name
