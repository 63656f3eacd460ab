"""The history model's manifest entry, and the tables beside its predictions."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.metrics import roc_curve

from cervix.bundle.manifest import Baseline, CalibrationTest, DerivedTask, Model, Threshold, Variant
from cervix.evaluation.calibration import calibration_figures
from cervix.evaluation.comparison import decimal, signed
from cervix.evaluation.metrics import binary_report, ranking_interval
from cervix.patients.sequences import EPISODE_DAYS, MOST_VISITS
from training.history.data import CLASSES, SPLITS, HistoryData
from training.history.export import TOLERANCE, ExportedHistory, test_probabilities
from training.shared.declared import declared_baselines, declared_ids, declared_tasks, model_entry
from training.shared.manifest_parts import add_probabilities, write_predictions, write_table
from training.shared.stages import Log

if TYPE_CHECKING:
    from training.history.fit import FittedHistory

Floats = NDArray[np.float64]
PUBLISHED_RISKS = "published-risks.csv"
RANKINGS: tuple[Literal["auroc"], Literal["average_precision"]] = ("auroc", "average_precision")
# The calibration of these must be shown to hold before any guideline action is shown.
TESTED_TASKS = ("cin2-3y", "cin3-0y", "cin3-3y", "cin3-5y")


def history_entry(
    data: HistoryData, fitted: "FittedHistory", exported: ExportedHistory, rivals: Mapping[str, Floats],
    published: pd.DataFrame | None, recipe: Mapping[str, Any], out_dir: Path, log: Log,
) -> Model:  # fmt: skip
    """Write predictions and tables under ``out_dir/<model id>``, published risks among them; return the manifest entry."""
    folder = out_dir / declared_ids(recipe)[0]
    women = data.evaluated("test")
    probabilities = test_probabilities(exported.onnx_bytes, data, women)
    label = data.outcomes.label[data.index_visits(women)]
    groups = data.histories.patient_ids[women].astype(str)
    predictions = pd.DataFrame({"case": groups, "group": groups, "label": np.array(CLASSES)[label]})
    add_probabilities(predictions, "p_", list(CLASSES), probabilities.astype(np.float32))
    for name, scores in rivals.items():
        predictions[name] = scores.astype(np.float32)
    write_predictions(folder / "predictions.parquet", predictions)
    tasks = declared_tasks(recipe)
    tests = calibration_tests(predictions, groups, tasks, recipe["calibration"])
    for name, table in (
        ("comparison", comparison_figures(predictions, groups, tasks[0], declared_baselines(recipe))),
        ("calibration", tests_table(tests, tasks)),
        ("trials", _trials_table(fitted.trials)),
    ):
        write_table(folder / f"{name}.csv", table)
        log(f"{name}\n{table.to_string(index=False)}")
    entry = _entry(data, fitted, exported, recipe, tests)
    if published is None:
        return entry
    write_table(folder / PUBLISHED_RISKS, published)
    evaluation = entry.measured.model_copy(update={"published_risks": f"{entry.id}/{PUBLISHED_RISKS}"})
    return entry.model_copy(update={"evaluation": evaluation})


def comparison_figures(
    predictions: pd.DataFrame, groups: NDArray[np.str_], main: DerivedTask, rivals: Sequence[Baseline]
) -> pd.DataFrame:
    """The main question by model and rival: AUROC, average precision, and this model's gain in each, with intervals."""
    positive = np.isin(predictions["label"].to_numpy(str), main.positive)
    own = _task_score(predictions, main)
    columns = {"Bundle's history model": own} | {
        rival.title: predictions[f"{rival.id}__{main.id}"].to_numpy(np.float64) for rival in rivals
    }
    rows = []
    for title, score in columns.items():
        report = binary_report(positive, score, groups, 0.5).bootstrap
        gains = ["–", "–"]
        if score is not own:
            gains = [signed(ranking_interval(name, positive, own, groups, rival=score)) for name in RANKINGS]
        rows.append(
            {
                main.title: title,
                "AUROC": decimal(report["auroc"]),
                "history model gains": gains[0],
                "average precision": decimal(report["average_precision"]),
                "history model gains ": gains[1],
                "n": f"{len(positive):,} women, {int(positive.sum())} events",
            }
        )
    return pd.DataFrame(rows)


