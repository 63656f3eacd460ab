"""Recipe ``history-boosting``: from the history model's own women to a boosting model, brought as anybody brings theirs."""

import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cervix.bundle.manifest import Model
from cervix.patients.encoding import encoding_named
from training.boosting.data import CIN2, CIN3, CLASSES, BoostingData, HistoryFiles, boosting_data
from training.boosting.entry import TrainedBoosting, boosting_entry
from training.boosting.fit import PROBABILITIES, Trial, fit_trees, probabilities_of_trees, trees_as_onnx, try_settings
from training.boosting.rows import summary_rows
from training.history.reach import with_reach
from training.shared.declared import declared_baselines, declared_ids, read_recipe
from training.shared.manifest_parts import write_bytes, write_predictions, write_table
from training.shared.stages import Log, Stages, array_digest
from training.wrap.checked import checked
from training.wrap.women.about import WomenAsked
from training.wrap.women.answer import check_women_answers, find_output, logits_of
from training.wrap.women.fitting import answers_of, calibration_table, fit_women, thresholds_of, women_predictions
from training.wrap.women.graph import RAW, raw_women_graph, women_outputs, wrapped_women_graph
from training.wrap.women.loading import read_women_model
from training.wrap.women.rows import LabelledWomen
from training.wrap.women.women_model import write_women_golden

LARGEST_DIFFERENCE = 1e-4
"""Of a probability, between the graph and LightGBM: the graph's numbers are of single precision."""


class GraphDiffers(RuntimeError):
    """Raised when the exported graph does not compute what LightGBM computes."""


def train_boosting(recipe_path: Path, files: HistoryFiles, out_dir: Path, log: Log) -> list[Model]:
    """Fit, calibrate, export under ``out_dir`` and measure on the history model's test women. Returns the manifest entry.

    An interrupted run continues after its last finished stage (``out_dir/stages``).

    Raises
    ------
    BundleError
        If ``files`` lack what is needed.
    GraphDiffers
        If the graph answers otherwise than LightGBM.
    """
    recipe = read_recipe(recipe_path)
    model_id, asked, data = declared_ids(recipe)[0], asked_of(recipe), boosting_data(files)
    trees, trials = _trees(data, asked, recipe, Stages(out_dir / "stages", log))
    chosen = min(trials, key=lambda trial: trial.loss)
    log(f"{chosen.rounds} rounds of {chosen.leaves} leaves: loss {chosen.loss:.5f} on folds of the training women")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "boosting.onnx"
        path.write_bytes(trees_as_onnx(trees, len(asked.input.summaries)).SerializeToString())
        model = read_women_model(path, asked)
    output = find_output(model, asked)
    calibration, test = (_labelled(data, files, split) for split in ("calibration", "test"))
    raw = checked(raw_women_graph(model, asked, output))
    told = answers_of(raw, calibration.arrays, [RAW])[RAW]
    check_women_answers(asked, told)
    fits = fit_women(asked, logits_of(asked, told), calibration.labels)
    log(f"Calibration: one over the temperature {fits.slope:.3f}.")
    difference = _difference(raw, test, trees, summary_rows(data.histories.histories.prefixes(data.last_visits("test")), asked))
    graph = checked(wrapped_women_graph(model, asked, output, told.shape[1], fits))
    names = [spec.name for spec in women_outputs(asked)]
    on_calibration, on_test = (answers_of(graph, of.arrays, names)[PROBABILITIES] for of in (calibration, test))
    of_visits = data.histories.histories
    encoding = with_reach(encoding_named(asked.input.columns), of_visits, data.histories.women("train"))
    write_bytes(out_dir / model_id / "fp32.onnx", graph)
    write_bytes(out_dir / model_id / "background.npz", files.background)
    golden_table = write_women_golden(out_dir, model_id, asked, encoding, graph, names)
    predictions = _predictions(asked, test, on_test, files, recipe)
    write_predictions(out_dir / model_id / "predictions.parquet", predictions)
    for name, table in (("calibration", calibration_table(asked, test, on_test)), ("trials", _trials_table(trials, chosen))):
        write_table(out_dir / model_id / f"{name}.csv", table)
        log(f"{name}\n{table.to_string(index=False)}")
    trained = TrainedBoosting(
        asked, chosen, fits.slope, thresholds_of(asked, on_calibration, calibration.labels), encoding, golden_table, difference
    )
    return [boosting_entry(recipe, model_id, data, files.model, trained)]


