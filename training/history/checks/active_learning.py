"""Pool-based active learning on the history model: how many labels does each strategy save?"""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pandas as pd
import tensorflow as tf
from numpy.typing import NDArray
from scipy.stats import t as student
from sklearn.metrics import average_precision_score, roc_auc_score

from cervix.bundle.manifest import Acquisition, EvaluationTable, Model
from cervix.evaluation.comparison import decimal
from cervix.files import replacing
from cervix.intervals import Interval
from cervix.labels.desk.acquisition import STRATEGIES, PoolView
from training.history.data import CLASSES, EARLY, HistoryData
from training.history.fit import possible_loss, preparation
from training.history.recipe import cohort_data
from training.shared.declared import declared_ids
from training.shared.manifest_parts import write_table
from training.shared.stages import Log, Stages, array_digest

Floats = NDArray[np.float32]
PREDICT_BATCH = 4000
# Labelled sets are padded to a multiple of this, so that few shapes are traced.
PADDED_TO = 400
ABNORMAL_FEATURES = ("cytology_squamous", "cytology_glandular", "hpv", "histology", "colposcopy", "treatment")
SIMULATED = [name for name, strategy in STRATEGIES.items() if strategy.simulated]
ACQUISITION_NAME = "acquisition.json"
CURVES, SAVED = "learning-curves", "labels-saved"


@dataclass(frozen=True)
class Prepared:
    """The women of the loop as a small network reads them.

    Attributes
    ----------
    inputs : (n, visits, inputs) prepared values, padded on the right
    last : (n,) position of the last visit
    possible : (n, classes), event : (n,)
    abnormal : (n,)
    """

    inputs: Floats
    last: NDArray[np.int32]
    possible: Floats
    event: NDArray[np.bool_]
    abnormal: NDArray[np.bool_]

    def __getitem__(self, rows: NDArray[np.int64]) -> "Prepared":
        return Prepared(self.inputs[rows], self.last[rows], self.possible[rows], self.event[rows], self.abnormal[rows])


def run_active_learning(recipes: Mapping[str, Path], women: int, seed: int, out_dir: Path, log: Log) -> None:
    """Run every strategy with every seed; write curves, labels saved and the default strategy beside the history model.

    Parameters
    ----------
    recipes : ``active-learning``, ``history`` and ``cohort``
    women, seed : of the cohort
    """
    recipe, history = (tomllib.loads(recipes[name].read_text(encoding="utf-8")) for name in ("active-learning", "history"))
    data = cohort_data(history, recipes["cohort"], women, seed, out_dir, log)
    names = history["data"]["features"]
    loop = recipe["loop"]
    stages = Stages(out_dir / "stages", log)
    test = prepared(data, names, data.evaluated("test")[: loop["test"]], loop["visits"])
    candidates = np.intersect1d(data.evaluated("train"), data.own_women("train"))
    digest = array_digest(test.inputs, test.possible, candidates)
    learner = Learner(test.inputs.shape, recipe["model"])
    curves = []
    for number in range(loop["seeds"]):
        rng = np.random.default_rng([recipe["seed"], number])
        pool = prepared(data, names, rng.choice(candidates, loop["pool"], replace=False), loop["visits"])
        start = cold_start(pool.event, loop["start"], rng)
        for strategy in SIMULATED:
            depends_on = {"recipe": recipe, "data": digest, "number": number, "strategy": strategy}
            rounds = stages.value(
                f"active-{strategy}-{number}", depends_on,
                lambda: one_run(learner, pool, test, start, strategy, recipe, number),  # noqa: B023 - called at once
            )  # fmt: skip
            curves += [{"strategy": strategy, "seed": number, **row} for row in rounds]
        log(f"seed {number + 1} of {loop['seeds']}: every strategy run")
    write_results(pd.DataFrame(curves), out_dir / declared_ids(history)[0], log)


def prepared(data: HistoryData, names: list[str], women: NDArray[np.int64], visits: int) -> Prepared:
    """The last visits of these women, prepared with medians and scales of the training women."""
    histories = data.histories
    index = data.index_visits(women)
    lengths = np.minimum(histories.lengths[women], visits)
    steps = np.arange(visits)
    inside = steps < lengths[:, None]
    rows = np.where(inside, (index - lengths + 1)[:, None] + steps, 0)
    layer = preparation(histories, names, data.women("train")[:5000])
    parts = [
        np.asarray(layer(histories.features[rows[at : at + PREDICT_BATCH]], histories.gap_years[rows[at : at + PREDICT_BATCH]]))
        for at in range(0, len(rows), PREDICT_BATCH)
    ]
    results = [names.index(name) for name in ABNORMAL_FEATURES]
    abnormal = np.asarray(((histories.features[rows][..., results] > 0).any(axis=2) & inside).any(axis=1), bool)
    event = data.outcomes.among(EARLY)[index]
    return Prepared(np.concatenate(parts), lengths - 1, data.outcomes.possible[index].astype(np.float32), event, abnormal)


