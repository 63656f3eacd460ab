"""What the manifest says of the history model, and the tables beside its predictions."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.metrics import roc_curve

from cervix.bundle.manifest import (
    Abstention,
    Calibration,
    CalibrationTest,
    DerivedTask,
    Evaluation,
    EvaluationTable,
    FeatureInput,
    Model,
    PublishedFigure,
    Threshold,
    TrainingData,
    Variant,
)
from cervix.evaluation.calibration import calibration_figures
from cervix.evaluation.comparison import decimal, signed
from cervix.evaluation.metrics import binary_report, ranking_interval
from cervix.patients.encoding import encoding_named
from cervix.patients.sequences import MOST_VISITS
from training.history.checks.rivals import ALWAYS_NO, BOOSTING, LAST_VISIT, ORACLE, RIVALS, SUMMARY
from training.history.data import CLASSES, MAIN_TASK, SPLITS, TASKS, HistoryData
from training.history.export import MODEL_ID, TOLERANCE, ExportedHistory, test_probabilities
from training.shared.manifest_parts import add_probabilities, declared_classes, write_predictions, write_table
from training.shared.stages import Log

if TYPE_CHECKING:
    from training.history.fit import FittedHistory

Floats = NDArray[np.float64]
PUBLISHED = "Published LSTM on screening histories, another data set that is not available"
SIMULATED = "Simulated women (HPVsim). The figures say how well a model learns the simulator, not how well it serves women."
# Of these the calibration must hold before any guideline action may be shown.
RANKINGS: tuple[Literal["auroc"], Literal["average_precision"]] = ("auroc", "average_precision")
TESTED_TASKS = (MAIN_TASK, "cin3-3y", "cin3-5y")


def history_entry(
    data: HistoryData, fitted: "FittedHistory", exported: ExportedHistory, rivals: Mapping[str, Floats],
    recipe: Mapping[str, Any], out_dir: Path, log: Log,
) -> Model:  # fmt: skip
    """Write predictions and tables under ``out_dir/history``; return the manifest entry."""
    women = data.evaluated("test")
    probabilities = test_probabilities(exported.onnx_bytes, data, women)
    label = data.outcomes.label[data.index_visits(women)]
    groups = data.histories.patient_ids[women].astype(str)
    predictions = pd.DataFrame({"case": groups, "group": groups, "label": np.array(CLASSES)[label]})
    add_probabilities(predictions, "p_", list(CLASSES), probabilities.astype(np.float32))
    for name, scores in rivals.items():
        predictions[name] = scores.astype(np.float32)
    write_predictions(out_dir / MODEL_ID / "predictions.parquet", predictions)
    comparison = comparison_figures(predictions, groups)
    tests = calibration_tests(predictions, groups, recipe["calibration"])
    tables = [
        _kept("comparison", "Better than simpler ways?", comparison,
              "Same women. Differences are paired, over the same 1,000 draws of women; above 0 is better.", out_dir),
        _kept("calibration", "May the probabilities be read as frequencies?", tests_table(tests),
              "On test women, after the calibration was fitted on others. A test that fails bars every guideline action.",
              out_dir),
        _kept("trials", "Search", _trials_table(fitted.trials),
              "Validation loss of a short run on part of the training women; test women were not looked at.", out_dir),
    ]  # fmt: skip
    for table, frame in zip(tables, (comparison, tests_table(tests)), strict=False):
        log(f"{table.id}\n{frame.to_string(index=False)}")
    return _entry(data, fitted, exported, recipe, tests, tables)


def comparison_figures(predictions: pd.DataFrame, groups: NDArray[np.str_]) -> pd.DataFrame:
    """The main task by model and rival: AUROC, average precision, and this model's gain in each, with intervals."""
    positive = np.isin(predictions["label"].to_numpy(str), TASKS[0].positive)
    own = _task_score(predictions, TASKS[0])
    columns = {"Bundle's history model": own} | {
        baseline.title: predictions[f"{baseline.id}__{MAIN_TASK}"].to_numpy(np.float64)
        for baseline in RIVALS
        if baseline.id in (SUMMARY, BOOSTING, LAST_VISIT, ALWAYS_NO, ORACLE)
    }
    rows = []
    for title, score in columns.items():
        report = binary_report(positive, score, groups, 0.5).bootstrap
        gains = ["–", "–"]
        if score is not own:
            gains = [signed(ranking_interval(name, positive, own, groups, rival=score)) for name in RANKINGS]
        rows.append(
            {
                "CIN2+ within 3 years": title,
                "AUROC": decimal(report["auroc"]),
                "history model gains": gains[0],
                "average precision": decimal(report["average_precision"]),
                "history model gains ": gains[1],
                "n": f"{len(positive):,} women, {int(positive.sum())} events",
            }
        )
    return pd.DataFrame(rows)


def calibration_tests(
    predictions: pd.DataFrame, groups: NDArray[np.str_], limits: Mapping[str, Any]
) -> list[CalibrationTest]:  # fmt: skip
    """Observed over expected, ECE and Spiegelhalter's z of the tasks a guideline would ask for, against the recipe's limits."""
    low, high = limits["observed_expected"]
    rule = (
        f"observed/expected within {low}–{high}, calibration error at most {limits['ece_at_most']}, "
        f"Spiegelhalter's p at least {limits['p_at_least']}"
    )
    tests = []
    for task in (task for task in TASKS if task.id in TESTED_TASKS):
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


def tests_table(tests: list[CalibrationTest]) -> pd.DataFrame:
    titles = {task.id: task.title for task in TASKS}
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