def asked_of(recipe: dict[str, Any]) -> WomenAsked:
    """What the recipe says that the model reads and is asked."""
    told = recipe["input"]
    summaries = [f"{what} {column}" for item in told["summaries"] for column in item["of"] for what in item["what"]]
    return WomenAsked.model_validate(
        {
            "kind": "sequence",
            "classes": recipe["classes"],
            "questions": recipe["manifest"]["derived_tasks"],
            "input": {"columns": told["columns"], "summaries": summaries},
            "output": {"gives": "probability", "name": PROBABILITIES},
        }
    )


def _trees(data: BoostingData, asked: WomenAsked, recipe: dict[str, Any], stages: Stages) -> tuple[str, list[Trial]]:
    """The chosen ensemble, fitted on all training women, and every trial."""
    visits, histories = data.learned_visits(), data.histories.histories
    target, settings, seed = data.target[visits], recipe["train"], recipe["seed"]
    whose = np.searchsorted(histories.first, visits, side="right") - 1
    depends_on = {
        "visits": array_digest(histories.features, histories.time_years, visits, target),
        "summaries": asked.input.summaries, "train": settings, "seed": seed,
    }  # fmt: skip

    def fit() -> dict[str, Any]:
        rows = summary_rows(histories.prefixes(visits), asked)
        trials = try_settings(rows, target, whose, settings, seed)
        best = min(trials, key=lambda trial: trial.loss)
        return {"trees": fit_trees(rows, target, best, settings, seed), "trials": [asdict(trial) for trial in trials]}

    stored = stages.value("boosting", depends_on, fit)
    return stored["trees"], [Trial(**told) for told in stored["trials"]]


def _labelled(data: BoostingData, files: HistoryFiles, split: str) -> LabelledWomen:
    """The women of a split at their last visit; those of test are named as in the history model's predictions."""
    women = data.histories.evaluated(split)
    names = files.predictions["case"].to_numpy(str) if split == "test" else women.astype(str)
    labels = data.labels(data.histories.index_visits(women))
    return LabelledWomen(data.histories.histories.padded(women), labels, names, np.full(len(women), split), names)


def _difference(raw: bytes, test: LabelledWomen, trees: str, rows: NDArray[np.float32]) -> float:
    difference = float(np.abs(answers_of(raw, test.arrays, [RAW])[RAW] - probabilities_of_trees(trees, rows)).max())
    if difference > LARGEST_DIFFERENCE:
        raise GraphDiffers(f"largest difference to LightGBM {difference:.2e}, allowed {LARGEST_DIFFERENCE:.0e}")
    return difference


def _predictions(
    asked: WomenAsked, test: LabelledWomen, probabilities: NDArray[np.floating], files: HistoryFiles, recipe: dict[str, Any]
) -> pd.DataFrame:  # fmt: skip
    """The held-out predictions, with the simple rivals of the history model and its subgroups where it has them."""
    frame = women_predictions(asked, test, {"p_": probabilities})
    rivals = [f"{baseline.id}__{task}" for baseline in declared_baselines(recipe) for task in (CIN2, CIN3)]
    subgroups = [subgroup.column for subgroup in files.model.measured.subgroups]
    for column in (*rivals, *subgroups):
        frame[column] = files.predictions[column].to_numpy()
    return frame


def _trials_table(trials: list[Trial], chosen: Trial) -> pd.DataFrame:
    return pd.DataFrame(
        [
            {
                "leaves of a tree": trial.leaves,
                "fewest visits in a leaf": trial.least_women,
                "trees": trial.rounds * len(CLASSES),
                "log loss on folds": f"{trial.loss:.5f}",
                "chosen": "yes" if trial == chosen else "no",
            }
            for trial in trials
        ]
    )
