"""Recipe ``history``: from simulated screening histories to an ensemble of LSTMs in one proven ONNX graph."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import keras
import numpy as np
import optuna
from numpy.typing import NDArray
from scipy.special import log_softmax, logsumexp

from cervix.bundle.manifest import Model
from cervix.patients.encoding import encoding_named
from cervix.patients.sequences import EPISODE_DAYS
from training.data.cohort.files import make_cohort
from training.data.cohort.published import read_published
from training.history.checks.rivals import rival_scores
from training.history.checks.yardstick import OF_PUBLISHED, Yardstick
from training.history.data import CLASSES, HistoryData, load_history_data
from training.history.entry import history_entry
from training.history.export import HistoryParameters, export_history
from training.history.fit import FittedHistory, HistorySettings, fit_history, logits_of, untrained
from training.history.graph import HistoryNetwork
from training.shared.calibrate import fit_course_platt
from training.shared.declared import declared_tasks, read_recipe
from training.shared.search import search
from training.shared.stages import Log, Stages, array_digest

Floats = NDArray[np.float64]
COHORT_FOLDER = "cohort"


def train_history(
    recipe_path: Path, cohort_recipe: Path, women: int, seed: int, published: Path | None, out_dir: Path, log: Log
) -> list[Model]:  # fmt: skip
    """Run the recipe and write the model under ``out_dir``. The cohort is simulated first if it does not exist.

    An interrupted run continues after its last finished stage (``out_dir/stages``).

    Parameters
    ----------
    women, seed : of the cohort, as in ``python -m training data cohort``
    published : the tables of published risks to hold the model against; without them there is no yardstick

    Raises
    ------
    EventError
        If the training women have too few events to learn from.
    """
    recipe = read_recipe(recipe_path)
    data = cohort_data(recipe, cohort_recipe, women, seed, out_dir, log)
    fitted = fit_ensemble(data, recipe, out_dir, log)
    test = data.evaluated("test")
    yardstick = None
    if published:
        encoding = encoding_named(recipe["data"]["features"])
        yardstick = Yardstick.of(read_published(published), encoding, EPISODE_DAYS)
    rivals = _rivals(data, recipe, test, yardstick, Stages(out_dir / "stages", log))
    log("rivals fitted")
    parameters = HistoryParameters(fitted.members, fitted.platt, recipe["data"]["features"], declared_tasks(recipe)[0])
    exported = export_history(parameters, data, recipe, out_dir, log)
    measured = yardstick.measured(exported.onnx_bytes, declared_tasks(recipe), rivals) if yardstick else None
    of_women = {name: scores for name, scores in rivals.items() if not name.startswith(OF_PUBLISHED)}
    return [history_entry(data, fitted, exported, of_women, measured, recipe, out_dir, log)]


def cohort_data(
    recipe: Mapping[str, Any], cohort_recipe: Path, women: int, seed: int, out_dir: Path, log: Log
) -> HistoryData:  # fmt: skip
    """The cohort under ``out_dir``, simulated first if there is none of that size, seed and recipe."""
    folder = out_dir / COHORT_FOLDER
    make_cohort(cohort_recipe, women, seed, folder, log, reuse=True)
    data = load_history_data(folder, recipe["data"]["features"], recipe["data"]["shares"], recipe["seed"])
    log(f"{len(data.histories):,} women, {len(data.histories.features):,} visits")
    return data


def _rivals(
    data: HistoryData, recipe: Mapping[str, Any], women: NDArray[np.int64], yardstick: "Yardstick | None", stages: Stages
) -> dict[str, Floats]:
    """``rival_scores`` as a stage, by ``<rival>__<task>`` like the columns of the predictions."""
    names, tasks, seed = recipe["data"]["features"], declared_tasks(recipe), recipe["seed"]
    depends_on = {"data": data.digest(), "names": names, "tasks": sorted(task.id for task in tasks), "seed": seed}
    published = yardstick.histories if yardstick else None
    if published is not None:
        depends_on["published"] = array_digest(published.features, published.gap_years)
    return stages.arrays("rivals", depends_on, lambda: rival_scores(data, names, tasks, seed, women, published))


def fit_ensemble(data: HistoryData, recipe: Mapping[str, Any], out_dir: Path, log: Log) -> FittedHistory:
    """Search, fit the members on all training women, and calibrate their mean on women not used for fitting."""
    stages = Stages(out_dir / "stages", log)
    names = recipe["data"]["features"]
    depends_on = {
        "data": data.digest(),
        "names": names, "train": recipe["train"], "seed": recipe["seed"],
    }  # fmt: skip
    train = data.women("train")
    short = {**recipe["train"], "epochs": recipe["search"]["epochs"]}
    sample = np.random.default_rng(recipe["seed"]).choice(
        train, min(recipe["search"]["women"], len(train)), replace=False
    )  # fmt: skip

    def try_out(settings: HistorySettings) -> dict[str, float]:
        _, loss = fit_history(data, sample, names, settings, short, recipe["seed"])
        return {"validation_loss": loss}

    settings, trials = search(try_out, suggest_settings, recipe, {**depends_on, "search": recipe["search"]}, stages, log)
    members = []
    for number in range(1, recipe["train"]["members"] + 1):
        members.append(_member(number, data, names, settings, recipe, depends_on, stages))
        log(f"member {number} of {recipe['train']['members']} fitted")
    women = data.women("calibration")
    platt = fit_course_platt(
        ensemble_log_shares(members, data, women), data.outcomes.possible[data.index_visits(women)], CLASSES
    )
    log(f"calibration: {platt}")
    return FittedHistory(members, platt, settings, trials)


def network_as_exported(network: HistoryNetwork, data: HistoryData, names: list[str]) -> keras.Model:
    """A network of an exported graph on raw visits: the model that ``fit_ensemble`` made of this cohort."""
    unused = HistorySettings(units=len(network.recurrent_kernel), learning_rate=0.0, dropout=0.0, batch_size=0)
    model = untrained(data, names, unused)
    model.set_weights(network.weights)
    return model


def suggest_settings(trial: optuna.Trial, ranges: Mapping[str, Any]) -> HistorySettings:
    """Settings of one trial."""
    return HistorySettings(
        units=trial.suggest_int("units", *ranges["units"], step=8),
        learning_rate=trial.suggest_float("learning_rate", *ranges["learning_rate"], log=True),
        dropout=trial.suggest_float("dropout", *ranges["dropout"]),
        batch_size=trial.suggest_categorical("batch_size", ranges["batch_sizes"]),
    )


def _member(
    number: int, data: HistoryData, names: list[str], settings: HistorySettings, recipe: Mapping[str, Any],
    depends_on: Mapping[str, Any], stages: Stages,
) -> keras.Model:  # fmt: skip
    """One network of the ensemble; its weights are read back if it was fitted before."""
    made: list[keras.Model] = []

    def fit() -> dict[str, NDArray[Any]]:
        network, loss = fit_history(data, data.women("train"), names, settings, recipe["train"], recipe["seed"] + number)
        made.append(network)
        weights = {f"weight_{index}": values for index, values in enumerate(network.get_weights())}
        return {**weights, "validation_loss": np.array(loss)}

    stored = stages.arrays(f"member-{number}", {**depends_on, "settings": vars(settings)}, fit)
    if made:
        return made[0]
    network = untrained(data, names, settings)
    network.set_weights([stored[f"weight_{index}"] for index in range(len(stored) - 1)])
    return network


def ensemble_log_shares(members: list[keras.Model], data: HistoryData, women: NDArray[np.int64]) -> Floats:
    """Logarithm of the members' mean probability of each course ``(n, classes)``, not calibrated."""
    logs = [log_softmax(logits_of(member, data.histories, women), axis=1) for member in members]
    return np.asarray(logsumexp(logs, axis=0) - np.log(len(members)))