def _kept(name: str, title: str, table: pd.DataFrame, note: str, out_dir: Path) -> EvaluationTable:
    file = f"{MODEL_ID}/{name}.csv"
    write_table(out_dir / file, table)
    return EvaluationTable(id=name, title=title, file=file, note=note)


def _entry(
    data: HistoryData, fitted: "FittedHistory", exported: ExportedHistory, recipe: Mapping[str, Any],
    tests: list[CalibrationTest], tables: list[EvaluationTable],
) -> Model:  # fmt: skip
    calibration = data.evaluated("calibration")
    calibrated = test_probabilities(exported.onnx_bytes, data, calibration)
    label = data.outcomes.label[data.index_visits(calibration)]
    settings = fitted.settings
    index = data.index_visits(np.arange(len(data.histories)))
    courses = np.array(CLASSES)[data.outcomes.label[index]]
    return Model(
        id="history",
        kind="sequence",
        title="Screening history: risk of CIN2+ and CIN3+",
        short="History",
        task="Estimate the probability of CIN2+ and of CIN3+ within 3 and 5 years of a woman's last screening visit",
        outcome=(
            "True CIN2+ or CIN3+ after the last visit and its treatment, undetected or to come, within 3 and 5 years; simulated"
        ),
        architecture=(
            f"Mean of {len(fitted.members)} LSTMs of {settings.units} units over all visits → dropout → "
            f"dense {len(CLASSES)}; imputation, scaling and time gaps in the graph"
        ),
        recipe=recipe["name"],
        seed=recipe["seed"],
        variants=[Variant(precision="fp32", file=exported.file, runs_on="cpu", tolerance=TOLERANCE)],
        inputs=exported.inputs,
        outputs=exported.outputs,
        classes=declared_classes(recipe, CLASSES),
        derived_tasks=list(TASKS),
        features=FeatureInput(
            encoding=encoding_named(recipe["data"]["features"]),
            visits=MOST_VISITS,
            gaps="years-since-measured",
            golden_table=exported.golden_table,
            steps_in_graph=[
                "not-measured mask from NaN",
                "NaN to the training median",
                "standardised by training mean and standard deviation, cut at 3",
                "a step for every grade a value reaches",
                "log of 1 + years since last measured, standardised, and a never-measured mask",
                "answer taken after each woman's last visit",
            ],
        ),
        background=exported.background,
        rehearsal=exported.rehearsal,
        calibration=Calibration(
            method="platt",
            parameters={"slope": fitted.platt.slope, "cin2": fitted.platt.cin2, "cin3": fitted.platt.cin3},
            fitted_on=f"calibration split, {len(data.women('calibration')):,} women",
            tests=tests,
        ),
        thresholds=[threshold_of(task, label, calibrated) for task in TASKS],
        abstention=[
            Abstention(
                output="results_known",
                limit=recipe["abstention"]["results_at_least"],
                chosen_by="without a single test result the answer is that of a woman of her age, of whom nothing is known",
            )
        ],
        training_data=[
            TrainingData(
                name="Simulated screening cohort",
                licence="MIT (generated by this project with HPVsim)",
                citation="HPVsim: Stuart et al. 2024, PLOS Computational Biology 20:e1012181",
                nature="simulated",
                note=SIMULATED + " Outcomes are the simulated truth, which no clinic sees.",
                grouped_by="woman",
                counts={split: {name: int((courses[data.women(split)] == name).sum()) for name in CLASSES} for split in SPLITS},
                groups={split: len(data.women(split)) for split in SPLITS},
            )
        ],
        evaluation=Evaluation(
            predictions=f"{MODEL_ID}/predictions.parquet",
            precision="fp32",
            split="test split, women never seen in training, followed for 5 years",
            baselines=list(RIVALS),
            published=[
                PublishedFigure(metric="accuracy", value=0.945, task=MAIN_TASK, source=PUBLISHED),
                PublishedFigure(metric="f1", value=0.937, task=MAIN_TASK, source=PUBLISHED),
            ],
            notes=[
                SIMULATED,
                "Accuracy says nothing where disease is rare: compare it with that of always saying no.",
                f"Largest difference between graph and Keras on test women: {exported.largest_difference:.1e}.",
            ],
            tables=tables,
        ),
        golden=exported.golden,
        intended_use=[
            "Demonstrating, teaching and criticising risk from screening histories.",
            "Trying the path from a visit list to a calibrated, explained risk before real histories are at hand.",
        ],
        limits=[
            "Trained on simulated women; nobody's real history was seen. Not for any clinical question.",
            "The simulated population is nobody's country: other screening programmes give other risks.",
            "HIV, pregnancy, VIA and self-sampling are not in the simulation and are not read.",
            "Glandular disease is rare in it and learnt from few women.",
        ],
        known_failures=[
            "In the simulation tests err independently; in life one laboratory misses the same woman twice.",
            "A history that starts in mid-life without its earlier results looks like that of a woman newly screened.",
        ],
    )


def threshold_of(task: DerivedTask, label: NDArray[np.int64], probabilities: Floats) -> Threshold:
    positive = np.isin(np.array(CLASSES)[label], task.positive)
    score = probabilities[:, [CLASSES.index(name) for name in task.positive]].sum(axis=1)
    fpr, tpr, limits = roc_curve(positive, score)
    return Threshold(
        task=task.id,
        value=float(limits[np.argmax(tpr - fpr)]),
        chosen_by=f"Youden's J on the calibration split ({int(positive.sum())} events): sensitive to single cases",
    )