def calibration_tests(
    predictions: pd.DataFrame, groups: NDArray[np.str_], tasks: Sequence[DerivedTask], limits: Mapping[str, Any]
) -> list[CalibrationTest]:
    """Observed over expected, ECE and Spiegelhalter's z of the tasks that guidelines use, compared with the recipe's limits."""
    low, high = limits["observed_expected"]
    rule = (
        f"observed/expected within {low}–{high}, calibration error at most {limits['ece_at_most']}, "
        f"Spiegelhalter's p at least {limits['p_at_least']}"
    )
    tests = []
    for task in (task for task in tasks if task.id in TESTED_TASKS):
        positive = np.isin(predictions["label"].to_numpy(str), task.positive)
        found = calibration_figures(positive, _task_score(predictions, task), groups)
        tests.append(
            CalibrationTest(
                task=task.id,
                n=found.n,
                events=found.events,
                observed_expected=list(found.observed_expected),
                ece=list(found.ece),
                p_value=found.p_value,
                rule=rule,
                passed=low <= found.observed_expected.value <= high
                and found.ece.value <= limits["ece_at_most"]
                and found.p_value >= limits["p_at_least"],
            )
        )
    return tests


def _task_score(predictions: pd.DataFrame, task: DerivedTask) -> Floats:
    return predictions[[f"p_{name}" for name in task.positive]].sum(axis=1).to_numpy(np.float64)


def tests_table(tests: list[CalibrationTest], tasks: Sequence[DerivedTask]) -> pd.DataFrame:
    titles = {task.id: task.title for task in tasks}
    return pd.DataFrame(
        [
            {
                "outcome": titles[test.task],
                "observed / expected": "{:.2f} ({:.2f}–{:.2f})".format(*test.observed_expected),
                "calibration error (ECE)": "{:.4f} ({:.4f}–{:.4f})".format(*test.ece),
                "Spiegelhalter p": f"{test.p_value:.3f}",
                "rule": test.rule,
                "passed": "yes" if test.passed else "no",
                "n": f"{test.n:,} women, {test.events} events",
            }
            for test in tests
        ]
    )


def _trials_table(trials: pd.DataFrame) -> pd.DataFrame:
    table = trials.rename(columns=lambda name: name.replace("_", " "))
    table["learning rate"] = [f"{rate:.1e}" for rate in trials["learning_rate"]]
    table["dropout"] = trials["dropout"].round(2)
    table["validation loss"] = trials["validation_loss"].round(5)
    table["chosen"] = np.where(trials["chosen"], "yes", "no")
    return table


def _entry(
    data: HistoryData, fitted: "FittedHistory", exported: ExportedHistory, recipe: Mapping[str, Any],
    tests: list[CalibrationTest],
) -> Model:  # fmt: skip
    calibration = data.evaluated("calibration")
    calibrated = test_probabilities(exported.onnx_bytes, data, calibration)
    label = data.outcomes.label[data.index_visits(calibration)]
    index = data.index_visits(np.arange(len(data.histories)))
    courses = np.array(CLASSES)[data.outcomes.label[index]]
    said = {
        "members": len(fitted.members),
        "units": fitted.settings.units,
        "classes": len(CLASSES),
        "calibration_women": len(data.women("calibration")),
        "difference": exported.largest_difference,
    }
    computed = {
        "kind": "sequence",
        "variants": [Variant(precision="fp32", file=exported.file, runs_on="cpu", tolerance=TOLERANCE)],
        "inputs": exported.inputs,
        "outputs": exported.outputs,
        "features": {
            "encoding": exported.encoding,
            "visits": MOST_VISITS,
            "gaps": "years-since-measured",
            "steps": "episodes",
            "episode_days": EPISODE_DAYS,
            "golden_table": exported.golden_table,
        },
        "background": exported.background,
        "rehearsal": exported.rehearsal,
        "calibration": {
            "method": "platt",
            "parameters": {"slope": fitted.platt.slope, "cin2": fitted.platt.cin2, "cin3": fitted.platt.cin3},
            "tests": tests,
        },
        "thresholds": [threshold_of(task, label, calibrated) for task in declared_tasks(recipe)],
        "abstention": [{"limit": recipe["abstention"]["results_at_least"]}],
        "training_data": [
            {
                "counts": {
                    split: {name: int((courses[data.own_women(split)] == name).sum()) for name in CLASSES} for split in SPLITS
                },
                "groups": {split: len(data.own_women(split)) for split in SPLITS},
            }
        ],
        "evaluation": {"precision": "fp32"},
    }
    return model_entry(recipe, declared_ids(recipe)[0], CLASSES, said, computed)


def threshold_of(task: DerivedTask, label: NDArray[np.int64], probabilities: Floats) -> Threshold:
    positive = np.isin(np.array(CLASSES)[label], task.positive)
    score = probabilities[:, [CLASSES.index(name) for name in task.positive]].sum(axis=1)
    fpr, tpr, limits = roc_curve(positive, score)
    return Threshold(
        task=task.id,
        value=float(limits[np.argmax(tpr - fpr)]),
        chosen_by=f"Youden's J on the calibration split ({int(positive.sum())} events): sensitive to single cases",
    )