def cold_start(event: NDArray[np.bool_], count: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Positions of the first labelled women, drawn at random: one with the event, the others without."""
    with_event, without = np.flatnonzero(event), np.flatnonzero(~event)
    return np.append(rng.choice(with_event, 1), rng.choice(without, count - 1, replace=False)).astype(np.int64)


class Learner:
    """A small LSTM with new weights in every round, traced once for each size of the labelled set."""

    def __init__(self, shape: tuple[int, ...], settings: Mapping[str, Any]) -> None:
        self._settings = settings
        regulariser = keras.regularizers.L2(settings["weight_decay"])
        values = keras.Input(shape[1:])
        lstm = keras.layers.LSTM(settings["units"], return_sequences=True, unroll=True, kernel_regularizer=regulariser)
        states = lstm(values)
        dropout = keras.layers.Dropout(settings["dropout"], seed=0)
        self._noise = dropout.seed_generator.state
        self._first_noise = keras.ops.convert_to_numpy(self._noise)
        logits = keras.layers.Dense(len(CLASSES))(dropout(states))
        self._network = keras.Model(values, (logits, states))
        self._fit = tf.function(self._train, reduce_retracing=False)
        self._answer = tf.function(self._last_visit, reduce_retracing=False)

    def _last_visit(self, inputs: tf.Tensor, last: tf.Tensor, training: bool) -> tuple[tf.Tensor, tf.Tensor]:
        """Logits and states after each woman's last visit."""
        logits, states = self._network(inputs, training=training)
        return tf.gather(logits, last, batch_dims=1), tf.gather(states, last, batch_dims=1)

    def fit(self, rows: Prepared, seed: int) -> None:
        """New weights, then full-batch Adam on these labelled women."""
        keras.utils.set_random_seed(seed)
        fresh = keras.models.clone_model(self._network)
        self._network.set_weights(fresh.get_weights())
        self._noise.assign(self._first_noise)
        size = -(-len(rows.last) // PADDED_TO) * PADDED_TO
        extra = size - len(rows.last)
        weight = np.append(np.ones(len(rows.last), np.float32), np.zeros(extra, np.float32))
        inputs = np.concatenate([rows.inputs, np.zeros((extra, *rows.inputs.shape[1:]), np.float32)])
        possible = np.concatenate([rows.possible, np.ones((extra, len(CLASSES)), np.float32)])
        self._fit(inputs, np.append(rows.last, np.zeros(extra, np.int32)), possible, weight)

    def _train(self, inputs: tf.Tensor, last: tf.Tensor, possible: tf.Tensor, weight: tf.Tensor) -> None:
        """Adam (Kingma & Ba 2015, arXiv:1412.6980) in the graph, with local moments: nothing carries over to the next round."""
        variables = self._network.trainable_variables
        rate, beta1, beta2 = self._settings["learning_rate"], 0.9, 0.999
        first = [tf.zeros(variable.shape) for variable in variables]
        second = [tf.zeros(variable.shape) for variable in variables]
        for step in tf.range(1.0, self._settings["steps"] + 1.0):
            with tf.GradientTape() as tape:
                logits, _ = self._last_visit(inputs, last, True)
                loss = tf.reduce_sum(possible_loss(possible, logits) * weight) / tf.reduce_sum(weight)
                loss += tf.add_n(self._network.losses)
            gradients = tape.gradient(loss, [variable.value for variable in variables])
            first = [beta1 * m + (1 - beta1) * g for m, g in zip(first, gradients, strict=True)]
            second = [beta2 * v + (1 - beta2) * g * g for v, g in zip(second, gradients, strict=True)]
            for variable, m, v in zip(variables, first, second, strict=True):
                variable.assign_sub(rate * (m / (1 - beta1**step)) / (tf.sqrt(v / (1 - beta2**step)) + 1e-7))

    def answers(self, rows: Prepared, *, training: bool = False) -> tuple[Floats, Floats]:
        """Probabilities ``(n, classes)`` and states ``(n, units)``."""
        parts = [
            self._answer(rows.inputs[at : at + PREDICT_BATCH], rows.last[at : at + PREDICT_BATCH], training)
            for at in range(0, len(rows.last), PREDICT_BATCH)
        ]
        logits, states = (np.concatenate([part[which].numpy() for part in parts]) for which in (0, 1))
        return np.asarray(tf.nn.softmax(logits)), states


def one_run(
    learner: Learner, pool: Prepared, test: Prepared, start: NDArray[np.int64], strategy: str, recipe: Mapping[str, Any],
    number: int,
) -> list[dict[str, float]]:  # fmt: skip
    """AUROC and average precision on the test women after every round."""
    loop, settings = recipe["loop"], recipe["strategies"]
    rng = np.random.default_rng([recipe["seed"], number, 1])
    labelled = start
    main = [CLASSES.index(name) for name in EARLY]
    rounds = []
    while True:
        learner.fit(pool[labelled], recipe["seed"] + number)
        score = learner.answers(test)[0][:, main].sum(axis=1)
        rounds.append(
            {
                "labels": len(labelled),
                "events": int(pool.event[labelled].sum()),
                "auroc": float(roc_auc_score(test.event, score)),
                "average_precision": float(average_precision_score(test.event, score)),
            }
        )
        if len(labelled) >= loop["labels"]:
            return rounds
        probabilities, state = learner.answers(pool)
        view = PoolView(
            probabilities=probabilities,
            passes=lambda: np.stack([learner.answers(pool, training=True)[0] for _ in range(settings["passes"])]),
            state=state,
            abnormal=pool.abnormal,
            labelled=labelled,
            open=np.setdiff1d(np.arange(len(pool.last)), labelled),
            candidates=settings["candidates"],
        )
        labelled = np.append(labelled, STRATEGIES[strategy].choose(view, loop["batch"], rng))


def write_results(runs: pd.DataFrame, folder: Path, log: Log) -> None:
    """Write curves, labels saved and the default strategy, from one row a strategy, seed and round."""
    curves = runs.groupby(["strategy", "labels"]).agg(
        auroc=("auroc", _interval), average_precision=("average_precision", _interval), events=("events", "mean")
    )
    table = pd.DataFrame(
        [
            {
                "strategy": STRATEGIES[strategy].title,
                "labels": labels,
                "AUROC": row["auroc"],
                "average precision": row["average_precision"],
                "events found": f"{row['events']:.1f}",
            }
            for strategy in SIMULATED
            for labels, row in curves.loc[strategy].iterrows()
        ]
    )
    means = runs.pivot_table(index="labels", columns="strategy", values="average_precision")[SIMULATED]
    goal = float(means["random"].iloc[-1])
    best = str(means.mean().idxmax())
    saved = pd.DataFrame(
        [
            {
                "strategy": STRATEGIES[name].title,
                "average precision over all rounds": _interval(
                    runs[runs["strategy"] == name].groupby("seed")["average_precision"].mean()
                ),
                f"labels to reach {goal:.3f}": _first_reaching(means[name], goal),
                "labels saved": _saved(means[name], goal),
                "AUROC at the cold start": _interval(_at(runs, name, means.index[0])["auroc"]),
                "AUROC at the end": _interval(_at(runs, name, means.index[-1])["auroc"]),
                "default": "yes" if name == best else "no",
                "n": f"{runs['seed'].nunique()} seeds",
            }
            for name in SIMULATED
        ]
    )
    write_table(folder / f"{CURVES}.csv", table)
    write_table(folder / f"{SAVED}.csv", saved)
    chosen = Acquisition(
        strategy=best,
        chosen_by=f"highest mean average precision over {len(means)} rounds of {runs['seed'].nunique()} simulated seeds",
    )
    with replacing(folder / ACQUISITION_NAME) as temporary:
        temporary.write_text(chosen.model_dump_json(), encoding="utf-8")
    log(saved.to_string(index=False))


def with_acquisition(entry: Model, recipe_path: Path, out_dir: Path) -> Model:
    """The history model's entry with what the simulation of labelling found: its tables first, and the chosen strategy."""
    chosen = Acquisition.model_validate_json((out_dir / entry.id / ACQUISITION_NAME).read_bytes())
    for table in tomllib.loads(recipe_path.read_text(encoding="utf-8"))["tables"]:
        entry = entry.with_table(EvaluationTable(**table, file=f"{entry.id}/{table['id']}.csv"))
    return entry.model_copy(update={"acquisition": chosen})


def _at(runs: pd.DataFrame, strategy: str, labels: int) -> pd.DataFrame:
    return runs[(runs["strategy"] == strategy) & (runs["labels"] == labels)]


def _interval(values: pd.Series) -> str:
    """Mean and 95 % t interval over seeds."""
    mean, half = float(values.mean()), 0.0
    if len(values) > 1:
        half = float(student.ppf(0.975, len(values) - 1) * values.std(ddof=1) / np.sqrt(len(values)))
    return decimal(Interval(mean, mean - half, mean + half))


def _crossing(curve: pd.Series, goal: float) -> float | None:
    """Number of labels at which a curve first reaches the goal, interpolated linearly between rounds."""
    labels, values = curve.index.to_numpy(float), curve.to_numpy(float)
    reached = np.flatnonzero(values >= goal)
    if not len(reached):
        return None
    at = int(reached[0])
    if at == 0:
        return float(labels[0])
    share = (goal - values[at - 1]) / (values[at] - values[at - 1])
    return float(labels[at - 1] + share * (labels[at] - labels[at - 1]))


def _first_reaching(curve: pd.Series, goal: float) -> str:
    crossing = _crossing(curve, goal)
    return "not reached" if crossing is None else f"{crossing:,.0f}"


def _saved(curve: pd.Series, goal: float) -> str:
    crossing = _crossing(curve, goal)
    return "none" if crossing is None else f"{1 - crossing / float(curve.index[-1]):.0%}"
